"""Agents of the optimisers: the job that trains one, and the file that holds it, in plain arrays without pickle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_arrays, save_arrays
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.identity import SENTENCES, identity_of
from quantilizers.errors import MissingError, UserError, reason_of
from quantilizers.layout import Layout
from quantilizers.optimisers.algorithms import ALGORITHMS, variant_of
from quantilizers.policies.keras_files import content_hash
from quantilizers.recipe import Recipe


@dataclass(frozen=True)
class AgentJob:
    """One agent to train and to measure. A job can be sent to another process."""

    environment: str  # its address, for `load_environment`; empty if it was defined in memory
    environment_name: str
    algorithm: str  # a key of `quantilizers.optimisers.algorithms.ALGORITHMS`
    seed: int
    steps: int  # of training, or a planner's effort
    max_steps: int  # length at which episodes are cut
    options: Mapping[str, Any]  # of the environment
    number_trajectories: int  # episodes in which the agent is measured
    agent: Path  # file of the agent, and its checkpoint during training
    rewards: Path  # file of the measured rewards
    definition: Mapping[str, str] = field(default_factory=dict)  # of the environment, `quantilizers.envs.identity`
    imitator: Path | None = None  # cloned policy of all demonstrations, for algorithms that roll it out
    imitator_hash: str = ""  # its `content_hash`; empty if it does not exist
    beta: float = 0.0  # 1/weight of the KL penalty; 0 for algorithms without one
    top_k: int = 0  # number of the best rollouts, one of which is played; 0 for other algorithms

    @property
    def name(self) -> str:
        """The job in messages."""
        return f"seed {self.seed} of {self.algorithm}"

    @property
    def strength(self) -> dict[str, float]:
        """`top_k` or `beta`, of algorithms that have one."""
        return {name: value for name, value in (("top_k", self.top_k), ("beta", self.beta)) if value}

    @property
    def recipe(self) -> Recipe:
        """Everything that the agent's training depends on."""
        return Recipe({
            "environment": self.environment_name,
            "algorithm": self.algorithm,
            "seed": self.seed,
            "steps": self.steps,
            "max_steps": self.max_steps,
            "options": dict(self.options),
            **({"definition": dict(self.definition)} if self.definition else {}),
            **({"imitator": self.imitator_hash} if self.imitator is not None else {}),
            **self.strength,
        }, {"imitator": f"from another imitator than {self.imitator}", **SENTENCES})  # fmt: skip

    @property
    def exported(self) -> Path:
        """File of the agent in its library's own format, for other programs."""
        return self.agent.with_suffix(".zip")


def make_jobs(
    environment: EnvironmentDefinition,
    algorithm: str,
    seeds: Sequence[int],
    steps: int,
    max_steps: int,
    options: Mapping[str, Any],
    number_trajectories: int,
    layout: Layout,
    top_k: int = 0,
    beta: float = 0.0,
    models: Layout | None = None,
) -> list[AgentJob]:
    """Return one job for each seed; the arguments are those of `AgentJob`.

    `models` locates the imitators; None is `layout`.
    """
    variant = variant_of(algorithm, environment.experiment.optimisers)
    definition = identity_of(environment)
    imitators = (
        {seed: (models or layout).model(1.0, seed) for seed in seeds} if ALGORITHMS[algorithm].from_imitator else {}
    )
    return [
        AgentJob(
            environment=environment.address,
            environment_name=environment.name,
            algorithm=algorithm,
            seed=seed,
            steps=steps,
            max_steps=max_steps,
            options=dict(options),
            definition=definition,
            number_trajectories=number_trajectories,
            agent=layout.optimiser_agent(algorithm, seed),
            rewards=layout.optimiser_rewards(seed, variant),
            imitator=imitators.get(seed),
            imitator_hash=content_hash(imitators[seed]) if seed in imitators and imitators[seed].exists() else "",
            top_k=top_k if ALGORITHMS[algorithm].imitates else 0,
            beta=beta if ALGORITHMS[algorithm].penalised else 0.0,
        )
        for seed in seeds
    ]


@dataclass
class LearningCurve:
    """The training episodes of one agent in the order in which they ended: training steps at their end, returns."""

    steps: list[int] = field(default_factory=list)
    proxy_returns: list[float] = field(default_factory=list)
    true_returns: list[float] = field(default_factory=list)

    def append(self, steps: int, proxy_return: float, true_return: float) -> None:
        """Add an episode."""
        self.steps.append(steps)
        self.proxy_returns.append(proxy_return)
        self.true_returns.append(true_return)


@dataclass(frozen=True)
class Progress:
    """A message from the training of one seed, with the returns of an episode that has just ended."""

    seed: int
    steps: int  # of training so far
    proxy_return: float | None = None
    true_return: float | None = None
    measured_steps: int | None = None  # of test episodes, once measuring has begun


