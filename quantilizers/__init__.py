"""Quantilization: imitate the top fraction of demonstrations, ranked by a reward that can be gamed.

A reproduction of Ryan Carey, "How useful is quantilization for mitigating specification-gaming?" (SafeML
workshop at ICLR 2019), and a library for environments and rewards of your own:

>>> import quantilizers
>>> demonstrations = quantilizers.Demonstrations.load("demo", "MountainCar-v0")
>>> demonstrations.top(0.1).number
25

Importing the package registers its environments with Gymnasium; everything else is imported when it is first used.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantilizers.envs.shipped import register_environments
from quantilizers.versions import __version__ as __version__

# Gymnasium finds only what is registered, so importing this package imports Gymnasium and registers. The program
# quantilizer.py registers when it loads an environment: importing Gymnasium takes twice as long as all of its --help.
if "gymnasium" in sys.modules or Path(sys.argv[0]).stem != "quantilizer":
    # If Gymnasium is missing, programs end with a message that says how to install it.
    with suppress(ImportError):
        register_environments()

if TYPE_CHECKING:
    from quantilizers.datasets.demonstrations import Demonstrations
    from quantilizers.demonstrations.episodes import Episodes
    from quantilizers.envs.definition import (
        EnvironmentDefinition,
        Experiment,
        Figures,
        Keyboard,
        PublishedOptimiser,
        Recordings,
    )
    from quantilizers.envs.planning import Planning
    from quantilizers.envs.registry import load_environment
    from quantilizers.envs.registry import make_registered as make_environment
    from quantilizers.envs.registry import make_registered_vector as make_vector
    from quantilizers.errors import UserError
    from quantilizers.evaluation.evaluate import evaluate
    from quantilizers.play.recording import record
    from quantilizers.policies.quantilizer import Quantilizer
    from quantilizers.quantilize import quantilize_scores
    from quantilizers.rewards import FloatArray, Reward, Steps, each_step, mean_at_end, own
    from quantilizers.scores.choice import choose
    from quantilizers.scores.curves import curve
    from quantilizers.scores.selection import select

#: Where each public name is, and what it is called there if that differs; it is imported when it is asked for.
_HOMES = {
    "Demonstrations": "datasets.demonstrations",
    "EnvironmentDefinition": "envs.definition",
    "Episodes": "demonstrations.episodes",
    "Experiment": "envs.definition",
    "Figures": "envs.definition",
    "FloatArray": "rewards",
    "Keyboard": "envs.definition",
    "Planning": "envs.planning",
    "PublishedOptimiser": "envs.definition",
    "Quantilizer": "policies.quantilizer",
    "Recordings": "envs.definition",
    "Reward": "rewards",
    "Steps": "rewards",
    "UserError": "errors",
    "choose": "scores.choice",
    "curve": "scores.curves",
    "each_step": "rewards",
    "evaluate": "evaluation.evaluate",
    "load_environment": "envs.registry",
    "make_environment": "envs.registry:make_registered",
    "make_vector": "envs.registry:make_registered_vector",
    "mean_at_end": "rewards",
    "own": "rewards",
    "quantilize_scores": "quantilize",
    "record": "play.recording",
    "select": "scores.selection",
}

__all__ = [
    "Demonstrations",
    "EnvironmentDefinition",
    "Episodes",
    "Experiment",
    "Figures",
    "FloatArray",
    "Keyboard",
    "Planning",
    "PublishedOptimiser",
    "Quantilizer",
    "Recordings",
    "Reward",
    "Steps",
    "UserError",
    "choose",
    "curve",
    "each_step",
    "evaluate",
    "load_environment",
    "make_environment",
    "make_vector",
    "mean_at_end",
    "own",
    "quantilize_scores",
    "record",
    "select",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home, _, inside = _HOMES[name].partition(":")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), inside or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
