"""What a user's data make doubtful is refused by episode and step, or said in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from quantilizer import main
from quantilizers import record
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.summary import class_doubts, ranking_doubts, space_doubts
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.actions import file_dtype
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.layout import Layout
from quantilizers.policies.encoding import recorded_classes
from quantilizers.rewards import each_step, mean_at_end, own

FILE = """
import numpy as np
from quantilizers import EnvironmentDefinition, each_step

def pole(proxy, steps):
    return EnvironmentDefinition("CartPole-v1", each_step(proxy), max_steps=steps, name="pole")

CONSTANT = pole(lambda steps: np.zeros(len(steps.observations)), 9)
SHORT = pole(lambda steps: steps.observations[:, 0], 3)
FINE = pole(lambda steps: steps.observations[:, 0], 5)
"""


def episodes(number: int = 4, steps: int = 5) -> Episodes:
    seen = np.zeros((number, steps, 4), dtype=np.float32)
    seen[..., 0] = np.arange(number)[:, None] + np.arange(steps) / 10
    actions = np.zeros((number, steps, 1), np.float32)
    finals = {"final_observation": seen[:, -1]}
    return Episodes(seen, actions, np.ones((number, steps)), np.zeros((number, steps), bool), finals)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("CONSTANT", "warning: all 4 episodes have the proxy return 0, so the top of a quantile is arbitrary"),
        ("SHORT", "warning: demonstrations have up to 5 steps, and policies are cut after 3, so their returns do not"),
        ("FINE", ""),
    ],
)
def test_what_makes_a_comparison_doubtful_is_said_once(
    name: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pole.py").write_text(FILE)
    log = tmp_path / "log"
    episodes().save(Layout(log, "pole", "demo").data)
    assert main(["--do", "inspect", "--env_name", f"{tmp_path}/pole.py:{name}", "--log_dir", str(log)]) == 0
    said = [one for one in capsys.readouterr().err.splitlines() if one.startswith("warning")]
    assert len(said) == bool(line)
    assert not line or said[0].startswith(line)


@pytest.mark.parametrize("build", [each_step, mean_at_end])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_reward_that_is_no_number_over_a_recording_is_refused_by_episode_and_step(
    build: object, wrong: float
) -> None:
    def strange(steps: object) -> np.ndarray:
        places = steps.observations[:, 0].copy()  # type: ignore[attr-defined]
        places[np.isclose(places, 2.3)] = wrong
        return places

    proxy = own + build(strange)  # type: ignore[operator]
    definition = EnvironmentDefinition("CartPole-v1", proxy, max_steps=9)
    step = 2 if build is each_step else 4
    with pytest.raises(UserError, match=rf"reward is {wrong:g} in recorded episode 2, step {step}"):
        _ = Demonstrations(episodes(), definition).proxy_returns


SEEDS = [
    np.array([0.0, 1.0]),
    np.array([np.nan, 1.0]),
    np.array(["1", "2"]),
    np.array([[1, 2], [3, 4]]),
    np.array([True, False]),
    np.array([-2, 1]),
]


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_reset_seeds_of_a_recording_are_whole_numbers(seeds: np.ndarray) -> None:
    two = episodes(2)
    with pytest.raises(UserError, match=r"seed holds .* not the reset seed of each episode"):
        Episodes(two.observations, two.actions, two.true_rewards, two.done, {"seed": seeds})


POLE = EnvironmentDefinition("CartPole-v1", each_step(lambda steps: steps.observations[:, 0]), max_steps=9)


def without_finals(lengths: list[int], **extras: np.ndarray) -> Episodes:
    whole = episodes(len(lengths))
    done = np.arange(5) >= np.array(lengths)[:, None]
    seen, rewards = whole.observations.copy(), whole.true_rewards.copy()
    seen[done], rewards[done] = 0, 0
    return Episodes(seen, whole.actions, rewards, done, extras)


def test_the_observation_after_the_last_action_may_be_repeated_or_the_last_step_dropped() -> None:
    recorded = without_finals([5, 3], seed=np.array([1, 2]), terminated=np.array([True, True]))
    with pytest.raises(UserError, match="--final_observation repeat takes the last one before it, drop leaves out"):
        _ = Demonstrations.of(recorded, POLE).proxy_returns
    repeated = Demonstrations.of(recorded, POLE, final_observation="repeat")
    assert repeated.proxy_returns == pytest.approx([0.1 + 0.2 + 0.3 + 0.4 + 0.4, 1.1 + 1.2 + 1.2])
    assert repeated.true_returns.tolist() == [5, 3]
    assert repeated.notes == ("the last observation stands for the one after the last action in 2 episodes",)
    dropped = Demonstrations.of(recorded, POLE, final_observation="drop")
    assert dropped.proxy_returns == pytest.approx([0.1 + 0.2 + 0.3 + 0.4, 1.1 + 1.2])
    assert (dropped.true_returns.tolist(), dropped.lengths.tolist()) == ([4, 2], [4, 2])
    assert dropped.episodes.extras["terminated"].tolist() == [False, False]
    assert dropped.notes[0].startswith("the last step of each of 2 episodes is left out with its true reward; 6 steps")


def test_recordings_that_need_nothing_are_not_completed() -> None:
    whole = episodes()
    for how in ("repeat", "drop"):
        found = Demonstrations.of(whole, POLE, final_observation=how)
        assert (found.episodes, found.notes) == (whole, ())
        plain = EnvironmentDefinition("CartPole-v1", own, max_steps=9)
        assert Demonstrations.of(without_finals([5]), plain, final_observation=how).lengths.tolist() == [5]
    with pytest.raises(UserError, match="did you mean repeat"):
        Demonstrations.of(whole, POLE, final_observation="repaet")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="episode 1 has one step"):
        Demonstrations.of(without_finals([5, 1]), POLE, final_observation="drop")


def test_only_missing_final_observations_are_repeated() -> None:
    finals = np.full((2, 4), np.nan, dtype=np.float32)
    finals[1] = 7
    found = Demonstrations.of(without_finals([5, 3], final_observation=finals), POLE, final_observation="repeat")
    assert found.notes[0].endswith("in 1 episodes")
    assert found.proxy_returns == pytest.approx([1.4, 1.1 + 1.2 + 7])


def test_the_flag_completes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pole.py").write_text(FILE)
    log = tmp_path / "log"
    without_finals([5, 5, 4]).save(Layout(log, "pole", "demo").data)
    words = ["--do", "inspect", "--env_name", f"{tmp_path}/pole.py:FINE", "--log_dir", str(log)]
    assert main(words) == 2
    assert "--final_observation repeat" in capsys.readouterr().err
    assert main([*words, "--final_observation", "repeat"]) == 0
    assert "demo.npz: the last observation stands for" in capsys.readouterr().err


def test_continuous_actions_are_imitated_by_the_nearest_class(tmp_path: Path) -> None:
    """A reward reads them as they were recorded."""
    paid = each_step(lambda steps: steps.actions[:, 0].astype(float))
    spaces = (Box(-9, 9, (4,), np.float32), Box(-2, 2, (1,), np.float32))
    steering = EnvironmentDefinition("mine:Steering", paid, max_steps=9, spaces=spaces, classes=5, name="steering")
    whole = episodes(2)
    given = np.array([-2, -0.6, 0.2, 1.4, 2], dtype=np.float32)
    data = Demonstrations(replace(whole, actions=np.tile(given[:, None], (2, 1, 1))), steering)
    assert data.proxy_returns == pytest.approx([given.sum()] * 2)
    assert class_doubts(data)[0].startswith("6 of 10 recorded actions are not among the classes of steering; policies")
    assert recorded_classes(data.episodes, steering.action_classes or ()).tolist() == [[0, 1, 2, 3, 4] * 2]
    assert not class_doubts(replace(data, environment=replace(steering, classes=None)))
    with pytest.raises(
        UserError, match=r"steering does not have: number 1 of an action is 2\.1, and its bounds are -2 and 2"
    ):
        Demonstrations(replace(whole, actions=np.full((2, 5, 1), 2.1)), steering)


@pytest.mark.parametrize(
    ("space", "dtype"),
    [
        (Discrete(3), np.float32),
        (Discrete(2, start=2**24 - 1), np.float32),
        (Discrete(3, start=2**24 - 1), np.float64),
        (Discrete(3, start=-(2**24) - 1), np.float64),
        (MultiDiscrete([3, 2**24 + 2]), np.float64),
        (Box(0, 2**25, (2,), np.int64), np.float64),
        (Box(0, 1, (2,), np.float64), np.float64),
        (Box(0, 1, (2,), np.float32), np.float32),
    ],
    ids=str,
)
def test_files_keep_actions_exactly(space: object, dtype: object) -> None:
    assert file_dtype(space) == dtype  # type: ignore[arg-type]


def test_a_file_that_cannot_tell_actions_apart_is_refused() -> None:
    many = EnvironmentDefinition(
        "mine:Many", own, max_steps=9, spaces=(Box(-9, 9, (4,), np.float32), Discrete(3, start=2**24))
    )
    actions = np.full((4, 5, 1), 2.0**24 + 1)
    assert Demonstrations(replace(episodes(), actions=actions), many).number == 4
    with pytest.raises(UserError, match="acs is float32, which does not tell the actions of Many apart"):
        Demonstrations(replace(episodes(), actions=actions.astype(np.float32)), many)


def test_a_proxy_that_ranks_nothing_within_groups_is_said() -> None:
    four = episodes()
    for groups, returns, line in (
        ([0, 0, 1, 1], [1.0, 1.0, 2.0, 2.0], "all episodes of each group have the same proxy return, so the top"),
        ([0, 0, 1, 1], [1.0, 1.0, 2.0, 3.0], ""),
        ([1, 0, 1, 0], [1.0, 1.0, 2.0, 1.0], ""),
    ):
        rewards = np.zeros((4, 5))
        rewards[:, 0] = returns
        plain = EnvironmentDefinition("CartPole-v1", own, max_steps=9)
        data = Demonstrations(replace(four, true_rewards=rewards, extras={"group": np.array(groups)}), plain)
        (found, *_) = ranking_doubts(data, "group") or [""]
        assert found.startswith(line)
        assert bool(found) == bool(line)
        assert not ranking_doubts(data)


class Far(gymnasium.Env[Any, Any]):
    """Its actions are whole numbers that single precision does not have."""

    observation_space, action_space = Box(-9, 9, (1,), np.float32), Discrete(3, start=2**24)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        return np.zeros(1, np.float32), float(action - 2**24), False, False, {}


def test_large_whole_numbers_are_recorded_exactly(tmp_path: Path) -> None:
    far = EnvironmentDefinition(Far, own, max_steps=4)
    record(far, lambda observation: 2**24 + 1, 2).save(tmp_path / "far.npz")
    data = Demonstrations.load(tmp_path / "far.npz", far)
    assert set(data.episodes.actions.ravel()) == {2**24 + 1}
    assert data.true_returns.tolist() == [4, 4]
    assert recorded_classes(data.episodes, far.action_classes or ()).tolist() == [[1] * 8]


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 4, 1), (4, 5, 4)])
def test_final_observations_have_the_shape_of_observations(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        UserError, match=r"final_observation has shape .*, not that of one observation for each episode"
    ):
        replace(episodes(), extras={"final_observation": np.zeros(shape)})


def in_box(low: float, high: float, dtype: type = np.float32) -> EnvironmentDefinition:
    spaces = Box(low, high, (4,), dtype), Discrete(2)
    return EnvironmentDefinition("Boxed-v0", own, max_steps=9, spaces=spaces)


def test_observations_outside_of_the_space_are_said() -> None:
    other_units = without_finals([5, 3])  # the first number of an observation rises to 1.2
    (line,) = space_doubts(Demonstrations(other_units, in_box(-1.0, 1.0)))
    assert line == (
        "recorded observations leave the space of Boxed-v0: number 1 of an observation is 1.1, and its bounds are -1 "
        "and 1; they may be in other units"
    )
    for fine in (in_box(-1.2, 1.2), in_box(-np.inf, np.inf), in_box(0.0, np.inf)):
        assert space_doubts(Demonstrations(other_units, fine)) == []
    with pytest.raises(UserError, match=r"obs holds the observation 0\.1, and Boxed-v0 observes uint8; was it scaled"):
        Demonstrations(other_units, in_box(0, 255, np.uint8))  # type: ignore[arg-type]
    whole = Episodes(np.ones((1, 2, 4)), np.zeros((1, 2, 1)), np.ones((1, 2)), np.zeros((1, 2), bool))
    assert space_doubts(Demonstrations(whole, in_box(0, 255, np.uint8))) == []  # type: ignore[arg-type]
    assert space_doubts(Demonstrations(whole, in_box(2, 255, np.uint8)))  # type: ignore[arg-type]
