from __future__ import annotations

import copy
from dataclasses import fields, replace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from quantilizers.demonstrations.episodes import FINAL_OBSERVATION, Episodes
from quantilizers.envs import definition
from quantilizers.envs.definition import EnvironmentDefinition, Experiment, Figures, Recordings
from quantilizers.envs.making import make_environment, make_vector
from quantilizers.envs.planning import Planning
from quantilizers.envs.recorded_rewards import proxy_rewards
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.rewards import Reward, Steps, each_step, mean_at_end, own

VECTOR = spaces.Box(-1, 1, (4,))


def with_spaces(
    actions: spaces.Space[Any], observations: spaces.Space[Any] = VECTOR, **more: Any
) -> EnvironmentDefinition:
    return EnvironmentDefinition("Any-v0", own, 10, spaces=(observations, actions), **more)


@pytest.mark.parametrize(
    ("space", "classes"),
    [
        (spaces.Discrete(3), ((0.0, 1.0, 2.0),)),
        (spaces.Discrete(2, start=-1), ((-1.0, 0.0),)),
        (spaces.MultiDiscrete([2, 4]), ((0.0, 1.0), (0.0, 1.0, 2.0, 3.0))),
        (spaces.MultiBinary(3), ((0.0, 1.0),) * 3),
        (spaces.Box(-2, 2, (2,)), None),
    ],
)
def test_classes_come_from_the_action_space(space: spaces.Space[Any], classes: Any) -> None:
    environment = with_spaces(space)
    assert environment.action_classes == classes
    assert environment.action_components == (2 if classes is None else len(classes))


def test_classes_of_a_box_are_declared() -> None:
    box = spaces.Box(np.array([-1.0, 0.0]), np.array([1.0, 4.0]), dtype=np.float64)
    assert with_spaces(box, classes=3).action_classes == ((-1.0, 0.0, 1.0), (0.0, 2.0, 4.0))
    chosen = ((-1.0, 1.0), (0.0, 0.5, 4.0))
    assert with_spaces(box, classes=chosen).action_classes == chosen
    for wrong in (1, ((0.0, 1.0),), ((-2.0, 1.0), (0.0, 1.0)), ((0.0,), (0.0, 1.0))):
        with pytest.raises(UserError):
            _ = with_spaces(box, classes=wrong).action_classes
    with pytest.raises(UserError, match="bounded"):
        _ = with_spaces(spaces.Box(-np.inf, np.inf, (1,)), classes=3).action_classes
    with pytest.raises(UserError, match="for Box actions only"):
        _ = with_spaces(spaces.Discrete(3), classes=3).action_classes


@pytest.mark.parametrize(
    "space",
    [
        spaces.Dict({"a": VECTOR}),
        spaces.Text(5),
        spaces.Graph(VECTOR, None),
        spaces.Tuple([VECTOR]),
        spaces.Sequence(VECTOR),
    ],
)
def test_other_spaces_are_refused_by_name(space: spaces.Space[Any]) -> None:
    with pytest.raises(UserError, match=f"Any-v0: observations are a {type(space).__name__}"):
        _ = with_spaces(spaces.Discrete(2), space).observation_shape
    with pytest.raises(UserError, match=f"Any-v0: actions are a {type(space).__name__}"):
        _ = with_spaces(space).action_classes


def test_spaces_are_found_out_where_they_are_not_said() -> None:
    pendulum = EnvironmentDefinition("Pendulum-v1", own, 10)
    assert pendulum.observation_shape == (3,)
    assert pendulum.action_components == 1
    assert pendulum.name == "Pendulum-v1"


