from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers import arrays
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import FINAL_OBSERVATION, Episodes, concatenate, load_episodes
from quantilizers.errors import UserError


def arrays_of(lengths: list[int], steps: int = 4) -> dict[str, Any]:
    """Valid fields: the observation of step t in episode n is (n, t)."""
    number = len(lengths)
    done = np.arange(steps)[None] >= np.array(lengths)[:, None]
    observations = np.stack(np.meshgrid(np.arange(number), np.arange(steps), indexing="ij"), axis=-1)
    return {
        "observations": np.where(done[..., None], 0.0, observations).astype(np.float32),
        "actions": np.where(done, 0.0, 2.0)[..., None],
        "true_rewards": np.where(done, 0.0, -1.0),
        "done": done,
    }


def test_lengths_returns_and_transitions_ignore_padding() -> None:
    episodes = Episodes(**arrays_of([2, 4, 1]))
    assert episodes.number == 3
    assert episodes.lengths.tolist() == [2, 4, 1]
    assert episodes.true_returns.tolist() == [-2.0, -4.0, -1.0]
    observations, actions = episodes.transitions()
    assert observations.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2], [1, 3], [2, 0]]
    assert actions.shape == (7, 1)


def test_an_observation_of_zero_is_no_padding() -> None:
    """The reference implementation guessed padding from `obs[0] != 0`, and lost such steps."""
    fields = arrays_of([4])
    fields["observations"][:] = 0.0
    assert Episodes(**fields).lengths.tolist() == [4]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"done": np.zeros((3, 4))}, "not bool"),
        ({"done": np.zeros((0, 4), dtype=bool)}, "not bool"),
        ({"actions": np.zeros((3, 5, 1))}, "acs has shape"),
        ({"observations": np.zeros((2, 4, 2))}, "obs has shape"),
        ({"true_rewards": np.zeros((3, 4, 1))}, "not (episodes, steps, components)"),
        ({"observations": np.full((3, 4, 2), np.nan)}, "obs holds NaN"),
        ({"true_rewards": np.full((3, 4), np.inf)}, "rews holds NaN or infinity"),
        ({"actions": np.full((3, 4, 1), "left")}, "not numbers"),
        ({"extras": {"final_observation": np.ones((3, 2), dtype=np.complex128)}}, "final_observation holds complex128"),
        ({"extras": {"final_observation": np.full((3, 2), -np.inf)}}, "final_observation holds infinity"),
        ({"extras": {"player": np.full((3, 1), "Ada")}}, "player has shape (3, 1)"),
        ({"extras": {"info_speed": np.full((3, 4), "fast")}}, "info_speed holds <U4, not numbers"),
        ({"extras": {"info_": np.zeros((3, 4))}}, "info_ names no field of the info"),
        ({"extras": {"info_a//b": np.zeros((3, 4))}}, "info_a//b names no field of the info"),
        ({"extras": {"terminated": np.zeros((3, 2), bool)}}, "terminated holds bool of shape (3, 2), not whether each"),
        ({"extras": {"terminated": np.full(3, np.nan)}}, "terminated holds float64 of shape (3,)"),
        ({"done": np.array([[True] * 4, [False] * 4, [False] * 4])}, "no step"),
        ({"done": np.array([[False, True, False, True]] * 3)}, "end only"),
        ({"extras": {"seed": np.arange(2)}}, "seed has shape"),
    ],
)
def test_impossible_data_are_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError) as raised:
        Episodes(**{**arrays_of([2, 4, 1]), **change})
    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("name", "short"), [("true_rewards", "rews"), ("observations", "obs"), ("actions", "acs")])
def test_padding_that_is_not_zero_is_refused(name: str, short: str) -> None:
    """It may be the last real step, whose reward would be lost: Gym's `done` is True there."""
    fields = arrays_of([2, 4, 1])
    fields[name][0, 2] = 5.0
    with pytest.raises(UserError, match=rf"^{short} is not zero in episode 0, step 2, where done is True.*from_flat"):
        Episodes(**fields)
    with pytest.raises(UserError, match=r"^obs holds NaN or infinity, in the padding, which is zero$"):
        Episodes(**{**arrays_of([2, 4, 1]), "observations": np.where(fields["done"][..., None], np.nan, 1.0)})


