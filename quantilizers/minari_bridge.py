r"""Data sets to and from Minari, so that every library that reads Minari reads people's play recorded here.

    python -m quantilizers.minari_bridge export --env_name MountainCar-v0 --dataset_name demo
    python -m quantilizers.minari_bridge import --env_name MountainCar-v0 --dataset_name copy \
        --minari_id quantilizers/MountainCar-v0/demo-v0

What a Minari data set of ours holds:

| Minari | here |
|---|---|
| rewards | the true rewards |
| episode metadata `proxy_return`, `true_return` | the sums over the episode |
| episode metadata `cheat_rate` | proxy less true return, where the true reward is the proxy less λ × cheat rate |
| episode metadata `extras` | the file's further arrays: seed, player, recorded_at, … |
| terminations, truncations | the array `terminated`, or (1) |
| the observation after the last action | the array `final_observation`, or (2) |

(1) Where a file does not say, an episode shorter than the environment's `max_steps` counts as terminated, any other
as truncated. (2) Where a file does not have it, the last observation stands there once more, and the data set's
metadata say so.

Exporting and importing gives the same arrays back. Of another library's data set, the seeds, the final
observations and the terminations are kept as further arrays, so that they survive the way back too.
"""

from __future__ import annotations

import importlib
import inspect
import shutil
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from quantilizers import minari_format
from quantilizers.datasets import load_dataset
from quantilizers.demonstrations import Demonstrations, check_environment
from quantilizers.envs import environment_names, load_environment
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.files import LOG_DIRECTORY, Layout
from quantilizers.programs import Parser, run_program

#: The key in Minari's metadata of what it has no place for.
OURS = "quantilizers"


def _minari() -> ModuleType:
    """Return Minari, which is optional."""
    try:
        for name in ("h5py", "PIL"):
            importlib.import_module(name)
        return importlib.import_module("minari")
    except ImportError as error:
        raise UserError(
            f"{error.name} is not installed; install what this needs: pip install -r requirements-minari.txt"
        ) from None


