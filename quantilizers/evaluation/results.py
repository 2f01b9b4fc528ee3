"""Results of test episodes: one file for each seed under `log/rewards/`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_arrays, save_arrays
from quantilizers.errors import MissingError, UserError, reason_of
from quantilizers.gates.json_files import parse_json
from quantilizers.policies.selection_settings import REFERENCE, selection_settings_from
from quantilizers.recipe import Recipe
from quantilizers.rewards import FloatArray

KEYS = (
    "environment", "max_steps", "options", "quantiles", "true_returns", "proxy_returns", "lengths", "true_rewards",
    "proxy_rewards",
)  # fmt: skip

ARRAY_KEYS = KEYS[3:]
#: The key of the provenance, which files of the first versions lack.
PROVENANCE = "provenance"


class MixedResultsError(UserError):
    """Results to be compared were measured in different ways."""


@dataclass(frozen=True)
class Provenance:
    """The policies that were tested.

    Attributes:
        family: its name.
        training: hyper-parameters, by name.
        acting: how the policies turn class probabilities into actions.
        data: for each quantile the SHA-256 of the training episodes.
        selecting: selection and budget settings, by name.
        policies: for each quantile the policy's `quantilizers.policies.keras_files.content_hash`; empty if unknown.
        definition: of the environment, see `quantilizers.envs.identity`; empty for one that ships, and in old files.
        scaling: of observations.
    """

    family: str
    training: Mapping[str, Any]
    acting: str
    data: tuple[str, ...]
    selecting: Mapping[str, Any] = field(default_factory=lambda: asdict(REFERENCE))
    policies: tuple[str, ...] = ()
    definition: Mapping[str, str] = field(default_factory=dict)
    scaling: str = "none"

    def as_noted(self) -> dict[str, Any]:
        """Return what files note; they note a scaling only if there is one."""
        # The file's name for the selection settings is older than the class's.
        noted = {"treatment" if name == "selecting" else name: value for name, value in vars(self).items()}
        return {name: value for name, value in noted.items() if (name, value) != ("scaling", "none")}

    def of(self, chosen: Sequence[int]) -> Provenance:
        """Return the provenance of some of the quantiles, by their indices."""
        policies = tuple(self.policies[index] for index in chosen) if self.policies else ()
        return replace(self, data=tuple(self.data[index] for index in chosen), policies=policies)


@dataclass(frozen=True, eq=False)
class SeedResults:
    """The test episodes of one seed's policies: Q quantiles, E episodes each, at most T steps.

    Attributes:
        environment: its name on the command line.
        max_steps: number of steps after which episodes were cut.
        options: of the environment.
        quantiles: (Q,).
        true_returns: (Q, E).
        proxy_returns: (Q, E).
        lengths: (Q, E) steps.
        true_rewards: (Q, E, T) float32, zero after an episode's end.
        proxy_rewards: (Q, E, T) float32, likewise.
        provenance: of the policies; None if it is unknown.

    Raises:
        UserError: the arrays do not fit together.
    """

    environment: str
    max_steps: int
    options: Mapping[str, Any]
    quantiles: FloatArray
    true_returns: FloatArray
    proxy_returns: FloatArray
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
        if self.max_steps < 1 or not isinstance(self.options, Mapping):
            raise UserError(f"max_steps is {self.max_steps} and options are a {type(self.options).__name__}")
        for name in ARRAY_KEYS:
            dtype = getattr(self, name).dtype
            if dtype.kind not in ("iu" if name == "lengths" else "fiu"):
                raise UserError(f"{name} holds {dtype}, which it cannot")

    @classmethod
    def from_rewards(
        cls,
        environment: str,
        max_steps: int,
        options: Mapping[str, Any],
        quantiles: Sequence[float],
        rewards: npt.NDArray[np.float32],
        returns: FloatArray,
        lengths: npt.NDArray[np.int64],
    ) -> SeedResults:
        """Return the results of episodes, without steps that no episode took.

        Rewards (2, Q, E, T) and returns (2, Q, E) are true and proxy; rewards are zero after an episode's end.

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
    def policies(self) -> dict[float, str]:
        """The content hash of the tested policy of each quantile; empty where files of earlier versions note none."""
        known = () if self.provenance is None else self.provenance.policies
        return {quantile: policy for quantile, policy in zip(self.quantiles.tolist(), known, strict=False) if policy}

    @property
    def recipe(self) -> Recipe:
        """How the episodes were made, without the policies' identities: all seeds have the same recipe."""
        entries: dict[str, Any] = {
            "environment": self.environment,
            "max_steps": self.max_steps,
            "number_trajectories": self.lengths.shape[1],
            "options": self.options,
        }
        about = self.provenance
        if about is not None:
            entries |= {"training": about.training, "treatment": about.selecting}
            entries |= {"family": about.family, "acting": about.acting, "definition": about.definition}
            entries["scaling"] = about.scaling
            entries["data"] = dict(zip(map(str, self.quantiles.tolist()), about.data, strict=True))
        return Recipe(entries, {"data": "with policies that imitate other demonstrations"})

    def difference(self, wanted: Recipe, only: Iterable[str] | None = None) -> str:
        """Describe how the episodes differ from a requested recipe; see `Recipe.difference`.

        Files of the first versions note nothing of the policies, and only their conditions are compared.
        """
        if self.provenance is None:
            noted = self.recipe.entries
            only = [name for name in (noted if only is None else only) if name in noted]
        return self.recipe.difference(wanted, only)

    def of(self, quantiles: Sequence[float]) -> SeedResults:
        """Return the results of the given quantiles, in the given order."""
        chosen = [int(np.flatnonzero(self.quantiles == quantile)[0]) for quantile in quantiles]
        arrays = {key: getattr(self, key)[chosen] for key in ARRAY_KEYS}
        return replace(self, **arrays, provenance=self.provenance and self.provenance.of(chosen))

    def save(self, path: Path, more: Mapping[str, Any] | None = None) -> None:
        """Write the file atomically, with further arrays if there are any."""
        arrays = {key: np.asarray(getattr(self, key)) for key in ("environment", "max_steps", *ARRAY_KEYS)}
        if self.provenance is not None:
            arrays[PROVENANCE] = np.array(json.dumps(self.provenance.as_noted()))
        save_arrays(path, {**arrays, "options": np.array(json.dumps(dict(self.options))), **(more or {})})


