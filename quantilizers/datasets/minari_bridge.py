"""Data sets to and from Minari, so that every library that reads Minari reads people's play recorded here.

What a Minari data set of ours holds:

| Minari | here |
|---|---|
| rewards | the true rewards |
| episode metadata `proxy_return`, `true_return` | the sums over the episode |
| episode metadata `implicit_loss` | where the environment defines one, such as the cheat rate: its `second_axis` |
| episode metadata `extras` | the file's further arrays: seed, player, recorded_at, … |
| infos | the file's arrays `info_…`; what stands at the reset, to which Minari gives an entry too, is zero |
| terminations, truncations | the array `terminated`, or (1) |
| the observation after the last action | the array `final_observation`, or (2) |

(1) Where a file does not say, an episode shorter than the environment's `max_steps` counts as terminated, any other
as truncated. (2) Where a file does not have it, it is what the environment's `final_observations` computes, or else
the last observation once more; the data set's metadata say which.

Exporting and importing gives the same arrays back. Of another library's data set, the seeds, the final
observations, the terminations and the infos that are numbers are kept as further arrays, so that they survive the
way back too.
"""

from __future__ import annotations

import importlib
import inspect
import shutil
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np

from quantilizers.datasets import minari_format
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import ExistsError, MissingError, NotInstalledError, UserError, reason_of

#: The key in Minari's metadata of what it has no place for.
OURS = "quantilizers"


def _minari() -> ModuleType:
    """Return Minari, which is optional."""
    try:
        for name in ("h5py", "PIL"):
            importlib.import_module(name)
        return importlib.import_module("minari")
    except ImportError as error:
        raise NotInstalledError(f"{error.name} is not installed", str(error.name)) from None


def export_dataset(
    demonstrations: Demonstrations,
    minari_id: str,
    *,
    author: str | None = None,
    code: str | None = None,
    force: bool = False,
) -> None:
    """Write demonstrations to Minari's local folder (`MINARI_DATASETS_PATH`, otherwise `~/.minari/datasets`).

    Args:
        demonstrations: what to write.
        minari_id: `namespace/name-v0`; the namespace is optional.
        author: who made the data set, for Minari's field of that name.
        code: the address of the code that made it, for Minari's `code_permalink`.
        force: replace what Minari has under that id.

    Raises:
        NotInstalledError: Minari is not installed.
        ExistsError: Minari has that id already.
        UserError: it is not an id of Minari's; or Minari is too old for pictures.
    """
    minari = _minari()
    environment = demonstrations.environment
    metadata = minari_format.metadata_of_episodes(demonstrations)
    folder = _folder_of(minari_id)
    # Minari passes over hidden folders.
    aside = folder.with_name(f".{folder.name}.replaced")
    shutil.rmtree(aside, ignore_errors=True)
    if folder.exists():
        if not force:
            raise ExistsError(f"Minari has {minari_id} already ({folder})")
        folder.rename(aside)
    buffer = importlib.import_module("minari.data_collector").EpisodeBuffer
    try:
        with warnings.catch_warnings():
            # Minari warns of every description that is left out.
            warnings.simplefilter("ignore", UserWarning)
            dataset = minari.create_dataset_from_buffers(
                dataset_id=minari_id,
                buffer=[buffer(**fields) for fields in minari_format.episodes_of(demonstrations)],
                env=environment.gymnasium_id,
                author=author,
                code_permalink=code,
                observation_space=minari_format.observation_space(demonstrations),
                action_space=minari_format.action_space(demonstrations),
                description=f"Demonstrations of {environment.name}; rewards are the true rewards.",
                **_lossless(minari, demonstrations.episodes),
            )
        dataset.storage.update_metadata({OURS: minari_format.format_of(demonstrations)})
        dataset.storage.update_episode_metadata(metadata)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if aside.exists():
            aside.rename(folder)
        if isinstance(error, OSError):
            raise UserError(f"cannot write {folder}: {error.strerror or error}") from None
        raise
    shutil.rmtree(aside, ignore_errors=True)


def import_dataset(minari_id: str, environment: EnvironmentDefinition) -> Demonstrations:
    """Read a Minari data set, one of ours or another library's.

    Args:
        minari_id: as in `minari list local`.
        environment: what it must be demonstrations of.

    Raises:
        NotInstalledError: Minari is not installed.
        MissingError: Minari has no such data set.
        UserError: it cannot be read, or is of another environment.
    """
    minari = _minari()
    if not _folder_of(minari_id).is_dir():
        raise MissingError(f"Minari has no data set {minari_id}")
    try:
        dataset = minari.load_dataset(minari_id)
        episodes = list(dataset.iterate_episodes())
        metadata = list(dataset.storage.get_episode_metadata(dataset.episode_indices))
        ours = dataset.storage.metadata.get(OURS)
    except (OSError, KeyError, ValueError, AssertionError) as error:
        raise UserError(f"{minari_id} cannot be read: {reason_of(error)}") from None
    if not episodes:
        raise UserError(f"{minari_id} has no episode")
    if not all(
        isinstance(array, np.ndarray) for episode in episodes for array in (episode.observations, episode.actions)
    ):
        raise UserError(f"{minari_id}: its observations or actions are not plain arrays")
    lengths = np.array([len(episode.rewards) for episode in episodes])
    steps = ours["steps"] if ours else int(lengths.max())
    types = ours["dtypes"] if ours else {}
    observations = [episode.observations[:-1] for episode in episodes]
    actions = [episode.actions.reshape(len(episode.actions), -1) for episode in episodes]
    rewards = [episode.rewards for episode in episodes]
    try:
        return Demonstrations(
            Episodes(
                observations=minari_format.stack(observations, steps, types.get("obs")),
                actions=minari_format.stack(actions, steps, types.get("acs")),
                true_rewards=minari_format.stack(rewards, steps, types.get("rews")),
                done=np.arange(steps) >= lengths[:, np.newaxis],
                extras=minari_format.our_extras(episodes, metadata, steps, types)
                if ours
                else minari_format.their_extras(episodes, metadata, steps),
            ),
            environment,
        )
    except UserError as error:
        raise UserError(f"{minari_id}: {error}") from None


def _folder_of(minari_id: str) -> Path:
    """Return the folder of a Minari data set, there or not."""
    try:
        importlib.import_module("minari.dataset.minari_dataset").parse_dataset_id(minari_id)
    except (ValueError, TypeError):
        raise UserError(f"{minari_id!r} is not an id of Minari's; give one such as people/mine-v0") from None
    folder: Path = importlib.import_module("minari.storage.datasets_root_dir").get_dataset_path(minari_id)
    return folder


def _lossless(minari: ModuleType, episodes: Episodes) -> dict[str, bool]:
    """Return the argument that keeps images exact; Minari packs them as JPEG otherwise."""
    if "jpeg_encoding" in inspect.signature(minari.create_dataset_from_buffers).parameters:
        return {"jpeg_encoding": False}
    sides = episodes.observations.shape[2:4]
    if episodes.observations.dtype == np.uint8 and len(sides) == 2 and min(sides) >= 32:
        raise UserError("this Minari keeps pictures as JPEG only, which blurs them; install 0.5.4 or later")
    return {}