@dataclass
class Agent:
    """Content of an agent's file: steps of training so far, its training episodes, and the algorithm's arrays."""

    steps: int
    curve: LearningCurve
    arrays: Mapping[str, npt.NDArray[Any]]


_CURVE = ("steps", "proxy_returns", "true_returns")


def save_agent(job: AgentJob, agent: Agent) -> None:
    """Write an agent's file, atomically; raise `UserError` if it cannot be written."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "identity": np.array(job.recipe.text),
        "trained_steps": np.array(agent.steps),
        **{f"episode_{name}": np.array(getattr(agent.curve, name), dtype=np.float64) for name in _CURVE},
        **{f"learned/{name}": array for name, array in agent.arrays.items()},
    }
    save_arrays(job.agent, arrays)


def load_agent(job: AgentJob) -> Agent | None:
    """Read the agent of a job; return None if there is no file, or one of another recipe, which is to be replaced.

    A damaged file is a `UserError`.
    """
    if not job.agent.exists():
        return None
    arrays = load_arrays(job.agent, ("identity", "trained_steps", *(f"episode_{name}" for name in _CURVE)))
    try:
        if Recipe.parse(str(arrays["identity"])).difference(job.recipe):
            return None
        steps = int(arrays["trained_steps"])
        curve = LearningCurve(*(_curve_column(arrays, name) for name in _CURVE))
        curve.steps = [int(step) for step in curve.steps]
        if steps < 0 or len({len(curve.steps), len(curve.proxy_returns), len(curve.true_returns)}) > 1:
            raise ValueError(f"{steps} steps and curves of {len(curve.steps)} episodes do not fit together")
    except Exception as error:  # a damaged file can raise anything
        raise damaged_agent(job, error) from None
    learned = {name.removeprefix("learned/"): array for name, array in arrays.items() if name.startswith("learned/")}
    return Agent(steps, curve, learned)


def damaged_agent(job: AgentJob, error: Exception) -> UserError:
    """Return the error for a damaged agent file."""
    return UserError(f"{job.agent} is damaged ({reason_of(error)}); delete it to train again")


def _curve_column(arrays: Mapping[str, npt.NDArray[Any]], name: str) -> list[Any]:
    array = arrays[f"episode_{name}"]
    if array.ndim != 1 or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise ValueError(f"its {name} are {array.dtype} {array.shape}, not one finite number per episode")
    numbers: list[Any] = array.tolist()
    return numbers


def job_of_agent(environment: EnvironmentDefinition, layout: Layout, algorithm: str, seed: int) -> AgentJob:
    """Return the job of an existing agent, with the settings in its file.

    Raises:
        MissingError: the agent was not trained.
        UserError: the file is damaged, or holds another agent.
    """
    path = layout.optimiser_agent(algorithm, seed)
    found = _recipe_of(path).entries
    if (found["environment"], found["algorithm"], found["seed"]) != (environment.name, algorithm, seed):
        raise UserError(f"{path} holds another agent than its name says; delete it to train again")
    steps, max_steps, options = found["steps"], found["max_steps"], found["options"]
    chosen = found.get("top_k", 0), found.get("beta", 0.0)
    (job,) = make_jobs(environment, algorithm, [seed], steps, max_steps, options, 1, layout, *chosen)
    # The agent is what it was made from, whatever imitator there is now.
    return replace(job, imitator_hash=found.get("imitator", ""))


def agent_difference(job: AgentJob) -> str:
    """Describe the first difference of the agent in a job's file from the requested one: "with steps 600, not 2000".

    It is empty if there is none, no file, or a damaged one.
    """
    try:
        return _recipe_of(job.agent).difference(job.recipe)
    except UserError:
        return ""


def _recipe_of(path: Path) -> Recipe:
    """Return the recipe in an agent's file, with all entries that `AgentJob.recipe` has."""
    if not path.exists():
        raise MissingError(f"{path} is missing")
    arrays = load_arrays(path, ("identity",))
    try:
        entries = Recipe.parse(str(arrays["identity"])).entries
        if int(entries["max_steps"]) < 1 or int(entries["steps"]) < 0:
            raise ValueError("impossible numbers of steps")
        return Recipe({
            **entries,
            "environment": str(entries["environment"]),
            "algorithm": str(entries["algorithm"]),
            "seed": int(entries["seed"]),
            "steps": int(entries["steps"]),
            "max_steps": int(entries["max_steps"]),
            "options": dict(entries["options"].items()),
            **({"definition": dict(entries["definition"].items())} if "definition" in entries else {}),
            **({"imitator": str(entries["imitator"])} if "imitator" in entries else {}),
            **({"top_k": int(entries["top_k"])} if "top_k" in entries else {}),
            **({"beta": float(entries["beta"])} if "beta" in entries else {}),
        })  # fmt: skip
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({reason_of(error)}); delete it to train again") from None
