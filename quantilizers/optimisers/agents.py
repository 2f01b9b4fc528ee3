"""An optimiser's file: what it has learned, and how its returns went while it did. Plain arrays, no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_arrays, save_arrays
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import MissingError, UserError, reason_of
from quantilizers.layout import Layout
from quantilizers.optimisers.jobs import Job, make_jobs


@dataclass
class LearningCurve:
    """The training episodes of one agent, in the order in which they ended.

    Attributes:
        steps: steps of training at each episode's end.
        proxy_returns: of each episode.
        true_returns: of each episode.
    """

    steps: list[int] = field(default_factory=list)
    proxy_returns: list[float] = field(default_factory=list)
    true_returns: list[float] = field(default_factory=list)

    def append(self, steps: int, proxy_return: float, true_return: float) -> None:
        """Note one more episode."""
        self.steps.append(steps)
        self.proxy_returns.append(proxy_return)
        self.true_returns.append(true_return)


@dataclass
class Agent:
    """What a file holds.

    Attributes:
        steps: how many steps it was trained for.
        curve: its training episodes.
        arrays: what the algorithm keeps, by names of its own.
    """

    steps: int
    curve: LearningCurve
    arrays: Mapping[str, npt.NDArray[Any]]


_CURVE = ("steps", "proxy_returns", "true_returns")


def save_agent(job: Job, agent: Agent) -> None:
    """Write an agent's file, atomically.

    Raises:
        UserError: it cannot be written.
    """
    arrays: dict[str, npt.NDArray[Any]] = {
        "identity": np.array(_identity_in_file(job)),
        "trained_steps": np.array(agent.steps),
        **{f"episode_{name}": np.array(getattr(agent.curve, name), dtype=np.float64) for name in _CURVE},
        **{f"learned/{name}": array for name, array in agent.arrays.items()},
    }
    save_arrays(job.agent, arrays)


def load_agent(job: Job) -> Agent | None:
    """Read the agent of a job; None where there is no file, or one of other settings, which is to be replaced.

    Raises:
        UserError: the file is damaged.
    """
    if not job.agent.exists():
        return None
    arrays = load_arrays(job.agent, ("identity", "trained_steps", *(f"episode_{name}" for name in _CURVE)))
    try:
        if json.loads(str(arrays["identity"])) != json.loads(_identity_in_file(job)):
            return None
        steps = int(arrays["trained_steps"])
        curve = LearningCurve(*(_numbers_in(arrays, name) for name in _CURVE))
        curve.steps = [int(step) for step in curve.steps]
        if steps < 0 or len({len(curve.steps), len(curve.proxy_returns), len(curve.true_returns)}) > 1:
            raise ValueError(f"{steps} steps and curves of {len(curve.steps)} episodes do not fit together")
    except Exception as error:  # whatever is made of what stands in a file
        raise damaged_agent(job, error) from None
    learned = {name.removeprefix("learned/"): array for name, array in arrays.items() if name.startswith("learned/")}
    return Agent(steps, curve, learned)


def damaged_agent(job: Job, error: Exception) -> UserError:
    """Return what is said of an agent's file that cannot be an agent's."""
    return UserError(f"{job.agent} is damaged ({reason_of(error)}); delete it to train anew")


def _numbers_in(arrays: Mapping[str, npt.NDArray[Any]], name: str) -> list[Any]:
    """Return one of the curve's columns.

    Raises:
        ValueError: it is not a row of finite numbers.
    """
    array = arrays[f"episode_{name}"]
    if array.ndim != 1 or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise ValueError(f"its {name} are {array.dtype} {array.shape}, not a finite number an episode")
    numbers: list[Any] = array.tolist()
    return numbers


def job_of_agent(environment: EnvironmentDefinition, layout: Layout, algorithm: str, seed: int) -> Job:
    """Return the job of an agent that there is, with the settings that its file names.

    Args:
        environment: where it acts.
        layout: where the files lie.
        algorithm: a key of `quantilizers.optimisers.algorithms.ALGORITHMS`.
        seed: of the agent.

    Raises:
        MissingError: it was not trained yet.
        UserError: the file is damaged, or another agent's.
    """
    path = layout.optimiser_agent(algorithm, seed)
    identity = _identity_of(path)
    wanted = {"environment": environment.name, "algorithm": algorithm, "seed": seed}
    if {name: identity[name] for name in wanted} != wanted:
        raise UserError(f"{path} holds another agent than its name says; delete it to train anew")
    steps, max_steps, options = identity["steps"], identity["max_steps"], identity["options"]
    return make_jobs(environment, algorithm, [seed], steps, max_steps, options, 1, layout)[0]


def agent_difference(job: Job) -> str:
    """Say how the agent in a job's file was made otherwise than it is wanted, such as `steps 600, not 2000`.

    Returns:
        The first difference; empty where there is none, no file, or a damaged one.
    """
    try:
        found = _identity_of(job.agent)
    except UserError:
        return ""
    wanted = json.loads(_identity_in_file(job))
    for name, value in wanted.items():
        if found[name] != value:
            return f"{name} {found[name]}, not {value}"
    return ""


def _identity_of(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise MissingError(f"{path} is missing")
    arrays = load_arrays(path, ("identity",))
    try:
        identity = json.loads(str(arrays["identity"]))
        if int(identity["max_steps"]) < 1 or int(identity["steps"]) < 0:
            raise ValueError("impossible numbers of steps")
        return {
            "environment": str(identity["environment"]),
            "algorithm": str(identity["algorithm"]),
            "seed": int(identity["seed"]),
            "steps": int(identity["steps"]),
            "max_steps": int(identity["max_steps"]),
            "options": dict(identity["options"].items()),
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({reason_of(error)}); delete it to train anew") from None


def _identity_in_file(job: Job) -> str:
    return json.dumps(job.identity, sort_keys=True)
