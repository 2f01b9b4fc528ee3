from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers.errors import MissingError, UserError
from quantilizers.evaluation.results import (
    MixedResultsError,
    Provenance,
    SeedResults,
    load_all_results,
    load_results,
)

TRAINED = Provenance("multilayer_perceptron", {"hidden_units": (20, 20), "max_epochs": 200}, "sample", ("a1", "b2"))


def make(tested: tuple[float, ...] = (1.0, 0.5), episodes: int = 3, **changes: Any) -> SeedResults:
    number = len(tested)
    generator = np.random.default_rng(0)
    rewards = generator.random((number, episodes, 4)).astype(np.float32)
    fields: dict[str, Any] = {
        "environment": "MountainCar-v0",
        "max_steps": 200,
        "options": {"lamb": 2.0},
        "quantiles": np.array(tested),
        "true_returns": rewards.sum(axis=2, dtype=np.float64),
        "proxy_returns": 2 * rewards.sum(axis=2, dtype=np.float64),
        "lengths": np.full((number, episodes), 4),
        "true_rewards": rewards,
        "proxy_rewards": 2 * rewards,
    }
    return SeedResults(**{**fields, **changes})


def test_saving_and_loading_keeps_everything(tmp_path: Path) -> None:
    results = make()
    results.save(tmp_path / "file.npz")
    loaded = load_results(tmp_path / "file.npz")
    assert (loaded.environment, loaded.max_steps, loaded.options) == ("MountainCar-v0", 200, {"lamb": 2.0})
    for name in ("quantiles", "true_returns", "proxy_returns", "lengths", "true_rewards", "proxy_rewards"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(results, name))


def test_the_policies_that_were_tested_are_known_from_the_file(tmp_path: Path) -> None:
    make(provenance=TRAINED).save(tmp_path / "file.npz")
    loaded = load_results(tmp_path / "file.npz").provenance
    assert loaded == replace(TRAINED, training={"hidden_units": [20, 20], "max_epochs": 200})
    (chosen,) = load_all_results([tmp_path / "file.npz"], "MountainCar-v0", [0.5])
    assert chosen.provenance is not None
    assert chosen.provenance.data == ("b2",)


def test_a_file_of_the_first_versions_still_reads(tmp_path: Path) -> None:
    make().save(tmp_path / "file.npz")
    with np.load(tmp_path / "file.npz") as file:
        assert "provenance" not in file.files
    assert load_results(tmp_path / "file.npz").provenance is None


@pytest.mark.parametrize("wrong", [1.0, 1e308, -1e308])
def test_returns_that_no_rewards_make_are_refused(tmp_path: Path, wrong: float) -> None:
    returns = make().true_returns + np.array([[0.0, 0.0, wrong]])
    make(true_returns=returns).save(tmp_path / "file.npz")
    with pytest.raises(UserError, match=r"file\.npz: true_returns are not the sums of true_rewards; it is damaged"):
        load_results(tmp_path / "file.npz")


def test_names_in_a_file_reach_a_terminal_as_plain_letters(tmp_path: Path) -> None:
    make(environment="\n\x1b[2J").save(tmp_path / "file.npz")
    with pytest.raises(MixedResultsError, match=r"holds results of \\n\\x1b\[2J, not MountainCar-v0"):
        load_all_results([tmp_path / "file.npz"], "MountainCar-v0", [1.0])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"family": 1, "training": 2, "acting": "x", "data": []}'])
def test_a_damaged_provenance_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.npz"
    make().save(path, {"provenance": np.array(text)})
    with pytest.raises(UserError, match=r"file\.npz.*damaged") as raised:
        load_results(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        {"quantiles": np.array([1.0])},
        {"proxy_returns": np.zeros((2, 4))},
        {"true_rewards": np.zeros((2, 3))},
        {"proxy_rewards": np.zeros((2, 3, 5))},
        {"true_returns": np.full((2, 3), np.nan)},
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        make(**change)


def test_the_wanted_quantiles_come_in_the_wanted_order(tmp_path: Path) -> None:
    tested = make((1.0, 0.5, 0.25))
    tested.save(tmp_path / "0.npz")
    (chosen,) = load_all_results([tmp_path / "0.npz"], "MountainCar-v0", [0.25, 1.0])
    np.testing.assert_array_equal(chosen.true_returns, tested.true_returns[[2, 0]])


def test_what_was_not_tested_is_missing(tmp_path: Path) -> None:
    paths = [tmp_path / "0.npz", tmp_path / "1.npz"]
    make().save(paths[0])
    with pytest.raises(MissingError, match=r"1.npz is missing$"):
        load_all_results(paths, "MountainCar-v0", [1.0])
    with pytest.raises(MissingError, match=r"does not hold q = 0.1$"):
        load_all_results(paths[:1], "MountainCar-v0", [0.1])
    with pytest.raises(MixedResultsError, match="not Hopper-v2"):
        load_all_results(paths[:1], "Hopper-v2", [1.0])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"episodes": 5}, "with number_trajectories 5, not 3"),
        ({"max_steps": 100}, "with max_steps 100, not 200"),
        ({"options": {"lamb": 3.0}}, r"with lamb 3\.0, not 2\.0"),
        ({"provenance": replace(TRAINED, acting="most_probable")}, "with acting most_probable, not sample"),
        (
            {"provenance": replace(TRAINED, training={"hidden_units": (20, 20), "max_epochs": 50})},
            "with max_epochs 50, not 200",
        ),
        ({"provenance": replace(TRAINED, data=("a1", "c3"))}, "with policies that imitate other demonstrations"),
    ],
)
def test_seeds_that_were_not_tested_alike_are_refused_by_name(
    tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    paths = [tmp_path / "0.npz", tmp_path / "1.npz"]
    make(provenance=TRAINED).save(paths[0])
    make(**{"provenance": TRAINED, **change}).save(paths[1])
    with pytest.raises(MixedResultsError, match=rf"1\.npz was tested {named}, unlike .*0\.npz; test all seeds alike"):
        load_all_results(paths, "MountainCar-v0", [1.0, 0.5])


def test_seeds_of_the_first_versions_go_with_those_that_are_known(tmp_path: Path) -> None:
    paths = [tmp_path / "0.npz", tmp_path / "1.npz"]
    make().save(paths[0])
    make(provenance=TRAINED).save(paths[1])
    assert len(load_all_results(paths, "MountainCar-v0", [1.0])) == 2
