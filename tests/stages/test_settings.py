from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.layout import Layout, log_directory
from quantilizers.stages.settings import Seeds, Settings

CAR = load_environment("MountainCar-v0")


def make(**changes: Any) -> Settings:
    fields: dict[str, Any] = {
        "environment": CAR,
        "layout": Layout(log_directory(), CAR.name, "demo", "run 1"),
        "quantiles": (1.0, 0.01),
        "seeds": range(3, 5),
        "number_trajectories": 10,
        "max_steps": 200,
    }
    return Settings(**{**fields, **changes})


def test_the_command_for_another_stage_says_all_that_differs_from_the_defaults() -> None:
    words = shlex.split(make().command_for("train"))
    assert words[:2] == ["python", "quantilizer.py"]
    expected = "--do train --env_name MountainCar-v0 --dataset_name demo --quantiles 1.0 0.01 --seed_min 3 --seed_nb 2"
    assert words[2:] == [*expected.split(), "--path", "run 1"]


@pytest.mark.parametrize(
    ("stage", "change", "words"),
    [
        ("train", {"wanted_training": {"hidden_units": [64, 32], "max_epochs": 200}}, "--hidden_units 64 32"),
        ("test", {"wanted_training": {"learning_rate": 0.01}}, "--learning_rate 0.01"),
        ("test", {"number_trajectories": 7}, "--number_trajectories 7"),
        ("test", {"wanted_acting": "sample"}, "--acting sample"),
        ("optimize", {"max_steps": 90}, "--max_steps 90"),
        ("optimize", {"wanted_algorithm": "q_learning"}, "--algorithm q_learning"),
        ("train", {"layout": Layout(Path("/elsewhere"), CAR.name, "demo")}, "--log_dir /elsewhere"),
        ("train", {"environment": replace(CAR, address="my_env.py:CAR")}, "--env_name my_env.py:CAR"),
        (
            "test",
            {"environment": replace(CAR, options={"wind": 1.0, "rain": 2.0}), "options": {"wind": 3.0, "rain": 2.0}},
            "--env_option wind=3.0",
        ),
    ],
)
def test_the_command_has_what_the_stage_depends_on(stage: str, change: dict[str, Any], words: str) -> None:
    command = make(**change).command_for(stage)
    assert f" {words} " in f"{command} "
    assert "--max_epochs" not in command


@pytest.mark.parametrize(
    "change",
    [
        {"quantiles": ()},
        {"quantiles": (0.0,)},
        {"quantiles": (1.0000001,)},
        {"quantiles": ("0.5",)},
        {"max_steps": 2.5},
        {"max_steps": True},
        {"max_steps": "40"},
        {"max_steps": None},
        {"number_trajectories": 2**31},
        {"implicit_loss": -0.5},
        {"implicit_loss": float("inf")},
        {"quantiles": (0.5, 0.5)},
        {"seeds": range(0)},
        {"seeds": range(-1, 2)},
        {"number_trajectories": 0},
        {"max_steps": 0},
        {"plotstyle": "mean"},
        {"wanted_algorithm": "rainbow"},
        {"wanted_optimiser_steps": 0},
        {"wanted_training": {"max_epochs": 0}},
        {"wanted_training": {"weight_decay": 0.1}},
        {"wanted_acting": "expected_value"},
        {"wanted_acting": "random"},
    ],
)
def test_impossible_settings_are_refused_in_one_line(change: dict[str, Any]) -> None:
    with pytest.raises(UserError) as raised:
        make(**change)
    assert "\n" not in str(raised.value)


def test_what_is_not_given_is_the_reference_implementation_s() -> None:
    settings = make()
    assert settings.record()["settings"] == {
        "max_steps": 200,
        "number_trajectories": 10,
        "options": {},
        "family": "multilayer_perceptron",
        "training": {
            "hidden_units": (20, 20), "learning_rate": 1e-3, "first_moment_decay": 0.9, "second_moment_decay": 0.999,
            "epsilon": 1e-8, "batch_size": 200, "l2": 1e-4, "max_epochs": 200, "tolerance": 1e-4, "patience": 10,
            "updates": 0,
            "history": 0,
        },
        "acting": "most_probable",
        "treatment": {
            "select": "top", "subset": 0, "budget": "epochs", "method": "quantile", "match": "kl", "weight": "steps",
        },
    }  # fmt: skip
    assert (settings.algorithm, settings.optimiser_steps) == ("sarsa", 40_000)


def test_more_seeds_than_a_manifest_lists_are_refused() -> None:
    with pytest.raises(UserError, match=r"--seed_nb"):
        Seeds(number=1_000_000_000)