def export_dataset(
    demonstrations: Demonstrations, environment: EnvironmentDefinition, minari_id: str, *, force: bool = False
) -> None:
    """Write demonstrations to Minari's local folder (`MINARI_DATASETS_PATH`, otherwise `~/.minari/datasets`).

    Args:
        demonstrations: what to write.
        environment: what they are demonstrations of.
        minari_id: `namespace/name-v0`; the namespace is optional.
        force: replace what Minari has under that id.

    Raises:
        UserError: Minari is not installed, has that id already, or the id is none; or it is too old for pictures.
    """
    minari = _minari()
    metadata = minari_format.metadata_of_episodes(demonstrations, environment)
    folder = _folder_of(minari_id)
    # Minari passes over hidden folders.
    aside = folder.with_name(f".{folder.name}.replaced")
    shutil.rmtree(aside, ignore_errors=True)
    if folder.exists():
        if not force:
            raise UserError(f"Minari has {minari_id} already ({folder}); --force replaces it")
        folder.rename(aside)
    buffer = importlib.import_module("minari.data_collector").EpisodeBuffer
    try:
        with warnings.catch_warnings():
            # Minari warns of every description that is left out.
            warnings.simplefilter("ignore", UserWarning)
            dataset = minari.create_dataset_from_buffers(
                dataset_id=minari_id,
                buffer=[buffer(**one) for one in minari_format.episodes_of(demonstrations, environment)],
                env=environment.gymnasium_id,
                observation_space=minari_format.observation_space(demonstrations.observations),
                action_space=minari_format.action_space(demonstrations.actions, environment),
                description=f"Demonstrations of {environment.name}; rewards are the true rewards.",
                **_lossless(minari, demonstrations),
            )
        dataset.storage.update_metadata({OURS: minari_format.format_of(demonstrations, environment)})
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
        UserError: Minari is not installed or has no such data set, or it is of another environment.
    """
    minari = _minari()
    if not _folder_of(minari_id).is_dir():
        raise UserError(f"Minari has no data set {minari_id}; see minari list local, or minari download {minari_id}")
    try:
        dataset = minari.load_dataset(minari_id)
        episodes = list(dataset.iterate_episodes())
        metadata = list(dataset.storage.get_episode_metadata(dataset.episode_indices))
        ours = dataset.storage.metadata.get(OURS)
    except (OSError, KeyError, ValueError, AssertionError) as error:
        raise UserError(f"{minari_id} cannot be read: {error}") from None
    if not episodes:
        raise UserError(f"{minari_id} has no episode")
    if not all(isinstance(one.observations, np.ndarray) and isinstance(one.actions, np.ndarray) for one in episodes):
        raise UserError(f"{minari_id}: its observations or actions are not plain arrays")
    lengths = np.array([len(one.rewards) for one in episodes])
    steps = ours["steps"] if ours else int(lengths.max())
    types = ours["dtypes"] if ours else {}
    actions = [one.actions.reshape(len(one.actions), -1) for one in episodes]
    demonstrations = Demonstrations(
        observations=minari_format.stack([one.observations[:-1] for one in episodes], steps, types.get("obs")),
        actions=minari_format.stack(actions, steps, types.get("acs")),
        true_rewards=minari_format.stack([one.rewards for one in episodes], steps, types.get("rews")),
        done=np.arange(steps) >= lengths[:, np.newaxis],
        extras=minari_format.our_extras(metadata, types) if ours else minari_format.their_extras(episodes, metadata),
    )
    try:
        check_environment(demonstrations, environment)
    except UserError as error:
        raise UserError(f"{minari_id}: {error}") from None
    return demonstrations


def _folder_of(minari_id: str) -> Path:
    """Return the folder of a Minari data set, there or not."""
    try:
        importlib.import_module("minari.dataset.minari_dataset").parse_dataset_id(minari_id)
    except (ValueError, TypeError):
        raise UserError(f"{minari_id!r} is no id of Minari's; give one such as people/MountainCar-v0/mine-v0") from None
    folder: Path = importlib.import_module("minari.storage.datasets_root_dir").get_dataset_path(minari_id)
    return folder


def _lossless(minari: ModuleType, demonstrations: Demonstrations) -> dict[str, bool]:
    """Return the argument that keeps images exact; Minari packs them as JPEG otherwise."""
    if "jpeg_encoding" in inspect.signature(minari.create_dataset_from_buffers).parameters:
        return {"jpeg_encoding": False}
    sides = demonstrations.observations.shape[2:4]
    if demonstrations.observations.dtype == np.uint8 and len(sides) == 2 and min(sides) >= 32:
        raise UserError("this Minari keeps pictures as JPEG only, which blurs them; install 0.5.4 or later")
    return {}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        parser = Parser("-m quantilizers.minari_bridge", description=__doc__)
        parser.add_argument("do", choices=("export", "import"), help="to Minari, or from it")
        parser.add_argument("--env_name", default="MountainCar-v0", help=f"one of {', '.join(environment_names())}")
        parser.add_argument("--dataset_name", default="demo", help="the name of log/ENV_NAME/DATASET_NAME.npz")
        parser.add_argument("--minari_id", help="Minari's name for it (quantilizers/ENV_NAME/DATASET_NAME-v0)")
        parser.add_argument("--force", action="store_true", help="replace what is there")
        options = parser.parse_args(arguments)
        environment = load_environment(options.env_name)
        layout = Layout(LOG_DIRECTORY, environment.name, options.dataset_name)
        minari_id = options.minari_id or f"quantilizers/{environment.name}/{options.dataset_name}-v0"
        if options.do == "export":
            export_dataset(load_dataset(layout, environment), environment, minari_id, force=options.force)
            print(f"wrote Minari's {minari_id}: minari show {minari_id}")
        else:
            if layout.data.exists() and not options.force:
                raise UserError(f"{layout.data} is there already; --force replaces it")
            import_dataset(minari_id, environment).save(layout.data)
            print(f"wrote {layout.data}")

    return run_program("minari_bridge", work)


if __name__ == "__main__":
    sys.exit(main())
