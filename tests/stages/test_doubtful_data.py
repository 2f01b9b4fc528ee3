"""What a user's data make doubtful is refused by episode and step, or said in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quantilizer import main
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.layout import Layout
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
