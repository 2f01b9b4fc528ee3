"""Samples of decision problems, each with a proxy score and perhaps a true one, ranked within their problem."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.errors import UserError
from quantilizers.processors import available_cores
from quantilizers.quantilize import Strength, block_means
from quantilizers.rewards import FloatArray
from quantilizers.table_files import EXACT, loses_digits

#: Largest score; beyond it squares overflow.
LARGEST = 1e150
#: Least magnitude of the largest score; below it squares of differences underflow.
LEAST = 1e-140
#: Sums over samples of several values are computed for this many numbers at a time, which limits memory.
_CHUNK = 2**24
#: Samples that are ranked at a time.
IN_CACHE = 2**18


@dataclass(frozen=True, eq=False)
class Samples:
    """R samples of G decision problems, those of a problem one after the other, the highest proxy score first.

    Attributes:
        proxy: (R,).
        true: (R,), NaN where the true score is unknown; None where it is known of none.
        order: (R,), which row of the table each sample is.
        offsets: (G + 1,), where each problem begins, and R.
        names: of the G problems.
    """

    proxy: FloatArray
    true: FloatArray | None
    order: npt.NDArray[np.intp]
    offsets: npt.NDArray[np.intp]
    names: Sequence[Any]

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
        values = _checked_scores(scores, values)
        if group is None:
            names, codes, lengths = [""], np.zeros(1, np.intp), np.array([len(scores)])
        else:
            names, codes, lengths = _coded(_keys(group, len(scores)))
        sizes = np.bincount(codes, weights=lengths, minlength=len(names)).astype(np.intp)
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        rows = None if (np.diff(codes) >= 0).all() else np.argsort(np.repeat(codes, lengths), kind="stable")
        return cls(*_ranked(scores, values, offsets, sizes, rows), offsets, names)

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
    def firsts(self) -> npt.NDArray[np.bool_]:
        """(R,), whether a sample is the first of its group with its proxy score."""
        first = np.empty(self.number, bool)
        np.not_equal(self.proxy[1:], self.proxy[:-1], out=first[1:])
        first[self.offsets[:-1]] = True
        return first

    @cached_property
    def tie_starts(self) -> npt.NDArray[np.intp]:
        """Where each block of samples of one group with equal proxy scores begins."""
        return np.flatnonzero(self.firsts)

    @cached_property
    def tie_lengths(self) -> npt.NDArray[np.intp]:
        """Number of samples of each such block."""
        return np.diff(np.append(self.tie_starts, self.number))

    def shared(self, values: FloatArray) -> FloatArray:
        """Return values (…, R) averaged over the samples that tie, which share their weights."""
        return values if self.firsts.all() else block_means(values, self.tie_starts)

    def weighted(self, values: FloatArray, strengths: Sequence[Strength]) -> FloatArray:
        """Return the weighted sums (…, P, G) of values (…, R) in each problem, at each of P strengths; ties share.

        Raises:
            UserError: a rule draws more samples than a problem has.
        """
        if strengths:
            hardest = max(strengths, key=lambda one: one.draws)
            needs = None if hardest.rule.symbol == "n" else f"{hardest.label} needs"
            self.check_draws(hardest.draws, needs=needs)
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
        return Samples(self.proxy[rows], true, self.order[rows], offsets, [self.names[one] for one in groups])

    def check_draws(self, needed: int, noun: str = "samples", needs: str | None = None) -> None:
        """Refuse a number of draws that some problem does not have; raise a UserError that names it.

        `needs` says what needs them instead, such as `q = 0.01 needs`.
        """
        fewer = np.flatnonzero(self.sizes < needed)
        if not len(fewer):
            return
        number = f"{needed:,}" if needed < 10**15 else f"{Decimal(needed):.3g}"
        needs = f"{needs or f'{number} draws need'} {number} {noun}"
        if self.groups == 1:
            raise UserError(f"{needs}, and there are {self.number:,}")
        named = ", ".join(str(self.names[place])[:60] for place in fewer[:3])
        named += f" and {len(fewer) - 3:,} more" if len(fewer) > 3 else ""
        raise UserError(
            f"{needs} in each group, and {'group' if len(fewer) == 1 else 'groups'} {named} "
            f"{'has' if len(fewer) == 1 else 'have'} fewer; the smallest has {int(self.sizes.min()):,}: select less "
            "hard, or leave such groups out"
        )


def _ranked(
    scores: FloatArray,
    values: FloatArray | None,
    offsets: npt.NDArray[np.intp],
    sizes: npt.NDArray[np.intp],
    rows: npt.NDArray[np.intp] | None,
) -> tuple[FloatArray, FloatArray | None, npt.NDArray[np.intp]]:
    """Return proxy and true scores by group, the highest proxy first, and the row of each; ties keep their order.

    Args:
        scores: (R,), proxy of each row.
        values: (R,), true score of each row.
        offsets: (G + 1,), where each group begins.
        sizes: (G,).
        rows: (R,), rows by group; None if they are in this order.
    """
    order = np.empty(len(scores), np.intp)
    proxy, true = np.empty(len(scores)), None if values is None else np.empty(len(scores))

    def rank(size: int, members: npt.NDArray[np.intp]) -> None:
        places = _rows(offsets, members, size)
        of_groups = places if rows is None else rows[places]
        best, ranked = best_first_of_rows(scores[of_groups].reshape(len(members), size))
        best += offsets[members][:, None]
        found = best if rows is None else rows[best]
        shape = order[places].shape
        order[places] = found.reshape(shape)
        proxy[places] = ranked.reshape(shape)
        if true is not None and values is not None:
            true[places] = np.take(values, found).reshape(shape)

    # NumPy sorts without Python's lock. Parts that stay in the processor's cache are faster, and use little memory.
    threads = available_cores() if len(scores) > 4 * IN_CACHE else 1
    with ThreadPoolExecutor(threads) as pool:
        jobs = []
        for size, members in _by_size(sizes):
            step = max(1, IN_CACHE // size)
            for begin in range(0, len(members), step):
                some = members[begin : begin + step]
                jobs.append(pool.submit(rank, size, some)) if threads > 1 else rank(size, some)
        for job in jobs:
            job.result()
    return proxy, true, order


def best_first_of_rows(scores: FloatArray) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Return the order (G, m) of each row of scores (G, m) from the highest to the lowest, and the scores in it.

    Ties keep their order. Integers are sorted, for which NumPy has vector instructions: the bits of a float, read as an
    integer, have its order (negative ones in reverse), and the lowest bits are replaced by the place. Rows in which
    scores differ in these bits alone are sorted again.
    """
    number = scores.shape[1]
    places = (1 << (number - 1).bit_length()) - 1
    keys = (0.0 - scores).view(np.int64)  # 0.0 for −0.0
    keys ^= (keys >> 63) & np.int64(2**63 - 1)
    keys &= ~np.int64(places)
    keys |= np.arange(number)
    keys.sort(axis=1)
    keys &= np.int64(places)
    order = keys.astype(np.intp, copy=False)
    ranked = np.take_along_axis(scores, order, axis=1)
    wrong = np.flatnonzero((ranked[:, 1:] > ranked[:, :-1]).any(axis=1))
    if len(wrong):
        order[wrong] = np.argsort(-scores[wrong], axis=1, kind="stable")
        ranked[wrong] = np.take_along_axis(scores[wrong], order[wrong], axis=1)
    return order, ranked


