"""What an optimiser earns the harder it optimises: its proxy return rises; whether its true return turns is seen here.

Effort is steps of training where an algorithm learns, and what a planner tries before it decides. A path's file is JSON
in `log/study/`: how it was made, and both returns of every episode.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.errors import UserError, reason_of
from quantilizers.evaluation.intervals import Interval, mean_interval
from quantilizers.files import atomic_write
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.versions import versions

FloatArray = npt.NDArray[np.float64]

#: Larger files are no paths: 64 MiB are millions of episodes.
MAX_BYTES = 2**26


@dataclass(frozen=True, eq=False)
class PathPoint:
    """What one effort earned.

    Attributes:
        effort: steps of training, or the planner's effort.
        true_returns: (seeds, episodes).
        proxy_returns: (seeds, episodes).

    Raises:
        UserError: the numbers are impossible.
    """

    effort: float
    true_returns: FloatArray
    proxy_returns: FloatArray

    def __post_init__(self) -> None:
        shape = self.true_returns.shape
        if len(shape) != 2 or 0 in shape or self.proxy_returns.shape != shape:
            raise UserError(f"true returns {shape} and proxy returns {self.proxy_returns.shape} do not fit together")
        if not np.isfinite([self.effort, self.true_returns.sum(), self.proxy_returns.sum()]).all() or self.effort < 0:
            raise UserError("an effort or a return is NaN, infinite or below nothing")

    @property
    def true(self) -> Interval:
        """Mean true return with its interval over seeds."""
        return mean_interval(self.true_returns)

    @property
    def proxy(self) -> Interval:
        """Mean proxy return with its interval over seeds."""
        return mean_interval(self.proxy_returns)


@dataclass(frozen=True, eq=False)
class OptimisationPath:
    """Both returns of one optimiser, from little effort to much.

    Attributes:
        algorithm: a key of `quantilizers.optimisers.algorithms.ALGORITHMS`.
        environment: its name on the command line.
        max_steps: the horizon that was in force.
        options: the environment's options that were in force.
        effort_label: what effort counts, as an axis says it, such as "training steps".
        seeds: which they are, in the order of the points' rows.
        points: by ascending effort.

    Raises:
        UserError: there is no point, efforts do not ascend, or a point has other seeds.
    """

    algorithm: str
    environment: str
    max_steps: int
    options: Mapping[str, Any]
    effort_label: str
    seeds: tuple[int, ...]
    points: tuple[PathPoint, ...]

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise UserError(f"{self.algorithm!r} is no algorithm; they are {', '.join(ALGORITHMS)}")
        if not self.points or (np.diff(self.efforts) <= 0).any():
            raise UserError("a path needs points whose efforts ascend")
        if any(len(point.true_returns) != len(self.seeds) for point in self.points):
            raise UserError("every point of a path needs returns of every seed")

    @property
    def label(self) -> str:
        """The optimiser's name in figures."""
        return ALGORITHMS[self.algorithm].label

    @property
    def efforts(self) -> FloatArray:
        """(P,)."""
        return np.array([point.effort for point in self.points], dtype=np.float64)

    @property
    def true(self) -> list[Interval]:
        """Of each point, the mean true return."""
        return [point.true for point in self.points]

    @property
    def proxy(self) -> list[Interval]:
        """Of each point, the mean proxy return."""
        return [point.proxy for point in self.points]

    def save(self, path: Path, record: Mapping[str, Any]) -> None:
        """Write the file, atomically.

        Args:
            path: the `.json` to write.
            record: the command and the settings that made it.

        Raises:
            UserError: it cannot be written.
        """
        content = {
            **record,
            "versions": versions(),
            "algorithm": self.algorithm,
            "environment": self.environment,
            "max_steps": self.max_steps,
            "options": dict(self.options),
            "effort_label": self.effort_label,
            "seeds": list(self.seeds),
            "points": [
                {
                    "effort": point.effort,
                    "true_returns": point.true_returns.tolist(),
                    "proxy_returns": point.proxy_returns.tolist(),
                }
                for point in self.points
            ],
        }
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load_path_of(path: Path) -> OptimisationPath | None:
    """Read the path in a file; None where there is no such file.

    Raises:
        UserError: it is damaged.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        if len(text) > MAX_BYTES:
            raise UserError(f"it is longer than {MAX_BYTES:,} bytes")
        content = json.loads(text)
        return OptimisationPath(
            algorithm=str(content["algorithm"]),
            environment=str(content["environment"]),
            max_steps=int(content["max_steps"]),
            options=dict(content["options"]),
            effort_label=str(content["effort_label"]),
            seeds=tuple(int(seed) for seed in content["seeds"]),
            points=tuple(
                PathPoint(
                    float(point["effort"]),
                    np.array(point["true_returns"], dtype=np.float64),
                    np.array(point["proxy_returns"], dtype=np.float64),
                )
                for point in content["points"]
            ),
        )
    except (UserError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({reason_of(error)}); delete it and measure anew") from None
