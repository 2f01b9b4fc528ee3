from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.layout import Layout
from quantilizers.stages.loading import default_max_steps

CAR = load_environment("MountainCar-v0")
PINBALL = "VideoPinballNoFrameskip-v4"


@pytest.fixture
def layout(tmp_path: Path, car_demonstrations: Demonstrations) -> Layout:
    """A data set whose longest episode has 120 steps."""
    episodes = car_demonstrations.episodes
    short = replace(
        episodes, done=episodes.done[:, :120], observations=episodes.observations[:, :120],
        actions=episodes.actions[:, :120], true_rewards=episodes.true_rewards[:, :120], extras={},
    )  # fmt: skip
    found = Layout(tmp_path, CAR.name, "short")
    short.save(found.data)
    return found


def test_episodes_are_cut_as_the_longest_demonstration_only_where_the_environment_asks(layout: Layout) -> None:
    assert default_max_steps(CAR, layout) == 200
    assert default_max_steps(replace(CAR, cut_as_demonstrations=True), layout) == 120


def test_without_readable_demonstrations_the_horizon_is_the_environment_s_own(layout: Layout) -> None:
    asking = replace(CAR, cut_as_demonstrations=True)
    assert default_max_steps(asking, replace(layout, dataset="missing")) == 200
    layout.data.write_bytes(b"damaged")
    assert default_max_steps(asking, layout) == 200


@pytest.mark.parametrize(("words", "steps"), [((), 1000), (("--max_steps", "27000"), 27_000)])
def test_the_command_line_takes_the_demonstrations_horizon_unless_told_otherwise(
    run: Callable[..., tuple[int, str, str]], words: tuple[str, ...], steps: int
) -> None:
    code, out, _ = run("--env_name", PINBALL, "--dataset_name", "demo", *words, "--print_config")
    assert code == 0
    assert f"max_steps: {steps}\n" in out
    code, out, _ = run("--env_name", "Hopper-v2", "--dataset_name", "demo", "--print_config")
    assert "max_steps: 1000\n" in out
