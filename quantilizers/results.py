"""What testing measured: one file a seed under `log/rewards/`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_arrays, save_arrays
from quantilizers.errors import UserError

KEYS = (
    "environment", "max_steps", "options", "quantiles", "true_returns", "proxy_returns", "lengths", "true_rewards",
    "proxy_rewards",
)  # fmt: skip

ARRAY_KEYS = KEYS[3:]


@dataclass(frozen=True, eq=False)
class SeedResults:
    """The test episodes of one seed's policies: Q quantiles, E episodes each, at most T steps.

    Attributes:
        environment: its name on the command line.
        max_steps: the horizon that was in force.
        options: further arguments of the environment that were in force.
        quantiles: (Q,).
        true_returns: (Q, E).
        proxy_returns: (Q, E).
        lengths: (Q, E) steps.
        true_rewards: (Q, E, T) float32, zero after an episode's end.
        proxy_rewards: (Q, E, T) float32, likewise.

    Raises:
        UserError: the arrays do not fit together.
    """

    environment: str
    max_steps: int
    options: Mapping[str, float]
    quantiles: npt.NDArray[np.float64]
    true_returns: npt.NDArray[np.float64]
    proxy_returns: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.int64]
    true_rewards: npt.NDArray[np.float32]
    proxy_rewards: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        episodes = self.true_returns.shape
        steps = self.true_rewards.shape
        if len(episodes) != 2 or 0 in episodes or self.quantiles.shape != episodes[:1]:
            raise UserError(f"returns {episodes} do not fit {self.quantiles.shape} quantiles")
        if not (self.proxy_returns.shape == self.lengths.shape == episodes == steps[:2]) or len(steps) != 3:
            raise UserError("returns, lengths and rewards do not fit together")
        if self.proxy_rewards.shape != steps:
            raise UserError("true and proxy rewards do not fit together")
        if not (np.isfinite(self.true_returns).all() and np.isfinite(self.proxy_returns).all()):
            raise UserError("a return is NaN or infinite")

    @classmethod
    def of_rewards(
        cls,
        environment: str,
        max_steps: int,
        options: Mapping[str, float],
        quantiles: Sequence[float],
        true_rewards: npt.NDArray[Any],
        proxy_rewards: npt.NDArray[Any],
        lengths: npt.NDArray[np.int64],
    ) -> SeedResults:
        """Sum rewards (Q, E, T), zero after an episode's end, to returns, and keep them as far as episodes go.

        Args:
            environment: see above, as the others.
            max_steps: see above.
            options: see above.
            quantiles: Q of them.
            true_rewards: (Q, E, T).
            proxy_rewards: (Q, E, T).
            lengths: (Q, E).

        Raises:
            UserError: a return is NaN or infinite.
        """
        steps = int(lengths.max())
        return cls(
            environment=environment,
            max_steps=max_steps,
            options=dict(options),
            quantiles=np.array(quantiles),
            true_returns=true_rewards.sum(axis=-1),
            proxy_returns=proxy_rewards.sum(axis=-1),
            lengths=lengths,
            true_rewards=true_rewards[..., :steps].astype(np.float32),
            proxy_rewards=proxy_rewards[..., :steps].astype(np.float32),
        )

    @property
    def conditions(self) -> tuple[object, ...]:
        """What must be alike for results to be compared: horizon, number of episodes, options."""
        return self.max_steps, self.lengths.shape[1], dict(self.options)

    def save(self, path: Path, more: Mapping[str, Any] | None = None) -> None:
        """Write the file, atomically, with more arrays beside these if there are any."""
        arrays = {key: np.asarray(getattr(self, key)) for key in ("environment", "max_steps", *ARRAY_KEYS)}
        save_arrays(path, {**arrays, "options": np.array(json.dumps(dict(self.options))), **(more or {})})


def load_results(path: Path) -> SeedResults:
    """Read one seed's file.

    Raises:
        UserError: it cannot be read or its arrays do not fit together.
    """
    return results_in(load_arrays(path, KEYS), path)


def results_in(arrays: Mapping[str, npt.NDArray[Any]], path: Path) -> SeedResults:
    """Return the results that stand among the arrays of a file.

    Raises:
        UserError: they do not fit together.
    """
    try:
        return SeedResults(
            environment=str(arrays["environment"]),
            max_steps=int(arrays["max_steps"]),
            options=json.loads(str(arrays["options"])),
            **{key: arrays[key] for key in ARRAY_KEYS},
        )
    except (UserError, TypeError, ValueError) as error:
        raise UserError(f"{path}: {error}; run --do test again") from None


def load_all_results(
    paths: Sequence[Path], environment: str, quantiles: Sequence[float], command: str
) -> list[SeedResults]:
    """Read the files of several seeds and keep the wanted quantiles, in the wanted order.

    Args:
        paths: one a seed.
        environment: whose results they must be.
        quantiles: the wanted ones.
        command: the command that measures them, for messages.

    Raises:
        UserError: a seed or a quantile was not tested, or not under the same horizon and number of episodes.
    """
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise UserError(f"nothing was tested yet: {missing[0]} is missing; run: {command}")
    results = [load_results(path) for path in paths]
    for path, one in zip(paths, results, strict=True):
        untested = [quantile for quantile in quantiles if quantile not in one.quantiles]
        if untested:
            raise UserError(f"{path} does not hold q = {untested[0]}; run: {command}")
        if one.environment != environment:
            raise UserError(f"{path} holds results of {one.environment}, not {environment}; run: {command}")
        if one.conditions != results[0].conditions:
            raise UserError(
                f"{paths[0]} and {path} differ in --max_steps, --number_trajectories or the environment's options; "
                f"test all seeds alike: {command}"
            )
    return [_select(one, quantiles) for one in results]


def _select(results: SeedResults, quantiles: Sequence[float]) -> SeedResults:
    """Keep the given quantiles, in the given order."""
    places = [int(np.flatnonzero(results.quantiles == quantile)[0]) for quantile in quantiles]
    chosen = {key: getattr(results, key)[places] for key in ARRAY_KEYS}
    return replace(results, **chosen)
