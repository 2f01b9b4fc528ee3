"""Each layout of recordings, read from a file that is written as its project writes it."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest
import yaml
from gymnasium.spaces import Box, Discrete

from quantilizers.arrays import load_arrays
from quantilizers.commands.command_line import build_parser, file_of
from quantilizers.datasets.demonstrations import Demonstrations, WrongEnvironmentError, find_recording
from quantilizers.datasets.fields import Wanted
from quantilizers.datasets.formats import FORMATS, read_recording
from quantilizers.datasets.which_reward import WhichRewardError
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition, Recordings
from quantilizers.envs.making import spec_of
from quantilizers.envs.registry import load_environment
from quantilizers.errors import MissingError, UserError
from quantilizers.files import sha256_of, sha256_of_folder
from quantilizers.layout import Layout, shipped_log
from quantilizers.rewards import each_step, own
from quantilizers.stages.run import Run
from quantilizers.stages.settings import settings_from

h5py = pytest.importorskip("h5py", reason="HDF5 needs h5py: pip install -r requirements.txt")
pl = pytest.importorskip("polars", reason="tables need polars: pip install -r requirements-recordings.txt")

Array = npt.NDArray[Any]
LENGTHS = (4, 2, 3)
RNG = np.random.default_rng(0)
#: Observations (t + 1, 3), actions (t,) and rewards (t,) of three episodes.
PLAYED = [
    (
        RNG.normal(size=(length + 1, 3)).astype(np.float32),
        RNG.integers(0, 2, length),
        RNG.normal(size=length).round(3),
    )
    for length in LENGTHS
]
ENDS = np.concatenate([np.arange(length) == length - 1 for length in LENGTHS])
#: The second episode was cut by a time limit.
TERMINALS, TIMEOUTS = ENDS.copy(), np.zeros_like(ENDS)
TERMINALS[5], TIMEOUTS[5] = False, True
SPACES = (Box(-np.inf, np.inf, (3,)), Discrete(2))


class Still(gymnasium.Env[Any, Any]):
    """An environment that no recording is of: nothing moves in it."""

    observation_space, action_space = SPACES

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(3, np.float32), {}

    def step(self, action: Any) -> Any:
        return np.zeros(3, np.float32), 0.0, False, False, {}


HERE = EnvironmentDefinition(
    Still, each_step(lambda steps: steps.observations[:, 0]), max_steps=9, spaces=SPACES, name="Here"
)


def flat(part: int) -> Array:
    return np.concatenate([episode[part] for episode in PLAYED])


def before() -> Array:
    return np.concatenate([episode[0][:-1] for episode in PLAYED])


def after() -> Array:
    return np.concatenate([episode[0][1:] for episode in PLAYED])


def padded(arrays: list[Array]) -> Array:
    found = np.zeros((3, 4, *arrays[0].shape[1:]), dtype=arrays[0].dtype)
    for row, array in zip(found, arrays, strict=True):
        row[: len(array)] = array
    return found


def returns() -> Array:
    return np.array([rewards.sum() for _, _, rewards in PLAYED])


def imitation(folder: Path) -> Path:
    """imitation before version 1: trajectories in one npz, infos as pickled dictionaries."""
    infos = np.array([{"a": 1}] * 9, dtype=object)
    np.savez_compressed(
        folder / "final.npz", obs=flat(0), acts=flat(1), rews=flat(2), infos=infos,
        terminal=np.array([True, False, True]),
        indices=np.cumsum(LENGTHS[:-1]),
    )  # fmt: skip
    return folder / "final.npz"


def hugging_face(folder: Path) -> Path:
    """imitation 1.0: `datasets.Dataset.save_to_disk`, infos as text of jsonpickle."""
    frame = pl.DataFrame(
        {
            "obs": [episode[0].tolist() for episode in PLAYED],
            "acts": [episode[1].tolist() for episode in PLAYED],
            "infos": [[json.dumps({"speed": 0.5 * step, "py/x": "y"}) for step in range(len(e[1]))] for e in PLAYED],
            "terminal": [True, False, True],
            "rews": [episode[2].tolist() for episode in PLAYED],
        },
        schema_overrides={"obs": pl.List(pl.List(pl.Float32))},
    )
    (folder / "hf").mkdir()
    for number, part in enumerate((frame[:2], frame[2:])):
        part.write_ipc_stream(folder / "hf" / f"data-0000{number}-of-00002.arrow")
    files = [{"filename": f"data-0000{number}-of-00002.arrow"} for number in range(2)]
    (folder / "hf" / "state.json").write_text(json.dumps({"_data_files": files, "_split": None}))
    (folder / "hf" / "dataset_info.json").write_text("{}")
    return folder / "hf"


def stable_baselines(folder: Path) -> Path:
    """`stable_baselines.gail.generate_expert_traj`."""
    starts = np.concatenate([np.arange(length) == 0 for length in LENGTHS])
    np.savez(
        folder / "expert.npz", actions=flat(1).reshape(-1, 1), obs=before(), rewards=flat(2), episode_returns=returns(),
        episode_starts=starts,
    )  # fmt: skip
    return folder / "expert.npz"


def gail(folder: Path) -> Path:
    """OpenAI baselines' `gail/dataset/mujoco_dset.py`."""
    np.savez(
        folder / "gail.npz", ep_rets=returns(), obs=padded([one[:-1] for one, _, _ in PLAYED]),
        rews=padded([rewards for _, _, rewards in PLAYED]), acs=padded([acts.reshape(-1, 1) for _, acts, _ in PLAYED]),
    )  # fmt: skip
    return folder / "gail.npz"


def ho_and_ermon(folder: Path) -> Path:
    """`scripts/vis_mj.py` of openai/imitation; what stands after `len_B` means nothing."""
    with h5py.File(folder / "trajs.h5", "w") as file:
        observations = padded([one[:-1] for one, _, _ in PLAYED])
        observations[1, 3] = 7
        file["obs_B_T_Do"] = observations
        file["a_B_T_Da"] = padded([acts.reshape(-1, 1) for _, acts, _ in PLAYED])
        file["r_B_T"] = padded([rewards for _, _, rewards in PLAYED])
        file["len_B"] = np.array(LENGTHS, dtype=np.int32)
    return folder / "trajs.h5"


def d4rl(folder: Path, *, following: bool = False) -> Path:
    with h5py.File(folder / "hopper_medium-v2.hdf5", "w") as file:
        file["observations"], file["actions"], file["rewards"] = before(), flat(1).reshape(-1, 1), flat(2)
        file["terminals"], file["timeouts"] = TERMINALS, TIMEOUTS
        file["infos/qpos"] = before()[:, :2]
        file["metadata/algorithm"] = "SAC"
        if following:
            file["next_observations"] = after()
    return folder / "hopper_medium-v2.hdf5"