def test_done_at_the_last_step_is_read_where_the_returns_prove_it(tmp_path: Path) -> None:
    rewards = np.array([[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 2.0]])
    # Gym's done, with the padding marked in the first file, and unmarked in the second.
    for number, done in enumerate(([[0, 0, 1, 1], [0, 0, 0, 1]], [[0, 0, 1, 0], [0, 0, 0, 1]])):
        fields = {
            "obs": np.array([[1, 1, 1, 0], [1, 1, 1, 1]], dtype=np.float32)[..., None],
            "acs": np.zeros((2, 4, 1)),
            "rews": rewards,
            "done": np.array(done, dtype=np.bool_),
        }
        path = tmp_path / f"{number}.npz"
        np.savez(path, ep_rets=rewards.sum(axis=1), **fields)
        read = load_episodes(path)
        assert read.lengths.tolist() == [3, 4]
        assert read.true_returns.tolist() == [1.0, 2.0]
        # Returns without the last reward, as an earlier reader would have computed them.
        np.savez(path, ep_rets=np.zeros(2), **fields)
        with pytest.raises(UserError, match="done"):
            load_episodes(path)


def test_episodes_of_flat_steps() -> None:
    whole = Episodes(**arrays_of([2, 4, 1]), extras={"info_x": np.where(arrays_of([2, 4, 1])["done"], 0, 7)})
    observations, actions = whole.transitions()
    real = ~whole.done
    rewards, info = whole.true_rewards[real], whole.extras["info_x"][real]
    ends = np.isin(np.arange(7), (1, 5, 6))
    names = ["a", "b", "c"]
    after = observations + 10
    with_finals = np.insert(observations, [2, 6, 7], after[ends], axis=0)
    for found in (
        Episodes.from_flat(observations, actions, rewards, ends=ends, extras={"info_x": info, "player": names}),
        Episodes.from_flat(
            observations, actions[:, 0].tolist(), rewards, lengths=[2, 4, 1], extras={"info_x": info, "player": names}
        ),
        Episodes.from_flat(
            observations, actions, rewards, ends=ends.astype(int), next_observations=after,
            extras={"info_x": info, "player": names},
        ),
        Episodes.from_flat(with_finals, actions, rewards, ends=ends, extras={"info_x": info, "player": names}),
    ):  # fmt: skip
        for name in ("observations", "actions", "true_rewards", "done"):
            np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
        np.testing.assert_array_equal(found.extras["info_x"], whole.extras["info_x"])
        assert found.extras["player"].tolist() == names
        assert found.observations.dtype == observations.dtype
    assert found.final_observations is not None
    np.testing.assert_array_equal(found.final_observations, after[ends])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"ends": [0, 0, 1, 0]}, "the last 1 of 4 steps belong to no episode that ends"),
        ({"ends": [0, 0, 0, 0]}, "the last 4 of 4 steps"),
        ({"ends": [0, 1]}, "not true or false for 4 steps"),
        ({"ends": [0, 0, 0, 2]}, "not true or false"),
        ({"ends": None}, "give either ends"),
        ({"lengths": [4]}, "give either ends"),
        ({"ends": None, "lengths": [2, 1]}, "add up to 4"),
        ({"ends": None, "lengths": [4, 0]}, "from 1 on"),
        ({"observations": np.zeros((3, 2))}, "3 observations for 4 steps in 1 episodes"),
        ({"observations": [[1.0], [1.0, 2.0], [1.0], [1.0]]}, "observations cannot be an array"),
        ({"observations": [None] * 4}, "observations holds object"),
        ({"rewards": np.zeros((4, 1))}, "rewards have shape (4, 1)"),
        ({"rewards": [0, 0, 0, np.nan]}, "rews holds NaN"),
        ({"next_observations": np.zeros((4, 3))}, "next_observations have shape (4, 3)"),
        ({"extras": {"info_x": [1, 2]}}, "info_x has shape (2,), not one entry for each of 4 steps"),
        ({"extras": {"player": ["a", "b"]}}, "player has shape"),
    ],
)
def test_flat_steps_that_do_not_fit_are_refused(change: dict[str, Any], problem: str) -> None:
    fields: dict[str, Any] = {
        "observations": np.zeros((4, 2)), "actions": np.zeros(4), "rewards": np.zeros(4), "ends": [0, 0, 0, 1]
    }  # fmt: skip
    with pytest.raises(UserError) as raised:
        Episodes.from_flat(**{**fields, **change})
    assert problem in str(raised.value)


def test_flat_steps_whose_padding_would_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "MAX_UNPACKED_BYTES", 10_000)
    with pytest.raises(UserError, match=r"its arrays would take [\d,]+ bytes"):
        Episodes.from_flat(np.zeros((200, 1)), np.zeros(200), np.zeros(200), lengths=[1] * 100 + [100])


