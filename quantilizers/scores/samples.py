"""Samples of decision problems, each with a proxy score and perhaps a true one, ranked within their problem."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.errors import UserError
from quantilizers.quantilize import Strength, block_means
from quantilizers.rewards import FloatArray

#: Largest score; beyond it squares overflow.
LARGEST = 1e150
#: Sums over samples of several values are done for so many numbers at a time, for memory's sake.
_CHUNK = 2**24


@dataclass(frozen=True, eq=False)
class Samples:
    """R samples of G decision problems, those of a problem one after the other, the highest proxy score first.

    Attributes:
        proxy: (R,).
        true: (R,), NaN where the true score is unknown; None where it is known of none.
        offsets: (G + 1,), where each problem begins, and R.
        names: of the G problems.
        order: (R,), which row of the table each sample is.
    """

    proxy: FloatArray
    true: FloatArray | None
    offsets: npt.NDArray[np.intp]
    names: Sequence[Any]
    order: npt.NDArray[np.intp]

    @classmethod
    def of(cls, proxy: npt.ArrayLike, true: npt.ArrayLike | None = None, group: npt.ArrayLike | None = None) -> Samples:
        """Rank samples within their decision problems.

        Args:
            proxy: (R,) finite scores.
            true: (R,); NaN where it is unknown.
            group: (R,), which decision problem each sample is of; None is one problem.

        Raises:
            UserError: there are no samples, the lengths differ, or a score is not finite.
        """
        scores = _column(proxy, "the proxy")
        values = None if true is None else _column(true, "the true score", len(scores))
        if not len(scores):
            raise UserError("there are no samples")
        for column in (scores, values):
            if column is not None and (np.abs(column[np.isfinite(column)]) > LARGEST).any():
                raise UserError(f"a score is beyond ±{LARGEST:g}, where means overflow; rescale the scores")
        if not np.isfinite(scores).all():
            raise UserError(f"{int((~np.isfinite(scores)).sum()):,} proxy scores are NaN or infinite")
        if values is not None and np.isinf(values).any():
            raise UserError(f"{int(np.isinf(values).sum()):,} true scores are infinite")
        if values is not None and np.isnan(values).all():
            values = None
        if group is None:
            names, codes = [""], np.zeros(len(scores), np.intp)
        else:
            if np.ma.is_masked(group):
                raise UserError("a sample has no group; each belongs to one")
            keys = np.asarray(group)
            if keys.shape != scores.shape:
                raise UserError(f"there are {len(keys):,} groups and {len(scores):,} proxy scores")
            names, codes = _coded(keys)
        sizes = np.bincount(codes, minlength=len(names))
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        # Rows of a group mostly follow each other, which a stable sort of nearly sorted codes uses.
        order = np.argsort(codes, kind="stable") if (np.diff(codes) < 0).any() else np.arange(len(codes))
        of_groups = scores[order]
        for size, members in _by_size(sizes):
            rows = _rows(offsets, members, size)
            within = np.argsort(-of_groups[rows].reshape(len(members), size), axis=1, kind="stable")
            within += offsets[members][:, None]
            order[rows] = order[within].reshape(-1) if isinstance(rows, slice) else order[within]
        return cls(scores[order], None if values is None else values[order], offsets, names, order)

    @property
    def number(self) -> int:
        """R."""
        return len(self.proxy)

    @property
    def groups(self) -> int:
        """G."""
        return len(self.offsets) - 1

    @cached_property
    def sizes(self) -> npt.NDArray[np.intp]:
        """(G,), samples of each problem."""
        return np.diff(self.offsets)

    @cached_property
    def known(self) -> npt.NDArray[np.bool_]:
        """(R,), whether the true score is known."""
        return np.zeros(self.number, bool) if self.true is None else ~np.isnan(self.true)

    @cached_property
    def columns(self) -> FloatArray:
        """(3, R): proxy, true score (0 where it is unknown), and whether it is known."""
        true = np.zeros(self.number) if self.true is None else np.where(self.known, self.true, 0.0)
        return np.stack([self.proxy, true, self.known])

    @cached_property
    def tie_starts(self) -> npt.NDArray[np.intp]:
        """Where each block of samples of one group with equal proxy scores begins."""
        first = np.ones(self.number, bool)
        first[1:] = self.proxy[1:] != self.proxy[:-1]
        first[self.offsets[:-1]] = True
        return np.flatnonzero(first)

    def shared(self, values: FloatArray) -> FloatArray:
        """Return values (…, R) averaged over the samples that tie, who share their weights."""
        return values if len(self.tie_starts) == self.number else block_means(values, self.tie_starts)

    def weighted(self, values: FloatArray, strengths: Sequence[Strength]) -> FloatArray:
        """Return the weighted sums (…, P, G) of values (…, R) in each problem, at each of P strengths; ties share.

        Raises:
            UserError: a rule draws more samples than a problem has.
        """
        self.check_draws(max((strength.draws for strength in strengths), default=1))
        shared = self.shared(values)
        sums = np.empty((*values.shape[:-1], len(strengths), self.groups))
        by_rank = [place for place, one in enumerate(strengths) if not one.rule.by_score]
        by_score = [place for place, one in enumerate(strengths) if one.rule.by_score]
        for size, members in _by_size(self.sizes):
            weights = np.stack([strengths[place].of_ranks(size) for place in by_rank]) if by_rank else None
            step = max(1, _CHUNK // size)
            for begin in range(0, len(members), step):
                some = members[begin : begin + step]
                rows = _rows(self.offsets, some, size)
                block = shared[..., rows].reshape(*shared.shape[:-1], len(some), size)
                if weights is not None:
                    sums[..., np.array(by_rank)[:, None], some] = weights @ np.swapaxes(block, -1, -2)
                for place in by_score:
                    of_scores = strengths[place].of_scores(self.proxy[rows].reshape(len(some), size))
                    sums[..., place, some] = (block * of_scores).sum(axis=-1)
        return sums

    def divergences(self, strengths: Sequence[Strength]) -> tuple[FloatArray, FloatArray]:
        """Return KL divergences in nats, and largest density ratios, both (P,).

        They are those of continuous scores for a rule of ranks. For a rule by score they are the samples' own: the mean
        divergence and the largest ratio of all problems.
        """
        divergences, ratios = np.zeros(len(strengths)), np.ones(len(strengths))
        for place, strength in enumerate(strengths):
            if strength.divergence is not None and strength.ratio is not None:
                divergences[place], ratios[place] = strength.divergence, strength.ratio
                continue
            for size, members in _by_size(self.sizes):
                rows = _rows(self.offsets, members, size)
                weights = strength.of_scores(self.proxy[rows].reshape(len(members), size))
                logarithms = np.log(np.maximum(weights * size, 1e-300))
                divergences[place] += float((weights * logarithms).sum()) / self.groups
                ratios[place] = max(ratios[place], float(weights.max()) * size)
        return divergences, ratios

    def part(self, groups: npt.NDArray[Any]) -> Samples:
        """Return the samples of some problems."""
        rows = np.concatenate([np.arange(self.offsets[one], self.offsets[one + 1]) for one in groups])
        offsets = np.concatenate([[0], np.cumsum(self.sizes[groups])])
        true = None if self.true is None else self.true[rows]
        return Samples(self.proxy[rows], true, offsets, [self.names[one] for one in groups], self.order[rows])

    def check_draws(self, needed: int, noun: str = "samples") -> None:
        """Refuse a number of draws that some problem does not have; raise a UserError that names it."""
        fewer = np.flatnonzero(self.sizes < needed)
        if not len(fewer):
            return
        if self.groups == 1:
            raise UserError(f"{needed:,} draws need {needed:,} {noun}, and there are {self.number:,}")
        named = ", ".join(str(self.names[place]) for place in fewer[:3])
        named += f" and {len(fewer) - 3:,} more" if len(fewer) > 3 else ""
        raise UserError(
            f"{needed:,} draws need {needed:,} {noun} in each group, and {named} "
            f"{'has' if len(fewer) == 1 else 'have'} fewer; the smallest has {int(self.sizes.min()):,}"
        )


def _coded(keys: npt.NDArray[Any]) -> tuple[list[Any], npt.NDArray[np.intp]]:
    """Return the names of groups in order, and the number of each row's group."""
    missing = np.isnan(keys) if keys.dtype.kind == "f" else np.zeros(1, bool)
    if keys.dtype.kind not in "biufSU":
        missing = np.array([key is None or key != key for key in keys.tolist()])
        keys = keys.astype(str) if keys.dtype == object else keys
    if missing.any():
        raise UserError("a sample has no group; each belongs to one")
    # Few blocks of equal keys are sorted instead of all rows.
    starts = np.concatenate([[0], np.flatnonzero(keys[1:] != keys[:-1]) + 1])
    found, of_blocks = np.unique(keys[starts], return_inverse=True)
    return found.tolist(), np.repeat(of_blocks, np.diff(np.append(starts, len(keys))))


