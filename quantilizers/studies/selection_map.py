"""A map of where quantilizing helps: number of demonstrations × skill of the players × q.

In each cell demonstrations are drawn anew several times, and in each draw a policy of the top q and one of as many
random episodes are trained with the same seed. Their difference is the selection effect, paired by draw; draws are
independent, so that Student's t over them speaks of players, starts and seeds at once. Holm's correction is over all
cells of a map. Beside it stand what the kept episodes themselves earn more than all of them, which is selection
without cloning, and the correlation of proxy and true return in the demonstrations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.evaluation.comparisons import Difference
from quantilizers.evaluation.intervals import Interval, student
from quantilizers.evaluation.verdicts import Claim, Decision, judge
from quantilizers.execution.units import Executor
from quantilizers.numbers_in_words import counted
from quantilizers.rewards import FloatArray
from quantilizers.studies.controls import Arm, Protocol
from quantilizers.studies.reruns import Rerun, kept_difference, policies_difference, rerun

#: Draws N demonstrations of players of a range of skill: number, generator, lowest and highest skill from 0 to 1.
Sample = Callable[[int, np.random.Generator, float, float], Demonstrations]
#: Players are drawn from a stream of their own.
_STREAM = 0x6D6170


@dataclass(frozen=True)
class Skill:
    """A range of skill.

    Attributes:
        name: for the figure.
        low: 0 is the least skilled player there is.
        high: 1 the most skilled.
    """

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class Grid:
    """What a map is drawn over, fixed before anything is measured.

    Attributes:
        numbers: of demonstrations.
        skills: of the players.
        quantiles: q, all below 1.
        draws: demonstrations drawn in each cell, 2 or more.
    """

    numbers: tuple[int, ...]
    skills: tuple[Skill, ...]
    quantiles: tuple[float, ...]
    draws: int

    @property
    def cells(self) -> list[tuple[int, Skill]]:
        """All pairs of a number and a skill, skill by skill."""
        return [(number, skill) for skill in self.skills for number in self.numbers]


@dataclass(frozen=True)
class Effect:
    """What selection earns in one cell at one q.

    Attributes:
        quantile: q.
        policies: true return of the policies of the top less that of random episodes' policies, over draws.
        decision: of the claim that it is above 0; "supported" and "contradicted" are significant.
        adjusted_p: Holm's, over the whole map.
        kept: true return of the kept episodes less that of all, over draws.
    """

    quantile: float
    policies: Difference
    decision: Decision
    adjusted_p: float
    kept: Difference


@dataclass(frozen=True)
class Cell:
    """One number of demonstrations and one skill.

    Attributes:
        number: of demonstrations.
        skill: of the players.
        spearman: rank correlation of proxy and true return, mean over draws; NaN where a return never varies.
        pearson: the linear one.
        true_return: mean of all demonstrations.
        effects: one for each q.
    """

    number: int
    skill: Skill
    spearman: Interval
    pearson: Interval
    true_return: float
    effects: tuple[Effect, ...]


@dataclass(frozen=True)
class SelectionMap:
    """All cells of a grid, skill by skill.

    Attributes:
        grid: what it is drawn over.
        cells: one for each number and skill.
    """

    grid: Grid
    cells: tuple[Cell, ...]

    def array(self, values: Sequence[float]) -> FloatArray:
        """Arrange a number of each cell, (skills, numbers)."""
        return np.array(values, dtype=np.float64).reshape(len(self.grid.skills), len(self.grid.numbers))

    def bounds(self, intervals: Sequence[Interval]) -> FloatArray:
        """Arrange estimate, lower and upper bound of each cell, (3, skills, numbers)."""
        return np.stack(
            [
                self.array([one.estimate for one in intervals]),
                self.array([one.low for one in intervals]),
                self.array([one.high for one in intervals]),
            ]
        )

    def as_numbers(self) -> dict[str, Any]:
        """Return it as JSON can hold it; what is not finite is None."""
        return {
            "draws": self.grid.draws,
            "cells": [
                {
                    "demonstrations": cell.number,
                    "skill": {"name": cell.skill.name, "low": cell.skill.low, "high": cell.skill.high},
                    "spearman": _interval(cell.spearman),
                    "pearson": _interval(cell.pearson),
                    "true_return": cell.true_return,
                    "effects": [
                        {
                            "quantile": effect.quantile,
                            "policies": _interval(effect.policies.interval),
                            "p": _plain(effect.policies.p),
                            "adjusted_p": _plain(effect.adjusted_p),
                            "decision": effect.decision,
                            "kept": _interval(effect.kept.interval),
                        }
                        for effect in cell.effects
                    ],
                }
                for cell in self.cells
            ],
        }


def draw_map(
    sample: Sample,
    grid: Grid,
    protocol: Protocol,
    folder: Path | None = None,
    on_draw: Callable[[str], object] | None = None,
    executor: Executor | None = None,
) -> SelectionMap:
    """Train and test the policies of every cell.

    Args:
        sample: draws demonstrations.
        grid: what to draw.
        protocol: how policies are trained and tested; its seeds are not used.
        folder: where each draw's results are kept, so that a stopped map goes on; None keeps nothing.
        on_draw: called after each draw with the cell in words.
        executor: which does the work of a cell's draws; None is this process.

    Raises:
        UserError: a file cannot be read or written.
    """
    arms = [Arm(quantile, "top", 0, "epochs") for quantile in grid.quantiles]
    arms += [Arm(quantile, "random", 0, "epochs") for quantile in grid.quantiles]
    runs: list[list[Rerun]] = []
    for place, (number, skill) in enumerate(grid.cells):

        def draw(run: int, place: int = place, number: int = number, skill: Skill = skill) -> Demonstrations:
            return sample(number, np.random.default_rng([_STREAM, place, run]), skill.low, skill.high)

        def told(run: int, words: str = f"{counted(number, 'demonstration')}, {skill.name}") -> None:
            if on_draw is not None:
                on_draw(words)

        kept_in = None if folder is None else folder / f"{skill.low:g}_{skill.high:g}_{number}"
        runs.append(rerun(draw, grid.draws, arms, protocol, kept_in, told, executor))
    return summarise_map(grid, runs)


def summarise_map(grid: Grid, runs: Sequence[Sequence[Rerun]]) -> SelectionMap:
    """Return what the runs of all cells say.

    Args:
        grid: what was drawn.
        runs: for each of the grid's cells its draws, with an arm `top` and an arm `random` for each q.
    """
    pairs = [(cell, quantile) for cell in range(len(grid.cells)) for quantile in grid.quantiles]
    claims = [
        Claim(
            f"policies of the top {quantile:g}",
            "policies of as many random episodes",
            policies_difference(runs[cell], Arm(quantile, "top", 0, "epochs"), Arm(quantile, "random", 0, "epochs")),
        )
        for cell, quantile in pairs
    ]
    effects: dict[int, list[Effect]] = {}
    for (cell, quantile), verdict in zip(pairs, judge(claims), strict=True):
        kept = kept_difference(runs[cell], Arm(quantile, "top", 0, "epochs"))
        effects.setdefault(cell, []).append(
            Effect(quantile, verdict.claim.difference, verdict.decision, verdict.adjusted_p, kept)
        )
    cells = []
    for place, (number, skill) in enumerate(grid.cells):
        of_draws = [_correlations(run) for run in runs[place]]
        spearman, pearson = (_over_draws([pair[kind] for pair in of_draws]) for kind in (0, 1))
        true_return = float(np.mean([run.true_returns.mean() for run in runs[place]]))
        cells.append(Cell(number, skill, spearman, pearson, true_return, tuple(effects[place])))
    return SelectionMap(grid, tuple(cells))


def _correlations(run: Rerun) -> tuple[float, float]:
    """Return Spearman's and Pearson's correlation; NaN where a return does not vary."""
    if np.ptp(run.true_returns) == 0 or np.ptp(run.proxy_returns) == 0:
        return np.nan, np.nan
    ranked = stats.spearmanr(run.proxy_returns, run.true_returns).statistic
    return float(ranked), float(np.corrcoef(run.proxy_returns, run.true_returns)[0, 1])


def _over_draws(values: Sequence[float]) -> Interval:
    """Return the mean over the draws in which there is a value, with Student's interval."""
    known = np.array([value for value in values if np.isfinite(value)])
    over = counted(len(known), "draw")
    if not len(known):
        return Interval(np.nan, np.nan, np.nan, over)
    error = known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else np.nan
    return student(float(known.mean()), float(error), len(known) - 1, over)


def _interval(one: Interval) -> list[float | None]:
    return [_plain(value) for value in (one.estimate, one.low, one.high)]


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
