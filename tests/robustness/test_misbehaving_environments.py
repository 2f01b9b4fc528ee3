"""Environments that lie, fail, or return rewards of NaN: named in one line, and the results of others are saved."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest
from gymnasium import spaces

import quantilizer
from quantilizers import make_vector, record
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_environment
from quantilizers.errors import DataWarning, UserError
from quantilizers.evaluation.measuring import NotFiniteError, measure_policies
from quantilizers.evaluation.results import load_results
from quantilizers.rewards import each_step, own

Run = Callable[..., tuple[int, str, str]]

SEEN = np.zeros(2, dtype=np.float32)


class Misbehaving(gymnasium.Env[Any, Any]):
    """An environment that misbehaves as requested in its third step, or at its reset."""

    observation_space = spaces.Box(-1.0, 1.0, (2,))
    action_space = spaces.Discrete(3)

    def __init__(self, step: Any = None, reset: Any = None, render_mode: None = None) -> None:
        self._deed, self._begin, self._steps = step, reset, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self._steps = 0
        return (SEEN, {}) if self._begin is None else self._begin()

    def step(self, action: Any) -> Any:
        self._steps += 1
        good = SEEN, 1.0, False, False, {}
        return good if self._deed is None or self._steps < 3 else self._deed()


class Still:
    """Policies that do nothing."""

    def begin(self, episodes: int) -> None:
        """Hear of new episodes."""

    def act(self, observations: npt.NDArray[Any], *_: Any) -> npt.NDArray[Any]:
        return np.zeros((*observations.shape[:2], 1))


def definition(proxy: Any = own, **deeds: Any) -> EnvironmentDefinition:
    return EnvironmentDefinition(lambda render_mode=None: Misbehaving(**deeds), proxy, max_steps=5, name="mine")


def measure(environment: EnvironmentDefinition, quantiles: Sequence[float] = (1.0,)) -> Any:
    return measure_policies(environment, lambda _: Still(), quantiles, [0, 1], 2, 5, {})


def divide() -> Any:
    return 1 / 0


@pytest.mark.parametrize(
    ("deed", "named"),
    [
        (divide, r"failed in step: ZeroDivisionError: division by zero \(test_misbehaving_environments.py, line \d+\)"),
        (lambda: None, "failed in step: it returns a NoneType, not observation"),
        (lambda: (SEEN, 1.0, False, {}), "it returns 4 values"),
        (lambda: (np.zeros(3), 1.0, False, False, {}), r"it observes float64 \(3,\) where its space says \(2,\)"),
        (lambda: (None, 1.0, False, False, {}), r"it observes object \(\)"),
        (lambda: (SEEN * np.nan, 1.0, False, False, {}), r"it observes NaN or infinity: \[nan nan\]"),
        (lambda: (SEEN, None, False, False, {}), "its reward is None, not a number"),
        (lambda: (SEEN, "1", False, False, {}), "its reward is '1', not a number"),
        (
            lambda: (SEEN, np.ones(2), False, False, {}),
            r"failed in step: its reward has shape \(2,\), and is not a number, at step 3",
        ),
        (
            lambda: (SEEN, 1.0, np.array([True, False]), False, {}),
            r"its terminated is array\(.*\), neither true nor false",
        ),
        (lambda: (SEEN, 1.0, "False", False, {}), "its terminated is 'False', neither true nor false"),
        (lambda: (SEEN, 1.0, None, False, {}), "its terminated is None, neither true nor false"),
        (lambda: (SEEN, 1.0, False, np.nan, {}), "its truncated is nan, neither true nor false"),
        (
            lambda: (SEEN, 1.0, False, False, None),
            "failed in step: its info is a NoneType, not a dictionary, at step 3",
        ),
    ],
)
def test_what_fails_in_a_step_is_named_in_one_line(deed: Any, named: str) -> None:
    with pytest.raises(UserError, match=f"^the environment Misbehaving .*{named}") as raised:
        measure(definition(step=deed))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("deed", "named"),
    [
        (divide, "failed in reset: ZeroDivisionError"),
        (lambda: SEEN, "failed in reset: it returns a ndarray, not an observation and its info"),
        (lambda: (np.zeros((2, 2)), {}), r"it observes float64 \(2, 2\)"),
    ],
)
def test_what_fails_in_a_reset_is_named_in_one_line(deed: Any, named: str) -> None:
    with pytest.raises(UserError, match=named) as raised:
        measure(definition(reset=deed))
    assert "\n" not in str(raised.value)


def test_what_a_reward_s_function_does_wrong_is_named() -> None:
    for function, named in (
        (lambda steps: np.zeros(7), "returned shape"),
        (lambda steps: divide(), "ZeroDivisionError"),
        (lambda steps: steps.info["cheat"], "KeyError"),
    ):
        with pytest.raises(UserError, match=named):
            measure(definition(each_step(function)))
    with pytest.raises(UserError, match="its info lacks cheat, which a reward depends on"):
        measure(definition(each_step(lambda steps: steps.info["cheat"], info=("cheat",))))


def test_a_caller_s_mistake_is_not_the_environment_s() -> None:
    environment = gymnasium.wrappers.OrderEnforcing(make_environment(definition()))
    with pytest.raises(gymnasium.error.ResetNeeded):
        environment.step(0)


def test_spaces_that_no_policy_can_have_are_refused() -> None:
    class Nameless(Misbehaving):
        observation_space = None  # type: ignore[assignment]

    for made in (Nameless, lambda render_mode=None: 3):
        with pytest.raises(UserError):
            _ = EnvironmentDefinition(made, own, max_steps=5, name="mine").observation_space


class Counting:
    """Returns rewards of NaN to one policy after another, by the number of steps that all have taken."""

    def __init__(self, bad: Sequence[int]) -> None:
        self.bad, self.made = bad, -1

    def __call__(self, render_mode: None = None) -> Misbehaving:
        self.made += 1
        wrong = self.made in self.bad
        return Misbehaving(step=lambda: (SEEN, np.inf if wrong else 1.0, False, False, {}))


def test_a_policy_that_is_paid_no_number_is_named_and_the_others_are_measured() -> None:
    # Environments are made two episodes a policy: q = 1 seed 0, q = 1 seed 1, q = 0.5 seed 0, q = 0.5 seed 1.
    environment = EnvironmentDefinition(
        Counting([6, 7]), own, 5, name="mine", spaces=(Misbehaving.observation_space, Misbehaving.action_space)
    )
    with pytest.raises(NotFiniteError) as raised:
        measure(environment, (1.0, 0.5))
    assert (
        str(raised.value)
        == "mine returned NaN or infinite rewards to q = 0.5 seed 1 (true reward inf at step 3 of episode 1)"
    )
    first, second = raised.value.results
    assert first is not None
    assert second is not None
    assert (first.quantiles.tolist(), second.quantiles.tolist()) == ([1.0, 0.5], [1.0])
    assert second.true_returns.tolist() == [[5.0, 5.0]]


ENVIRONMENT = """
import gymnasium, numpy as np
from gymnasium.spaces import Box, Discrete
from quantilizers import EnvironmentDefinition, Experiment, own