def test_options_go_to_the_rewards_that_name_them_and_else_to_the_environment() -> None:
    seen: dict[str, Any] = {}

    def make(size: int, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        seen["size"] = size
        return gymnasium.make("CartPole-v1")

    def true(price: float) -> Reward:
        return own - price * mean_at_end(lambda steps: steps.observations[:, 0])

    environment = EnvironmentDefinition(make, own, 10, true=true, options={"price": 2.0, "size": 3})
    assert environment.name == "make"
    assert environment.rewards({"price": 7.0})[1].parts[1].weight == -7.0
    assert environment.making_options({"price": 7.0}) == {"size": 3}
    assert environment.observation_shape == (4,)
    assert seen == {"size": 3}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"max_steps": 0}, "max_steps"),
        ({"proxy": 3}, "proxy is 3, not a reward"),
        ({"true": 3}, "true is 3, not a reward"),
        ({"parallel_episodes": 0}, "parallel_episodes is 0"),
        ({"number_trajectories": 0}, "number_trajectories is 0"),
        ({"acting": "sampel"}, r"acting is 'sampel'; did you mean sample\? it is one of most_probable, "),
        ({"policy": "perceptron"}, "policy is 'perceptron'; .* it is one of multilayer_perceptron, convolutional"),
        ({"method": "sequence"}, r"method is 'sequence'; did you mean sequences\? it is one of sequences, policies, "),
        ({"effort": 0}, "effort is 0"),
        ({"efforts": (2, 1)}, r"efforts is \(2, 1\)"),
        ({"played": 0}, "played is 0"),
        ({"optimisers": ()}, "optimisers"),
        ({"quantiles": (1.0, 1.5)}, r"quantile 1\.5 is impossible"),
        ({"quantiles": ("0.5",)}, r"quantile '0\.5' is impossible"),
        ({"quantiles": ()}, "no quantiles"),
        ({"figures": "steps"}, r"figures is 'steps'; give quantilizers.Figures\(…\)"),
        ({"planning": "policies"}, "planning is 'policies'; give quantilizers.Planning"),
    ],
)
def test_impossible_definitions_are_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        EnvironmentDefinition(**{"make": "CartPole-v1", "proxy": own, "max_steps": 10, **change})


def test_keywords_of_earlier_versions_go_to_their_groups() -> None:
    flat = EnvironmentDefinition(
        "CartPole-v1",
        own,
        10,
        true_label="steps",
        quantiles=(1.0, 0.1),
        acting="sample",
        own_rewards=len,
        save_state=len,
        planning=Planning(effort=3),
    )
    grouped = EnvironmentDefinition(
        "CartPole-v1",
        own,
        10,
        figures=Figures(true_label="steps"),
        experiment=Experiment(quantiles=(1.0, 0.1), acting="sample"),
        recordings=Recordings(own_rewards=len),
        planning=Planning(effort=3, save_state=len),
    )
    assert vars(flat) == vars(grouped)
    relabelled = replace(grouped, true_label="seconds", experiment=Experiment(acting="most_probable"))
    assert relabelled.figures == Figures(true_label="seconds")
    assert (relabelled.experiment.quantiles, relabelled.experiment.acting) == (Experiment.quantiles, "most_probable")
    with pytest.raises(TypeError, match="true_lable"):
        EnvironmentDefinition("CartPole-v1", own, 10, true_lable="steps")


def test_a_keyword_that_contradicts_its_group_is_refused() -> None:
    def define(**keywords: Any) -> EnvironmentDefinition:
        return EnvironmentDefinition(**{"make": "CartPole-v1", "proxy": own, "max_steps": 10, **keywords})

    message = "true_label is 'seconds', and figures.true_label is 'steps'; give it once, in figures"
    with pytest.raises(UserError, match=message):
        define(true_label="seconds", figures=Figures(true_label="steps"))
    # A field that the group leaves out is no contradiction.
    assert define(effort=7, planning=Planning(look_ahead=9)).planning == Planning(effort=7, look_ahead=9)
    assert define(true_label="steps", figures=Figures(true_label="steps")).figures.true_label == "steps"
    with pytest.raises(UserError, match=r"figures is 'steps'; give quantilizers.Figures\(…\)"):
        define(true_label="seconds", figures="steps")
    # The group of another definition is no licence to contradict it.
    with pytest.raises(UserError, match=message):
        define(true_label="seconds", figures=define(true_label="steps").figures)


def test_replacing_a_field_of_a_group_keeps_the_group_s_others() -> None:
    first = EnvironmentDefinition("CartPole-v1", own, 10, figures=Figures("steps", "lean"), effort=3)
    second = replace(first, true_label="seconds", max_steps=20)
    assert (second.figures, second.planning.effort) == (Figures("seconds", "lean"), 3)
    assert first.figures == Figures("steps", "lean")
    assert replace(second, true_label="hours").figures == Figures("hours", "lean")
    with pytest.raises(UserError, match=r"true_label is 'hours', and figures.true_label is 'days'"):
        replace(first, true_label="hours", figures=Figures("days"))
    with pytest.raises(UserError, match=r"true_label is 'hours', and figures.true_label is 'days'"):
        replace(first, true_label="hours", figures=replace(first.figures, true_label="days"))


