from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from quantilizers.envs.actions import classes_of
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.evaluation.pressure import Compared, Pressures, load_pressures, measure_pressure, step_divergences
from quantilizers.evaluation.rollouts import randomness_of, roll_out
from quantilizers.policies.hyper_parameters import PerceptronTraining
from quantilizers.policies.multilayer_perceptron import StackedPerceptrons, weight_shapes
from quantilizers.policies.policy import TrainedPolicy

CAR, HOPPER = load_environment("MountainCar-v0"), load_environment("Hopper-v2")


def policies(seeds: list[int], history: int = 0, environment: object = CAR) -> StackedPerceptrons:
    """Policies of random weights, which draw their actions."""
    training, trained = PerceptronTraining(hidden_units=(4,), history=history), []
    for seed in seeds:
        generator = np.random.default_rng(seed)
        shapes = weight_shapes(environment, training)  # type: ignore[arg-type]
        weights = [generator.normal(size=one).astype(np.float32) for one in shapes]
        trained.append(TrainedPolicy(1.0, seed, weights, training))
    return StackedPerceptrons(environment, trained, "sample")  # type: ignore[arg-type]


def test_components_add_and_what_neither_does_counts_nothing() -> None:
    halves, quarter = np.array([[0.5, 0.5, 0.0]]), np.array([[0.25, 0.75, 0.0]])
    one = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    np.testing.assert_allclose(step_divergences([halves], [quarter]), [one])
    np.testing.assert_allclose(step_divergences([halves, halves, halves], [quarter, halves, quarter]), [2 * one])
    # Single precision has no smaller probability; the divergence is finite and large.
    (impossible,) = step_divergences([np.array([[1.0, 0.0]])], [np.array([[0.0, 1.0]])])
    assert 80 < impossible < 90


@pytest.mark.parametrize(("environment", "history"), [(CAR, 0), (CAR, 2), (HOPPER, 0)])
def test_steps_add_up_to_the_divergence_of_episodes(environment: object, history: int) -> None:
    """It is the mean of log π(a|s) − log π₀(a|s) over the actions that were drawn (the chain rule)."""
    agents, imitators = (policies([seed], history, environment) for seed in (1, 2))
    seeds, generators = randomness_of([0], slice(0, 400))
    taken: list[np.ndarray] = []
    ratios = np.zeros((1, 400))

    class Noting(Compared):
        def act(self, observations: np.ndarray, generators: object, running: np.ndarray) -> np.ndarray:
            both = [one.probabilities(observations) for one in (agents, imitators)]
            chosen = super().act(observations, generators, running)  # type: ignore[arg-type]
            classes = classes_of(environment.action_space, environment.classes, "")  # type: ignore[attr-defined]
            for component, values in enumerate(classes or ()):
                place = np.searchsorted(values, chosen[..., component])
                logs = [
                    np.log(np.take_along_axis(of[component].astype(float), place[..., None], -1))[..., 0] for of in both
                ]
                ratios[:] += np.where(running, logs[0] - logs[1], 0.0)
            taken.append(chosen)
            return chosen

    compared = Noting(agents, imitators)
    roll_out(environment, compared, seeds, generators, 25, {})  # type: ignore[arg-type]
    (difference,) = compared.divergences - ratios
    assert abs(difference.mean()) < 4 * difference.std() / math.sqrt(400)
    assert compared.divergences.mean() > 3 * difference.std() / math.sqrt(400)


@pytest.mark.parametrize("history", [0, 3])
def test_an_agent_is_at_no_distance_from_itself_whatever_it_remembers(history: int) -> None:
    divergences, true, proxy = measure_pressure(
        CAR, policies([1, 2], history), policies([1, 2], history), [0, 1], 5, 30, {}
    )
    assert divergences.shape == true.shape == proxy.shape == (2, 5)
    np.testing.assert_array_equal(divergences, 0.0)
    other, *_ = measure_pressure(CAR, policies([1, 2], history), policies([2, 1], history), [0, 1], 5, 30, {})
    assert (other > 0).all()


def test_the_episodes_are_those_of_tests_whoever_is_beside(tmp_path: Path) -> None:
    whole = measure_pressure(CAR, policies([1, 2]), policies([3, 4]), [0, 1], 6, 30, {})
    alone = measure_pressure(CAR, policies([2]), policies([4]), [1], 6, 30, {})
    for of_both, of_one in zip(whole, alone, strict=True):
        np.testing.assert_allclose(of_both[1], of_one[0])
    played = roll_out(CAR, policies([1]), *randomness_of([0], slice(0, 6)), 30, {})
    np.testing.assert_array_equal(whole[2][0], played.proxy_rewards.sum(axis=-1)[0])


def row(**changes: object) -> Pressures:
    numbers = np.arange(6.0).reshape(2, 3)
    settings = {
        "quantile": 0.25, "algorithm": "", "seeds": (3, 4), "agents": ("a", "b"), "imitators": ("c", "d"),
        "divergences": numbers, "true_returns": -numbers, "proxy_returns": numbers + 1, **changes,
    }  # fmt: skip
    return Pressures(**settings)  # type: ignore[arg-type]


def test_a_file_gives_them_back_and_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pressure.json"
    assert load_pressures(path) == []
    path.write_text(json.dumps({"agents": [row().as_numbers()]}))
    (again,) = load_pressures(path)
    assert again.made_from == ((3, "a", "c"), (4, "b", "d"))
    np.testing.assert_array_equal(again.divergences, row().divergences)
    assert again.divergence.estimate == 2.5
    assert again.divergence.low == 0.0  # Student's would be negative, and no divergence is
    assert again.of([4]).agents == ("b",)
    numbers = row().as_numbers()
    for damaged in (
        {**numbers, "divergences": [[1.0, 2.0]]},
        {**numbers, "divergences": [[-1.0, 0, 0], [0, 0, 0]]},
        {**numbers, "true_returns": [["x"] * 3] * 2},
        {**numbers, "seeds": [1]},
        {name: value for name, value in numbers.items() if name != "agents"},
        [],
    ):
        path.write_text(json.dumps({"agents": [damaged]}))
        with pytest.raises(UserError, match=r"pressure\.json is damaged .*--do pressure again"):
            load_pressures(path)
