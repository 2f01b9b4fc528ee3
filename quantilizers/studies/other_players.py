"""How far a study carries beyond its demonstrations: whole players drawn anew, and the pipeline rerun.

A study's intervals are over training seeds; its demonstrations are fixed, and with other players they would be
others. Players are drawn with replacement, each with all of its episodes (Davison & Hinkley 1997, section 3.8), as many
as there are: from the demonstrations themselves, or from a larger data set of players of the same kind, which is
better, for a bootstrap knows no other players than those at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.choices import Budget
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.errors import UserError
from quantilizers.evaluation.comparisons import Difference
from quantilizers.evaluation.intervals import Interval
from quantilizers.numbers_in_words import counted
from quantilizers.studies.controls import Arm
from quantilizers.studies.reruns import Draw, Rerun, kept_difference, one_run, policies_difference

#: The budget of these runs is the reference implementation's.
BUDGET: Budget = "epochs"
#: Drawing players has a stream of its own, so that it has nothing in common with what else a seed decides.
_STREAM = 0x706C6179


@dataclass(frozen=True, eq=False)
class Effect:
    """A difference at one q, for these demonstrations and for other players.

    Attributes:
        quantile: q.
        question: `imitation` (top less imitation), `selection` (top less random episodes) or `kept` (true return of
            the kept episodes less that of all: the exact quantilizer, without cloning).
        these: of the study of these demonstrations, over its seeds; None where it has none, or there is no interval.
        others: mean over the runs, and where that of one run of other players lies in 95 %.
        mean: the mean over the runs as an estimate, with its own interval and p. It speaks of the players drawn from
            as if they were all there are.
        positive: the share of runs in which it is above 0.
    """

    quantile: float
    question: str
    these: Interval | None
    others: Interval
    mean: Difference
    positive: float

    def as_numbers(self) -> dict[str, Any]:
        """Return it as JSON can hold it; what is not finite is None."""
        named = {"these_demonstrations": self.these, "other_players": self.others, "mean_of_runs": self.mean.interval}
        return {
            "quantile": self.quantile,
            "question": self.question,
            **{
                name: None
                if one is None
                else [None if np.isnan(value) else value for value in (one.estimate, one.low, one.high)]
                for name, one in named.items()
            },
            "share_above_0": self.positive,
        }


def arms_of_runs(quantiles: Sequence[float]) -> list[Arm]:
    """Return what is trained in each run: imitation, and for each q below 1 the top and one random choice of as many.

    >>> [str(arm) for arm in arms_of_runs([1.0, 0.5])]
    ['q1_top_epochs', 'q0.5_top_epochs', 'q0.5_random0_epochs']
    """
    arms = [Arm(1.0, "top", 0, BUDGET)]
    for quantile in quantiles:
        if quantile < 1:
            arms += [Arm(quantile, "top", 0, BUDGET), Arm(quantile, "random", 0, BUDGET)]
    return arms


def drawing_players(demonstrations: Demonstrations, larger: Demonstrations | None = None) -> Draw:
    """Return what draws as many players as the demonstrations have, with replacement.

    Args:
        demonstrations: whose players are counted, and drawn where nothing else is given.
        larger: a data set of the same environment, of players of the same kind.

    Raises:
        UserError: a file does not say who played, or all was played by one.
    """
    number = len(np.unique(_players(demonstrations, "the data set")))
    pool = demonstrations if larger is None else larger
    players = _players(pool, "the data set" if larger is None else "the data set of more players")

    def draw(run: int) -> Demonstrations:
        return pool.select(drawn_episodes(players, number, np.random.default_rng([_STREAM, run])))

    return draw


def drawn_episodes(players: npt.NDArray[Any], number: int, generator: np.random.Generator) -> npt.NDArray[np.intp]:
    """Return the indices of all episodes of players that are drawn with replacement, player after player.

    Args:
        players: (N,), who played each episode.
        number: of players to draw.
        generator: which draws.
    """
    names, player_of = np.unique(players, return_inverse=True)
    episodes = [np.flatnonzero(player_of == player) for player in range(len(names))]
    return np.concatenate([episodes[player] for player in generator.integers(len(names), size=number)])


def effects(
    runs: Sequence[Rerun], quantiles: Sequence[float], these: dict[tuple[float, str], Interval] | None = None
) -> list[Effect]:
    """Compare what selection earns with these demonstrations and with other players.

    Args:
        runs: with the arms of `arms_of_runs`.
        quantiles: those below 1 count.
        these: intervals of a study of the demonstrations at hand, by q and question.
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


def _players(demonstrations: Demonstrations, what: str) -> npt.NDArray[Any]:
    players = demonstrations.players
    if players is None:
        raise UserError(
            f"{what} does not name two players or more, one for each episode, so that no players can be drawn anew"
        )
    return players
