"""The layouts of recordings that are read: the name of each, how it is told, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from quantilizers.arrays import load_array
from quantilizers.datasets.atari_head import read_trial
from quantilizers.datasets.contents import AS_ARRAYS, Contents, beginning_of, contents_of
from quantilizers.datasets.fields import Reading, Wanted, is_reward, listed, with_field_as_rewards
from quantilizers.datasets.groups import read_groups, read_lists, read_minari
from quantilizers.datasets.names import field_of, fields_of
from quantilizers.datasets.padded import read_padded, read_reference_layout
from quantilizers.datasets.rows import read_row
from quantilizers.datasets.which_reward import WhichRewardError, with_true_rewards
from quantilizers.demonstrations.episodes import KEYS, Episodes, load_episodes
from quantilizers.envs.people_play import SOURCES
from quantilizers.errors import UserError, shown
from quantilizers.table_files import FORMATS as TABLES


@dataclass(frozen=True)
class Format:
    """A layout of recordings.

    Attributes:
        name: of the project or library that writes it.
        container: `npz`, `HDF5`, `table` or `text`.
        told_by: the names of fields that tell it, as the documentation lists them.
        tells: whether a recording has it; the first of `FORMATS` that says so reads it.
        read: makes episodes of it.
        is_ours: whether its rewards are the true ones, because this project's layout is the same.
    """

    name: str
    container: str
    told_by: str
    tells: Callable[[Contents], bool]
    read: Callable[[Contents, Wanted], Reading]
    is_ours: bool = False


def _has(*names: str) -> Callable[[Contents], bool]:
    return lambda contents: {*names} <= {*contents.types} | {*contents.unread}


def _read_ours(contents: Contents, wanted: Wanted) -> Reading:
    return Reading(with_field_as_rewards(contents.path, load_episodes(contents.path), wanted))


def _is_ours(contents: Contents) -> bool:
    if not _has(*KEYS)(contents) or contents.unread or contents.types["done"][1] != np.bool_:
        return False
    # Arrays of other shapes are refused when they are read.
    ended = contents.read("done")[..., :1] if len(contents.types["done"][0]) == 2 else np.array(False)
    return len(contents.types["acs"][0]) == 3 and not ended.any()


def _is_gail(contents: Contents) -> bool:
    return _has("obs", "acs", "rews")(contents) and len(contents.types.get("rews", ((0, 0), None))[0]) == 2


def _is_row(contents: Contents) -> bool:
    """Return whether each entry of its arrays is a step; a table's rows are, unless they are episodes."""
    names = list(contents.types)
    return bool(fields_of(names, "observations") and fields_of(names, "actions")) and not _is_padded(contents)


_OF_STEPS = ("done", "terminated", "truncated", "starts", "mask", "episode", "step")


def _is_padded(contents: Contents) -> bool:
    """Return whether entries of its arrays are episodes of the same number of steps: rewards or ends are (N, T)."""
    types = contents.types
    actions, observations = field_of(types, "actions"), field_of(types, "observations")
    if actions is None or observations is None or contents.container == "table":
        return False
    shape, seen = types[actions][0][:2], types[observations][0]
    if len(shape) < 2 or seen[:1] != shape[:1] or len(seen) < 2 or seen[1] not in (shape[1], shape[1] + 1):
        return False
    roles = {field_of(types, role) for role in _OF_STEPS}
    of_steps = [types[name][0] for name in types if is_reward(name) or name in roles]
    if shape[:1] in of_steps:
        return False
    others = of_steps or [of for name, (of, _) in types.items() if name not in (actions, observations)]
    return shape in others and (shape[1] > 1 or len(seen) > 2)


def _is_lists(contents: Contents) -> bool:
    """Return whether each row of a table is an episode, because its rewards or ends are lists."""
    steps = [name for name in contents.lists if is_reward(name) or "rew" in name.casefold()]
    roles = [field_of(contents.lists, role) for role in ("done", "terminated", "truncated")]
    return bool(steps or any(roles)) and field_of(contents.lists, "actions") is not None


def _is_numbered(contents: Contents) -> bool:
    return field_of([name.removesuffix("_0") for name in contents.types if name.endswith("_0")], "actions") is not None


def _has_groups(pattern: str) -> Callable[[Contents], bool]:
    return lambda contents: any(name.startswith(pattern) and "/actions" in name for name in contents.types)