def corl(folder: Path) -> Path:
    """`d4rl.qlearning_dataset`, which keeps no time limits."""
    np.savez(
        folder / "corl.npz", observations=before(), actions=flat(1).reshape(-1, 1), next_observations=after(),
        rewards=flat(2), terminals=TERMINALS,
    )  # fmt: skip
    return folder / "corl.npz"


def robomimic(folder: Path) -> Path:
    with h5py.File(folder / "low_dim.hdf5", "w") as file:
        file.create_group("data").attrs.update(total=9, env_args='{"env_name": "Lift"}')
        # demo_10 follows demo_2.
        for name, (observations, acts, rewards) in zip(("demo_0", "demo_2", "demo_10"), PLAYED, strict=True):
            group = file["data"].create_group(name)
            group.attrs["num_samples"] = len(acts)
            group["actions"], group["rewards"] = acts.reshape(-1, 1), rewards
            group["dones"] = np.arange(len(acts)) == len(acts) - 1
            group["states"] = np.zeros((len(acts), 45))
            for prefix, seen in (("obs", observations[:-1]), ("next_obs", observations[1:])):
                group[f"{prefix}/eef_pos"], group[f"{prefix}/gripper"] = seen[:, :2], seen[:, 2:]
        file["mask/train"] = np.array([b"demo_0"])
    return folder / "low_dim.hdf5"


def minari(folder: Path) -> Path:
    (folder / "mine-v0" / "data").mkdir(parents=True)
    with h5py.File(folder / "mine-v0" / "data" / "main_data.hdf5", "w") as file:
        for number, (observations, acts, rewards) in enumerate(PLAYED):
            group = file.create_group(f"episode_{number}")
            group.attrs.update(id=number, seed=40 + number, total_steps=len(acts))
            last = np.arange(len(acts)) == len(acts) - 1
            group["observations"], group["actions"], group["rewards"] = observations, acts, rewards
            group["terminations"], group["truncations"] = last & (number != 1), last & (number == 1)
            group["infos/speed"] = np.arange(len(acts) + 1) * 0.5
    return folder / "mine-v0"


def maniskill(folder: Path) -> Path:
    with h5py.File(folder / "trajectory.h5", "w") as file:
        for number, (observations, acts, rewards) in enumerate(PLAYED):
            group = file.create_group(f"traj_{number}")
            group["obs"], group["actions"], group["rewards"] = observations, acts, rewards
            group["env_states/actors/cube"] = np.zeros((len(acts) + 1, 13))
    return folder / "trajectory.h5"


def steps() -> pl.DataFrame:
    episode = np.repeat([3, 1, 2], LENGTHS)
    step = np.concatenate([np.arange(length) for length in LENGTHS])
    columns = {f"o{index}": before()[:, index].astype(np.float64) for index in range(3)}
    return pl.DataFrame({"episode": episode, "step": step, **columns, "action": flat(1), "reward": flat(2)})


def csv_of_steps(folder: Path) -> Path:
    steps().write_csv(folder / "steps.csv")
    return folder / "steps.csv"


def csv_with_lists(folder: Path) -> Path:
    """Arrays as pandas writes them, rows in another order."""
    frame = steps()
    texts = [" ".join(str(row).split()) for row in before().astype(np.float64)]
    frame = frame.select("episode", "step", pl.Series("obs", texts), "action", "reward").sample(
        fraction=1, shuffle=True, seed=2
    )
    frame = pl.concat([frame.filter(pl.col("episode") == number) for number in (3, 1, 2)])
    frame.write_csv(folder / "lists.csv")
    return folder / "lists.csv"


