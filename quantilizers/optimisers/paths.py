"""Both returns of an optimiser against its effort: steps of training, or what a planner tries before each decision.

The proxy return rises with effort; a path shows whether the true return turns. Its file is JSON in `log/study/`, with
the record of the run and both returns of every episode. The path along a training is made of training episodes, in
which agents explore.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.errors import MissingError, UnreadableError, UserError, reason_of, shown
from quantilizers.evaluation.intervals import Interval, mean_interval
from quantilizers.files import atomic_write
from quantilizers.gates.json_files import read_json
from quantilizers.optimisers.agents import LearningCurve
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.recipe import Recipe
from quantilizers.rewards import FloatArray
from quantilizers.versions import versions

#: Equal parts of a training budget whose means are compared.
PARTS = 10
#: A rise by at most this fraction of the whole rise counts as none.
LEAST_RISE = 0.01
#: Points of a path along training.
PATH_POINTS = 10


@dataclass(frozen=True, eq=False)
class PathPoint:
    """The returns, (seeds, episodes) each, at one effort; impossible numbers are a `UserError`."""

    effort: float
    true_returns: FloatArray
    proxy_returns: FloatArray
    divergences: FloatArray | None = None  # KL from the imitator in nats, (seeds, episodes); None where it is unknown

    def __post_init__(self) -> None:
        shape = self.true_returns.shape
        if len(shape) != 2 or 0 in shape or self.proxy_returns.shape != shape:
            raise UserError(f"true returns {shape} and proxy returns {self.proxy_returns.shape} do not fit together")
        if not np.isfinite([self.effort, self.true_returns.sum(), self.proxy_returns.sum()]).all() or self.effort < 0:
            raise UserError("an effort or a return is NaN or infinite, or an effort is negative")
        if self.divergences is not None and (
            self.divergences.shape != shape or not np.isfinite(self.divergences).all()
        ):
            raise UserError("divergences do not fit the returns, or are NaN or infinite")

    @property
    def true(self) -> Interval:
        """Mean true return with its interval over seeds."""
        return mean_interval(self.true_returns)

    @property
    def proxy(self) -> Interval:
        """Mean proxy return with its interval over seeds."""
        return mean_interval(self.proxy_returns)

    @property
    def divergence(self) -> Interval | None:
        """Mean KL from the imitator with its interval over seeds; None where it is unknown."""
        return None if self.divergences is None else mean_interval(self.divergences).within(0.0, np.inf)


def effort_text(effort: float) -> str:
    """Return an effort as it is written: `4,000`, `0.05`.

    >>> effort_text(4000), effort_text(0.05), effort_text(16.13)
    ('4,000', '0.05', '16.1')
    """
    return f"{effort:,.0f}" if effort == int(effort) or effort >= 100 else f"{effort:.3g}"


@dataclass(frozen=True, eq=False)
class OptimisationPath:
    """Both returns of one optimiser at ascending efforts.

    Raises:
        UserError: there is no point, efforts do not ascend, or a point has other seeds.
    """

    algorithm: str  # a key of `quantilizers.optimisers.algorithms.ALGORITHMS`
    environment: str  # its name on the command line
    max_steps: int  # the horizon
    options: Mapping[str, Any]  # of the environment
    effort_label: str  # unit of the effort for an axis, such as "training steps"
    seeds: tuple[int, ...]  # in the order of the points' rows
    points: tuple[PathPoint, ...]  # by ascending effort
    imitators: tuple[str, ...] = ()  # content hash of each seed's, of agents that are made from one; else empty

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise UserError(f"{self.algorithm!r} is not an algorithm; these are {', '.join(ALGORITHMS)}")
        if not self.points or (np.diff(self.efforts) <= 0).any():
            raise UserError("a path needs points whose efforts ascend")
        if any(len(point.true_returns) != len(self.seeds) for point in self.points):
            raise UserError("every point of a path needs returns of every seed")
        if len(self.imitators) not in (0, len(self.seeds)):
            raise UserError("a path needs the imitator of every seed, or none")

    @property
    def label(self) -> str:
        """The optimiser's name in figures."""
        return ALGORITHMS[self.algorithm].label

    @property
    def legend(self) -> str:
        """The path's name in figures."""
        about = ALGORITHMS[self.algorithm]
        if about.imitates:
            return f"{self.label}, k = n to 1"
        return f"{self.label}, beta rising" if about.penalised else f"{self.label} of more and more effort"

    @property
    def effort_name(self) -> str:
        """Short name of the effort."""
        if ALGORITHMS[self.algorithm].penalised:
            return "beta"
        return "n/k =" if ALGORITHMS[self.algorithm].imitates else "effort"

    @property
    def efforts(self) -> FloatArray:
        """(P,)."""
        return np.array([point.effort for point in self.points], dtype=np.float64)

    @property
    def true(self) -> list[Interval]:
        """Mean true return of each point."""
        return [point.true for point in self.points]

    @property
    def proxy(self) -> list[Interval]:
        """Mean proxy return of each point."""
        return [point.proxy for point in self.points]

    @property
    def recipe(self) -> Recipe:
        """How the returns were measured."""
        about = {name: getattr(self, name) for name in ("algorithm", "environment", "max_steps", "options", "seeds")}
        return Recipe(about)

    def save(self, path: Path, record: Mapping[str, Any]) -> None:
        """Write the path and the record of the run as JSON, atomically; raise `UserError` if that is impossible."""
        content = {
            **record,
            "versions": versions(),
            "algorithm": self.algorithm,
            "environment": self.environment,
            "max_steps": self.max_steps,
            "options": dict(self.options),
            "effort_label": self.effort_label,
            "seeds": list(self.seeds),
            **({"imitators": list(self.imitators)} if self.imitators else {}),
            "points": [
                {
                    "effort": point.effort,
                    "true_returns": point.true_returns.tolist(),
                    "proxy_returns": point.proxy_returns.tolist(),
                    **({} if point.divergences is None else {"divergences": point.divergences.tolist()}),
                }
                for point in self.points
            ],
        }
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load_path_of(path: Path) -> OptimisationPath | None:
    """Read a path; return None if there is no such file. One that is damaged or cannot be opened is a `UserError`."""
    try:
        content = read_json(path)
        return OptimisationPath(
            algorithm=shown(content["algorithm"]),
            environment=shown(content["environment"]),
            max_steps=int(content["max_steps"]),
            options=dict(content["options"]),
            effort_label=shown(content["effort_label"]),
            seeds=tuple(int(seed) for seed in content["seeds"]),
            points=tuple(
                PathPoint(
                    float(point["effort"]),
                    np.array(point["true_returns"], dtype=np.float64),
                    np.array(point["proxy_returns"], dtype=np.float64),
                    np.array(point["divergences"], dtype=np.float64) if "divergences" in point else None,
                )
                for point in content["points"]
            ),
            imitators=tuple(map(str, content.get("imitators", ()))),
        )
    except MissingError:
        return None
    except UnreadableError:
        raise
    except (UserError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({reason_of(error)}); delete it and measure again") from None


def stands_still(curve: LearningCurve, steps: int, budget: int) -> bool:
    """Return whether the proxy return has stopped rising; training then ends before its budget of steps.

    From half of the budget on, the mean over the last complete tenth of the budget is compared with that of the tenth
    before. The return has stopped rising if it rose by at most a hundredth of the difference between the first tenth's
    mean and the highest.
    """
    done = steps * PARTS // budget
    if done < PARTS // 2:
        return False
    edges = np.linspace(0, budget * done / PARTS, done + 1)
    means = binned_means(curve.steps, curve.proxy_returns, edges)
    if not np.isfinite(means).all():
        return False
    return bool(means[-1] - means[-2] <= LEAST_RISE * (means.max() - means[0]))


def path_of_training(
    curves: Sequence[LearningCurve],
    seeds: Sequence[int],
    algorithm: str,
    environment: str,
    max_steps: int,
    options: Mapping[str, Any],
) -> OptimisationPath | None:
    """Return the path along a training: in each tenth, the mean of every seed's training episodes.

    Tenths in which some seed ended no episode have no point; where seeds were trained for different numbers of steps,
    the path ends with the shortest. Without any point the path is None. The arguments are those of `OptimisationPath`.
    """
    if not all(curve.steps for curve in curves):
        return None
    edges = np.linspace(0, min(curve.steps[-1] for curve in curves), PATH_POINTS + 1)
    true = np.stack([binned_means(curve.steps, curve.true_returns, edges) for curve in curves])
    proxy = np.stack([binned_means(curve.steps, curve.proxy_returns, edges) for curve in curves])
    points = tuple(
        PathPoint(float(edges[part + 1]), true[:, part, None], proxy[:, part, None])
        for part in range(PATH_POINTS)
        if np.isfinite(proxy[:, part]).all()
    )
    if not points:
        return None
    return OptimisationPath(algorithm, environment, max_steps, dict(options), "training steps", tuple(seeds), points)


def binned_means(steps: npt.ArrayLike, returns: npt.ArrayLike, edges: FloatArray) -> FloatArray:
    """Return the mean return (bins,) of the episodes that end within each bin of steps, NaN for an empty bin.

    Episodes end after (n,) steps; those that end outside all bins are left out. A bin includes its upper edge.
    """
    ends, number = np.asarray(steps, dtype=float), len(edges) - 1
    within = (ends > edges[0]) & (ends <= edges[-1])
    bins = np.searchsorted(edges, ends[within], side="left") - 1
    counts = np.bincount(bins, minlength=number)
    sums = np.bincount(bins, weights=np.asarray(returns, dtype=float)[within], minlength=number)
    means: FloatArray = np.divide(sums, counts, out=np.full(number, np.nan), where=counts > 0)
    return means