#: Suffixes of files that are named by their path, where a data set is named otherwise.
SUFFIXES = (".npz", ".npy", ".hdf5", ".h5", *TABLES, ".txt", ".gz")
#: The layouts, the most particular first.
FORMATS: tuple[Format, ...] = (
    Format("this project", "npz", "`obs acs rews done ep_rets`", _is_ours, _read_ours, is_ours=True),
    Format(
        "this project's first versions", "npz", "`obs acs rews done`, perhaps `ep_rets`",
        lambda contents: _is_gail(contents) and "done" in contents.types, read_reference_layout, is_ours=True,
    ),
    Format("OpenAI baselines (GAIL)", "npz", "`obs acs rews`, perhaps `ep_rets`", _is_gail, read_reference_layout),
    Format(
        "imitation", "npz", "`obs acts rews terminal indices`", _has("obs", "acts", "terminal", "indices"), read_row
    ),
    Format(
        "Stable-Baselines experts", "npz", "`obs actions rewards episode_starts episode_returns`",
        _has("obs", "actions", "rewards", "episode_starts"), read_row,
    ),
    Format(
        "D4RL", "HDF5", "`observations actions rewards terminals timeouts`, perhaps `next_observations`, `infos/…`",
        _has("observations", "actions", "rewards", "terminals"), read_row,
    ),
    Format(
        "CORL", "npz", "`observations actions rewards terminals next_observations`",
        _has("observations", "actions", "rewards", "terminals", "next_observations"), read_row,
    ),
    Format(
        "Ho and Ermon (2016)", "HDF5", "`obs_B_T_Do a_B_T_Da r_B_T len_B`",
        _has("obs_B_T_Do", "a_B_T_Da", "r_B_T", "len_B"), read_padded,
    ),
    Format(
        "robomimic", "HDF5", "`data/demo_0/obs/…`, `actions`, `rewards`, `dones`", _has_groups("data/demo_"),
        read_groups,
    ),
    Format(
        "Minari", "HDF5", "`episode_0/observations`, `actions`, `rewards`, `terminations`, `truncations`, `infos/…`",
        _has_groups("episode_"), read_minari,
    ),
    Format(
        "imitation (Hugging Face)", "table", "lists `obs acts rews`, and `terminal`, `infos`",
        lambda contents: {"obs", "acts", "rews"} <= {*contents.lists}, read_lists,
    ),
    Format("Atari-HEAD", "text", "`frame_id,episode_id,score,duration(ms),unclipped_reward,action,gaze_positions`",
        lambda contents: True, read_trial),
    Format("a table of episodes", "table", "lists, such as `observations actions rewards`", _is_lists, read_lists),
    Format("a table of steps", "table", "columns, such as `episode o0 o1 action reward`", _is_row, read_row),
    Format("arrays of each episode", "npz", "a number at the end, such as `observations_0 actions_0 rewards_0`",
        _is_numbered, read_groups),
    Format("arrays of each episode", "HDF5", "the same, as of d3rlpy", _is_numbered, read_groups),
    Format("steps in one row", "npz", "`actions` and `rewards` (n,), with ends, starts, lengths or episodes", _is_row,
        read_row),
    Format("steps in one row", "HDF5", "the same", _is_row, read_row),
    Format("padded episodes", "npz", "`actions` and `rewards` (N, T), with `lengths`, `mask`, `done` or zeros",
        _is_padded, read_padded),
    Format("padded episodes", "HDF5", "the same", _is_padded, read_padded),
    Format("one group an episode", "HDF5", "groups that end in a number, such as `traj_0/actions`",
        lambda contents: any("/act" in name for name in contents.types), read_groups),
)  # fmt: skip