def _by_size(sizes: npt.NDArray[np.intp]) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Give each size that groups have, and the groups of that size."""
    order = np.argsort(sizes, kind="stable")
    found, firsts = np.unique(sizes[order], return_index=True)
    yield from zip(found.tolist(), np.split(order, firsts[1:]), strict=True)


def _rows(offsets: npt.NDArray[np.intp], members: npt.NDArray[np.intp], size: int) -> Any:
    """Return the rows of groups of one size: a slice where these follow each other, else indices (G, size)."""
    if (np.diff(members) == 1).all():
        return slice(int(offsets[members[0]]), int(offsets[members[0]]) + len(members) * size)
    return offsets[members][:, None] + np.arange(size)


def _column(values: npt.ArrayLike, what: str, number: int | None = None) -> FloatArray:
    if isinstance(values, np.ma.MaskedArray):
        values = np.where(np.ma.getmaskarray(values), np.nan, values.data.astype(np.float64))
    try:
        raw = np.asarray(values)
        if raw.dtype.kind in "cmMV":
            raise TypeError(raw.dtype)
        if raw.dtype == object:
            # Missing values of pandas are no numbers.
            raw = np.array([np.nan if _is_missing(one) else one for one in raw.ravel()], dtype=np.float64).reshape(
                raw.shape
            )
        column = raw.astype(np.float64)
    except (TypeError, ValueError):
        raise UserError(f"{what} is not a column of numbers") from None
    if column.ndim != 1 or (number is not None and len(column) != number):
        raise UserError(f"{what} has shape {column.shape}, not ({'R' if number is None else number},)")
    return column


def _is_missing(value: object) -> bool:
    return value is None or type(value).__name__ == "NAType"
