"""Which agent has more true return at equal KL divergence from the imitator, and where: paths of agents, compared.

A path is of agents of rising pressure that begins at imitation. Between two of its agents the true return at a KL is
interpolated linearly. A player who draws one of the two before each episode earns that, and the KL is at most that of
the mixture, because it is convex. Each seed has its own path, so that two paths are compared by pairs of seeds, with
Student's t and Holm's correction over the levels of a pair. Beyond the reach of a path nothing is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, groupby
from typing import Any

import numpy as np

from quantilizers.evaluation.comparisons import Difference, paired_difference
from quantilizers.evaluation.intervals import CONFIDENCE
from quantilizers.evaluation.pressure import Pressures
from quantilizers.evaluation.verdicts import holm
from quantilizers.optimisers.paths import OptimisationPath
from quantilizers.rewards import FloatArray

#: KL in nats an episode at which paths are compared.
LEVELS = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)


@dataclass(frozen=True, eq=False)
class KLPath:
    """Mean KL and mean true return of agents of rising pressure, for each seed.

    Attributes:
        label: name in tables.
        seeds: S of them.
        divergences: (S, P) in nats an episode.
        true_returns: (S, P).
    """

    label: str
    seeds: tuple[int, ...]
    divergences: FloatArray
    true_returns: FloatArray

    @classmethod
    def of_optimiser(cls, path: OptimisationPath) -> KLPath | None:
        """Return the path of an optimiser; None if the KL of a point is unknown."""
        found = [point.divergences for point in path.points if point.divergences is not None]
        if len(found) < len(path.points):
            return None
        divergences = np.stack([one.mean(axis=1) for one in found], axis=1)
        true = np.stack([point.true_returns.mean(axis=1) for point in path.points], axis=1)
        return cls(path.label, path.seeds, divergences, true)

    @classmethod
    def of_pressures(cls, label: str, rows: Sequence[Pressures]) -> KLPath:
        """Return the path of measured agents, such as cloned policies of several q, of the seeds that all have."""
        seeds = tuple(seed for seed in rows[0].seeds if all(seed in row.seeds for row in rows))
        alike = [row.of(seeds) for row in rows]
        divergences = np.stack([row.divergences.mean(axis=1) for row in alike], axis=1)
        return cls(label, seeds, divergences, np.stack([row.true_returns.mean(axis=1) for row in alike], axis=1))

    def from_imitation(self, imitation: Mapping[int, float]) -> KLPath:
        """Return it beginning at KL 0 with the true return of each seed's imitator, unless it does so already."""
        if (self.divergences.min(axis=1) == 0).all() or not {*self.seeds} <= {*imitation}:
            return self
        first = np.array([[imitation[seed]] for seed in self.seeds])
        return replace(
            self,
            divergences=np.concatenate([np.zeros_like(first), self.divergences], axis=1),
            true_returns=np.concatenate([first, self.true_returns], axis=1),
        )

    def at(self, level: float, seeds: Sequence[int]) -> FloatArray | None:
        """Return the true return at a KL for some seeds (S, 1); None if the path of one of them does not reach it."""
        found = []
        for seed in seeds:
            row = self.seeds.index(seed)
            places, whose = np.unique(self.divergences[row], return_inverse=True)
            if not places[0] <= level <= places[-1]:
                return None
            means = np.bincount(whose, self.true_returns[row]) / np.bincount(whose)
            found.append([float(np.interp(level, places, means))])
        return np.array(found) if found else None


@dataclass(frozen=True)
class LevelComparison:
    """Two paths at one KL.

    Attributes:
        level: the KL in nats.
        first: mean true return of the first path.
        second: of the second.
        difference: first minus second, over pairs of seeds.
        p: of "no difference", after Holm's correction; NaN with one seed.
    """

    level: float
    first: float
    second: float
    difference: Difference
    p: float

    @property
    def decision(self) -> str:
        """Whether the first earns `more` or `less`, or it is `undecided`."""
        if not self.p < 1 - CONFIDENCE:
            return "undecided"
        return "more" if self.difference.estimate > 0 else "less"

    def __str__(self) -> str:
        return f"{self.difference.interval} {self.decision}"


