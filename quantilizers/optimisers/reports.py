"""Training as it goes: a progress bar, and TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from tensorboard.summary import Writer
from tqdm import tqdm

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.optimisers.agents import LearningCurve
from quantilizers.progress import event_writer
from quantilizers.settings import Settings


class TrainingReport:
    """What learners tell of their training.

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

    def begin(self, index: int, curve: LearningCurve, steps: int) -> None:
        """Note how far the agent of a seed has come in an earlier run: nowhere, if it is a new one.

        Args:
            index: the seed's place among the seeds.
            curve: its episodes so far.
            steps: its steps so far.
        """
        for place in range(len(curve.steps)):
            self._write(index, curve, place)
        # Steps of an earlier run are no measure of how fast this one is.
        self._bar.initial += steps - self._steps[index]
        self._bar.n += steps - self._steps[index]
        self._steps[index] = steps
        self._bar.refresh()

    def steps(self, index: int, steps: int) -> None:
        """Note how many steps the agent of a seed was trained for by now."""
        self._bar.update(steps - self._steps[index])
        self._steps[index] = steps

    def episode(self, index: int, curve: LearningCurve) -> None:
        """Note that one more episode stands at the end of a curve."""
        proxy, true = curve.proxy_returns[-1], curve.true_returns[-1]
        self._bar.set_postfix_str(f"seed {self._seeds[index]}: proxy {proxy:.4g}, true {true:.4g}", refresh=False)
        self.steps(index, curve.steps[-1])
        self._write(index, curve, len(curve.steps) - 1)

    def measuring(self, index: int, steps: int) -> None:
        """Note that the agent of a seed is trained, and was measured for so many steps by now."""
        self._bar.set_postfix_str(f"seed {self._seeds[index]}: measuring, {steps:,} steps")

    def _write(self, index: int, curve: LearningCurve, place: int) -> None:
        writer, step = self._writers[index], curve.steps[place]
        writer.add_scalar("proxy_return", curve.proxy_returns[place], step)
        writer.add_scalar("true_return", curve.true_returns[place], step)


@contextmanager
def training_report(settings: Settings) -> Iterator[TrainingReport]:
    """Give a report of the training of all seeds."""
    layout, seeds = settings.layout, settings.seeds
    with ExitStack() as stack:
        folders = [layout.optimiser_events(settings.algorithm, seed) for seed in seeds]
        writers = [stack.enter_context(event_writer(folder)) for folder in folders]
        bar = stack.enter_context(
            tqdm(
                total=settings.optimiser_steps * len(seeds),
                desc=f"optimising ({settings.algorithm})",
                unit=" steps",
                unit_scale=True,
                dynamic_ncols=True,
            )
        )
        yield TrainingReport(settings.environment, seeds, writers, bar)
        # Training ends with a whole episode or batch, a little off the number asked for.
        bar.total = bar.n
        bar.refresh()