def _keys(group: npt.ArrayLike, number: int) -> npt.NDArray[Any]:
    """Return the group of each row as an array (R,) of one type without missing values."""
    if np.ma.is_masked(group):
        raise UserError("a sample has no group; each belongs to one")
    if isinstance(group, (list, tuple)):
        group = np.array([*group, None], dtype=object)[:-1]  # NumPy makes text of 1 and "1", which are two groups
    keys = np.asarray(group)
    if keys.dtype.kind == "U" and not isinstance(group, np.ndarray):
        objects: Any = group
        keys = np.array([*objects, None], dtype=object)[:-1]  # NumPy's text loses null characters at the end
    if keys.shape != (number,):
        raise UserError(f"the groups have shape {keys.shape}, not ({number},)")
    if keys.dtype == object:
        keys = _of_one_type(keys)
    missing = np.isnan(keys) if keys.dtype.kind == "f" else np.isnat(keys) if keys.dtype.kind in "mM" else None
    if missing is not None and missing.any():
        raise UserError("a sample has no group; each belongs to one")
    return keys if keys.dtype.kind in "biufSUO" else keys.astype(str)


def _of_one_type(keys: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return objects (R,) as an array of numbers or text; refuse missing ones, and several types."""
    types = {type(key): key for key in keys.tolist()}
    if several := [kind for kind in types if issubclass(kind, (list, tuple, dict, set, frozenset, np.ndarray))]:
        raise UserError(f"groups are of type {several[0].__name__}; a group is one value a sample, such as text")
    if any(_is_missing(key) for key in types.values()) or any(key != key for key in keys.tolist()):
        raise UserError("a sample has no group; each belongs to one")
    numbers = {kind for kind in types if issubclass(kind, (int, float, np.number)) and kind is not bool}
    texts = {kind for kind in types if issubclass(kind, str)}
    if len({*types} - numbers - texts) + bool(numbers) + bool(texts) > 1:
        named = ", ".join(repr(key) for key in list(types.values())[:3])
        raise UserError(f"groups are of several types, such as {named}; name them in one way")
    if issubclass(next(iter(types)), (bytes, bytearray)):
        raise UserError("groups are bytes; decode them to text")
    if texts and (wrong := [key for key in keys.tolist() if "\0" in key]):
        raise UserError(f"group {wrong[0]!r} has a null character, which no name of a group may have")
    one_type = np.array(keys.tolist()) if numbers or texts else keys.astype(str)
    # Whole numbers beside decimals are compared as they are.
    return keys if one_type.dtype.kind == "f" and (np.abs(one_type) >= EXACT).any() else one_type


def _coded(keys: npt.NDArray[Any]) -> tuple[list[Any], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the names of groups in order, and of each run of rows of one group the number of the group and the length.

    Raises:
        UserError: two names differ in their spelling only.
    """
    # Few runs of equal keys are sorted instead of all rows.
    starts = np.concatenate([[0], np.flatnonzero(keys[1:] != keys[:-1]) + 1])
    found, of_runs = np.unique(keys[starts], return_inverse=True)
    names = found.tolist()
    check_names(names)
    return names, of_runs, np.diff(np.append(starts, len(keys)))


def check_names(names: Sequence[Any]) -> None:
    """Refuse names of groups that a reader cannot tell apart.

    They are a letter with its accent in one sign and in two (Unicode's NFC and NFD), with a blank before or after, or a
    number with and without `.0`.

    Raises:
        UserError: there are some.
    """
    plain: dict[str, Any] = {}
    for name in names:
        if isinstance(name, str):
            text = name if name.isascii() else unicodedata.normalize("NFC", name)
            text = text.strip()
            whole, point, decimals = text.rpartition(".")
            text = whole if point and decimals and not decimals.strip("0") and whole.lstrip("+-").isdecimal() else text
            other = plain.setdefault(text, name)
            if other != name:
                raise UserError(
                    f"groups {other!a} and {name!a} differ in spelling only; give them one name, or two that differ"
                )


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


def _checked_scores(proxy: FloatArray, true: FloatArray | None) -> FloatArray | None:
    """Return true scores, None where all are unknown; refuse scores that are not finite or too large.

    Raises:
        UserError: there are some.
    """
    for column, name in ((proxy, "proxy"), (true, "true")):
        if column is None:
            continue
        low, high = float(np.fmin.reduce(column)), float(np.fmax.reduce(column))  # NaN only if all are
        if np.isinf([low, high]).any():
            finite = column[np.isfinite(column)]
            low, high = float(finite.min(initial=0.0)), float(finite.max(initial=0.0))
        if max(abs(low), abs(high)) > LARGEST:
            raise UserError(f"a score is beyond ±{LARGEST:g}, where means overflow; rescale the scores")
        if 0 < max(abs(low), abs(high)) < LEAST:
            raise UserError(
                f"all {name} scores are between ±{LEAST:g}, where their differences are too small for intervals; "
                "rescale the scores"
            )
        wrong = np.isinf(column) if name == "true" else ~np.isfinite(column)
        if wrong.any():
            raise UserError(
                f"{int(wrong.sum()):,} {name} scores are {'infinite' if name == 'true' else 'NaN or infinite'}"
            )
    return None if true is None or np.isnan(true).all() else true


def _column(values: npt.ArrayLike, what: str, number: int | None = None) -> FloatArray:
    if isinstance(values, np.ma.MaskedArray):
        unmasked = values.data.astype(object)
        unmasked[np.ma.getmaskarray(values)] = None
        values = unmasked
    try:
        raw = np.asarray(values)
        if raw.dtype.kind in "cmMV":
            raise TypeError(raw.dtype)
        written: Any = values if isinstance(values, (list, tuple)) else raw
        exact = written is raw and raw.dtype.kind == "f" and raw.dtype.itemsize <= 8
        if raw.dtype == object:
            # Missing values of pandas are no numbers.
            raw = np.array([np.nan if _is_missing(one) else one for one in raw.ravel()], dtype=np.float64).reshape(
                raw.shape
            )
        column = np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{what} is not a column of numbers") from None
    if column.ndim != 1 or (number is not None and len(column) != number):
        raise UserError(f"{what} has shape {column.shape}, not ({'R' if number is None else number},)")
    if not exact:
        for place in np.flatnonzero(np.abs(column) >= EXACT).tolist():
            value = written[place].item() if isinstance(written[place], np.generic) else written[place]
            if loses_digits(value) if isinstance(value, str) else value != float(column[place]):
                raise UserError(f"{what} has {value}, more digits than a floating-point number; subtract a constant")
    return column


def _is_missing(value: object) -> bool:
    return value is None or type(value).__name__ == "NAType"