@dataclass(frozen=True)
class PathComparison:
    """Two paths at each KL that both reach."""

    first: str
    second: str
    levels: tuple[LevelComparison, ...]

    @property
    def title(self) -> str:
        """The difference in words of labels."""
        return f"{self.first} − {self.second}"

    def at(self, level: float) -> LevelComparison | None:
        """Return the comparison at a level; None beyond the reach of a path."""
        return next((one for one in self.levels if one.level == level), None)

    def sentence(self) -> str:
        """Return where the first earns more or less."""
        if not self.levels:
            return f"{self.first} and {self.second} have no KL in common"
        runs = groupby(self.levels, lambda one: one.decision)
        parts = [f"{decision} at {_listed([one.level for one in several])}" for decision, several in runs]
        return f"{self.first} earns, beside {self.second}, {', '.join(parts)} nats"

    def as_numbers(self) -> dict[str, Any]:
        """Return values for JSON."""
        levels = [
            {
                "nats": one.level,
                "first": one.first,
                "second": one.second,
                "difference": list(one.difference.interval.as_numbers()),
                "p": one.p if np.isfinite(one.p) else None,
                "decision": one.decision,
            }
            for one in self.levels
        ]
        return {"first": self.first, "second": self.second, "levels": levels}


def _listed(levels: Sequence[float]) -> str:
    """Return levels as they are written: the ends of several.

    >>> _listed([0.5]), _listed([2.0, 3.0, 4.0])
    ('0.5', '2 to 4')
    """
    return f"{levels[0]:g}" if len(levels) == 1 else f"{levels[0]:g} to {levels[-1]:g}"


def compare_at_equal_kl(
    paths: Sequence[KLPath], imitation: Mapping[int, float], levels: Sequence[float] = LEVELS
) -> list[PathComparison]:
    """Compare each two paths at each level that both reach, by the seeds that they share.

    Args:
        paths: of agents that begin at the same imitators.
        imitation: mean true return of each seed's imitator, where each path begins.
        levels: KL in nats an episode, ascending.
    """
    found = []
    for first, second in combinations([path.from_imitation(imitation) for path in paths], 2):
        seeds = [seed for seed in first.seeds if seed in second.seeds]
        pairs = [(level, first.at(level, seeds), second.at(level, seeds)) for level in levels]
        both = [(level, one, other) for level, one, other in pairs if one is not None and other is not None]
        differences = [paired_difference(one, other) for _, one, other in both]
        adjusted = holm([difference.p for difference in differences])
        compared = tuple(
            LevelComparison(level, float(one.mean()), float(other.mean()), difference, float(p))
            for (level, one, other), difference, p in zip(both, differences, adjusted, strict=True)
        )
        found.append(PathComparison(first.label, second.label, compared))
    return found


def who_leads(compared: Sequence[PathComparison]) -> str:
    """Return which path earns more than all others that reach a KL, and where; empty if that is nowhere decided.

    An example is "KL control at 0.5 to 1 nats; cloned at 6 nats".
    """
    levels = sorted({one.level for pair in compared for one in pair.levels})
    leaders = [(_leader(compared, level), level) for level in levels]
    runs = [(name, [level for _, level in several]) for name, several in groupby(leaders, lambda one: one[0])]
    return "; ".join(f"{name} at {_listed(several)} nats" for name, several in runs if name)


def _leader(compared: Sequence[PathComparison], level: float) -> str:
    """Return the path that earns more at a KL than all others; empty if there is none."""
    beaten: dict[str, set[str]] = {}
    for pair in compared:
        one = pair.at(level)
        if one is not None:
            beaten.setdefault(pair.first, set()).update([pair.second] if one.decision == "more" else [])
            beaten.setdefault(pair.second, set()).update([pair.first] if one.decision == "less" else [])
    return next((name for name, others in beaten.items() if len(others) == len(beaten) - 1), "")
