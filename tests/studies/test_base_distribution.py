from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantilizers.arrays import load_arrays, save_arrays
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.errors import UserError
from quantilizers.layout import Layout
from quantilizers.studies.base_distribution import BaseDistribution, find_base_distribution


@pytest.fixture
def base(car_demonstrations: Demonstrations) -> BaseDistribution:
    return BaseDistribution.of_episodes([car_demonstrations], car_demonstrations, "simulated players", 3, "a test")


def test_it_holds_what_the_theory_needs_of_each_episode(
    car_demonstrations: Demonstrations, base: BaseDistribution
) -> None:
    np.testing.assert_array_equal(base.true_returns, car_demonstrations.true_returns)
    np.testing.assert_array_equal(base.proxy_returns, car_demonstrations.proxy_returns)
    np.testing.assert_array_equal(base.lengths, car_demonstrations.lengths)
    assert base.title == "simulated players, sampled 12 episodes"


def test_players_are_numbered(car_demonstrations: Demonstrations) -> None:
    names = np.array(["simulated player 7", "simulated player 2", *["simulated player 9"] * 10])
    episodes = replace(car_demonstrations.episodes, extras={"player": names})
    sampled = replace(car_demonstrations, episodes=episodes)
    base = BaseDistribution.of_episodes([sampled], car_demonstrations, "simulated players", 0, "a test")
    assert base.player.tolist() == [1, 0, *[2] * 10]


def test_a_file_gives_it_back_and_says_where_it_comes_from(base: BaseDistribution, tmp_path: Path) -> None:
    base.save(tmp_path / "base.npz")
    again = BaseDistribution.load(tmp_path / "base.npz")
    np.testing.assert_array_equal(again.true_returns, base.true_returns)
    np.testing.assert_allclose(again.proxy_returns, base.proxy_returns, rtol=1e-6)
    np.testing.assert_array_equal(again.lengths, base.lengths)
    for name in ("environment", "players", "demonstrations", "seed", "made_by"):
        assert getattr(again, name) == getattr(base, name)


def test_a_damaged_file_is_named(base: BaseDistribution, tmp_path: Path) -> None:
    base.save(tmp_path / "base.npz")
    arrays = load_arrays(tmp_path / "base.npz", [])
    save_arrays(tmp_path / "short.npz", {**arrays, "lengths": arrays["lengths"][:-1]})
    save_arrays(tmp_path / "nan.npz", {**arrays, "true_returns": np.full(12, np.nan)})
    save_arrays(tmp_path / "words.npz", {**arrays, "seed": np.array("three")})
    for name in ("short", "nan", "words"):
        with pytest.raises(UserError, match=rf"{name}\.npz is no base distribution"):
            BaseDistribution.load(tmp_path / f"{name}.npz")


def test_it_is_found_beside_its_demonstrations_and_refused_beside_others(
    car_demonstrations: Demonstrations, base: BaseDistribution, tmp_path: Path
) -> None:
    layout = Layout(tmp_path, "MountainCar-v0", "small")
    assert find_base_distribution(layout, car_demonstrations) is None
    base.save(layout.base)
    found = find_base_distribution(layout, car_demonstrations)
    assert found is not None
    assert found.demonstrations == car_demonstrations.fingerprint
    with pytest.raises(UserError, match="is the base distribution of other demonstrations"):
        find_base_distribution(layout, car_demonstrations.top(0.5))


def test_episodes_of_one_reset_seed_are_of_one_start(car_demonstrations: Demonstrations, tmp_path: Path) -> None:
    seeds = np.repeat([7, 3, 5], 4)
    sampled = replace(car_demonstrations, episodes=replace(car_demonstrations.episodes, extras={"seed": seeds}))
    some = [sampled.select(np.arange(8)), sampled.select(np.arange(8, 12))]
    base = BaseDistribution.of_episodes(some, car_demonstrations, "players", 0, "a test", within_starts=True)
    assert base.start is not None
    assert base.start.tolist() == [*[2] * 4, *[0] * 4, *[1] * 4]
    assert base.title == "players, sampled 12 episodes from 3 starts"
    base.save(tmp_path / "base.npz")
    again = BaseDistribution.load(tmp_path / "base.npz")
    np.testing.assert_array_equal(again.start, base.start)
    with pytest.raises(UserError, match="as many episodes from each start"):
        replace(base, start=np.array([*[0] * 5, *[1] * 7]))


@pytest.mark.parametrize(("name", "number", "starts"), [("MountainCar-v0", 150_000, 200), ("Hopper-v2", 5_000, None)])
def test_what_ships_is_of_the_demonstrations_that_ship(
    tmp_path: Path, name: str, number: int, starts: int | None
) -> None:
    shipped = Demonstrations.load("demo", name)
    layout = Layout(tmp_path, name, "demo")
    base = find_base_distribution(layout, shipped)
    assert base is not None
    assert layout.found_base.stat().st_size < 1_000_000
    assert (base.number, base.starts) == (number, starts)
    assert base.title.startswith("simulated players")
    # The demonstrations are a sample of it: their means are within four standard errors of players.
    for kind in ("true_returns", "proxy_returns"):
        drawn = getattr(shipped, kind)
        spread = drawn.std() / np.sqrt(len(np.unique(shipped.episodes.extras["player"])))
        assert abs(drawn.mean() - getattr(base, kind).mean()) < 4 * spread
    # It is not used for other demonstrations of that name, which are not a sample of it.
    assert find_base_distribution(layout, shipped.top(0.5)) is None