def load_results(path: Path) -> SeedResults:
    """Read one seed's file.

    Raises:
        UserError: it cannot be read or its arrays do not fit together.
    """
    return results_in(load_arrays(path, KEYS), path)


def results_in(arrays: Mapping[str, npt.NDArray[Any]], path: Path) -> SeedResults:
    """Return the results among the arrays of a file.

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
    except Exception as error:  # the arrays of a file may be anything
        raise UserError(f"{path}: {reason_of(error)}; it is damaged, measure it again") from None


def _check_sums(results: SeedResults) -> None:
    """Refuse returns that are not the sums of the rewards, by a `ValueError`."""
    for name in ("true", "proxy"):
        rewards = getattr(results, f"{name}_rewards").astype(np.float64)
        returns = getattr(results, f"{name}_returns")
        # Rewards are saved in single precision, returns in double. Absurd values may overflow.
        with np.errstate(over="ignore", invalid="ignore"):
            apart = np.abs(rewards.sum(axis=-1) - returns)
            if not (apart <= 1e-3 + 1e-4 * np.abs(rewards).sum(axis=-1)).all():
                raise ValueError(f"{name}_returns are not the sums of {name}_rewards")


def _object_in(text: npt.NDArray[Any]) -> dict[str, Any]:
    """Read a JSON object without NaN and infinity."""
    found = parse_json(str(text), finite=True)
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
        # Earlier versions had the reference selection settings only.
        selecting=asdict(selection_settings_from(about.get("treatment", {}))),
        policies=tuple(map(str, about.get("policies", ()))),
        definition={str(name): str(value) for name, value in about.get("definition", {}).items()},
        scaling=str(about.get("scaling", "none")),
    )


def load_all_results(paths: Sequence[Path], environment: str, quantiles: Sequence[float]) -> list[SeedResults]:
    """Read one file for each seed, and return the results of the given quantiles, in the given order.

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
    # The seed whose file notes the most, because files of earlier versions do not note everything.
    known = max(range(len(results)), key=lambda place: _noted(results[place]), default=0)
    for path, of_seed in zip(paths, results, strict=True):
        if difference := of_seed.difference(results[known].recipe):
            raise MixedResultsError(f"{path} was tested {difference}, unlike {paths[known]}; test all seeds alike")
    return results


def _noted(results: SeedResults) -> tuple[bool, bool]:
    """Return whether results note the policies, and the environment's definition."""
    about = results.provenance
    return about is not None, about is not None and bool(about.definition)


def joined(results: Sequence[SeedResults], order: Sequence[float]) -> SeedResults:
    """Join results of different quantiles of one seed, in the order of the given quantiles; others come last."""
    first = results[0]
    if len(results) == 1 and first.quantiles.tolist() == [q for q in order if q in first.quantiles]:
        return first
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
    # As if measured together, without steps that no episode took.
    longest = int(together.lengths.max())
    return replace(
        together,
        true_rewards=together.true_rewards[..., :longest],
        proxy_rewards=together.proxy_rewards[..., :longest],
    )


def _padded(array: npt.NDArray[Any], steps: int) -> npt.NDArray[Any]:
    """Return an array (Q, E, T) with zeros up to a number of steps, and any other array unchanged."""
    if array.ndim < 3:
        return array
    return np.pad(array, ((0, 0), (0, 0), (0, steps - array.shape[2])))
