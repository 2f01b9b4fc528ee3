"""Training as it goes: a progress bar, and TensorBoard."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.event_files import event_writer
from quantilizers.execution.units import SECONDS_BETWEEN_MESSAGES
from quantilizers.optimisers.agents import LearningCurve, load_agent
from quantilizers.optimisers.jobs import Job

if TYPE_CHECKING:
    from tensorboard.summary import Writer


class TrainingReport:
    """What learners tell of their training.

    Args:
        environment: where they train.
        seeds: one agent each.
        writers: of TensorBoard's curves, one for each seed.
        bar: counts the steps of all seeds.

    Attributes:
        environment: where they train.
    """

    def __init__(
        self, environment: EnvironmentDefinition, seeds: Sequence[int], writers: Sequence[Writer], bar: tqdm[Any]
    ) -> None:
        self.environment = environment
        self._seeds = seeds
        self._writers = writers
        self._bar = bar
        self._steps = [0] * len(seeds)
        self._told = -math.inf

    def begin(self, index: int, curve: LearningCurve, steps: int) -> None:
        """Note how far the agent of a seed has come in an earlier run: nowhere, if it is a new one.

        Args:
            index: the seed's place among the seeds.
            curve: its episodes so far.
            steps: its steps so far.
        """
        for episode in range(len(curve.steps)):
            self._write(index, curve, episode)
        # Steps of an earlier run are no measure of how fast this one is.
        self._bar.initial += steps - self._steps[index]
        self._bar.n += steps - self._steps[index]
        self._steps[index] = steps
        self._bar.refresh()

    def steps(self, index: int, steps: int) -> None:
        """Note how many steps the agent of a seed has been trained for."""
        self._bar.update(steps - self._steps[index])
        self._steps[index] = steps

    def episode(self, index: int, curve: LearningCurve) -> None:
        """Note that an episode has ended, which is the last of a curve."""
        proxy, true = curve.proxy_returns[-1], curve.true_returns[-1]
        self._bar.set_postfix_str(f"seed {self._seeds[index]}: proxy {proxy:.4g}, true {true:.4g}", refresh=False)
        self.steps(index, curve.steps[-1])
        self._write(index, curve, len(curve.steps) - 1)

    def measuring(self, index: int, steps: int) -> None:
        """Note that the agent of a seed is trained, and has been measured for so many steps."""
        if time.monotonic() - self._told >= SECONDS_BETWEEN_MESSAGES:
            self._told = time.monotonic()
            self._bar.set_postfix_str(f"seed {self._seeds[index]}: measuring, {steps:,} steps")

    def _write(self, index: int, curve: LearningCurve, episode: int) -> None:
        writer, step = self._writers[index], curve.steps[episode]
        writer.add_scalar("proxy_return", curve.proxy_returns[episode], step)
        writer.add_scalar("true_return", curve.true_returns[episode], step)


@contextmanager
def training_report(
    environment: EnvironmentDefinition, algorithm: str, seeds: Sequence[int], steps: int, folders: Sequence[Path]
) -> Iterator[TrainingReport]:
    """Give a report of the training of all seeds, with a progress bar.

    Args:
        environment: where they train.
        algorithm: a key of `quantilizers.optimisers.algorithms.ALGORITHMS`.
        seeds: one agent each.
        steps: how many each is trained for.
        folders: of TensorBoard event files, one for each seed.
    """
    with ExitStack() as stack:
        writers = [stack.enter_context(event_writer(folder)) for folder in folders]
        bar = stack.enter_context(
            tqdm(
                total=steps * len(seeds),
                desc=f"optimising ({algorithm})",
                unit=" steps",
                unit_scale=True,
                dynamic_ncols=True,
            )
        )
        yield TrainingReport(environment, seeds, writers, bar)
        # Training ends with a whole episode or batch, a little off the number asked for.
        bar.total = bar.n
        bar.refresh()


def curves_so_far(jobs: Sequence[Job], report: TrainingReport) -> list[LearningCurve]:
    """Return how each job's agent has learned up to its last checkpoint, and tell the report where each begins.

    Raises:
        UserError: an agent's file is damaged.
    """
    curves = []
    for index, job in enumerate(jobs):
        agent = load_agent(job)
        curves.append(agent.curve if agent else LearningCurve())
        report.begin(index, curves[index], agent.steps if agent else 0)
    return curves