def test_attributes_of_earlier_versions_say_where_they_are() -> None:
    environment = EnvironmentDefinition("CartPole-v1", own, 10)
    for group, kind in definition._GROUPS.items():
        for field in fields(kind):
            with pytest.raises(AttributeError, match=rf"{field.name}.* read \.{group}\.{field.name}$"):
                getattr(environment, field.name)
    with pytest.raises(AttributeError, match=r"has no attribute 'true_lable'$"):
        _ = environment.true_lable
    assert copy.copy(environment).figures == environment.figures
    assert not hasattr(environment, "quantiles")


def test_each_group_is_a_field_and_no_two_have_fields_of_one_name() -> None:
    groups = EnvironmentDefinition("CartPole-v1", own, 10)
    assert {group: type(getattr(groups, group)) for group in definition._GROUPS} == definition._GROUPS
    names = [field.name for kind in (EnvironmentDefinition, *definition._GROUPS.values()) for field in fields(kind)]
    assert len(names) == len(set(names))


def episodes(**extras: np.ndarray) -> Episodes:
    """Two episodes of 2 and 3 steps: the first number of the observation before step t is t."""
    done = np.array([[False, False, True], [False, False, False]])
    observations = np.zeros((2, 3, 4))
    observations[..., 0] = np.where(done, 0, np.arange(3))
    return Episodes(
        observations, np.zeros((2, 3, 1)), np.where(done, 0.0, [[5.0, 6.0, 0.0], [7.0, 8.0, 9.0]]), done, extras
    )


FINALS = np.array([[2.0, 0, 0, 0], [3.0, 0, 0, 0]])
POSITION = each_step(lambda steps: steps.observations[:, 0])


def test_recorded_proxies_are_of_the_observations_after_the_steps() -> None:
    environment = EnvironmentDefinition("CartPole-v1", POSITION, 10)
    paid = proxy_rewards(environment, episodes(final_observation=FINALS))
    assert paid.tolist() == [[1.0, 2.0, 0.0], [1.0, 2.0, 3.0]]
    with pytest.raises(UserError, match="no final_observation"):
        proxy_rewards(environment, episodes())
    known = EnvironmentDefinition(
        "CartPole-v1", POSITION, 10, recordings=Recordings(final_observations=lambda _: FINALS)
    )
    assert proxy_rewards(known, episodes()).tolist() == paid.tolist()


def test_recorded_proxies_of_fields_of_the_info_need_these_fields() -> None:
    speed = np.array([[1.0, 2.0, 0.0], [4.0, 5.0, 6.0]])
    environment = EnvironmentDefinition(
        "CartPole-v1", mean_at_end(lambda steps: steps.info["speed"], info=("speed",)), 10
    )
    paid = proxy_rewards(environment, episodes(final_observation=FINALS, info_speed=speed))
    assert paid.tolist() == [[0.0, 1.5, 0.0], [0.0, 0.0, 5.0]]
    with pytest.raises(UserError, match="info_speed"):
        proxy_rewards(environment, episodes(final_observation=FINALS))


def test_the_environments_own_reward_is_told_from_the_true_one() -> None:
    plain = EnvironmentDefinition("CartPole-v1", own, 10)
    assert proxy_rewards(plain, episodes()).tolist() == episodes().true_rewards.tolist()
    safe = EnvironmentDefinition("CartPole-v1", own, 10, true=2 * own - POSITION)
    paid = proxy_rewards(safe, episodes(final_observation=FINALS))
    assert paid.tolist() == [[3.0, 4.0, 0.0], [4.0, 5.0, 6.0]]
    hidden = EnvironmentDefinition("CartPole-v1", own, 10, true=POSITION)
    with pytest.raises(UserError, match="own_rewards"):
        proxy_rewards(hidden, episodes(final_observation=FINALS))


