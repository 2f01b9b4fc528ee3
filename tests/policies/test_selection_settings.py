from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quantilizers.choices import Unit
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.errors import UserError
from quantilizers.matching import matched_strength
from quantilizers.policies.hyper_parameters import ConvolutionalTraining, PerceptronTraining
from quantilizers.policies.selection_settings import SelectionSettings, selection_settings_from, step_weights
from quantilizers.quantilize import METHODS, RULES, effective_sample_size, kl_divergence, selected


def test_the_reference_s_keeps_the_top_and_weighs_nothing(car_demonstrations: Demonstrations) -> None:
    chosen = SelectionSettings().choose_all(car_demonstrations, [0.25, 1.0, 0.5])
    assert list(chosen) == [0.25, 1.0, 0.5]
    for quantile, selection in chosen.items():
        split = selection.demonstrations
        assert selection.step_weights is None
        assert split.fingerprint == car_demonstrations.top(quantile).fingerprint
        assert chosen[quantile].weights.tolist() == [1 / split.number] * split.number


@pytest.mark.parametrize(
    "selecting",
    [
        SelectionSettings(select="bottom"),
        SelectionSettings(select="random"),
        SelectionSettings(select="random", subset=4),
    ],
)
def test_other_episodes_are_those_of_the_control(
    selecting: SelectionSettings, car_demonstrations: Demonstrations
) -> None:
    for quantile, chosen in selecting.choose_all(car_demonstrations, [0.5, 0.25]).items():
        kept = selected(car_demonstrations.proxy_returns, quantile, selecting.select, selecting.subset)
        assert chosen.demonstrations.fingerprint == car_demonstrations.select(kept).fingerprint
        alone = selecting.choose(car_demonstrations, quantile)
        assert alone.demonstrations.fingerprint == chosen.demonstrations.fingerprint


@pytest.mark.parametrize("players", [None, ["ann"] * 12, ["ann", ""] * 6])
def test_players_have_to_be_known_to_be_selected(players: list[str] | None, car_demonstrations: Demonstrations) -> None:
    extras = {} if players is None else {"player": np.array(players)}
    unknown = replace(car_demonstrations, episodes=replace(car_demonstrations.episodes, extras=extras))
    with pytest.raises(
        UserError, match=r"^select top_players needs two players or more, and the name of each episode's"
    ):
        SelectionSettings(select="top_players").choose(unknown, 0.5)
    with pytest.raises(
        UserError, match=r"^select within_players chooses players among all episodes; leave within group"
    ):
        SelectionSettings(select="within_players", within="group")


@pytest.mark.parametrize("method", [name for name in METHODS if name != "quantile"])
@pytest.mark.parametrize("match", ["kl", "effective_size"])
def test_softer_cuts_keep_all_and_weigh_them_as_strongly_as_the_quantile(
    method: str, match: str, car_demonstrations: Demonstrations
) -> None:
    selecting = SelectionSettings(method=method, match=match)  # type: ignore[arg-type]
    chosen = selecting.choose(car_demonstrations, 0.25)
    assert chosen.demonstrations.number == chosen.number == 12
    order = np.argsort(-car_demonstrations.proxy_returns, kind="stable")
    rule, proxy_returns = RULES[method], car_demonstrations.proxy_returns
    expected = rule.weights(proxy_returns, matched_strength(rule, proxy_returns, 0.25, match))[order]  # type: ignore[arg-type]
    np.testing.assert_array_equal(chosen.weights, expected)
    if match == "kl":
        assert kl_divergence(chosen.weights) == pytest.approx(np.log(4))
    else:
        assert effective_sample_size(chosen.weights) == pytest.approx(3)
    np.testing.assert_array_equal(
        chosen.step_weights, step_weights(chosen.weights, chosen.demonstrations.lengths, "steps")
    )
    whole = selecting.choose(car_demonstrations, 1.0)
    assert whole.step_weights is None, "at q = 1 it is imitation"
    assert whole.demonstrations.fingerprint == car_demonstrations.top(1.0).fingerprint


def test_episodes_may_count_alike(car_demonstrations: Demonstrations) -> None:
    chosen = SelectionSettings(weight="episodes").choose(car_demonstrations, 0.5)
    lengths = chosen.demonstrations.lengths
    assert len(set(lengths.tolist())) > 1
    assert chosen.step_weights is not None
    of_episodes = np.add.reduceat(chosen.step_weights, np.cumsum(lengths) - lengths)
    np.testing.assert_allclose(of_episodes, lengths.sum() / len(lengths))


@pytest.mark.parametrize("unit", ["episodes", "steps"])
def test_what_steps_weigh(unit: Unit) -> None:
    weights, lengths = np.array([0.5, 0.2, 0.0, 0.3]), np.array([10, 40, 5, 20])
    steps = step_weights(weights, lengths, unit)
    assert steps.shape == (75,)
    assert steps.mean() == pytest.approx(1)
    ends = np.cumsum(lengths)
    of_episodes = np.add.reduceat(steps, ends - lengths) / 75
    expected = weights if unit == "episodes" else weights * lengths / (weights @ lengths)
    np.testing.assert_allclose(of_episodes, expected, atol=1e-15)
    assert set(steps[50:55]) == {0.0}


def test_equal_episodes_by_the_step_leave_every_step_at_exactly_1() -> None:
    for number in (3, 7, 49):
        steps = step_weights(np.full(number, 1 / number), np.arange(1, number + 1), "steps")
        assert set(steps.tolist()) == {1.0}


def test_impossible_weights_are_refused() -> None:
    for weights in (np.zeros(2), np.array([1.0, -1.0]), np.ones(3)):
        with pytest.raises(ValueError):
            step_weights(weights, np.array([3, 4]))


def test_the_budget_sets_the_updates_of_imitation(car_demonstrations: Demonstrations) -> None:
    perceptrons, convolutional = PerceptronTraining(max_epochs=10), ConvolutionalTraining()
    equal = SelectionSettings(budget="updates")
    rows = int(car_demonstrations.lengths.sum())
    assert SelectionSettings().training(perceptrons, car_demonstrations) is perceptrons
    assert equal.training(convolutional, car_demonstrations) is convolutional
    assert equal.training(perceptrons, car_demonstrations).updates == 10 * -(-rows // 200)
    with pytest.raises(UserError, match="updates is 5; give one"):
        equal.training(PerceptronTraining(updates=5), car_demonstrations)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"select": "tpo"}, "select is 'tpo'; did you mean top"),
        ({"select": "best"}, "it is one of top, random, bottom"),
        ({"budget": "steps"}, "budget is 'steps'"),
        ({"method": "exponent"}, "did you mean exponential"),
        ({"match": "size"}, "kl, effective_size"),
        ({"weight": ""}, "weight is ''"),
        ({"select": "random", "subset": -1}, "subset is -1"),
        ({"subset": 1}, "leave one out"),
        ({"method": "best_of_n", "select": "bottom"}, "select bottom goes with the method quantile"),
        ({"colour": "red"}, "'colour' is not a selection setting"),
    ],
)
def test_impossible_treatments_are_refused_by_name(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        selection_settings_from(values)
