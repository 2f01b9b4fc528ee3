"""Training optimisers: what a learner offers, where it can learn, and how the seeds are run and reported.

| algorithm | observations | actions |
|---|---|---|
| SARSA, Q-learning | bounded vectors | `Discrete` |
| QR-DQN | any `Box` | `Discrete` |
| PPO, random | any `Box` | `Discrete`, `MultiDiscrete`, `MultiBinary`, bounded `Box` |
| planners by policies | vectors | as PPO |
| planners by sequences | any `Box`, if states can be saved and restored | as PPO |
| sampling quantilizer | any `Box` | those that policies choose as classes |
| KL control by a dynamic programme | if `dynamics` are declared, with `state_of` | `Discrete` |
| KL control by PPO, elsewhere | any `Box` | those that policies choose as classes |
| planners by a dynamic programme | if `dynamics` are declared | `Discrete` |
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from gymnasium.spaces import Box, Discrete

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment
from quantilizers.errors import NotInstalledError, UserError
from quantilizers.event_files import event_writer, leave_tensorflow_out
from quantilizers.execution.executor import Executor, InProcess, Send
from quantilizers.execution.worker_processes import WorkerProcesses
from quantilizers.optimisers.agents import AgentJob, LearningCurve, Progress, load_agent
from quantilizers.optimisers.algorithms import ALGORITHMS, Algorithm, algorithm_in
from quantilizers.policies.policy import Policies
from quantilizers.processors import available_cores
from quantilizers.progress import ProgressBar

if TYPE_CHECKING:
    from tensorboard.summary import Writer

#: Larger bounds count as none: environments use the largest number of a type for infinity.
WIDEST_BOUND = 1e30
_STABLE_BASELINES = "stable_baselines3"

SendProgress = Callable[[Progress], object]


class Learner(Protocol):
    """The functions of a module that `Algorithm.module` names."""

    def train(self, jobs: Sequence[AgentJob], environment: EnvironmentDefinition, send: SendProgress) -> None:
        """Train, save and measure one agent for each job, each from its checkpoint if there is one.

        The jobs differ only in their seeds; an algorithm that takes a process for each seed gets one job.

        Raises:
            UnfinishedError: some of several jobs failed; the others are done.
            UserError: a file is damaged or cannot be written, or the environment cannot be optimised.
        """
        ...

    def policies_of(self, job: AgentJob, environment: EnvironmentDefinition, episode: int) -> Policies:
        """Return a trained agent as one policy for a test episode, counted from 0; planners have a plan for each.

        Raises:
            MissingError: the agent, or its plan for the episode, does not exist.
            NotInstalledError: a library is not installed.
            UserError: the file is damaged.
        """
        ...


def learner_of(algorithm: Algorithm) -> Learner:
    """Import and return the module that trains an algorithm; raise `NotInstalledError` if it needs another library."""
    check_libraries(algorithm)
    if algorithm.libraries:
        leave_tensorflow_out()  # stable-baselines3 imports TensorBoard
    package = __name__.rpartition(".")[0]
    return cast(Learner, importlib.import_module(f"{package}.{algorithm.module}"))


def check_libraries(algorithm: Algorithm) -> None:
    """Raise `NotInstalledError` if a library that an algorithm needs is missing."""
    missing = [module for module in algorithm.libraries if importlib.util.find_spec(module) is None]
    if missing:
        names = ", ".join(missing).replace("_", "-")
        raise NotInstalledError(f"{algorithm.label} needs libraries that are not installed: {names}", missing[0])


def check_suitable(algorithm: str, environment: EnvironmentDefinition) -> None:
    """Raise `UserError` if an algorithm cannot learn in an environment."""
    # Both properties refuse spaces in which no policy can act.
    observations, _ = environment.observation_space, environment.action_classes
    actions = environment.action_space
    planning = environment.planning
    if ALGORITHMS[algorithm].plans and planning.method == "dynamic_programme":
        needed, suits = "dynamics in its definition's planning", planning.dynamics is not None
    elif ALGORITHMS[algorithm].plans:
        needed, suits = "bounded actions", not isinstance(actions, Box) or _is_bounded(actions)
        if suits and planning.method == "policies":
            needed, suits = "observations that are vectors", len(environment.observation_shape) == 1
        elif suits and planning.simulator is None:
            needed = (
                "a state that can be saved and restored (save_state and restore_state in its definition's planning)"
            )
            suits = planning.save_state is not None and planning.restore_state is not None
    elif ALGORITHMS[algorithm].from_imitator:
        needed = "actions that are classes (`classes` of its definition), which its imitator samples"
        suits = environment.action_classes is not None
    elif algorithm in ("ppo", "ppo_long", "random"):
        needed, suits = "bounded actions", not isinstance(actions, Box) or _is_bounded(actions)
    elif algorithm == "qr_dqn":
        needed, suits = "discrete actions", isinstance(actions, Discrete)
    else:
        needed = "discrete actions and bounded vectors as observations"
        vectors = isinstance(observations, Box) and len(observations.shape) == 1 and _is_bounded(observations)
        suits = isinstance(actions, Discrete) and vectors
    if _STABLE_BASELINES in algorithm_in(algorithm, environment).libraries and suits:
        needed = "choices in observations that are counted from 0, in one axis"
        counted = isinstance(observations, Box) or not np.any(getattr(observations, "start", 0))
        suits = counted and (isinstance(observations, Box) or len(environment.observation_shape) < 2)
    if not suits:
        raise UserError(f"{ALGORITHMS[algorithm].label} needs {needed}, which {environment.name} does not have")


def _is_bounded(space: Box) -> bool:
    return max(float(np.abs(bound.astype(np.float64)).max()) for bound in (space.low, space.high)) < WIDEST_BOUND


def optimise(
    jobs: Sequence[AgentJob],
    environment: EnvironmentDefinition,
    folders: Sequence[Path],
    executor: Executor = InProcess(),  # noqa: B008 - it has no state
) -> list[LearningCurve]:
    """Train, save and measure one agent for each job, with a progress bar and curves for TensorBoard.

    Args:
        jobs: one for each seed; they differ only in their seeds.
        environment: of the jobs.
        folders: of TensorBoard event files, one for each job.
        executor: runs the seeds of algorithms that take a process for each, on one process per core if it is this one.

    Returns:
        The learning curve of each job, from its first step.

    Raises:
        NotInstalledError: a library is not installed.
        UnfinishedError: some jobs failed; the others are done.
        UserError: the algorithm does not suit the environment, a file is damaged, or worker processes cannot load
            the environment.
    """
    first, algorithm = jobs[0], algorithm_in(jobs[0].algorithm, environment)
    check_suitable(first.algorithm, environment)
    check_libraries(algorithm)
    if algorithm.takes_processes and not first.environment:
        raise UserError(
            f"{algorithm.label} runs in worker processes, which cannot load {environment.name} because it was defined "
            "in memory; define it in a file and load it by its address, such as my_env.py:ENVIRONMENT"
        )
    with ExitStack() as stack:
        writers = [stack.enter_context(event_writer(folder)) for folder in folders]
        report = stack.enter_context(TrainingReport(jobs, steps_to_report(first, environment), writers))
        if algorithm.takes_processes:
            if executor.in_process:
                executor = stack.enter_context(WorkerProcesses(min(len(jobs), available_cores()), fresh=True))
            for _ in executor.map(train_in_worker, jobs, lambda _, message: report.receive(Progress(**message))):
                pass
        else:
            learner_of(algorithm).train(jobs, environment, report.receive)
    return report.curves


def train_in_worker(job: AgentJob, send: Send) -> None:
    """Train, save and measure the agent of one job in a worker process."""
    environment = load_environment(job.environment)
    learner = learner_of(algorithm_in(job.algorithm, environment))
    learner.train([job], environment, lambda progress: send(asdict(progress)))


def steps_to_report(job: AgentJob, environment: EnvironmentDefinition) -> int:
    """Return the length of a job's progress bar: steps of training, rollouts, or what a planner plans."""
    if ALGORITHMS[job.algorithm].imitates:
        return job.number_trajectories * job.steps
    if not ALGORITHMS[job.algorithm].plans or environment.planning.method == "policies":
        return job.steps
    return job.number_trajectories * job.max_steps


