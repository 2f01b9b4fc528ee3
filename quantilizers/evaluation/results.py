"""What testing measured: one file for each seed under `log/rewards/`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_arrays, save_arrays
from quantilizers.errors import MissingError, UserError, reason_of
from quantilizers.policies.treatment import REFERENCE, treatment_from

KEYS = (
    "environment", "max_steps", "options", "quantiles", "true_returns", "proxy_returns", "lengths", "true_rewards",
    "proxy_rewards",
)  # fmt: skip

ARRAY_KEYS = KEYS[3:]
#: The key of files that say which policies were tested. Those of the first versions lack it.
PROVENANCE = "provenance"


class MixedResultsError(UserError):
    """Results that are to be compared were not measured alike."""


@dataclass(frozen=True)
class Provenance:
    """Where the policies that were tested come from.

    Attributes:
        family: the family of policies.
        training: its hyper-parameters, by name.
        acting: how the policies turn class probabilities into actions.
        data: for each quantile the SHA-256 of the episodes that the policy learned from.
        treatment: what was done with the demonstrations before policies learned from them, by name.
        policies: for each quantile what identifies the policy's file, as `content_hash` of
            `quantilizers.policies.keras_files` does; empty where a file does not say.
    """

    family: str
    training: Mapping[str, Any]
    acting: str
    data: tuple[str, ...]
    treatment: Mapping[str, Any] = field(default_factory=lambda: asdict(REFERENCE))
    policies: tuple[str, ...] = ()

    def of(self, chosen: Sequence[int]) -> Provenance:
        """Return the provenance of some of the quantiles, by their places."""
        policies = tuple(self.policies[index] for index in chosen) if self.policies else ()
        return replace(self, data=tuple(self.data[index] for index in chosen), policies=policies)


@dataclass(frozen=True, eq=False)
class SeedResults:
    """The test episodes of one seed's policies: Q quantiles, E episodes each, at most T steps.

    Attributes:
        environment: its name on the command line.
        max_steps: the horizon that was in force.
        options: the environment's options that were in force.
        quantiles: (Q,).
        true_returns: (Q, E).
        proxy_returns: (Q, E).
        lengths: (Q, E) steps.
        true_rewards: (Q, E, T) float32, zero after an episode's end.
        proxy_rewards: (Q, E, T) float32, likewise.
        provenance: which policies were tested; None where nothing is known of them.

    Raises:
        UserError: the arrays do not fit together.
    """

    environment: str
    max_steps: int
    options: Mapping[str, Any]
    quantiles: npt.NDArray[np.float64]
    true_returns: npt.NDArray[np.float64]
    proxy_returns: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.int64]
    true_rewards: npt.NDArray[np.float32]
    proxy_rewards: npt.NDArray[np.float32]
    provenance: Provenance | None = None

    def __post_init__(self) -> None:
        self._check_kinds()
        episodes = self.true_returns.shape
        steps = self.true_rewards.shape
        if len(episodes) != 2 or 0 in episodes or self.quantiles.shape != episodes[:1]:
            raise UserError(f"returns {episodes} do not fit {self.quantiles.shape} quantiles")
        if not (self.proxy_returns.shape == self.lengths.shape == episodes == steps[:2]) or len(steps) != 3:
            raise UserError("returns, lengths and rewards do not fit together")
        if self.proxy_rewards.shape != steps:
            raise UserError("true and proxy rewards do not fit together")
        for name in ("quantiles", "true_returns", "proxy_returns", "true_rewards", "proxy_rewards"):
            if not np.isfinite(getattr(self, name)).all():
                raise UserError(f"{name} holds NaN or infinity")
        if self.lengths.min() < 1 or self.lengths.max() > steps[2]:
            raise UserError(f"lengths reach from {self.lengths.min()} to {self.lengths.max()} where {steps[2]} fit")
        if self.provenance is not None:
            number = len(self.quantiles)
            if len(self.provenance.data) != number or len(self.provenance.policies) not in (0, number):
                raise UserError("the provenance does not fit the quantiles")

    def _check_kinds(self) -> None:
        """Refuse values of other kinds than these have."""
        if self.max_steps < 1 or not isinstance(self.options, Mapping):
            raise UserError(f"max_steps is {self.max_steps} and options are a {type(self.options).__name__}")
        for name in ARRAY_KEYS:
            dtype = getattr(self, name).dtype
            if dtype.kind not in ("iu" if name == "lengths" else "fiu"):
                raise UserError(f"{name} holds {dtype}, which it cannot")

    @classmethod
    def of_paid(
        cls,
        environment: str,
        max_steps: int,
        options: Mapping[str, Any],
        quantiles: Sequence[float],
        rewards: npt.NDArray[np.float32],
        returns: npt.NDArray[np.float64],
        lengths: npt.NDArray[np.int64],
    ) -> SeedResults:
        """Put together what was paid, and drop the steps that no episode took.

        Args:
            environment: see above, as the others.
            max_steps: see above.
            options: see above.
            quantiles: Q of them.
            rewards: (2, Q, E, T), true and proxy, zero after an episode's end.
            returns: (2, Q, E), likewise.
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
            true_returns=returns[0],
            proxy_returns=returns[1],
            lengths=lengths,
            true_rewards=rewards[0, ..., :steps],
            proxy_rewards=rewards[1, ..., :steps],
        )

    @property
    def conditions(self) -> dict[str, Any]:
        """What must be alike for results to be compared, by name: horizon, number of episodes, options, policies."""
        conditions = {
            "max_steps": self.max_steps,
            "number_trajectories": self.lengths.shape[1],
            "options": dict(self.options),
        }
        if self.provenance is not None:
            about = asdict(self.provenance)
            # Each seed has policies of its own.
            del about["policies"]
            conditions |= {**about.pop("training"), **about.pop("treatment"), **about}
        return conditions

    def of(self, quantiles: Sequence[float]) -> SeedResults:
        """Return the results of the given quantiles, in the given order."""
        chosen = [int(np.flatnonzero(self.quantiles == quantile)[0]) for quantile in quantiles]
        arrays = {key: getattr(self, key)[chosen] for key in ARRAY_KEYS}
        return replace(self, **arrays, provenance=self.provenance and self.provenance.of(chosen))

    def save(self, path: Path, more: Mapping[str, Any] | None = None) -> None:
        """Write the file, atomically, with more arrays beside these if there are any."""
        arrays = {key: np.asarray(getattr(self, key)) for key in ("environment", "max_steps", *ARRAY_KEYS)}
        if self.provenance is not None:
            arrays[PROVENANCE] = np.array(json.dumps(asdict(self.provenance)))
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
        results = SeedResults(
            environment=str(arrays["environment"]),
            max_steps=int(arrays["max_steps"]),
            options=_object_in(arrays["options"]),
            provenance=_provenance_in(arrays),
            **{key: arrays[key] for key in ARRAY_KEYS},
        )
        _check_sums(results)
        return results
    except Exception as error:  # whatever is made of what stands in a file
        raise UserError(f"{path}: {reason_of(error)}; it is damaged, measure it again") from None


