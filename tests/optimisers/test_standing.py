from __future__ import annotations

import numpy as np
import pytest

from quantilizers.evaluation.results import SeedResults
from quantilizers.optimisers.measurements import Measurement
from quantilizers.optimisers.standing import Standing, share_of_the_way, standings_of, verdict

HORIZON = {"max_steps": 200, "options": {}}


def standing(label: str, means: list[float], **about: object) -> Standing:
    """Two seeds or more whose mean proxy returns are given, of one episode each."""
    returns = np.array(means, dtype=np.float64)[:, None]
    return Standing(label, returns, -returns, **{"conditions": HORIZON, **about})  # type: ignore[arg-type]


QUANTILIZERS = [
    standing("imitation", [10.0, 10.2, 9.8], quantile=1.0),
    standing("q = 0.5", [20.0, 20.2, 19.8], quantile=0.5),
]


@pytest.mark.parametrize(
    ("means", "words"),
    [
        ([15.0, 15.2, 14.8], "did not optimise: below q = 0.5"),
        ([5.0, 5.2, 4.8], "did not optimise: below q = 0.5"),
        ([30.0, 30.2, 29.8], "above every quantilizer"),
        ([20.1, 20.3, 19.9], "undecided: overlaps q = 0.5"),
        ([5.0, 25.0, 15.0], "undecided: overlaps q = 1, 0.5"),
        # One episode of one seed has no interval.
        ([99.0], "undecided: overlaps q = 1, 0.5"),
    ],
)
def test_intervals_decide_whether_an_optimiser_optimised(means: list[float], words: str) -> None:
    optimiser = standing("PPO", means, optimises=True)
    assert verdict(optimiser, [optimiser, *QUANTILIZERS]) == words


def test_only_optimisers_are_judged_and_only_under_the_same_conditions() -> None:
    assert verdict(standing("random", [1.0, 2.0]), QUANTILIZERS) == ""
    longer = standing("PPO", [1.0, 2.0], optimises=True, conditions={"max_steps": 1000, "options": {}})
    assert "another horizon" in verdict(longer, QUANTILIZERS)
    assert verdict(longer, [longer]) == "no quantilizer was tested"


def test_the_way_is_from_random_play_to_the_highest_known() -> None:
    random, best = standing("random", [-100.0, -100.0]), standing("best demonstration", [-20.0], conditions=None)
    ppo = standing("PPO", [-60.0, -60.0], optimises=True)
    everybody = [random, best, ppo]
    assert [share_of_the_way(one, everybody) for one in everybody] == [0.0, 1.0, 0.5]
    assert share_of_the_way(ppo, [ppo, best]) is None
    assert share_of_the_way(random, [random]) is None
    longer = standing("QR-DQN", [900.0, 900.0], optimises=True, conditions={"max_steps": 1000, "options": {}})
    assert share_of_the_way(longer, [*everybody, longer]) is None
    assert share_of_the_way(ppo, [*everybody, longer]) == 0.5, "what another horizon allows is no measure"


def test_everybody_stands_in_order_of_the_proxy_return() -> None:
    def results(quantiles: list[float], proxy: list[float]) -> SeedResults:
        returns = np.array(proxy, dtype=np.float64)[:, None]
        rewards = np.zeros((*returns.shape, 1), dtype=np.float32)
        lengths = np.ones(returns.shape, dtype=np.int64)
        return SeedResults("MountainCar-v0", 200, {}, np.array(quantiles), -returns, returns, lengths, rewards, rewards)

    measured = [
        Measurement(name, 5, [0, 1], [results([0.0], [proxy])] * 2) for name, proxy in (("ppo", 3.0), ("random", 0.0))
    ]
    tested = [results([1.0, 0.25], [1.0, 2.0]), results([1.0, 0.25], [1.5, 2.5])]
    demonstrated = np.array([0.5, 7.0, 6.0]), np.array([1.0, -4.0, 9.0])
    everybody = standings_of(measured, tested, demonstrated)
    assert [one.label for one in everybody] == [
        "best demonstration", "PPO", "quantilizer, q = 0.25", "imitation, q = 1", "random",
    ]  # fmt: skip
    assert everybody[0].true_returns.tolist() == [[-4.0]], "the return of the one that earned most of the proxy"
    assert everybody[2].proxy_returns.tolist() == [[2.0], [2.5]]
    assert [one.optimises for one in everybody] == [False, True, False, False, False]
    assert [one.label for one in standings_of(measured, [], None)] == ["PPO", "random"]