def read_recording(path: Path, wanted: Wanted | None = None) -> Reading:
    """Read episodes from a file or folder in any of the layouts of `FORMATS`, and check them.

    Rewards of another project become the true ones if the environment is known.

    Args:
        path: the file or folder.
        wanted: which field is the true reward, and the environment; None takes the only field of rewards.

    Raises:
        MissingError: it does not exist.
        NotInstalledError: the library that reads it is not installed.
        WhichRewardError: it has several fields of rewards, or none, and none is named; or they are not known to be
            the true ones.
        UserError: it cannot be read; the message names the file and the problem.
    """
    wanted = wanted or Wanted()
    if path.is_file() and beginning_of(path, 8).startswith(b"\x93NUMPY"):
        environment = None if wanted.environment is None else [wanted.environment.name]
        name, episodes = read_npy(path, environment, wanted.true_reward)
        return Reading(episodes, (f"read as {name}",))
    with ExitStack() as opened:
        contents = contents_of(path, opened)
        one, reading = _read(contents, wanted)
        unread = contents.unread
    notes = reading.notes
    if reading.field is not None:
        notes = (f"rewards are its field {shown(reading.field)}", *notes)
    if unread:
        notes = (*notes, f"left out: {listed(f'{name} ({what})' for name, what in unread.items())}")
    if one.is_ours and wanted.reward is None:
        return replace(reading, notes=notes)
    notes, foreign = (f"read as {one.name}", *notes), reading.foreign or wanted.foreign(reading.episodes)
    if wanted.environment is None:
        return Reading(reading.episodes, notes, foreign)
    try:
        episodes = with_true_rewards(foreign, wanted.environment)
    except WhichRewardError as error:
        raise WhichRewardError(f"{path}: {error}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    if np.array_equal(episodes.true_rewards, reading.episodes.true_rewards):
        told = "they are the true rewards"
    elif np.array_equal(episodes.true_rewards, reading.episodes.step_info.get("true_reward", ())):
        told = f"the true rewards of {wanted.environment.name} are its info true_reward"
    else:
        told = f"the true rewards of {wanted.environment.name} were computed"
    return Reading(episodes, (*notes, told))


def _read(contents: Contents, wanted: Wanted) -> tuple[Format, Reading]:
    """Read what a file has in the first layout that fits."""
    path = contents.path
    roles = ("observations", "actions", "next_observations")
    needed = {field_of(contents.unread, role) for role in roles} | {*contents.unread} & {"rewards", "rews", "done"}
    for name in sorted(needed - {None}, key=str):
        raise UserError(
            f"{path}: its {name} is not read: {contents.unread[str(name)]}; where you trust it, pad lists of different "
            f"lengths with zeros, or save {AS_ARRAYS}"
        )
    for one in FORMATS:
        if one.container == contents.container and one.tells(contents):
            break
    else:
        names = list(contents.types)
        absent = [role for role in ("observations", "actions") if not fields_of(names, role)]
        if absent and contents.container == "npz":
            what = f"lacks {', '.join(key for key in KEYS if key not in names)}, and has no other layout"
        elif absent:
            what = f"has no {' and no '.join(absent)} in a layout"
        else:
            what = "has observations and actions, but in no layout"
        never = ", which are never read" if contents.unread else ""
        raise UserError(
            f"{path} {what} that is known here; it has {contents.described()}{never}. "
            "quantilizers.Episodes.from_flat(…).save(…) makes a file of arrays"
        )
    try:
        return one, one.read(contents, wanted)
    except UserError as error:
        if str(path) in str(error) or type(error) not in (UserError, WhichRewardError):
            raise
        raise type(error)(f"{path}: {error}") from None


def read_npy(path: Path, environments: Sequence[str] | None, true_reward: str | None = None) -> tuple[str, Episodes]:
    """Return the episodes of an npy file in a format of `SOURCES`, and that source's name.

    Args:
        path: the file.
        environments: names of the candidates for its environment; None takes all.
        true_reward: the field that the user named, which one array does not have.

    Raises:
        UserError: it has none of these formats, or a field is named.
    """
    if true_reward is not None:
        raise UserError(f"{path} is one array (npy) without fields, and has no field {true_reward!r}")
    try:
        recording = load_array(path)
    except UserError as error:
        pickled = "pickled" in str(error)
        raise UserError(
            f"{path} is a pickle; pickles are never read" if pickled else f"{path} is damaged or half"
        ) from None
    problems = []
    for name, source in SOURCES.items():
        if source.to_episodes is None or (environments is not None and source.environment not in environments):
            continue
        try:
            return name, source.to_episodes(recording)
        except UserError as error:
            problems.append(str(error))
    raise UserError(
        "; ".join(problems)
        or f"{path} is one array (npy) {recording.shape}, where episodes need observations, actions and rewards; save "
        "them together with numpy.savez"
    )