def _check_sums(results: SeedResults) -> None:
    """Refuse returns that are not the sums of the rewards: one of the two is damaged.

    Raises:
        ValueError: they are not.
    """
    for name in ("true", "proxy"):
        rewards = getattr(results, f"{name}_rewards").astype(np.float64)
        returns = getattr(results, f"{name}_returns")
        # Rewards are kept in single precision, returns are sums of what was paid. Absurd ones may overflow.
        with np.errstate(over="ignore", invalid="ignore"):
            apart = np.abs(rewards.sum(axis=-1) - returns)
            if not (apart <= 1e-3 + 1e-4 * np.abs(rewards).sum(axis=-1)).all():
                raise ValueError(f"{name}_returns are not the sums of {name}_rewards")


def _object_in(text: npt.NDArray[Any]) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: it is none, or holds numbers that JSON has no words for.
    """

    def refuse(word: str) -> Any:
        raise ValueError(f"it holds {word}")

    found = json.loads(str(text), parse_constant=refuse)
    if not isinstance(found, dict):
        raise ValueError(f"a {type(found).__name__} stands where an object should")
    return found


def _provenance_in(arrays: Mapping[str, npt.NDArray[Any]]) -> Provenance | None:
    if PROVENANCE not in arrays:
        return None
    about = _object_in(arrays[PROVENANCE])
    return Provenance(
        family=str(about["family"]),
        training=dict(about["training"].items()),
        acting=str(about["acting"]),
        data=tuple(map(str, about["data"])),
        # Files that name none were written before there was another.
        treatment=asdict(treatment_from(about.get("treatment", {}))),
        policies=tuple(map(str, about.get("policies", ()))),
    )


def load_all_results(paths: Sequence[Path], environment: str, quantiles: Sequence[float]) -> list[SeedResults]:
    """Read the files of several seeds and keep the wanted quantiles, in the wanted order.

    Args:
        paths: one for each seed.
        environment: the name of the environment whose results they must be.
        quantiles: the wanted ones.

    Raises:
        MissingError: a seed or a quantile was not tested.
        MixedResultsError: a file holds results of another environment, or the seeds were not tested alike.
        UserError: a file cannot be read.
    """
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise MissingError(f"nothing was tested yet: {missing[0]} is missing")
    results = []
    for path in paths:
        loaded = load_results(path)
        untested = [quantile for quantile in quantiles if quantile not in loaded.quantiles]
        if untested:
            raise MissingError(f"{path} does not hold q = {untested[0]}")
        if loaded.environment != environment:
            raise MixedResultsError(f"{path} holds results of {loaded.environment}, not {environment}")
        results.append(loaded.of(quantiles))
    for path, of_seed in zip(paths, results, strict=True):
        different = differences(results[0].conditions, of_seed.conditions)
        if different:
            raise MixedResultsError(f"{paths[0]} and {path} differ in {different}; all seeds must be tested alike")
    return results


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """Return in words in which values two mappings differ; values that only one of them has are not compared.

    >>> differences({"max_epochs": 50, "acting": "sample"}, {"max_epochs": 200, "acting": "sample"})
    'max_epochs (50 and 200)'
    """
    different = [name for name in first if name in second and _as_json(first[name]) != _as_json(second[name])]
    # Two hashes would tell people nothing.
    words = {name: f"{name} ({first[name]} and {second[name]})" for name in different}
    return ", ".join({**words, "data": "what the policies learned from"}[name] for name in different)


def _as_json(value: Any) -> Any:
    """Return a value as it comes back from a file, which has lists where Python may have tuples."""
    return json.loads(json.dumps(value))


def joined(results: Sequence[SeedResults], order: Sequence[float]) -> SeedResults:
    """Put results of one seed's policies that were measured alike into one.

    Args:
        results: of different quantiles.
        order: of quantiles; those that are not in it come last.
    """
    first = results[0]
    if len(results) == 1 and first.quantiles.tolist() == [q for q in order if q in first.quantiles]:
        return first  # the rewards of many episodes need not be copied
    steps = max(of_some.true_rewards.shape[2] for of_some in results)
    arrays: dict[str, Any] = {
        key: np.concatenate([_padded(getattr(one, key), steps) for one in results]) for key in ARRAY_KEYS
    }
    about = [of_some.provenance for of_some in results if of_some.provenance is not None]
    provenance = None
    if len(about) == len(results):
        data = tuple(item for one in about for item in one.data)
        policies = tuple(item for one in about for item in one.policies or ("",) * len(one.data))
        provenance = replace(about[0], data=data, policies=policies)
    together = replace(first, **arrays, provenance=provenance)
    there = together.quantiles.tolist()
    together = together.of([*(q for q in order if q in there), *(q for q in there if q not in order)])
    # As if they had been measured together: steps that no episode took are dropped.
    longest = int(together.lengths.max())
    return replace(
        together,
        true_rewards=together.true_rewards[..., :longest],
        proxy_rewards=together.proxy_rewards[..., :longest],
    )


def _padded(array: npt.NDArray[Any], steps: int) -> npt.NDArray[Any]:
    """Return an array, if it has steps (Q, E, T), with zeros up to so many."""
    if array.ndim < 3:
        return array
    return np.pad(array, ((0, 0), (0, 0), (0, steps - array.shape[2])))