class Game(gymnasium.Env):
    observation_space, action_space = Box(-1.0, 1.0, (2,)), Discrete(2)
    made = 0
    def __init__(self, render_mode=None):
        self.number, Game.made = Game.made, Game.made + 1
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, dtype=np.float32), {}
    def step(self, action):
        reward = float("nan") if self.number and self.number % 4 == 0 else 1.0
        return np.zeros(2, dtype=np.float32), reward, False, False, {}

spaces = Game.observation_space, Game.action_space
ENVIRONMENT = EnvironmentDefinition(Game, own, max_steps=4, spaces=spaces, experiment=Experiment(number_trajectories=2))
"""


def write_game(folder: Path, condition: str) -> list[str]:
    """Write an environment that pays NaN on a condition, and demonstrations of it; return the words that name them."""
    (folder / "game.py").write_text(ENVIRONMENT.replace("self.number and self.number % 4 == 0", condition))
    generator = np.random.default_rng(0)
    episodes = Episodes(
        observations=generator.random((6, 4, 2), dtype=np.float32),
        actions=generator.integers(2, size=(6, 4, 1)),
        true_rewards=np.arange(24.0).reshape(6, 4),
        done=np.zeros((6, 4), dtype=np.bool_),
    )
    episodes.save(folder / "log" / "game" / "demo.npz")
    return ["--env_name", str(folder / "game.py"), "--log_dir", str(folder / "log"), "--max_epochs", "1"]


@pytest.mark.parametrize("algorithm", ["sarsa", "q_learning_greedy", "random"])
def test_an_optimiser_that_is_paid_no_number_is_named_and_the_others_are_measured(
    algorithm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # After the one of the trial, environments are made one by one for three seeds; random play makes two each.
    condition = "self.number in (3, 4)" if algorithm == "random" else "self.number == 2"
    words = [*write_game(tmp_path, condition), "--do", "optimize", "--algorithm", algorithm, "--seed_nb", "3"]
    code = quantilizer.main([*words, *([] if algorithm == "random" else ["--optimiser_steps", "40"])])
    said = capsys.readouterr().err.splitlines()[-1]
    assert code == 2
    assert "1 of 3 " in said
    assert f"seed 1 of {algorithm}: the environment's rewards or the agent's values became NaN" in said
    measured = sorted(path.name.rpartition("_")[2] for path in (tmp_path / "log" / "rewards").glob("*.npz"))
    assert measured == ["0.npz", "2.npz"]


def test_an_arm_of_a_study_that_is_paid_no_number_is_named_and_the_others_are_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Each episode has its own environment, and this one is of one of ten arms.
    words = [*write_game(tmp_path, "self.number == 5"), "--do", "study", "--quantiles", "0.5", "--subsets", "2"]
    code = quantilizer.main([*words, "--seed_nb", "1", "--hidden_units"])
    said = capsys.readouterr().err.splitlines()[-1]
    assert code == 2
    assert "returned NaN or infinite rewards to q = 0.5 seed 0" in said
    assert said.endswith("all other arms are done")
    kept = list((tmp_path / "log" / "study" / "demo_game").glob("*.npz"))
    assert len(kept) == 9


def test_testing_saves_what_the_other_policies_earned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "game.py").write_text(ENVIRONMENT)
    generator = np.random.default_rng(0)
    episodes = Episodes(
        observations=generator.random((6, 4, 2), dtype=np.float32),
        actions=generator.integers(2, size=(6, 4, 1)),
        true_rewards=np.ones((6, 4)),
        done=np.zeros((6, 4), dtype=np.bool_),
    )
    episodes.save(tmp_path / "log" / "game" / "demo.npz")
    words = ["--env_name", str(tmp_path / "game.py"), "--log_dir", str(tmp_path / "log"), "--quantiles", "1.0"]
    code = quantilizer.main([*words, "--seed_nb", "2", "--max_epochs", "1", "--do", "train", "test"])
    out = capsys.readouterr()
    assert code == 2
    assert "to q = 1 seed 1 (true reward nan at step 1 of episode 2); of the others 1 were measured" in out.err
    assert "Traceback" not in out.err
    assert [path.name for path in (tmp_path / "log" / "rewards").iterdir()] == ["demo_game_0.npz"]
    found = load_results(tmp_path / "log" / "rewards" / "demo_game_0.npz")
    assert found.true_returns.tolist() == [[4.0, 4.0]]


@pytest.mark.parametrize(
    ("dtype", "observed", "named"),
    [
        (np.uint8, np.array([0.25, 1.0]), "it observes 0.25, which its space of uint8 does not have"),
        (np.uint8, np.array([-3, 7]), "it observes -3, which its space of uint8 does not have"),
        (np.int8, np.array([300, 7]), "it observes 300, which its space of int8 does not have"),
        (np.float32, np.array([1e39, 0.0]), r"it observes NaN or infinity: \[inf 0.\]"),
    ],
)
def test_observations_that_the_type_of_the_space_changes_are_refused(dtype: Any, observed: Any, named: str) -> None:
    class Typed(Misbehaving):
        observation_space = spaces.Box(0, 100, (2,), dtype)

    def made(render_mode: None = None) -> Misbehaving:
        return Typed(step=lambda: (observed, 1.0, False, False, {}), reset=lambda: (np.zeros(2, dtype), {}))

    environment = EnvironmentDefinition(made, own, max_steps=5, name="mine")
    with pytest.raises(UserError, match=named):
        record(environment, lambda _: 0, 1)
    observed = np.array([3.0, 7.0])  # whole numbers of another type are taken, and by vectorised forms, too
    vector = make_vector(environment, 2)
    vector.reset(seed=0)
    for _ in range(3):
        seen = vector.step(np.zeros(2, np.int64))[0]
    assert (seen.dtype, seen.tolist()) == (dtype, [[3, 7], [3, 7]])


def test_an_environment_that_leaves_its_space_is_named_once() -> None:
    class Leaving(Misbehaving):
        pass

    def made(render_mode: None = None) -> Misbehaving:
        return Leaving(step=lambda: (SEEN + 25, 1.0, False, False, {}))

    environment = EnvironmentDefinition(made, own, max_steps=5, name="mine")
    line = "Leaving leaves its observation space: number 1 of an observation is 25, and its bounds are -1 and 1"
    with pytest.warns(DataWarning, match=line):
        record(environment, lambda _: 0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record(environment, lambda _: 0, 1)


@pytest.mark.parametrize("ended", [True, 1, np.True_, np.array([1.0])], ids=repr)
def test_marks_of_an_end_are_true_or_false(ended: Any) -> None:
    environment = definition(step=lambda: (SEEN, 1.0, ended, False, {}))
    assert record(environment, lambda _: 0, 1).lengths.tolist() == [3]


@pytest.mark.parametrize(
    ("info", "named"),
    [
        ([1.0] * 3, r"the field n of the info, .*, is \[1. 1. 1.\] at step 3, of shape \(3,\), and \(\) at first"),
        ("far", "the field n of the info, which a reward reads, is far at step 3, no number"),
        ({"b": 1.0}, "is {'b': 1.0} at step 3, no number; recordings hold numbers of one shape"),
    ],
)
def test_what_recordings_cannot_hold_is_refused_at_its_step(info: Any, named: str) -> None:
    class Talking(Misbehaving):
        def step(self, action: Any) -> Any:
            return (*super().step(action)[:4], {"n": info if self._steps == 3 else 0.5})

    proxy = each_step(lambda steps: np.ones(len(steps.observations)), info="n")
    environment = EnvironmentDefinition(lambda render_mode=None: Talking(), proxy, max_steps=5, name="mine")
    with pytest.raises(UserError, match=named):
        record(environment, lambda _: 0, 1)


def test_a_reward_that_is_no_number_is_not_recorded() -> None:
    with pytest.raises(UserError, match="mine returned the true reward nan at step 3 from seed"):
        record(definition(step=lambda: (SEEN, np.nan, False, False, {})), lambda _: 0, 1)
