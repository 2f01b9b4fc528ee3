from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers.demonstrations import Demonstrations, load_demonstrations, number_kept, top_quantile
from quantilizers.envs import load_environment
from quantilizers.errors import UserError

CAR = load_environment("MountainCar-v0")


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
    made = Demonstrations(**arrays_of([2, 4, 1]))
    assert made.number == 3
    assert made.lengths.tolist() == [2, 4, 1]
    assert made.true_returns.tolist() == [-2.0, -4.0, -1.0]
    observations, actions = made.transitions()
    assert observations.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2], [1, 3], [2, 0]]
    assert actions.shape == (7, 1)


def test_an_observation_of_zero_is_no_padding() -> None:
    """The reference implementation guessed padding from `obs[0] != 0`, and lost such steps."""
    fields = arrays_of([4])
    fields["observations"][:] = 0.0
    assert Demonstrations(**fields).lengths.tolist() == [4]


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
        ({"done": np.array([[True] * 4, [False] * 4, [False] * 4])}, "no step"),
        ({"done": np.array([[False, True, False, True]] * 3)}, "end only"),
        ({"extras": {"seed": np.arange(2)}}, "seed has shape"),
    ],
)
def test_impossible_data_are_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError) as raised:
        Demonstrations(**{**arrays_of([2, 4, 1]), **change})
    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("quantile", "number", "kept"),
    [(1.0, 20, 20), (0.5, 7, 3), (0.01, 20, 1), (1e-9, 5, 1), (0.29, 100, 29), (0.07, 100, 7), (0.999, 10, 9)],
)
def test_number_kept_is_the_floor_of_the_decimal_product_and_at_least_one(
    quantile: float, number: int, kept: int
) -> None:
    """With fewer than 1/q episodes the reference implementation's `[-0:]` kept them all."""
    assert number_kept(quantile, number) == kept


def test_top_quantile_keeps_the_best_by_proxy_and_the_order_of_ties() -> None:
    made = Demonstrations(**arrays_of([1, 2, 3, 4, 4, 4]), extras={"seed": np.arange(6)})
    kept = top_quantile(made, np.array([0.0, 5.0, 1.0, 5.0, -1.0, 1.0]), 0.5)
    assert kept.extras["seed"].tolist() == [1, 3, 2]
    assert kept.lengths.tolist() == [2, 4, 3]
    only = top_quantile(made, np.array([0.0, 5.0, 1.0, 5.0, -1.0, 1.0]), 0.01)
    assert only.extras["seed"].tolist() == [1]
    assert only.done.shape == (1, 2), "padding that no kept episode needs is gone"


def test_saving_and_loading_keeps_everything(tmp_path: Path, car_demonstrations: Demonstrations) -> None:
    with_extras = Demonstrations(
        car_demonstrations.observations,
        car_demonstrations.actions,
        car_demonstrations.true_rewards,
        car_demonstrations.done,
        extras={"seed": np.arange(12), "player": np.array(["Ada"] * 12)},
    )
    with_extras.save(tmp_path / "one.npz")
    loaded = load_demonstrations(tmp_path / "one.npz", CAR)
    for name in ("observations", "actions", "true_rewards", "done"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(with_extras, name))
    assert loaded.extras.keys() == with_extras.extras.keys()
    loaded.save(tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("acs", np.full((12, 160, 1), 3.0), "action 3"),
        ("acs", np.zeros((12, 160, 3)), "3 components"),
        ("obs", np.zeros((12, 160, 11)), "another environment"),
        ("ep_rets", np.zeros(12), "ep_rets"),
        ("ep_rets", np.zeros(3), "ep_rets"),
    ],
)
def test_data_of_another_environment_are_refused(
    tmp_path: Path, car_demonstrations: Demonstrations, key: str, value: np.ndarray, problem: str
) -> None:
    car_demonstrations.save(tmp_path / "file.npz")
    with np.load(tmp_path / "file.npz") as file:
        np.savez(tmp_path / "file.npz", **{**file, key: value})
    with pytest.raises(UserError, match=problem):
        load_demonstrations(tmp_path / "file.npz", CAR)


def test_the_file_has_the_layout_that_the_gail_loader_of_baselines_reads(
    tmp_path: Path, car_demonstrations: Demonstrations
) -> None:
    """Its `Mujoco_Dset` takes obs (N, L, …), acs, rews and ep_rets, and flattens the first two to rows."""
    car_demonstrations.save(tmp_path / "file.npz")
    with np.load(tmp_path / "file.npz", allow_pickle=False) as data:
        observations = data["obs"][:5]
        assert np.reshape(observations, [-1, np.prod(observations.shape[2:])]).shape == (5 * 160, 2)
        assert np.reshape(data["acs"][:5], [-1, np.prod(data["acs"].shape[2:])]).shape == (5 * 160, 1)
        assert data["rews"].shape == (12, 160)
        np.testing.assert_allclose(data["ep_rets"], data["rews"].sum(axis=1))
