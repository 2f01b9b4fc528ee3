"""How far a study carries beyond its demonstrations: the pipeline rerun on players drawn with replacement.

A study's intervals are over training seeds; its demonstrations are fixed, and other players would give other
demonstrations. Each run draws as many players as there are, with replacement, each with all of its episodes (Davison &
Hinkley 1997, section 3.8): from the demonstrations themselves, or from a larger data set of players of the same kind.
The larger set is better, because a bootstrap knows no players but those at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.choices import Budget
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.errors import UserError
from quantilizers.evaluation.comparisons import Difference, paired_difference
from quantilizers.evaluation.intervals import CONFIDENCE, Interval
from quantilizers.evaluation.measuring import NotFiniteError
from quantilizers.execution.executor import Executor
from quantilizers.numbers_in_words import counted
from quantilizers.policies.policy import DivergedError
from quantilizers.rewards import FloatArray
from quantilizers.studies.controls import Arm, ArmResults, ArmsJob, ArmsStudy, Protocol, train_and_test

#: The budget of these runs is the reference implementation's.
BUDGET: Budget = "epochs"
#: Of the random stream that draws players, apart from all others.
_STREAM = 0x706C6179
#: Draws the demonstrations of a run, by its number.
PlayersDraw = Callable[[int], Demonstrations]


def arms_of_runs(quantiles: Sequence[float]) -> list[Arm]:
    """Return the arms of each run: imitation, and for each q below 1 the top and one random subset.

    >>> [str(arm) for arm in arms_of_runs([1.0, 0.5])]
    ['q1_top_epochs', 'q0.5_top_epochs', 'q0.5_random0_epochs']
    """
    arms = [Arm(1.0, "top", 0, BUDGET)]
    for quantile in quantiles:
        if quantile < 1:
            arms += [Arm(quantile, "top", 0, BUDGET), Arm(quantile, "random", 0, BUDGET)]
    return arms


def drawing_players(demonstrations: Demonstrations, larger: Demonstrations | None = None) -> PlayersDraw:
    """Return a function that bootstraps players: as many as the demonstrations have, with replacement."""
    number = len(np.unique(_players(demonstrations, "the data set")))
    pool = demonstrations if larger is None else larger
    players = _players(pool, "the data set" if larger is None else "the data set of more players")

    def draw(run: int) -> Demonstrations:
        return pool.select(drawn_episodes(players, number, np.random.default_rng([_STREAM, run])))

    return draw


def drawn_episodes(players: npt.NDArray[Any], number: int, generator: np.random.Generator) -> npt.NDArray[np.intp]:
    """Return the indices of all episodes of `number` players drawn with replacement from players (N,)."""
    names, player_of = np.unique(players, return_inverse=True)
    episodes = [np.flatnonzero(player_of == player) for player in range(len(names))]
    return np.concatenate([episodes[player] for player in generator.integers(len(names), size=number)])


def drawn_already(draw: PlayersDraw, drawn: Mapping[int, Demonstrations]) -> PlayersDraw:
    """Wrap `draw`: hand out, and release, demonstrations already drawn, by run, and draw the others."""
    held = dict(drawn)

    def give(run: int) -> Demonstrations:
        return held.pop(run) if run in held else draw(run)

    return give


@dataclass(frozen=True, eq=False)
class Rerun:
    """One run of the pipeline: its demonstrations, and policies of one seed for each arm."""

    true_returns: FloatArray  # (N,) of all its demonstrations
    proxy_returns: FloatArray  # (N,)
    results: Mapping[Arm, ArmResults]


def rerun(
    draw: PlayersDraw,
    runs: int,
    arms: Sequence[Arm],
    protocol: Protocol,
    executor: Executor,
    folder: Path | None = None,
    on_run: Callable[[int], object] = lambda run: None,
) -> list[Rerun]:
    """Draw demonstrations, and train and test one policy for each arm, in each of several runs.

    Run b trains with seed b, which also starts its test episodes, so runs differ in all that a study of one seed
    depends on. More seeds a run would reduce the variance between seeds but not that between demonstrations, and the
    spread over runs is to hold both.

    Args:
        arms: of each run; they share its seed and its starts.
        executor: runs the jobs of all runs. Demonstrations are drawn when a job can start with them.
        folder: cache of each run's results, from which a stopped study resumes; None caches nothing.

    Raises:
        UserError: demonstrations cannot be ranked or learned from, or a file cannot be read or written.
        DivergedError: the loss of a policy became NaN or infinite; all other runs are done.
        NotFiniteError: the environment returned a non-finite reward; all other runs are done.
    """
    done: dict[int, Rerun] = {}
    begun: dict[int, ArmsStudy] = {}
    left: dict[int, int] = {}
    failures: list[UserError] = []

    def end(run: int) -> None:
        study = begun.pop(run)
        try:
            results = study.finish()
        except (DivergedError, NotFiniteError) as error:
            failures.append(error)
            return
        done[run] = Rerun(study.demonstrations.true_returns, study.demonstrations.proxy_returns, results)
        on_run(run)

    def jobs() -> Iterator[ArmsJob]:
        for run in range(runs):
            of_run = None if folder is None else folder / f"run{run}"
            begun[run] = ArmsStudy(draw(run), arms, replace(protocol, seeds=(run,)), of_run)
            missing = begun[run].jobs(f"run {run}, ", run)
            left[run] = len(missing)
            if not missing:
                end(run)
            yield from missing

    for job, found in executor.map(train_and_test, jobs()):
        begun[job.study].take(found)
        left[job.study] -= 1
        if not left[job.study]:
            end(job.study)
    if failures:
        raise failures[0]
    return [done[run] for run in range(runs)]


@dataclass(frozen=True, eq=False)
class Effect:
    """A difference in true return at one q, for these demonstrations and for other players."""

    quantile: float
    # `imitation` (policies of the top less imitation), `selection` (top less random) or `kept` (the kept episodes less
    # all of them: the exact quantilizer, without cloning).
    question: str
    these: Interval | None  # from the study of these demonstrations, over its seeds; None where it has none
    others: Interval  # mean over the runs, and the 95 % range of one run of other players
    mean: Difference  # mean over the runs with its own interval and p, as if the players drawn from were all there are
    positive: float  # share of runs with a difference above 0

    def as_numbers(self) -> dict[str, Any]:
        """Return it as JSON can hold it; what is not finite is None."""
        named = {"these_demonstrations": self.these, "other_players": self.others, "mean_of_runs": self.mean.interval}
        return {
            "quantile": self.quantile,
            "question": self.question,
            **{name: None if one is None else list(one.as_numbers()) for name, one in named.items()},
            "share_above_0": self.positive,
        }


def effects(
    runs: Sequence[Rerun], quantiles: Sequence[float], these: dict[tuple[float, str], Interval] | None = None
) -> list[Effect]:
    """Compare the gain from selection with these demonstrations and with other players.

    The runs have the arms of `arms_of_runs`; `these` are differences in a study of the demonstrations at hand, by q and
    question.
    """
    imitation = Arm(1.0, "top", 0, BUDGET)
    over = counted(len(runs), "run")
    found = []
    for quantile in (quantile for quantile in quantiles if quantile < 1):
        top, random = Arm(quantile, "top", 0, BUDGET), Arm(quantile, "random", 0, BUDGET)
        earned = {
            arm: np.array([run.results[arm].true_returns.mean() for run in runs]) for arm in (top, random, imitation)
        }
        kept = np.array([run.results[top].kept_true.mean() - run.true_returns.mean() for run in runs])
        for question, values, mean in (
            ("imitation", earned[top] - earned[imitation], policies_difference(runs, top, imitation)),
            ("selection", earned[top] - earned[random], policies_difference(runs, top, random)),
            ("kept", kept, kept_difference(runs, top)),
        ):
            of_these = None if these is None else these.get((quantile, question))
            found.append(Effect(quantile, question, of_these, one_run(values, over), mean, float((values > 0).mean())))
    return found


def policies_difference(runs: Sequence[Rerun], first: Arm, second: Arm) -> Difference:
    """Return how much more the first arm's policies earn than the second's, on average over the runs."""
    one, other = (np.concatenate([run.results[arm].true_returns for run in runs]) for arm in (first, second))
    return replace(paired_difference(one, other), over=counted(len(runs), "run"))


def kept_difference(runs: Sequence[Rerun], arm: Arm) -> Difference:
    """Return how much more an arm's episodes earn than all demonstrations, on average over the runs."""
    kept = np.array([[run.results[arm].kept_true.mean()] for run in runs])
    everything = np.array([[run.true_returns.mean()] for run in runs])
    return replace(paired_difference(kept, everything), over=counted(len(runs), "run"))


def one_run(differences: FloatArray, over: str) -> Interval:
    """Return the mean of runs' differences (B,), and the 95 % range of one run.

    This is the interval of a one-seed study that also covers other demonstrations: the standard deviation over runs is
    its standard error, estimated with B − 1 degrees of freedom. The interval of the mean is narrower by √B.
    """
    mean = float(differences.mean())
    if len(differences) < 2:
        return Interval(mean, np.nan, np.nan, over)
    from scipy import stats  # it takes a second to import, and figures import this file

    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1) * differences.std(ddof=1))
    return Interval(mean, mean - reach, mean + reach, over)


def _players(demonstrations: Demonstrations, what: str) -> npt.NDArray[Any]:
    players = demonstrations.players
    if players is None:
        raise UserError(f"{what} does not name two players or more, one for each episode, so players cannot be drawn")
    return players