def test_saving_and_loading_keeps_everything(tmp_path: Path, car_demonstrations: Demonstrations) -> None:
    with_extras = replace(
        car_demonstrations.episodes,
        extras={"seed": np.arange(12), "player": np.array(["Ada"] * 12)},
    )
    with_extras.save(tmp_path / "one.npz")
    loaded = load_episodes(tmp_path / "one.npz")
    for name in ("observations", "actions", "true_rewards", "done"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(with_extras, name))
    assert loaded.extras.keys() == with_extras.extras.keys()
    loaded.save(tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


@pytest.mark.parametrize("value", [np.zeros(12), np.zeros(3), np.full(12, "-160"), np.zeros(12, dtype=np.complex128)])
def test_returns_that_are_not_the_sums_are_refused(
    tmp_path: Path, car_demonstrations: Demonstrations, value: np.ndarray
) -> None:
    car_demonstrations.episodes.save(tmp_path / "file.npz")
    with np.load(tmp_path / "file.npz") as file:
        np.savez(tmp_path / "file.npz", **{**file, "ep_rets": value})
    with pytest.raises(UserError, match="ep_rets"):
        load_episodes(tmp_path / "file.npz")


@pytest.mark.parametrize(
    ("last", "refusal"),
    [(0, "rews adds up to infinity over an episode"), (1, "rews is not zero in episode 0, step 121")],
)
def test_rewards_that_add_up_to_infinity_are_refused(
    last: int, refusal: str, tmp_path: Path, car_demonstrations: Demonstrations
) -> None:
    """Also where a rewarded step is marked as after the end, so that the reader tries another meaning of `done`."""
    car_demonstrations.episodes.save(tmp_path / "file.npz")
    with np.load(tmp_path / "file.npz") as file:
        rewards, returns = file["rews"].astype(np.float64), file["ep_rets"].copy()
        rewards[0, :2], returns[0] = 1e308, np.inf
        rewards[file["done"]] = last
        np.savez(tmp_path / "file.npz", **{**file, "rews": rewards, "ep_rets": returns})
    with pytest.raises(UserError, match=refusal):
        load_episodes(tmp_path / "file.npz")


def test_the_file_has_the_layout_that_the_gail_loader_of_baselines_reads(
    tmp_path: Path, car_demonstrations: Demonstrations
) -> None:
    """Its `Mujoco_Dset` takes obs (N, L, …), acs, rews and ep_rets, and flattens the first two to rows."""
    car_demonstrations.episodes.save(tmp_path / "file.npz")
    with np.load(tmp_path / "file.npz", allow_pickle=False) as data:
        observations = data["obs"][:5]
        assert np.reshape(observations, [-1, np.prod(observations.shape[2:])]).shape == (5 * 160, 2)
        assert np.reshape(data["acs"][:5], [-1, np.prod(data["acs"].shape[2:])]).shape == (5 * 160, 1)
        assert data["rews"].shape == (12, 160)
        np.testing.assert_allclose(data["ep_rets"], data["rews"].sum(axis=1))


def test_arrays_of_each_step_are_cut_with_the_steps() -> None:
    speeds = np.arange(12.0).reshape(3, 4)
    episodes = Episodes(**arrays_of([2, 4, 1]), extras={"info_speed": speeds, "seed": np.arange(3)})
    kept = episodes.select(np.array([2, 0]))
    assert kept.step_info["speed"].tolist() == [[8.0, 9.0], [0.0, 1.0]]
    assert kept.extras["seed"].tolist() == [2, 0]
    with pytest.raises(UserError, match="info_speed has shape"):
        Episodes(**arrays_of([2, 4, 1]), extras={"info_speed": speeds[:, :3]})


def test_final_observations_are_there_for_all_or_not_at_all() -> None:
    finals = np.ones((3, 2), dtype=np.float32)
    assert Episodes(**arrays_of([2, 4, 1])).final_observations is None
    whole = Episodes(**arrays_of([2, 4, 1]), extras={"final_observation": finals})
    np.testing.assert_array_equal(whole.final_observations, finals)
    finals[1] = np.nan
    assert Episodes(**arrays_of([2, 4, 1]), extras={"final_observation": finals}).final_observations is None
    with pytest.raises(UserError, match=r"final_observation has shape \(1, 3\), not that of one observation"):
        Episodes(**arrays_of([1]), extras={"final_observation": np.ones((1, 3))})


@pytest.fixture
def episodes(car_demonstrations: Demonstrations) -> Episodes:
    return car_demonstrations.episodes


def test_episodes_stand_one_after_another_padded_to_the_longest(episodes: Episodes) -> None:
    order = np.argsort(episodes.lengths)
    parts = [episodes.select(order[:4]), episodes.select(order[4:])]
    assert parts[0].done.shape[1] < parts[1].done.shape[1], "the parts are meant to be of different lengths"
    whole = concatenate(parts)
    expected = episodes.select(order)
    for name in ("observations", "actions", "true_rewards", "done"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(expected, name))


def test_who_and_when_stay_with_their_episodes(episodes: Episodes) -> None:
    two, three = episodes.select(np.arange(2)), episodes.select(np.arange(3))
    ours = {"seed": np.array([4, 5]), "player": np.array(["Ada", "Grace"]), "weight": np.array([0.5, 1.5])}
    whole = concatenate([replace(two, extras=ours), replace(three, extras={"player": np.array(["B", "C", "D"])})])
    assert whole.extras["seed"].tolist() == [4, 5, -1, -1, -1]
    assert whole.extras["player"].tolist() == ["Ada", "Grace", "B", "C", "D"]
    np.testing.assert_array_equal(whole.extras["weight"], [0.5, 1.5, np.nan, np.nan, np.nan])


def test_an_extra_of_two_kinds_or_without_a_stand_in_is_refused(episodes: Episodes) -> None:
    single = episodes.select(np.arange(1))
    with pytest.raises(UserError, match="same kind"):
        concatenate(
            [replace(single, extras={"skill": np.array([1])}), replace(single, extras={"skill": np.array(["1"])})]
        )
    with pytest.raises(UserError, match="no value can mark it as missing"):
        concatenate([replace(single, extras={"won": np.array([True])}), single])


def test_what_info_said_of_each_step_is_padded_as_rewards_are(episodes: Episodes) -> None:
    order = np.argsort(episodes.lengths)
    generator = np.random.default_rng(0)
    cheat = np.where(episodes.done, False, generator.random(episodes.done.shape) < 0.5)
    position = np.where(episodes.done[..., None], 0, generator.random((*episodes.done.shape, 3))).astype(np.float32)
    known = replace(episodes, extras={"info_cheat": cheat, "info_position": position})
    whole = concatenate([known.select(order[:4]), known.select(order[4:])])
    expected = known.select(order)
    for key in known.extras:
        np.testing.assert_array_equal(whole.extras[key], expected.extras[key])
        assert whole.extras[key].dtype == known.extras[key].dtype
    assert set(whole.step_info) == {"cheat", "position"}


def test_info_that_only_some_parts_have_is_left_out(episodes: Episodes) -> None:
    known = replace(episodes, extras={"info_speed": np.zeros(episodes.done.shape), "seed": np.arange(12)})
    whole = concatenate([known, episodes])
    assert set(whole.extras) == {"seed"}
    with pytest.raises(UserError, match="info_speed is not of the same kind"):
        concatenate([known, replace(episodes, extras={"info_speed": np.zeros((*episodes.done.shape, 2))})])


def test_final_observations_are_kept_or_known_to_be_missing(episodes: Episodes) -> None:
    finals = np.random.default_rng(0).random((12, 2)).astype(np.float32)
    known = replace(episodes, extras={FINAL_OBSERVATION: finals})
    both = concatenate([known, known])
    assert both.final_observations is not None
    np.testing.assert_array_equal(both.final_observations, np.concatenate([finals, finals]))
    mixed = concatenate([known, episodes])
    assert mixed.final_observations is None
    np.testing.assert_array_equal(mixed.extras[FINAL_OBSERVATION][:12], finals)
    assert np.isnan(mixed.extras[FINAL_OBSERVATION][12:]).all()
    assert mixed.extras[FINAL_OBSERVATION].dtype == np.float32


def test_final_pictures_that_only_some_parts_have_are_left_out() -> None:
    pictures = Episodes(
        observations=np.ones((2, 3, 4, 4), dtype=np.uint8),
        actions=np.zeros((2, 3, 1)),
        true_rewards=np.zeros((2, 3)),
        done=np.zeros((2, 3), dtype=np.bool_),
    )
    known = replace(pictures, extras={FINAL_OBSERVATION: np.full((2, 4, 4), 7, dtype=np.uint8)})
    assert FINAL_OBSERVATION not in concatenate([pictures, known]).extras
    np.testing.assert_array_equal(concatenate([known, known]).extras[FINAL_OBSERVATION], np.full((4, 4, 4), 7))