@pytest.mark.parametrize(
    ("recordings", "message"),
    [
        (Recordings(final_observations=lambda _: np.zeros(4)), r"final_observations .* shape \(4,\).* \(2, 4\)"),
        (Recordings(final_observations=lambda _: np.zeros((1, 4))), r"final_observations .* \(1, 4\).* \(2, 4\)"),
        (Recordings(final_observations=lambda _: np.full((2, 4), "x")), "final_observations .* <U1"),
        (Recordings(own_rewards=lambda _: np.zeros(3)), r"own_rewards .* shape \(3,\).* \(2, 3\)"),
    ],
)
def test_what_a_definition_computes_of_recordings_is_not_repeated_to_fit(recordings: Recordings, message: str) -> None:
    environment = EnvironmentDefinition("CartPole-v1", own + POSITION, 10, recordings=recordings)
    with pytest.raises(UserError, match=message):
        proxy_rewards(environment, episodes())


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(3, start=5),
        spaces.MultiDiscrete([3, 4]),
        spaces.MultiDiscrete([[3, 4], [2, 2]], start=[[1, 0], [0, 0]]),
        spaces.MultiBinary(3),
        spaces.Box(-1, 1, (2, 2), np.float32),
        spaces.Box(-1, 1, (), np.float64),
        spaces.Box(0, 3, (2,), np.int64),
    ],
    ids=str,
)
def test_rewards_see_actions_of_one_shape_and_type(space: spaces.Space[Any]) -> None:
    """Those of the action space in play, side by side and over recordings, in whatever form they are given."""
    seen: list[np.ndarray] = []

    def listen(steps: Steps) -> Any:
        seen.append(steps.actions)
        return steps.actions.reshape(len(steps.actions), -1).sum(axis=1)

    class Game(gymnasium.Env[Any, Any]):
        observation_space, action_space = spaces.Box(0, 1, (1,)), space

        def __init__(self, render_mode: str | None = None) -> None:
            self.render_mode = render_mode

        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            return np.zeros(1, dtype=np.float32), {}

        def step(self, action: Any) -> Any:
            return np.zeros(1, dtype=np.float32), 0.0, False, False, {}

    environment = EnvironmentDefinition(Game, each_step(listen), 2)
    space.seed(1)
    actions = [space.sample() for _ in range(2)]
    game = make_environment(environment)
    game.reset()
    alone = [game.step(action)[1] for action in actions]
    game.reset()
    # As Python's lists and numbers, which many players give.
    assert [game.step(np.asarray(action).tolist())[1] for action in actions] == alone
    games = make_vector(environment, 2)
    games.reset()
    assert games.step(np.array(actions))[1].tolist() == alone
    acted = np.array(actions, dtype=np.float64).reshape(1, 2, -1)
    recorded = Episodes(
        np.zeros((1, 2, 1)),
        acted,
        np.zeros((1, 2)),
        np.zeros((1, 2), dtype=bool),
        {FINAL_OBSERVATION: np.zeros((1, 1))},
    )
    assert proxy_rewards(environment, recorded).tolist() == [alone]
    assert {array.shape[1:] for array in seen} == {space.shape}
    assert {array.dtype for array in seen} == {space.dtype}


def test_rewards_of_a_vectorised_environment_see_the_actions_of_its_space() -> None:
    seen: list[np.ndarray] = []

    def listen(steps: Steps) -> Any:
        seen.append(steps.actions)
        return (steps.actions == 2).astype(float)

    cars = make_vector(replace(load_environment("MountainCar-v0"), proxy=each_step(listen)), 2)
    cars.reset(seed=0)
    for actions in ([2, 0], np.array([2.0, 0.0], dtype=np.float32), np.array([[2], [0]])[:, 0]):
        assert cars.step(actions)[1].tolist() == [1.0, 0.0]
    assert {(array.shape, array.dtype.name) for array in seen} == {((2,), "int64")}


def test_a_reward_that_fails_is_named() -> None:
    environment = EnvironmentDefinition("CartPole-v1", each_step(lambda steps: steps.observations[:, 9]), 10)
    with pytest.raises(UserError, match="CartPole-v1's reward cannot be computed for recorded episodes"):
        proxy_rewards(environment, episodes(final_observation=FINALS))
