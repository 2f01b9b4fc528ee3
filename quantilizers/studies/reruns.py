"""The pipeline rerun on demonstrations that are drawn anew each time: how much depends on the ones at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import stats

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.errors import UserError
from quantilizers.evaluation.comparisons import Difference, paired_difference
from quantilizers.evaluation.intervals import CONFIDENCE, Interval
from quantilizers.evaluation.measuring import NotFiniteError
from quantilizers.execution.units import Executor, WorkUnit
from quantilizers.numbers_in_words import counted
from quantilizers.policies.policy import DivergedError
from quantilizers.rewards import FloatArray
from quantilizers.studies.controls import Arm, ArmResults, ArmsRun, Protocol

#: Gives the demonstrations of each run, by its number.
Draw = Callable[[int], Demonstrations]


def drawn_already(draw: Draw, drawn: Mapping[int, Demonstrations]) -> Draw:
    """Return what gives what is drawn already once, forgets it then, and draws the rest.

    Args:
        draw: draws.
        drawn: what it drew, by run.
    """
    held = dict(drawn)

    def give(run: int) -> Demonstrations:
        return held.pop(run) if run in held else draw(run)

    return give


@dataclass(frozen=True, eq=False)
class Rerun:
    """One run of the pipeline: its demonstrations, and policies of one seed for each arm.

    Attributes:
        true_returns: (N,) of all its demonstrations.
        proxy_returns: (N,).
        results: what each arm's policy earns, and the episodes that it imitates.
    """

    true_returns: FloatArray
    proxy_returns: FloatArray
    results: Mapping[Arm, ArmResults]


def rerun(
    draw: Draw,
    runs: int,
    arms: Sequence[Arm],
    protocol: Protocol,
    folder: Path | None = None,
    on_run: Callable[[int], object] | None = None,
    executor: Executor | None = None,
) -> list[Rerun]:
    """Draw demonstrations, train and test one policy for each arm, and so on.

    Run b trains with seed b, and its test episodes start by it: what varies between runs is what a whole study of
    one seed varies by. One seed each is enough, for more would lessen the share of the seeds, and not that of the
    demonstrations, in a variance that is to hold both.

    Args:
        draw: gives run b's demonstrations.
        runs: how many.
        arms: what is trained in each; those of one run share its seed and starts.
        protocol: how; its seeds are not used.
        folder: where each run's results are kept, so that a stopped study goes on; None keeps nothing.
        on_run: called with the number of each run that is done.
        executor: which does the work of all runs, a stack of arms at a time; None is this process, one run after the
            other. The results are the same bits.

    Raises:
        UserError: demonstrations cannot be ranked or learned from, or a file cannot be read or written.
    """

    def begin(run: int) -> ArmsRun:
        kept_in = None if folder is None else folder / f"run{run}"
        return ArmsRun(draw(run), arms, replace(protocol, seeds=(run,)), kept_in)

    def end(run: int, work: ArmsRun) -> Rerun:
        demonstrations = work.demonstrations
        done = Rerun(demonstrations.true_returns, demonstrations.proxy_returns, work.finish())
        if on_run is not None:
            on_run(run)
        return done

    if executor is not None:
        return _rerun_elsewhere(executor, runs, begin, end)
    done = []
    for run in range(runs):
        work = begin(run)
        work.do_here()
        done.append(end(run, work))
    return done


def _rerun_elsewhere(
    executor: Executor, runs: int, begin: Callable[[int], ArmsRun], end: Callable[[int, ArmsRun], Rerun]
) -> list[Rerun]:
    """Have the stacks of all runs done; demonstrations are drawn when somebody can begin with them."""
    done: dict[int, Rerun] = {}
    begun: dict[int, ArmsRun] = {}
    run_of_unit: list[int] = []
    left: dict[int, int] = {}

    def units() -> Iterator[WorkUnit]:
        for run in range(runs):
            work = begin(run)
            of_run = work.units(f"run {run}, ")
            if not of_run:
                done[run] = end(run, work)
                continue
            begun[run], left[run] = work, len(of_run)
            for unit in of_run:
                run_of_unit.append(run)
                yield unit

    failures: list[UserError] = []
    for number, found in executor.run(units()):
        run = run_of_unit[number]
        begun[run].take(found)
        left[run] -= 1
        if not left[run]:
            try:
                done[run] = end(run, begun.pop(run))
            except (DivergedError, NotFiniteError) as error:
                failures.append(error)
    if failures:
        # All other runs are done.
        raise failures[0]
    return [done[run] for run in range(runs)]


def policies_difference(runs: Sequence[Rerun], first: Arm, second: Arm) -> Difference:
    """Return how much more the policies of one arm earn than those of another, on average over the runs.

    Args:
        runs: two or more for an interval.
        first: the one.
        second: the other.
    """
    one, other = (np.concatenate([run.results[arm].true_returns for run in runs]) for arm in (first, second))
    return replace(paired_difference(one, other), over=counted(len(runs), "run"))


def kept_difference(runs: Sequence[Rerun], arm: Arm) -> Difference:
    """Return how much more the kept episodes earn than all demonstrations, on average over the runs.

    Args:
        runs: two or more for an interval.
        arm: which keeps them.
    """
    kept = np.array([[run.results[arm].kept_true.mean()] for run in runs])
    everything = np.array([[run.true_returns.mean()] for run in runs])
    return replace(paired_difference(kept, everything), over=counted(len(runs), "run"))


def one_run(differences: npt.NDArray[np.float64], over: str) -> Interval:
    """Return the mean of runs' differences (B,), and where that of one run lies in 95 %.

    It is the interval of a study of one seed that speaks of other demonstrations too: the standard deviation over
    runs is its standard error, and B runs estimate it with B − 1 degrees of freedom. It is no interval of the mean,
    which is narrower by √B.
    """
    mean = float(differences.mean())
    if len(differences) < 2:
        return Interval(mean, np.nan, np.nan, over)
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1) * differences.std(ddof=1))
    return Interval(mean, mean - reach, mean + reach, over)