def jsonl_of_steps(folder: Path) -> Path:
    rows = [
        {"obs": {"a": seen[:2].tolist(), "b": float(seen[2])}, "action": [int(act)], "reward": paid, "done": bool(end)}
        for seen, act, paid, end in zip(before(), flat(1), flat(2), ENDS, strict=True)
    ]
    (folder / "steps.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder / "steps.jsonl"


def jsonl_of_episodes(folder: Path) -> Path:
    rows = [
        {"observations": seen.tolist(), "actions": acts.tolist(), "rewards": paid.tolist(), "seed": 40 + number}
        for number, (seen, acts, paid) in enumerate(PLAYED)
    ]
    (folder / "episodes.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder / "episodes.jsonl"


def hugging_face_of_steps(folder: Path) -> Path:
    """A split of the `datasets` library whose observations have its type of arrays."""
    kind = pl.Extension(
        "datasets.features.features.Array2DExtensionType", pl.List(pl.List(pl.Float32)), '[[1, 3], "f"]'
    )
    seen = pl.Series("observation", before()[:, None].tolist(), dtype=pl.List(pl.List(pl.Float32)))
    frame = steps().select(seen.ext.to(kind), "action", "reward", "episode")
    (folder / "split" / "train").mkdir(parents=True)
    frame.write_ipc_stream(folder / "split" / "train" / "data-00000-of-00001.arrow")
    for name in ("state.json", "dataset_info.json"):
        (folder / "split" / "train" / name).write_text("{}")
    (folder / "split" / "dataset_dict.json").write_text('{"splits": ["train"]}')
    return folder / "split"


def test_arrays_of_the_datasets_library_are_read(tmp_path: Path) -> None:
    episodes = read_recording(hugging_face_of_steps(tmp_path)).episodes
    assert episodes.observations.shape == (3, 4, 1, 3)
    np.testing.assert_array_equal(episodes.observations[1, 0, 0], PLAYED[1][0][0])


def lerobot(folder: Path) -> Path:
    """Parquet of steps on the hub, by the names of LeRobot."""
    frame = steps().select(
        pl.Series("observation.state", before().tolist()),
        pl.col("action").reshape((9, 1)),
        pl.col("episode").alias("episode_index"),
        pl.col("step").alias("frame_index"),
        pl.col("reward").alias("next.reward"),
        pl.Series("next.done", ENDS),
    )
    (folder / "hub" / "data").mkdir(parents=True)
    frame[:5].write_parquet(folder / "hub" / "data" / "train-00000-of-00002.parquet")
    frame[5:].write_parquet(folder / "hub" / "data" / "train-00001-of-00002.parquet")
    return folder / "hub"


def row_with_lengths(folder: Path) -> Path:
    np.savez(folder / "row.npz", states=before(), action=flat(1), reward=flat(2), traj_lengths=np.array(LENGTHS))
    return folder / "row.npz"


def padded_with_mask(folder: Path) -> Path:
    mask = padded([np.ones(length) for length in LENGTHS])
    arrays = {"observations": padded([one[:-1] for one, _, _ in PLAYED]), "actions": padded([a for _, a, _ in PLAYED])}
    np.savez(folder / "masked.npz", rewards=padded([r for _, _, r in PLAYED]), mask=mask, **arrays)
    return folder / "masked.npz"


def padded_with_done(folder: Path) -> Path:
    """`dones` at the last step, as Gym has it, and each episode's last observation."""
    dones = padded([np.arange(length) == length - 1 for length in LENGTHS])
    seen = np.zeros((3, 5, 3), dtype=np.float32)
    for row, (observations, _, _) in zip(seen, PLAYED, strict=True):
        row[: len(observations)] = observations
    arrays = {"observations": seen, "actions": padded([acts for _, acts, _ in PLAYED])}
    np.savez(folder / "dones.npz", rewards=padded([r for _, _, r in PLAYED]), dones=dones, **arrays)
    return folder / "dones.npz"


def padded_with_nan(folder: Path) -> Path:
    """No ends, and NaN after an episode."""
    arrays = [padded([part[index].astype(np.float64)[: len(part[1])] for part in PLAYED]) for index in range(3)]
    for array in arrays:
        array[1, 2:], array[2, 3:] = np.nan, np.nan
    np.savez(folder / "nan.npz", observations=arrays[0], actions=arrays[1], rewards=arrays[2])
    return folder / "nan.npz"


def d3rlpy(folder: Path) -> Path:
    """`ReplayBuffer.dump` of version 2: arrays of each episode."""
    with h5py.File(folder / "dataset.h5", "w") as file:
        for number, (observations, acts, rewards) in enumerate(PLAYED):
            file[f"observations_{number}"], file[f"actions_{number}"] = observations[:-1], acts.reshape(-1, 1)
            file[f"rewards_{number}"], file[f"terminated_{number}"] = rewards.reshape(-1, 1), number != 1
        file["total_size"], file["version"] = 3, "2.1"
    return folder / "dataset.h5"


def tables_of_episodes(folder: Path) -> Path:
    """A CSV file for each episode, of which 10 follows 9."""
    (folder / "play").mkdir()
    for number, (observations, acts, rewards) in zip((2, 9, 10), PLAYED, strict=True):
        columns = {f"obs_{index}": observations[:-1, index].astype(np.float64) for index in range(3)}
        pl.DataFrame({**columns, "action": acts, "reward": rewards}).write_csv(folder / "play" / f"ep{number}.csv")
    return folder / "play"


#: What writes a layout, the name that it is read under, and further arrays that the episodes have.
LAYOUTS: list[tuple[Callable[[Path], Path], str, tuple[str, ...]]] = [
    (imitation, "imitation", ("final_observation", "terminated")),
    (hugging_face, "imitation (Hugging Face)", ("final_observation", "terminated", "info_speed")),
    (stable_baselines, "Stable-Baselines experts", ()),
    (gail, "OpenAI baselines (GAIL)", ()),
    (ho_and_ermon, "Ho and Ermon (2016)", ()),
    (d4rl, "D4RL", ("terminated", "info_qpos")),
    (corl, "CORL", ("terminated", "final_observation")),
    (robomimic, "robomimic", ("final_observation", "info_states")),
    (minari, "Minari", ("final_observation", "terminated", "seed", "info_speed")),
    (maniskill, "one group an episode", ("final_observation", "info_env_states_actors_cube")),
    (csv_of_steps, "a table of steps", ()),
    (csv_with_lists, "a table of steps", ()),
    (jsonl_of_steps, "a table of steps", ()),
    (jsonl_of_episodes, "a table of episodes", ("final_observation", "seed")),
    (lerobot, "a table of steps", ()),
    (row_with_lengths, "steps in one row", ()),
    (padded_with_nan, "padded episodes", ()),
    (d3rlpy, "arrays of each episode", ()),
    (tables_of_episodes, "a table of steps", ()),
    (padded_with_mask, "padded episodes", ()),
    (padded_with_done, "padded episodes", ("final_observation",)),
]


@pytest.mark.parametrize(("write", "name", "extras"), LAYOUTS, ids=[write.__name__ for write, _, _ in LAYOUTS])
def test_each_layout_is_read_as_its_project_writes_it(
    write: Callable[[Path], Path], name: str, extras: tuple[str, ...], tmp_path: Path
) -> None:
    loaded = Demonstrations.load(write(tmp_path), HERE)
    episodes = loaded.episodes
    assert not name or f"read as {name}" in loaded.notes
    assert episodes.lengths.tolist() == list(LENGTHS)
    assert {*episodes.extras} == {*extras}
    for index, (observations, actions, rewards) in enumerate(PLAYED):
        number = len(actions)
        np.testing.assert_allclose(episodes.observations[index, :number], observations[:-1], rtol=1e-6)
        np.testing.assert_array_equal(episodes.actions[index, :number, 0], actions)
        np.testing.assert_allclose(episodes.true_rewards[index, :number], rewards)
        if "final_observation" in extras:
            np.testing.assert_allclose(episodes.extras["final_observation"][index], observations[-1], rtol=1e-6)
    if "terminated" in extras:
        assert episodes.extras["terminated"].tolist() == [True, False, True]
    if "seed" in extras:
        assert episodes.extras["seed"].tolist() == [40, 41, 42]
    if "info_speed" in extras:
        start = 0.5 if name == "Minari" else 0.0  # Minari has an entry for the reset
        assert episodes.extras["info_speed"][0].tolist() == [start, start + 0.5, start + 1, start + 1.5]


def atari_head(folder: Path, *, episodes: str = "null") -> Path:
    Image = pytest.importorskip("PIL.Image", reason="frames need Pillow: pip install -r requirements.txt")  # noqa: N806
    head = "frame_id,episode_id,score,duration(ms),unclipped_reward,action,gaze_positions\n"
    (folder / "52_RZ_23").mkdir()
    lines = []
    for number in range(5):
        lines.append(f"RZ_23_{number + 1},{episodes},{10 * number},50,{10 * (number > 0)},{number % 3},83.2,91.0\n")
        Image.fromarray(np.full((6, 4, 3), 40 * number, np.uint8)).save(folder / "52_RZ_23" / f"RZ_23_{number + 1}.png")
    (folder / "52_RZ_23.txt").write_text(head + "".join(lines) + f"RZ_23_6,{episodes},40,null,null,null,null\n")
    return folder / "52_RZ_23.txt"


def test_a_trial_of_atari_head_is_read_with_its_frames(tmp_path: Path) -> None:
    reading = read_recording(atari_head(tmp_path))
    assert reading.episodes.observations.shape == (1, 5, 6, 4, 3)
    assert reading.episodes.observations[0, :, 0, 0, 0].tolist() == [0, 40, 80, 120, 160]
    assert reading.episodes.actions[0, :, 0].tolist() == [0, 1, 2, 0, 1]
    assert reading.episodes.true_rewards[0].tolist() == [0, 10, 10, 10, 10]
    assert any("1 row without an action" in note for note in reading.notes)
    (tmp_path / "52_RZ_23" / "RZ_23_3.png").unlink()
    with pytest.raises(UserError, match=r"frame RZ_23_3\.png is not in"):
        read_recording(tmp_path / "52_RZ_23.txt")


def test_frames_of_atari_head_are_read_from_its_archive(tmp_path: Path) -> None:
    trial = atari_head(tmp_path)
    whole = read_recording(trial).episodes

    def pack(frames: list[int]) -> None:
        with tarfile.open(tmp_path / "52_RZ_23.tar.bz2", "w:bz2") as archive:
            for number in frames:
                archive.add(tmp_path / "kept" / f"RZ_23_{number}.png", f"52_RZ_23/RZ_23_{number}.png")

    (tmp_path / "52_RZ_23").rename(tmp_path / "kept")
    with pytest.raises(UserError, match=r"frames are neither in .*52_RZ_23/ nor in 52_RZ_23\.tar\.bz2 beside it"):
        read_recording(trial)
    pack([4, 2, 1, 5, 3])
    np.testing.assert_array_equal(read_recording(trial).episodes.observations, whole.observations)
    pack([1, 2, 4, 5])
    with pytest.raises(UserError, match=r"its frame RZ_23_3\.png is not in .*52_RZ_23\.tar\.bz2"):
        read_recording(trial)
    (tmp_path / "52_RZ_23.tar.bz2").write_bytes(b"BZh91AY&SY")
    with pytest.raises(UserError, match=r"52_RZ_23\.tar\.bz2 cannot be read: "):
        read_recording(trial)
    trial.write_text(trial.read_text().replace("RZ_23_2", "RZ_23_1"))
    with pytest.raises(UserError, match="its frame RZ_23_1 stands in several rows"):
        read_recording(trial)


def test_next_observations_of_d4rl_are_kept_and_mark_ends(tmp_path: Path) -> None:
    path = d4rl(tmp_path, following=True)
    episodes = read_recording(path).episodes
    assert episodes.extras["final_observation"].tolist() == [one[0][-1].tolist() for one in PLAYED]
    with h5py.File(path, "r+") as file:
        file["timeouts"][5] = False
    assert read_recording(path).episodes.lengths.tolist() == list(LENGTHS)


def test_steps_after_the_last_end_are_left_out_and_said(tmp_path: Path) -> None:
    path = d4rl(tmp_path)
    with h5py.File(path, "r+") as file:
        file["terminals"][8] = False
    reading = read_recording(path)
    assert reading.episodes.lengths.tolist() == [4, 2]
    assert "its last 3 steps without an end were left out" in reading.notes


def saved(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "file.npz", **arrays)
    return folder / "file.npz"


BASE: dict[str, Any] = {"observations": before(), "actions": flat(1), "rewards": flat(2)}
TWO = [1] * 4 + [2] * 5
SHUFFLED = np.random.default_rng(1).permutation(9)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({**BASE}, "no step is marked as the end of an episode, by a field such as"),
        ({**BASE, "dones": np.zeros(9)}, "no step is marked as the end of an episode;"),
        ({**BASE, "dones": np.arange(9)}, "dones holds values other than 0 and 1"),
        ({**BASE, "terminals": TERMINALS}, "marks terminated episodes, and not those that a time limit cut"),
        (
            {key: array[SHUFFLED] for key, array in {**BASE, "next_observations": after(), "dones": ENDS}.items()},
            "its steps are shuffled",
        ),
        ({**BASE, "episode": TWO, "step": [0, 1, 3, 4, 0, 1, 2, 3, 4]}, "step goes from 1 to 3 in episode 1"),
        ({**BASE, "episode": TWO, "dones": ENDS}, "dones is true within episode 2, which goes on"),
        ({**BASE, "lengths": np.array([4, 4])}, "lengths do not add up to its 9 steps"),
        ({**BASE, "episode_starts": ~ENDS * 0}, "its first step begins no episode"),
        ({"observations": before(), "actions": flat(1), "dones": ENDS}, "no field called reward"),
        ({"observations": before(), "actions": flat(1)}, "no field called reward"),
        ({"observations": before(), "actions": before()}, "no field called reward"),
        ({"frames": before(), "actions": flat(1), "rewards": flat(2), "dones": ENDS}, "has no other layout"),
        ({"x": np.zeros(3)}, "lacks obs, acs, rews, done, ep_rets, and has no other layout"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_refused_by_name(arrays: dict[str, Any], problem: str, tmp_path: Path) -> None:
    path = saved(tmp_path, **arrays)
    with pytest.raises(UserError) as refused:
        read_recording(path)
    assert problem in str(refused.value)
    assert str(refused.value).count(str(path)) == 1


def test_next_observations_of_the_next_episode_are_no_last_ones(tmp_path: Path) -> None:
    """As vectorised environments that reset themselves record them."""
    following = after()
    following[:-1][ENDS[:-1]] = before()[1:][ENDS[:-1]]
    reading = read_recording(saved(tmp_path, **BASE, next_observations=following, dones=ENDS))
    assert reading.episodes.lengths.tolist() == list(LENGTHS)
    assert reading.episodes.extras == {}
    assert any("those of the next episodes" in note for note in reading.notes)


def test_steps_that_begin_again_are_ends_without_a_mark(tmp_path: Path) -> None:
    step = np.concatenate([np.arange(length) for length in LENGTHS])
    reading = read_recording(saved(tmp_path, **BASE, t=step, done=TERMINALS))
    assert reading.episodes.lengths.tolist() == list(LENGTHS)
    assert "1 episode without a mark ended where t begins again" in reading.notes
    reading = read_recording(saved(tmp_path, **BASE, t=np.arange(9)))
    assert reading.episodes.lengths.tolist() == [9]
    assert "its t never begins again, so it is one episode" in reading.notes


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    reading = read_recording(imitation(tmp_path))
    assert "left out: infos (pickled objects)" in reading.notes
    reading = read_recording(saved(tmp_path, **BASE, states=flat(0)[:9], dones=ENDS))
    assert "observations are its observations, not its states" in reading.notes
    frame = steps().with_columns(pl.lit("2024-01-01").str.to_date().alias("day"), pl.lit("a").alias("player"))
    frame.write_parquet(tmp_path / "steps.parquet")
    assert read_recording(tmp_path / "steps.parquet").episodes.extras["player"].tolist() == ["a"] * 3


def test_lists_and_groups_say_what_was_not_taken_for_observations(tmp_path: Path) -> None:
    rows = [
        {"obs": seen.tolist(), "states": seen.tolist(), "actions": acts.tolist(), "scores": paid.tolist()}
        for seen, acts, paid in PLAYED
    ]
    (tmp_path / "episodes.jsonl").write_text("\n".join(map(json.dumps, rows)))
    reading = read_recording(tmp_path / "episodes.jsonl")
    assert {"rewards are its field scores", "observations are its obs, not its states"} <= {*reading.notes}
    np.testing.assert_allclose(reading.episodes.true_rewards[1, :2], PLAYED[1][2])
    notes = read_recording(robomimic(tmp_path)).notes
    assert "observations are its obs/eef_pos, obs/gripper, not its states" in notes


def test_a_pipe_in_a_folder_of_tables_is_refused_at_once(tmp_path: Path) -> None:
    folder = tables_of_episodes(tmp_path)
    os.mkfifo(folder / "ep3.csv")
    with pytest.raises(UserError, match=r"ep3\.csv is a folder, pipe, device or socket"):
        read_recording(folder)


def test_flat_arrays_are_read_by_the_names_of_baselines(tmp_path: Path) -> None:
    path = saved(tmp_path, obs=before(), acs=flat(1), rews=flat(2), done=ENDS)
    assert read_recording(path).episodes.lengths.tolist() == list(LENGTHS)


def test_names_of_pictures_are_no_observations(tmp_path: Path) -> None:
    names = np.array([f"recorded_images/{number}.jpg" for number in range(9)])
    with pytest.raises(UserError, match="obs are text, such as the names of files with pictures"):
        read_recording(saved(tmp_path, obs=names, actions=flat(1), rewards=flat(2), episode_starts=np.roll(ENDS, 1)))


@pytest.mark.parametrize("actions", [(5, 1), (5, 1, 1)])
def test_episodes_of_one_step_and_columns_of_one_are_told_apart(actions: tuple[int, ...], tmp_path: Path) -> None:
    one = {"actions": np.ones(actions), "rewards": np.arange(5.0)[:, None]}
    path = saved(tmp_path, observations=np.ones((5, 1, 3)), **one)
    assert read_recording(path).episodes.lengths.tolist() == [1] * 5
    path = saved(tmp_path, observations=np.ones((5, 3)), dones=np.eye(5)[4][:, None], **one)
    assert read_recording(path).episodes.lengths.tolist() == [5]


def test_noted_returns_are_checked(tmp_path: Path) -> None:
    path = stable_baselines(tmp_path)
    arrays = dict(np.load(path))
    with pytest.raises(UserError, match="episode_returns are not the sums of the rewards"):
        read_recording(saved(tmp_path, **{**arrays, "episode_returns": arrays["episode_returns"] + 1}))


def test_noted_returns_may_be_of_another_field_of_rewards(tmp_path: Path) -> None:
    arrays = {**np.load(stable_baselines(tmp_path)), "speed": flat(2) * 3}
    episodes = read_recording(saved(tmp_path, **arrays), Wanted("speed")).episodes
    np.testing.assert_allclose(episodes.true_rewards[1, :2], PLAYED[1][2] * 3)
    arrays["episode_returns"] = arrays["episode_returns"] + 1
    with pytest.raises(UserError, match="episode_returns are not the sums of the rewards"):
        read_recording(saved(tmp_path, **arrays), Wanted("speed"))


def test_the_true_reward_is_asked_where_it_cannot_be_told(tmp_path: Path) -> None:
    path = saved(tmp_path, **BASE, dones=ENDS, proxy_reward=flat(2) * 2, speed=flat(2) * 3)
    with pytest.raises(WhichRewardError, match="cannot be told which field is the true reward: rewards, proxy_reward"):
        read_recording(path)
    episodes = read_recording(path, Wanted("speed")).episodes
    np.testing.assert_allclose(episodes.true_rewards[1, :2], PLAYED[1][2] * 3)
    assert {*episodes.extras} == {"info_rewards", "info_proxy_reward"}
    with pytest.raises(UserError, match="has no field 'rewardz'; did you mean rewards"):
        read_recording(path, Wanted("rewardz"))
    # A name that says so tells.
    path = saved(tmp_path, **BASE, dones=ENDS, true_reward=flat(2) * 2)
    np.testing.assert_allclose(read_recording(path).episodes.true_rewards[1, :2], PLAYED[1][2] * 2)


@pytest.mark.parametrize("name", ["proxy_reward", "normalized_rewards", "infos/clipped_reward", "shaped_rews"])
def test_the_only_reward_is_not_the_true_one_if_its_name_says_so(name: str, tmp_path: Path) -> None:
    path = saved(tmp_path, **{key: BASE[key] for key in ("observations", "actions")}, **{name: flat(2)}, dones=ENDS)
    with pytest.raises(WhichRewardError, match=f"the only field of rewards is {name}: which reward is it"):
        read_recording(path)
    for wanted in (Wanted(name), Wanted(reward="true"), Wanted(reward="proxy")):
        np.testing.assert_allclose(read_recording(path, wanted).episodes.true_rewards[1, :2], PLAYED[1][2])


@pytest.mark.parametrize("name", ["reward_true", "rewards_true", "gt_reward", "ground_truth_reward", "rews_gt"])
def test_the_true_reward_is_told_by_either_order_of_words(name: str, tmp_path: Path) -> None:
    path = saved(tmp_path, **BASE, dones=ENDS, **{name: flat(2) * 2})
    np.testing.assert_allclose(read_recording(path).episodes.true_rewards[1, :2], PLAYED[1][2] * 2)


@pytest.mark.parametrize("name", ["true", "ground_truth"])
def test_a_field_that_may_be_the_true_reward_is_told_from_the_rewards(name: str, tmp_path: Path) -> None:
    path = saved(tmp_path, **BASE, dones=ENDS, **{name: flat(2) * 2})
    with pytest.raises(WhichRewardError, match=f"cannot be told which field is the true reward: rewards, {name}"):
        read_recording(path)


@pytest.mark.parametrize("number", [0, 1])
def test_recordings_of_no_step_are_refused_and_of_one_are_read(number: int, tmp_path: Path) -> None:
    arrays = {name: array[:number] for name, array in BASE.items()}
    ends = np.ones(number, dtype=bool)
    path = saved(tmp_path, **arrays, next_observations=arrays["observations"] + 1, terminals=ends, timeouts=~ends)
    if number:
        assert read_recording(path).episodes.lengths.tolist() == [1]
        return
    with pytest.raises(UserError, match="actions is empty; a recording has a step or more"):
        read_recording(path)


def test_rewards_of_an_environment_that_pays_another_are_asked_for(tmp_path: Path) -> None:
    elsewhere = EnvironmentDefinition(
        gymnasium.Env,
        own,
        max_steps=9,
        spaces=SPACES,
        name="Elsewhere",
        true=own - each_step(lambda steps: steps.actions),
    )
    path = imitation(tmp_path)
    with pytest.raises(WhichRewardError, match="does not tell which reward it contains: the true reward of Elsewhere"):
        Demonstrations.load(path, elsewhere)
    said = Demonstrations.load(path, elsewhere, true_reward="rews")
    np.testing.assert_allclose(said.episodes.true_rewards[1, :2], PLAYED[1][2])
    assert "they are the true rewards" in said.notes
    computed = Demonstrations.load(path, elsewhere, reward="own")
    assert "the true rewards of Elsewhere were computed" in computed.notes
    np.testing.assert_allclose(computed.episodes.true_rewards[1, :2], PLAYED[1][2] - PLAYED[1][1])
    with pytest.raises(UserError, match="cannot be the true reward and the own one"):
        Demonstrations.load(path, elsewhere, true_reward="rews", reward="own")


def test_a_recording_of_another_reward_is_in_the_field_that_is_not_called_true(tmp_path: Path) -> None:
    definition = replace(HERE, true=own - each_step(lambda steps: steps.actions))
    path = saved(tmp_path, **BASE, dones=ENDS, true_reward=flat(2) * 2)
    loaded = Demonstrations.load(path, definition, reward="own")
    np.testing.assert_allclose(loaded.episodes.true_rewards[1, :2], PLAYED[1][2] * 2)
    assert {"rewards are its field rewards", "the true rewards of Here are its info true_reward"} <= {*loaded.notes}
    path = saved(tmp_path, **BASE, dones=ENDS, true_reward=flat(2) * 2, proxy_reward=flat(2) * 3)
    with pytest.raises(WhichRewardError, match="which field is the proxy reward: rewards, proxy_reward"):
        read_recording(path, Wanted(reward="proxy"))


def test_a_specification_speaks_of_the_field_rewards_alone(tmp_path: Path) -> None:
    path, car = minari(tmp_path), load_environment("MountainCar-v0")
    with h5py.File(path / "data" / "main_data.hdf5", "r+") as file:
        for number, (observations, _, rewards) in enumerate(PLAYED):
            del file[f"episode_{number}/observations"]
            file[f"episode_{number}/observations"] = observations[:, :2]
            file[f"episode_{number}/infos/true_reward"] = rewards * 2
    metadata = {"env_spec": spec_of(car, "proxy", max_steps=9).to_json()}
    (path / "data" / "metadata.json").write_text(json.dumps(metadata))
    loaded = Demonstrations.load(path, car, true_reward="true_reward")
    np.testing.assert_allclose(loaded.episodes.true_rewards[1, :2], PLAYED[1][2] * 2)
    assert {"rewards are its field infos/true_reward", "they are the true rewards"} <= {*loaded.notes}
    with pytest.raises(UserError, match="it says that it contains the proxy reward, not the true one"):
        Demonstrations.load(path, car, true_reward="rewards")
    with pytest.raises(WhichRewardError, match="does not tell which reward it contains"):
        Demonstrations.load(path, car)


def test_episodes_with_other_fields_than_the_first_one_are_refused(tmp_path: Path) -> None:
    path = maniskill(tmp_path)
    with h5py.File(path, "r+") as file:
        file["traj_1/true_reward"] = PLAYED[1][2] * 2
    with pytest.raises(
        WhichRewardError, match=r"traj_1: its rewards are the field true_reward, and those of .* rewards$"
    ):
        read_recording(path)
    np.testing.assert_allclose(read_recording(path, Wanted("rewards")).episodes.true_rewards[1, :2], PLAYED[1][2])
    with h5py.File(path, "r+") as file:
        file["traj_2/observations"] = PLAYED[2][0] * 2
    with pytest.raises(UserError, match=r"traj_2: its observations are the fields observations, and those of .* obs$"):
        read_recording(path, Wanted("rewards"))


def test_a_field_of_what_has_none_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros((2, 3, 3)))
    with pytest.raises(UserError, match=r"one array .* without fields, and has no field 'points'"):
        read_recording(tmp_path / "one.npy", Wanted("points"))
    known = Demonstrations.load(d4rl(tmp_path, following=True), HERE).episodes
    loading = replace(HERE, recordings=Recordings(load_folder=lambda folder, cache: known))
    layout = Layout(tmp_path, "Here", "mine", file=tmp_path, true_reward="points")
    with pytest.raises(UserError, match="has no field 'points'; fields of steps are rews"):
        find_recording(layout, loading)


def test_a_recording_of_the_proxy_is_no_recording_of_the_true_reward(tmp_path: Path) -> None:
    path = d4rl(tmp_path, following=True)
    with h5py.File(path, "r+") as file:
        file["rewards"][:] = after()[:, 0]
    with pytest.raises(WhichRewardError, match="does not tell which reward it contains"):
        Demonstrations.load(path, HERE)
    assert Demonstrations.load(path, HERE, true_reward="rewards").number == 3


def test_another_field_of_our_own_layout_may_be_the_true_reward(tmp_path: Path) -> None:
    known = Demonstrations.load(d4rl(tmp_path, following=True), HERE).episodes
    replace(known, extras={**known.extras, "info_points": known.true_rewards * 2}).save(tmp_path / "ours.npz")
    found = Demonstrations.load(tmp_path / "ours.npz", HERE, true_reward="points").episodes
    np.testing.assert_array_equal(found.true_rewards, known.true_rewards * 2)
    assert {"info_rews", "final_observation", "terminated"} <= {*found.extras}
    with pytest.raises(UserError, match="has no field 'pionts'; did you mean"):
        Demonstrations.load(tmp_path / "ours.npz", HERE, true_reward="pionts")


@pytest.mark.parametrize("shape", [(), (50_000,), (250, 200, 1), (250, 0)])
def test_ends_of_another_shape_are_refused_in_our_own_layout(shape: tuple[int, ...], tmp_path: Path) -> None:
    arrays = load_arrays(shipped_log() / "MountainCar-v0" / "demo.npz", [])
    np.savez(tmp_path / "damaged.npz", **{**arrays, "done": np.zeros(shape, bool)})
    with pytest.raises(UserError, match=r"done is bool .*, not bool"):
        read_recording(tmp_path / "damaged.npz")


def test_names_with_points_are_names() -> None:
    with pytest.raises(MissingError, match=r"no data set 'expert_v1\.5'"):
        Demonstrations.load("expert_v1.5", HERE)


def zip_of(*names: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return target.getvalue()


def only_objects() -> bytes:
    target = io.BytesIO()
    np.savez(target, data=np.array([{"obs": 1}], dtype=object))
    return target.getvalue()


def objects() -> bytes:
    target = io.BytesIO()
    np.savez(target, obs=np.array([[1], [1, 2]], dtype=object), acs=np.zeros((2, 2)), rews=np.zeros((2, 2)))
    return target.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "what", "way"),
    [
        ("expert.pkl", b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}", "is a pickle", "numpy.savez"),
        ("expert.pkl", b"(lp0\nI1\na.", "is a pickle", "Episodes.from_flat"),
        ("final.npz", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "Git LFS", "git lfs pull"),
        ("gail.npz", objects(), "its obs is not read: pickled objects", "Episodes.from_flat"),
        ("data.npz", b"\n<!DOCTYPE html><html></html>", "a web page instead of the data", "fetch it again"),
        ("data.csv", b"<html><body>404</body></html>", "a web page instead of the data", "fetch it again"),
        ("model.pt", zip_of("archive/data.pkl", "archive/data/0"), "PyTorch", "numpy.savez"),
        ("book.xlsx", zip_of("[Content_Types].xml", "xl/workbook.xml"), "office program", "CSV"),
        ("q.keras", zip_of("config.json", "model.weights.h5"), "a Keras model", ""),
        ("ppo.zip", zip_of("data", "policy.pth"), "a trained agent", ""),
        ("all.zip", zip_of("a/readme.txt"), "a zip without arrays", "unpack it"),
        ("data.tar.gz", b"\x1f\x8b\x08\x00abc", "gzip", "tar -xzf"),
        ("play.mat", b"MATLAB 7.3 MAT-file, Platform: GLNXA64", "MATLAB", "numpy.savez"),
        ("data.npz", b"/annex/objects/SHA256E-s1--2.npz\n", "git-annex", "git annex get"),
        ("data.bz2", b"BZh91AY", "bzip2", "tar -xjf"),
        ("x.tfrecord-00000-of-00001", b"\x01\x02\x03\x04", "TensorFlow Datasets", "numpy.savez"),
        ("one.npy", b"\x93NUMPY\x01\x00", "damaged", ""),
        ("a.npz", b"nothing", "no readable npz file", "fetch"),
        ("a.json", b"[{}]", "a JSON array", "jq"),
        ("a.hdf5", b"\x89HDF\r\n\x1a\n123", "cannot be read as HDF5", ""),
        ("1.txt", b"db traj id : 7\nframe,reward,score,terminal,action\n", "Atari Grand Challenge", "the folder"),
        ("empty.csv", b"", "is empty", ""),
        ("semi.csv", b"episode;action;reward\n1;0;1\n", "separated by semicolons", "by commas"),
        ("all.npz", only_objects(), "data (pickled objects), which are never read", "Episodes.from_flat"),
        ("noise", b"\x00\x01\x02", "in no format that is known here", "Episodes.from_flat"),
    ],
)
def test_what_is_recognised_and_cannot_be_read_says_what_it_is(
    name: str, content: bytes, what: str, way: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as refused:
        read_recording(tmp_path / name)
    message = str(refused.value)
    assert what in message
    assert way in message
    assert str(tmp_path / name) in message


def test_nothing_is_followed_out_of_an_hdf5_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = flat(2)
    path = d4rl(tmp_path)
    with h5py.File(path, "r+") as file:
        del file["rewards"]
        file["rewards"] = h5py.ExternalLink("other.h5", "x")
    with pytest.raises(UserError, match="its 'rewards' is a link, which is never followed"):
        read_recording(path)


def test_other_environments_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(WrongEnvironmentError, match=r"shape \(3,\) where MountainCar-v0 has \(2,\)"):
        Demonstrations.load(d4rl(tmp_path), "MountainCar-v0")
    with pytest.raises(MissingError, match="does not exist"):
        read_recording(tmp_path / "none.npz")


def test_fields_of_observations_are_chosen_by_shape_or_refused(tmp_path: Path) -> None:
    path = robomimic(tmp_path)
    only = EnvironmentDefinition(Still, own, max_steps=9, spaces=(Box(-1, 1, (2,)), SPACES[1]), name="Two")
    reading = read_recording(path, Wanted(environment=only))
    assert reading.episodes.observations.shape == (3, 4, 2)
    assert any("obs/eef_pos, the only one of shape (2,)" in note for note in reading.notes)
    other = EnvironmentDefinition(Still, own, max_steps=9, spaces=(Box(-1, 1, (7,)), SPACES[1]), name="Seven")
    with pytest.raises(UserError, match=r"obs/eef_pos \(2,\), obs/gripper \(1,\), of which none"):
        read_recording(path, Wanted(environment=other))


def test_the_documentation_lists_the_layouts() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text("utf-8")
    rows = [f"| {one.name} | {one.container} | {one.told_by} |" for one in FORMATS]
    assert [row for row in rows if row not in page] == []


def test_episodes_from_elsewhere_are_written_as_our_own(tmp_path: Path) -> None:
    episodes = read_recording(robomimic(tmp_path)).episodes
    episodes.save(tmp_path / "ours.npz")
    again = read_recording(tmp_path / "ours.npz")
    assert again.notes == ()
    assert isinstance(again.episodes, Episodes)
    np.testing.assert_array_equal(again.episodes.observations, episodes.observations)


def test_a_recording_from_anywhere_names_its_data_set(tmp_path: Path) -> None:
    (tmp_path / "here.py").write_text(
        "from quantilizers import EnvironmentDefinition, own\n"
        "HERE = EnvironmentDefinition('CartPole-v1', -1 * own, max_steps=9, name='Here')\n"
    )
    words = ["--env_name", f"{tmp_path}/here.py:HERE", "--log_dir", str(tmp_path / "log"), "--data"]
    path = saved(tmp_path, observations=np.ones((9, 4)), actions=flat(1), rewards=flat(2), dones=ENDS, score=flat(2))
    settings = settings_from(vars(build_parser().parse_args([*words, str(path)])), words)
    assert (settings.layout.dataset, settings.layout.found_data) == ("file", path)
    with pytest.raises(UserError, match="rewards, score; --true_reward FIELD names the true reward"):
        _ = Run(settings).demonstrations
    words += [str(path), "--true_reward", "score", "--dataset_name", "mine"]
    settings = settings_from(vars(build_parser().parse_args(words)), words)
    assert Run(settings).demonstrations.number == 3
    again = settings.command_for("train")
    assert f"--dataset_name mine --data {path} --true_reward score" in again
    assert yaml.safe_load(file_of(settings, ["train"]))["data"] == str(path)
    with pytest.raises(UserError, match=r"fill\.npz does not exist; did you mean .*file\.npz"):
        find_recording(Layout(tmp_path, "Here", "mine", file=tmp_path / "fill.npz"), HERE)
    assert settings.data_sha256 == sha256_of(path)
    folder = replace(settings, layout=replace(settings.layout, file=hugging_face(tmp_path)))
    assert folder.data_sha256 == sha256_of_folder(tmp_path / "hf") != settings.data_sha256


CART = EnvironmentDefinition("CartPole-v1", own, 50, spaces=(Box(-9, 9, (2,), np.float32), Discrete(2)))
COLUMNS = "o0,o1,action,reward"


def table(folder: Path, more: str, rows: list[str]) -> Path:
    (folder / "steps.csv").write_text("\n".join([f"{more},{COLUMNS}", *(f"{row},0.5,0.5,1,1" for row in rows)]) + "\n")
    return folder / "steps.csv"


@pytest.mark.parametrize(
    ("more", "rows", "message"),
    [
        ("player,episode", ["a,0", "a,0", "b,0", "b,1"], "episode 0 has several values of player; if each of these"),
        ("seed,episode", ["1,0", "1,0", "2,0"], "episode 0 has several values of seed"),
        ("group,episode,step", ["1,0,0", "1,0,1", "2,0,0"], "episode 0 has several values of group"),
        ("episode", ["0", "1", "0"], "steps of episode 0 stand apart, .* sort its rows, or add a field step"),
        ("episode", ["b", "a", "b"], "steps of episode b stand apart"),
    ],
)
def test_episodes_whose_numbers_are_used_twice_are_refused(
    more: str, rows: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        Demonstrations.load(table(tmp_path, more, rows), CART)


@pytest.mark.parametrize(
    ("more", "rows"),
    [
        ("episode,step", ["0,0", "1,0", "0,1"]),
        ("episode,done", ["0,0", "1,1", "0,1"]),
        ("player,episode", ["a,0", "a,0", "b,1"]),
    ],
)
def test_interleaved_steps_of_episodes_are_sorted_where_that_is_known(
    more: str, rows: list[str], tmp_path: Path
) -> None:
    assert sorted(Demonstrations.load(table(tmp_path, more, rows), CART).lengths) == [1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observations": np.zeros((6, 2))}, "observations has 6 entries for 5 steps in 2 episodes; each step has one"),
        ({"observations": np.zeros((2, 5))}, "observations has 2 entries for 5 steps"),
        ({"observations": np.zeros((4, 2))}, "observations has 4 entries for 5 steps"),
        ({"rewards": np.ones(6)}, "rewards has 6 entries, and actions 5; each step has one of both"),
        ({"actions": np.ones(4, int)}, "rewards has 5 entries, and actions 4"),
        ({"rewards": [1, 1, np.nan, 1, 1]}, "rews holds NaN or infinity in episode 1, step 0"),
    ],
)
def test_arrays_that_are_off_by_one_are_refused_with_both_lengths(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    fields = {
        "observations": np.zeros((5, 2)),
        "actions": np.ones(5, int),
        "rewards": np.ones(5),
        "dones": [0, 1, 0, 0, 1],
    }
    np.savez(tmp_path / "flat.npz", **{**fields, **change})
    with pytest.raises(UserError, match=message):
        Demonstrations.load(tmp_path / "flat.npz", CART)


def test_actions_outside_of_their_box_are_refused_by_regression_too(tmp_path: Path) -> None:
    steering = EnvironmentDefinition("Steer-v0", own, 9, spaces=(CART.observation_space, Box(-2, 2, (1,), np.float32)))
    fields = {"observations": np.zeros((2, 2)), "rewards": np.ones(2), "dones": [0, 1]}
    for action, fits in ((2.000001, True), (3.0, False)):
        np.savez(tmp_path / "flat.npz", actions=np.array([[0.0], [action]]), **fields)
        if fits:
            assert Demonstrations.load(tmp_path / "flat.npz", steering).number == 1
            continue
        with pytest.raises(
            UserError, match="what Steer-v0 does not have: number 1 of an action is 3, and its bounds are"
        ):
            Demonstrations.load(tmp_path / "flat.npz", steering)


@pytest.mark.parametrize("name", ["player", "seed", "group"])
@pytest.mark.parametrize("padded", [False, True])
def test_a_field_of_episodes_that_does_not_fit_them_is_said(name: str, padded: bool, tmp_path: Path) -> None:
    shape = (2, 2) if padded else (4,)
    ends = {"lengths": [2, 2]} if padded else {"dones": [0, 1, 0, 1]}
    fields = {"observations": np.ones((*shape, 2)), "actions": np.ones(shape, int), "rewards": np.ones(shape), **ends}
    for values, kept in (([7, 8], True), ([7, 8, 9], False), ([7, 7, 8, 9], False), ([7, 7, 8, 8], not padded)):
        np.savez(tmp_path / "file.npz", **fields, **{name: values})
        reading = read_recording(tmp_path / "file.npz", Wanted(environment=CART))
        assert (name in reading.episodes.extras) == kept
        assert any(note.startswith(f"its {name} was left out") for note in reading.notes) != kept


def test_observations_that_the_space_s_type_cannot_hold_are_refused(tmp_path: Path) -> None:
    fields = {"actions": np.ones(2, int), "rewards": np.ones(2), "dones": [0, 1]}
    np.savez(tmp_path / "file.npz", observations=np.array([[1.0, 1.0], [1.0, 1e39]]), **fields)
    with pytest.raises(UserError, match=r"obs holds the observation 1e\+39, and CartPole-v1 observes float32"):
        Demonstrations.load(tmp_path / "file.npz", CART)