class TrainingReport:
    """The progress bar and TensorBoard curves of all seeds; `curves` include those of an earlier run."""

    def __init__(self, jobs: Sequence[AgentJob], steps: int, writers: Sequence[Writer]) -> None:
        self._index = {job.seed: index for index, job in enumerate(jobs)}
        self._writers = writers
        agents = [load_agent(job) for job in jobs]
        self.curves = [agent.curve if agent else LearningCurve() for agent in agents]
        self._steps = [agent.steps if agent else 0 for agent in agents]
        # The bar's rate does not count steps of an earlier run.
        self._bar = ProgressBar(
            doing=jobs[0].algorithm,
            unit="rollouts" if ALGORITHMS[jobs[0].algorithm].imitates else "steps",
            total=steps * len(jobs),
            initial=sum(self._steps),
            unit_scale=True,
        )
        for index, curve in enumerate(self.curves):
            for episode in range(len(curve.steps)):
                self._write(index, episode)

    def __enter__(self) -> TrainingReport:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        if error is None:
            # Training ends with a whole episode or batch, so the total differs a little from the requested one.
            self._bar.total = self._bar.n
            self._bar.refresh()
        self._bar.close()

    def receive(self, progress: Progress) -> None:
        """Take a message from the training of a seed."""
        index = self._index[progress.seed]
        curve = self.curves[index]
        self._bar.update(progress.steps - self._steps[index])
        self._steps[index] = progress.steps
        if progress.proxy_return is not None and progress.true_return is not None:
            # A retried job repeats the episodes after its checkpoint.
            if not curve.steps or progress.steps > curve.steps[-1]:
                curve.append(progress.steps, progress.proxy_return, progress.true_return)
                self._write(index, len(curve.steps) - 1)
            returns = f"proxy {progress.proxy_return:.4g}, true {progress.true_return:.4g}"
            self._bar.set_postfix_str(f"seed {progress.seed}: {returns}", refresh=False)
        if progress.measured_steps is not None:
            self._bar.set_postfix_str(f"seed {progress.seed}: measuring, {progress.measured_steps:,} steps")

    def _write(self, index: int, episode: int) -> None:
        curve, writer = self.curves[index], self._writers[index]
        writer.add_scalar("proxy_return", curve.proxy_returns[episode], curve.steps[episode])
        writer.add_scalar("true_return", curve.true_returns[episode], curve.steps[episode])
