"""How proxy and true score change as a rule selects harder, within decision problems."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from quantilizers.choices import check_choice, shown_value, truth, whole_number
from quantilizers.errors import UserError
from quantilizers.evaluation.intervals import CONFIDENCE, Interval, difference_limits, share_limits, student
from quantilizers.numbers_in_words import counted, short
from quantilizers.quantilize import RULES, Strength, check_extra, implied_rule, poisson_draws, real_number
from quantilizers.rewards import FloatArray
from quantilizers.scores.samples import Samples
from quantilizers.studies.exact import Resampling
from quantilizers.terminal import divided_table, wrapped

#: Resamples for the turn, and for intervals over the samples of a single problem.
RESAMPLES = 1000
#: With more problems, resampled means are drawn from their normal limit.
MANY_GROUPS = 2000
#: Fewest samples that a quantile of a single problem keeps by default.
FEWEST_SAMPLES = 20
#: With fewer groups, resamples that all agree are no evidence: 5 coins fall alike in 6 % of throws.
FEWEST_LABELS = 6
#: With labels in some rows that tell as much as fewer groups, some intervals hold too rarely.
FEW_GROUPS = 15
_QUANTILES = (1.0, 0.75, 0.5, 0.35, 0.25, 0.18, 0.125, 0.1, 0.07, 0.05, 0.035, 0.02, 0.01, 0.005, 0.002, 0.001)
#: Share of pairs in which the labelled row has the higher proxy, from which on labelled rows are similar.
_SIMILAR = 0.4
#: A selection whose rows are labelled that much less often than others is of other rows, and its true score unknown.
_SELDOM = 0.5
#: Labels depend on the proxy's rank beyond chance if Bernstein's inequality allows it with e to the minus this at most.
_BEYOND_CHANCE = 4.5
#: Labels are confined to a side if so large a share of unlabelled rows lies on the other; few rows may.
_CONFINED, _FEW = 0.9, 0.1
#: Share of samples that tie, from which on the output says so.
_TIED = 0.01
TurnKind = Literal["turns", "rises", "falls", "changes", "flat", "unknown"]
Direction = Literal["rises", "falls"]
#: Differences of means that are rounding, relative to the largest mean.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Turn:
    """Where harder selection begins to cost true score.

    Attributes:
        kind: `turns` rises and then falls, `rises` throughout, `falls` from the start, `changes` direction otherwise,
            as it falls and then rises, `flat` does not change, `unknown` if resamples disagree or too few true scores
            are known.
        best: index of the strength with the largest mean; as the largest of many that mean is biased upwards.
        low: index at the lower bound of its 95 % interval, the middle 95 % of resamples.
        high: index at the upper bound.
        at_the_start: share of resamples in which the first strength is the best.
        at_the_end: share in which no other one is better than the last.
        moves: rises and falls that are significant, in order, each with the index where it ends. Intervals of all
            differences between strengths are paired, and hold together with 95 %.
    """

    kind: TurnKind
    best: int
    low: int
    high: int
    at_the_start: float
    at_the_end: float
    moves: tuple[tuple[Direction, int], ...] = ()


@dataclass(frozen=True)
class LabelPairs:
    """Comparisons of the proxies of labelled and unlabelled samples of the same group, summed over groups.

    Attributes:
        wins: number of pairs in which the labelled sample has the higher proxy; ties count half.
        pairs: number of pairs.
        variance: of `wins` if labels do not depend on the proxy (Mann & Whitney 1947).
        below: number of unlabelled samples with a lower proxy than all labelled ones of their group.
        above: with a higher one.
        between: other unlabelled samples of groups with labels.
    """

    wins: float = 0.0
    pairs: float = 0.0
    variance: float = 0.0
    below: int = 0
    above: int = 0
    between: int = 0

    def __add__(self, other: LabelPairs) -> LabelPairs:
        return LabelPairs(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    @property
    def unlabelled(self) -> int:
        """Unlabelled samples of groups with labels."""
        return self.below + self.above + self.between

    @property
    def share(self) -> Interval:
        """Share of pairs in which the labelled sample has the higher proxy, with its 95 % interval; NaN without pairs.

        It is 0.5 if labels do not depend on the proxy.
        """
        if not self.pairs:
            return Interval(math.nan, math.nan, math.nan)
        reach = float(special.ndtri((1 + CONFIDENCE) / 2)) * math.sqrt(self.variance) / self.pairs
        share = self.wins / self.pairs
        return Interval(share, share - reach, share + reach, "groups").within(0.0, 1.0)

    @property
    def differ(self) -> bool:
        """Whether the interval shows that labelled samples have other proxies."""
        return not self.share.low <= 0.5 <= self.share.high if self.pairs else False


@dataclass(frozen=True, eq=False)
class GroupSums:
    """Sums of a table, or of a part of it, at P strengths, from which intervals over groups are computed.

    Attributes:
        names: of the G groups.
        sizes: (G,), samples of each.
        sums: (3, P, G), weighted sums of proxy, true score (0 where unknown) and labels (1 where known).
        known: number of samples whose true score is known.
        labels: proxies of labelled and unlabelled samples, compared.
        label_sums: (2, P), weight of labelled rows, and its variance if labels do not depend on the proxy's rank.
        values: distinct true scores, if they are two at most; else None.
        tied: number of samples with the proxy score of another one of their group.
        lowest: proxy score.
        highest: proxy score.
        divergences: (P,), KL divergences, averaged over groups.
        ratios: (P,), largest density ratios.
    """

    names: list[Any]
    sizes: npt.NDArray[np.intp]
    sums: FloatArray
    known: int
    labels: LabelPairs
    label_sums: FloatArray
    values: tuple[float, ...] | None
    tied: int
    lowest: float
    highest: float
    divergences: FloatArray
    ratios: FloatArray

    @property
    def number(self) -> int:
        """Samples in all groups."""
        return int(self.sizes.sum())

    @property
    def groups(self) -> int:
        """G."""
        return len(self.sizes)

    @property
    def label_ratios(self) -> FloatArray:
        """(P,), how often the rows of a selection are labelled, relative to those of the base.

        It is 1 where the difference may be chance: labels do not seem to depend on the proxy's rank.
        """
        weights, variances = self.label_sums
        # A few rows are no normal sum: the bound grows with the largest weight of a row.
        jump = _BEYOND_CHANCE / 3 * self.ratios / self.sizes.min()
        chance = jump + np.sqrt(jump**2 + 2 * _BEYOND_CHANCE * variances)
        differ = np.abs(weights - weights[0]) > chance + ROUNDING * weights[0]
        return np.where(differ, np.divide(weights, weights[0], out=np.ones(len(weights)), where=weights[0] > 0), 1.0)

    def without_unseen(self) -> GroupSums:
        """Return the sums without the true scores of selections whose rows are seldom labelled, beyond chance."""
        sums = self.sums.copy()
        sums[1:, self.label_ratios < _SELDOM] = 0.0
        return replace(self, sums=sums)

    @property
    def ends(self) -> tuple[float, float] | None:
        """The two values that a true score may have; None if there are more, or they cannot be told."""
        values = self.values
        if not values:
            return None
        if {*values} <= {0.0, 1.0}:
            return 0.0, 1.0
        return (values[0], values[-1]) if len(values) == 2 else None

    def remarks(self) -> list[str]:
        """Return a sentence on the smallest group, where it has less than half as many samples as most groups."""
        smallest = np.flatnonzero(self.sizes == self.sizes.min())
        if 2 * self.sizes.min() >= np.median(self.sizes):
            return []
        return [
            f"strengths end where the smallest group does: {counted(len(smallest), 'group')} of {self.groups:,} "
            f"{'has' if len(smallest) == 1 else 'have'} {counted(int(self.sizes.min()), 'sample')}, such as "
            f"{str(self.names[smallest[0]])[:60]}"
        ]

    @classmethod
    def of(cls, samples: Samples, strengths: Sequence[Strength]) -> GroupSums:
        """Return the sums of a table.

        Raises:
            UserError: a rule draws more samples than a group has.
        """
        _, true, known = samples.columns
        sums = samples.weighted(samples.columns, strengths)  # refuses strengths whose divergence overflows
        divergences, ratios = samples.divergences(strengths)
        sums = samples.weighted(samples.columns, strengths)
        return cls(
            list(samples.names),
            samples.sizes,
            sums,
            int(known.sum()),
            _label_pairs(samples),
            _label_sums(samples, strengths, sums[2], ratios),
            _few_values(true[known.astype(bool)]),
            int((samples.tie_lengths > 1) @ samples.tie_lengths),
            float(samples.proxy.min()),
            float(samples.proxy.max()),
            divergences,
            ratios,
        )

    @classmethod
    def joined(cls, parts: Sequence[GroupSums]) -> GroupSums:
        """Join the sums of parts of a table with different groups, which are ordered by their names."""
        names = [name for part in parts for name in part.names]
        order = sorted(range(len(names)), key=names.__getitem__)
        groups = np.array([part.groups for part in parts])
        return cls(
            [names[place] for place in order],
            np.concatenate([part.sizes for part in parts])[order],
            np.concatenate([part.sums for part in parts], axis=2)[:, :, order],
            sum(part.known for part in parts),
            sum((part.labels for part in parts), LabelPairs()),
            np.sum([part.label_sums for part in parts], axis=0),
            _joined_values([part.values for part in parts]),
            sum(part.tied for part in parts),
            min(part.lowest for part in parts),
            max(part.highest for part in parts),
            np.average([part.divergences for part in parts], axis=0, weights=groups),
            np.max([part.ratios for part in parts], axis=0),
        )


def _label_sums(samples: Samples, strengths: Sequence[Strength], labels: FloatArray, ratios: FloatArray) -> FloatArray:
    """Return the weight (P, G) of labelled rows, summed over groups, and its variance if labels are drawn at random."""
    variances = np.zeros(len(strengths))
    labelled = np.add.reduceat(samples.known, samples.offsets[:-1], dtype=np.int64)
    mixed = (labelled > 0) & (labelled < samples.sizes)
    for size in np.unique(samples.sizes[mixed]).tolist():
        shares = labelled[mixed & (samples.sizes == size)] / size
        of_labels = float((shares * (1 - shares)).sum()) * size / (size - 1)
        for place, one in enumerate(strengths):
            # No weight is larger than the ratio allows, and tied rows share theirs.
            squares = ratios[place] / size if one.rule.by_score else float((one.of_ranks(size) ** 2).sum())
            variances[place] += of_labels * max(squares - 1 / size, 0.0)
    return np.stack([labels.sum(axis=1), variances])


def _few_values(true: FloatArray) -> tuple[float, ...] | None:
    """Return the distinct values of true scores (R,), in order, if they are two at most."""
    if not len(true):
        return ()
    low, high = float(true.min()), float(true.max())
    return tuple(sorted({low, high})) if ((true == low) | (true == high)).all() else None


def _joined_values(parts: Sequence[tuple[float, ...] | None]) -> tuple[float, ...] | None:
    joined = {value for part in parts if part is not None for value in part}
    return None if None in parts or len(joined) > 2 else tuple(sorted(joined))


@dataclass(frozen=True, eq=False)
class ScoreCurve:
    """Proxy and true score at P strengths of a rule.

    Attributes:
        strengths: P of them, of increasing divergence; the first is the base distribution.
        divergences: (P,), KL divergence from the base distribution in nats; upper bounds where scores tie.
        ratios: (P,), largest factor by which a probability grows, and the mean of any cost.
        proxy: mean proxy score at each, with 95 % interval.
        true: mean true score at each; empty where no true score is known.
        gains: true score minus that of the base, paired; random selection of as many gains 0 in the mean.
        spread: (2, P), first and third quartile of the true score over groups; empty with one group.
        turn: of the true score; None where it is unknown.
        table: the sums.
        samples: the table; None if it was read in parts.
        pooled: whether samples of all groups were ranked together.
        labelled: number of samples with a true score, of groups if pooled; None if ranked within several groups.
        resampled: (B, P), resampled means of the true score, the same rows for every proxy; empty if ranked within
            several groups.
        freedom: degrees of freedom of the last true score's interval, if resampled.
        clusters: (R,), number of each row's group, in the order of the table, if pooled.
        dropped: number of rows that were left out.
    """

    strengths: tuple[Strength, ...]
    divergences: FloatArray
    ratios: FloatArray
    proxy: tuple[Interval, ...]
    true: tuple[Interval, ...]
    gains: tuple[Interval, ...]
    spread: FloatArray
    turn: Turn | None
    table: GroupSums
    samples: Samples | None
    pooled: bool = False
    labelled: int | None = None
    resampled: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    freedom: float = 0.0
    clusters: npt.NDArray[np.intp] | None = None
    dropped: int = 0

    def __repr__(self) -> str:
        strengths = " to ".join(dict.fromkeys([self.strengths[0].label, self.strengths[-1].label]))
        table = f"{counted(self.table.number, 'sample')} in {counted(self.table.groups, 'group')}"
        return f"<{type(self).__name__} of {strengths}, {table}: {self.sentence()}>"

    def __str__(self) -> str:
        """Return the table, the sentences on the turn and the gain, and remarks."""
        head, *rows = self.rows()
        texts = [wrapped(text) for text in (self.sentence(), self.gain_sentence(), *self.remarks()) if text]
        return "\n".join([divided_table(head, rows), *texts])

    def rows(self) -> list[tuple[str, ...]]:
        """Return the rows of a table, its head first."""
        rows: list[tuple[str, ...]] = [
            ("selection", "KL", "ratio", "proxy", *(("true [95 %]", "gain") if self.true else ()))
        ]
        for place, strength in enumerate(self.strengths):
            row = [strength.label, f"{self.divergences[place]:.3f}", f"{self.ratios[place]:.4g}"]
            row.append(f"{self.proxy[place].estimate:z.4g}")
            if self.true:
                gain = self.gains[place].estimate
                row += [short_interval(self.true[place]), "unknown" if math.isnan(gain) else f"{gain:+z.4g}"]
            rows.append(tuple(row))
        return rows

    def sentence(self) -> str:
        """Return one sentence on where the true score turns."""
        unknown = [one.label for one, mean in zip(self.strengths, self.true, strict=False) if math.isnan(mean.estimate)]
        text = self._turn_sentence()
        return f"{text}; it is unknown at {', '.join(unknown)}" if unknown else text

    def _turn_sentence(self) -> str:
        """Return the sentence on the strengths whose true score is known."""
        if self.turn is None:
            return "no true score is known: this is the curve of the proxy alone"
        if len(self.strengths) < 2:
            return "the table is too small to select from: these are the scores of the base distribution"
        turn, last = self.turn, self.strengths[-1].label
        where = f"{self.strengths[turn.best].label}, where it is {short_score(self.true[turn.best].estimate)}"
        if turn.kind == "turns":
            between = f"{self.strengths[turn.low].label} to {self.strengths[turn.high].label}"
            return f"the true score turns at {where} [95 %: {between}]"
        if turn.kind == "rises":
            end = max(place for place, one in enumerate(self.true) if math.isfinite(one.estimate))
            highest = short_score(self.true[end].estimate)
            far = "throughout" if end == len(self.strengths) - 1 else "as far as it is known"
            text = f"the true score rises {far}, to {highest} at {self.strengths[end].label}"
            if turn.best < end and self._lost(turn.best, end) == 0:
                text = f"the true score rises to {highest} at {self.strengths[turn.best].label}, and stays there"
            known = [place for place in range(end + 1) if math.isfinite(self.true[place].estimate)]
            falls = [(left, right) for left, right in itertools.pairwise(known) if self._lost(left, right) > 0]
            if falls:
                left, right = max(falls, key=lambda pair: self._lost(*pair))
                values = f"from {short_score(self.true[left].estimate)} to {short_score(self.true[right].estimate)}"
                text += f", but for falls that may be chance, such as {values} at {self.strengths[right].label}"
            return text
        if turn.kind == "falls":
            return f"the true score falls from the start, from {short_score(self.true[0].estimate)}"
        if turn.kind == "changes":
            moved = ", then ".join(
                f"{direction} to {short_score(self.true[end].estimate)} at {self.strengths[end].label}"
                for direction, end in turn.moves
            )
            shares = {0: turn.at_the_start, len(self.strengths) - 1: turn.at_the_end}
            often = f", in {100 * shares[turn.best]:.0f} % of resamples" if turn.best in shares else ""
            start = f"from {short_score(self.true[0].estimate)} at {self.strengths[0].label}"
            return f"the true score, {start}, {moved}; it is largest at {self.strengths[turn.best].label}{often}"
        if turn.kind == "flat":
            level = short_score(self.true[0].estimate)
            alike = f": all that are known are {level}" if len(self.table.values or ()) == 1 else f", which is {level}"
            return f"selection does not change the true score{alike}"
        if not _enough_labels(self.table, self.labelled)[[0, -1]].all():
            unit = "samples" if self.table.groups == 1 and not self.pooled else "groups"
            return f"cannot tell where the true score turns: it is known in too few {unit}"
        if self.table.ends is not None and max(turn.at_the_start, turn.at_the_end) > (1 + CONFIDENCE) / 2:
            return (
                f"cannot tell where the true score turns: it is largest at {where}, but few rows have one of its two "
                "values, and the differences may be chance"
            )
        return (
            f"cannot tell where the true score turns: it is largest at {where}; in "
            f"{100 * turn.at_the_start:.0f} % of resamples it is largest at {self.strengths[0].label}, and in "
            f"{100 * turn.at_the_end:.0f} % at {last}"
        )

    def _lost(self, left: int, right: int) -> float:
        """Return the true score at one strength minus that at a later one, 0 where it is rounding."""
        estimates = np.array([self.true[left].estimate, self.true[right].estimate])
        return _rounded(float(estimates[0] - estimates[1]), estimates)

    def gain_sentence(self) -> str:
        """Return one sentence on the gain at the strongest selection and at the best."""
        if self.turn is None or len(self.strengths) < 2:
            return ""
        places = dict.fromkeys([self.turn.best or len(self.strengths) - 1, len(self.strengths) - 1])
        gained = " and ".join(
            f"{short_interval(self.gains[place])} at {self.strengths[place].label}" for place in places
        )
        return f"gain over the base, and over random selection of as many: {gained}"

    def remarks(self) -> list[str]:
        """Return sentences on what the estimates and the divergences are of, and on what is missing."""
        rule, sizes = self.strengths[-1].rule, self.table.sizes
        found = [] if self.pooled or rule.symbol == "beta" else self.table.remarks()
        # The mean of a single problem with many samples varies by much more than 1/m.
        if not rule.unbiased and not self.pooled and self.table.groups > 1 and len(self.strengths) > 1:
            each = f"{sizes.min():,}" if sizes.min() == sizes.max() else f"{sizes.min():,} to {sizes.max():,}"
            unbiased = [one.name for one in RULES.values() if one.unbiased]
            found.append(
                f"means of the rule {rule.name} are of the selection among the {each} samples of a group; those of "
                f"fresh samples{', whose KL and ratio are shown,' if rule.divergence else ''} differ by an order of "
                f"1/{sizes.min():,}, a bias that {', '.join(unbiased[:-1])} and {unbiased[-1]} do not have"
            )
        many = self.table.tied > _TIED * self.table.number
        if many and rule.divergence is not None and self.table.lowest < self.table.highest:
            found.append(f"{self.table.tied:,} samples tie with others, so KL and ratio are upper bounds")
        pooled = (
            "samples of all groups are ranked together: selection then also prefers easy groups, so this does not say "
            "what selecting within a group earns"
        )
        return [*([pooled] if self.pooled else []), *table_remarks(self.table, self.dropped, found)]

    def as_numbers(self) -> dict[str, Any]:
        """Return values for JSON."""
        points = []
        for place, strength in enumerate(self.strengths):
            point: dict[str, Any] = {
                "strength": strength.label,
                "rule": strength.rule.name,
                strength.rule.symbol: strength.value,
                **({} if strength.rule.extra is None else {strength.rule.extra: strength.extra}),
                "kl_divergence": float(self.divergences[place]),
                "density_ratio": float(self.ratios[place]),
                "proxy": self.proxy[place].as_numbers(),
            }
            if self.true:
                point |= {"true": self.true[place].as_numbers(), "gain": self.gains[place].as_numbers()}
            points.append(point)
        return {
            "samples": self.table.number,
            "groups": self.table.groups,
            "pooled": self.pooled,
            "rows_dropped": self.dropped,
            "true_scores_known": self.table.known,
            "points": points,
            "turn": None if self.turn is None else vars(self.turn),
            "sentence": self.sentence(),
            "gain": self.gain_sentence(),
            "remarks": self.remarks(),
        }


def short_score(number: float) -> str:
    """Return a score for a sentence."""
    return f"{number:.3g}" if abs(number) >= 1e7 or 0 < abs(number) < 1e-3 else short(number)


def short_interval(interval: Interval) -> str:
    """Return an interval for a table."""
    if not math.isfinite(interval.estimate):
        return "unknown"
    size = max(map(abs, (interval.estimate, *((interval.low, interval.high) if interval.known else ()))))
    digits = "z.3f" if size < 10 else "z,.1f" if size < 1e5 else "z,.0f"
    return format(interval, "z.2e" if size >= 1e7 or 0 < size < 1e-3 else digits)


def curve(
    proxy: npt.ArrayLike,
    true: npt.ArrayLike | None = None,
    group: npt.ArrayLike | None = None,
    *,
    rule: str | None = None,
    strengths: Sequence[float] | None = None,
    pooled: bool = False,
    seed: int = 0,
    **extra: float,
) -> ScoreCurve:
    """Return proxy and true score of samples as a rule selects harder, with 95 % intervals.

    Samples are ranked within their group, which is one decision problem: the answers to one prompt, the episodes from
    one start. Ranked together (`pooled`), easy problems are selected, too. Within groups the rules `best_of_n`,
    `top_k_of_n` and `best_of_poisson` are estimated without bias; means of the others are of the selection among the m
    samples of a group, and differ from those of fresh samples by an order of 1/m.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> proxy = rng.normal(size=3000)
    >>> found = curve(proxy, true=proxy - 0.5 * np.maximum(proxy, 0) ** 2 + rng.normal(size=3000))
    >>> found.turn.kind, found.strengths[found.turn.best].label
    ('turns', 'q = 0.25')

    Args:
        proxy: (R,) finite scores, by which samples are selected; a column of pandas or polars will do.
        true: (R,) scores that matter; NaN where unknown, None where all are.
        group: (R,) decision problem of each sample; None is a single one.
        rule: name in `quantilizers.quantilize.RULES`; None is `top_k_of_n` if k is given, else `quantile` for
            one group and `best_of_n` for several.
        strengths: of the rule; None chooses those that the samples can tell apart. No group may have fewer than n or
            1/q samples.
        pooled: rank samples of all groups together; intervals remain over groups.
        seed: of the bootstrap.
        **extra: the rule's second number, such as `k=4` for `top_k_of_n`.

    Raises:
        UserError: there are no samples, the columns do not fit each other, a score is infinite, or true scores are
            known for the top alone.
    """
    samples, seed, pooled = Samples.of(proxy, true, group), whole_number("seed", seed, 0), truth("pooled", pooled)
    clusters = None
    if pooled and samples.groups > 1:
        clusters = np.empty(samples.number, np.intp)
        clusters[samples.order] = np.repeat(np.arange(samples.groups), samples.sizes)
        samples = Samples.of(proxy, true)
    return trace(samples, strengths_of(samples, rule, strengths, extra), clusters=clusters, seed=seed)


def strengths_of(
    samples: Samples, rule: str | None, values: Sequence[float] | None = None, extra: dict[str, float] | None = None
) -> list[Strength]:
    """Return a rule at these strengths, or at those that a table can tell apart.

    Raises:
        UserError: the rule is unknown, a strength impossible, or a group has a single sample.
    """
    extra = dict(extra or {})
    name = implied_rule(rule, extra)
    name = ("quantile" if samples.groups == 1 else "best_of_n") if name is None else name
    check_choice("rule", name, RULES)
    chosen, smallest = RULES[name], int(samples.sizes.min())
    if chosen.extra == "k":
        extra.setdefault("k", 1)
    if chosen.extra == "cut":
        extra.setdefault("cut", 0.01)
    check_extra(chosen, extra if chosen.extra != "temperature" else {"temperature": 1.0} | extra)
    if chosen.extra == "temperature":
        extra.setdefault("temperature", float(f"{samples.proxy.std() / 4:.2g}") or 1.0)
    if values is None:
        check_sizes(samples.names, samples.sizes)
        if chosen.neutral is None:
            fewest = FEWEST_SAMPLES if samples.groups == 1 else 1
            within = 1 - extra.get("cut", 0.0)
            values = [q for q in _QUANTILES if q <= within and (q * smallest >= fewest or q == 1)] or [within]
        elif chosen.symbol == "n":
            first = int(extra.get("k", 1))
            powers = [first * 2**power for power in range(max(0, int(math.log2(max(1, smallest / first)))) + 1)]
            values = list(dict.fromkeys([*powers, smallest])) if smallest >= first else [first]
        elif name == "best_of_poisson":
            powers = [2.0**power for power in range(-2, int(math.log2(smallest)) + 1)]
            values = [0.0, *(mean for mean in powers if poisson_draws(mean) <= smallest)]
        else:
            scale = float(samples.proxy.std()) or 1.0
            values = [0.0, *(float(f"{2.0**power / scale:.3g}") for power in range(-3, 4))]
    if isinstance(values, (str, bytes, bytearray, Mapping)) or not isinstance(values, Iterable):
        raise UserError(f"strengths are {shown_value(values)}; give several numbers, such as [{shown_value(values)}]")
    values = [real_number(chosen.symbol, value) for value in values]
    if not values:
        raise UserError(
            "strengths are empty; give one or more numbers, or None for those that the samples can tell apart"
        )
    for value in values:
        if not math.isfinite(value):
            raise UserError(f"{chosen.symbol} is {value:g}; it must be finite")
        if chosen.symbol == "n" and value != int(value):
            raise UserError(f"n is {value:g}; it must be a whole number")
    cleaned = [int(value) if chosen.symbol == "n" else float(value) for value in values]
    return [chosen.at(value, **extra) for value in cleaned]


def check_sizes(names: Sequence[Any], sizes: Sequence[int] | npt.NDArray[np.intp]) -> None:
    """Refuse one sample a group, of several groups; raise a UserError that names one."""
    single = np.flatnonzero(np.asarray(sizes) == 1)
    if len(names) > 1 and len(single):
        raise UserError(
            f"{counted(len(single), 'group')} of {len(names):,} {'has' if len(single) == 1 else 'have'} one sample, "
            f"such as {str(names[single[0]])[:60]}; selection within a group needs two or more"
        )


def trace(
    samples: Samples,
    strengths: Sequence[Strength],
    *,
    clusters: npt.NDArray[np.intp] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> ScoreCurve:
    """Return proxy and true score of samples at each strength, with 95 % intervals.

    With several groups each counts alike, and intervals are over groups. Where the true score is known for some samples
    only, its mean is over these, a ratio of means: a group counts by the weight of its labelled samples. With one group
    intervals are over its samples, from a bootstrap of them; or over clusters (R,), the number of each row's group,
    where the samples of several groups are ranked together.

    Raises:
        UserError: a rule draws more samples than the smallest group has, or true scores are known for the top alone.
    """
    strengths = with_base(strengths)
    table = GroupSums.of(samples, strengths)
    if samples.groups > 1:
        return trace_sums(table, strengths, samples, resamples=resamples, seed=seed)
    if clusters is not None:
        counts = np.bincount(clusters[samples.order], weights=samples.known) / np.bincount(clusters)
        if ((counts > 0) & (counts < 1)).mean() < 0.5:
            # Whole groups have labels, so ranks of rows that are pooled depend on which groups these are.
            table = replace(table, label_sums=np.stack([table.label_sums[0], np.full(len(strengths), np.inf)]))
    check_labels(table)
    table = table.without_unseen()
    parts, freedom = _over_samples(samples, strengths, table, clusters, resamples, seed)
    known = np.flatnonzero(samples.known)
    labelled = len(known) if clusters is None else len(np.unique(clusters[samples.order][known]))
    found = _curve(table, strengths, samples, parts, np.empty((2, 0)), pooled=clusters is not None, labelled=labelled)
    return replace(
        found, resampled=parts[1].drawn if table.known else np.empty((0, 0)), freedom=freedom, clusters=clusters
    )


def with_base(strengths: Sequence[Strength]) -> list[Strength]:
    """Return strengths of a rule from the weakest on, after the base distribution, which has no pressure."""
    distinct = list(dict.fromkeys(strengths))
    if not distinct:
        return [RULES["quantile"].at(1.0)]
    rule, extra = distinct[0].rule, distinct[0].extra
    distinct.sort(key=lambda one: (-one.value if rule.neutral is None else one.value, -(one.extra or 0)))
    neutral = [one for one in distinct if _is_base(one)]
    if neutral:
        return [neutral[0], *(one for one in distinct if not _is_base(one))]
    if rule.neutral is not None and rule.extra in (None, "temperature"):
        return [Strength(rule, int(rule.neutral) if rule.symbol == "n" else rule.neutral, extra), *distinct]
    return [RULES["quantile"].at(1.0), *distinct]


def _is_base(strength: Strength) -> bool:
    """Whether a strength is the base distribution."""
    if strength.rule.name == "top_k_of_n":
        return strength.value == strength.extra
    return strength.value == (1.0 if strength.rule.neutral is None else strength.rule.neutral)


def trace_sums(
    table: GroupSums,
    strengths: Sequence[Strength],
    samples: Samples | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> ScoreCurve:
    """Return the curve of a table of several groups, from its sums at strengths `with_base`.

    Raises:
        UserError: true scores are known for the top alone.
    """
    check_labels(table)
    table = table.without_unseen()
    parts = _over_groups(table, resamples, seed)
    _, tops, bottoms = table.sums
    known = bottoms > 0
    labelled = known.any(axis=1)
    spread = np.full((2, len(tops)), np.nan)
    shares = np.divide(tops, bottoms, out=np.full(tops.shape, np.nan), where=known)
    spread[:, labelled] = np.nanquantile(shares[labelled], (0.25, 0.75), axis=1)
    return _curve(table, strengths, samples, parts, spread)


@dataclass(frozen=True, eq=False)
class _Means:
    """Means of one score at P strengths.

    Attributes:
        each: their intervals.
        gains: intervals of each minus the first.
        drawn: (B, P), resampled means.
        freedom: (P,), degrees of freedom.
        differ: (P, P), whether the 95 % interval of a difference of two excludes 0; None if the score has more than two
            values, whose differences are judged by resamples.
    """

    each: tuple[Interval, ...]
    gains: tuple[Interval, ...]
    drawn: FloatArray
    freedom: FloatArray
    differ: npt.NDArray[np.bool_] | None


def _curve(
    table: GroupSums,
    strengths: Sequence[Strength],
    samples: Samples | None,
    parts: Sequence[_Means],
    spread: FloatArray,
    *,
    pooled: bool = False,
    labelled: int | None = None,
) -> ScoreCurve:
    proxy, true = parts
    about = (tuple(strengths), table.divergences, table.ratios, proxy.each)
    if not table.known:
        return ScoreCurve(*about, (), (), np.empty((2, 0)), None, table, samples, pooled, labelled)
    turn = _turn(true, _enough_labels(table, labelled))
    return ScoreCurve(*about, true.each, true.gains, spread, turn, table, samples, pooled, labelled)


def _over_groups(table: GroupSums, resamples: int, seed: int) -> list[_Means]:
    """Return means of proxy and true score."""
    tops, bottoms = table.sums[:2], table.sums[2]
    number, over = table.groups, counted(table.groups, "group")
    generator = np.random.default_rng(seed)
    many = number > MANY_GROUPS
    counts = None if many else generator.multinomial(number, np.full(number, 1 / number), size=resamples).astype(float)
    parts: list[_Means] = []
    for sums, weights, ends in zip(tops, (np.ones_like(bottoms), bottoms), (None, table.ends), strict=True):
        with np.errstate(invalid="ignore", divide="ignore"):
            means = sums.sum(axis=1) / weights.sum(axis=1)
            influences = (sums - means[:, None] * weights) / weights.mean(axis=1, keepdims=True)
            errors = influences.std(axis=1, ddof=1) / math.sqrt(number)
            paired = (influences - influences[0]).std(axis=1, ddof=1) / math.sqrt(number)
            correlation = np.atleast_2d(np.corrcoef(influences))
            # Groups with few labels count by their weight, as in a sandwich estimator for few clusters.
            freedom, larger = few_labels(weights)
            known = np.isfinite(means)
            if counts is None and not known.any():
                drawn = np.full((resamples, len(means)), np.nan)
            elif counts is None:
                drawn = np.full((resamples, len(means)), np.nan)
                covariance = np.atleast_2d(np.cov(influences[known])) / number
                drawn[:, known] = generator.multivariate_normal(means[known], covariance, resamples, method="svd")
            else:
                drawn = (counts @ sums.T) / (counts @ weights.T)
        edges = None if ends is None else Edges.of(means, sums, weights, ends, correlation)
        parts.append(_intervals(means, errors * larger, paired * larger, freedom, over, drawn, edges))
    return parts


def _over_samples(
    samples: Samples,
    strengths: Sequence[Strength],
    table: GroupSums,
    clusters: npt.NDArray[np.intp] | None,
    resamples: int,
    seed: int,
) -> tuple[list[_Means], float]:
    """Return the same of a single group, by resampling its samples, or whole clusters of them.

    Also return the degrees of freedom of the last true score's interval. The same rows are drawn for every proxy.
    """
    tops, bottoms = table.sums[:2], table.sums[2]
    # Ties are ranked at random, as fresh samples would be.
    jitter = np.random.default_rng(seed).permutation(samples.number)
    order = np.lexsort((jitter, -samples.proxy))
    ranked, rows = samples.columns[:, order], samples.order[order]

    def by_row(values: FloatArray) -> FloatArray:
        placed = np.empty(values.shape)
        placed[..., rows] = values
        return placed

    units = None if clusters is None else clusters[rows]
    resampling = Resampling(by_row(-np.arange(samples.number, dtype=np.float64)), clusters, resamples, seed)
    by_score = [one.rule.by_score for one in strengths]
    weights = np.stack(
        [
            one.of_scores(samples.proxy) if scored else one.of_ranks(samples.number)
            for one, scored in zip(strengths, by_score, strict=True)
        ]
    )
    drawn = np.empty((3, resamples, len(strengths)))
    if not all(by_score):
        places = np.flatnonzero(~np.array(by_score))
        drawn[:, :, places] = resampling.ranked_means(by_row(ranked), weights[places])
    if any(by_score):
        places = np.flatnonzero(by_score)
        drawn[:, :, places] = resampling.weighted_means(by_row(ranked), by_row(weights[places]))
    over = counted(samples.number, "sample") if units is None else counted(int(units.max()) + 1, "group")
    parts: list[_Means] = []
    ones = np.ones(samples.number)
    for row, ends in ((0, None), (1, table.ends)):
        sums, base, labels = (tops[row], (np.ones_like(bottoms), bottoms)[row], (ones, ranked[2])[row])
        with np.errstate(invalid="ignore", divide="ignore"):
            means = (sums / base)[:, 0]
            resampled = drawn[row] if row == 0 else drawn[1] / drawn[2]
            resampled[:, np.isnan(means)] = np.nan
            shares, values = weights * labels, weights * ranked[row]  # of samples, or of clusters
            if units is not None:
                shares, values = (
                    np.stack([np.bincount(units, weights=one) for one in all_]) for all_ in (shares, values)
                )
            sizes = shares.sum(axis=1) ** 2 / (shares**2).sum(axis=1)
            errors, paired = _spread(resampled), _spread(resampled - resampled[:, :1])
            whole = resampled[np.isfinite(resampled[:, np.isfinite(means)]).all(axis=1)]
            correlation = np.atleast_2d(np.corrcoef(whole.T)) if len(whole) > 1 else np.eye(len(means))
        freedom = np.nan_to_num(sizes, nan=0.0) - 1
        edges = None if ends is None else Edges.of(means, values, shares, ends, correlation)
        parts.append(_intervals(means, errors, paired, freedom, over, resampled, edges))
    return parts, float(freedom[-1])


@dataclass(frozen=True, eq=False)
class Edges:
    """What tells the limits of P means of a score that has two values.

    Attributes:
        ends: both values.
        groups: (P,), effective number of groups with labels.
        below: (P,), effective number of groups with the lower value.
        above: (P,), with the higher one.
        correlation: (P, P), of the means; NaN where one does not vary.
    """

    ends: tuple[float, float]
    groups: FloatArray
    below: FloatArray
    above: FloatArray
    correlation: FloatArray

    @classmethod
    def of(
        cls,
        means: FloatArray,
        sums: FloatArray,
        weights: FloatArray,
        ends: tuple[float, float],
        correlation: FloatArray,
    ) -> Edges:
        """Return those of groups, or of samples of a single one, with sums and weights (P, G)."""
        low, high = ends
        rounding = 1e-9 * (high - low) * weights.max(axis=1, keepdims=True)
        deviations = [np.where(one > rounding, one, 0.0) for one in (high * weights - sums, sums - low * weights)]
        below, above = map(effective_groups, deviations)
        return cls(ends, effective_groups(weights), below, above, correlation)

    def limits(self, means: FloatArray, errors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper limits (P,) of means with standard errors."""
        low, high = self.ends
        width = high - low
        share = np.where(self.below == 0, 1.0, np.where(self.above == 0, 0.0, (means - low) / width))
        share = np.where(np.isfinite(means), share, np.nan)
        found = share_limits(share, errors / width, self.groups, self.below, self.above)
        return low + width * found[0], low + width * found[1]


def _intervals(
    means: FloatArray,
    errors: FloatArray,
    paired: FloatArray,
    freedom: npt.NDArray[Any],
    over: str,
    drawn: FloatArray,
    edges: Edges | None,
) -> _Means:
    """Return means (P,), whose gains over the first have standard errors `paired`, with Student's intervals.

    They are wider for a score of two values near one of them, where few groups show how much it varies. Where another
    score does not vary at all, the interval is unknown.
    """
    each = [student(float(m), float(e), float(df), over) for m, e, df in zip(means, errors, freedom, strict=True)]
    gains = [
        student(_rounded(m - means[0], means), _rounded(e, means), float(df), over)
        for m, e, df in zip(means, paired, freedom, strict=True)
    ]
    still = np.array([_rounded(e, means) == 0 for e in errors]) & (freedom > 0)
    if edges is None:
        each = [
            replace(one, low=math.nan, high=math.nan) if none else one for one, none in zip(each, still, strict=True)
        ]
        gains[1:] = [
            replace(one, low=math.nan, high=math.nan) if none or still[0] else one
            for one, none in zip(gains[1:], still[1:], strict=True)
        ]
        return _Means(tuple(each), tuple(gains), drawn, freedom, None)
    low, high = edges.limits(means, errors)
    low = np.minimum(low, [one.low for one in each])
    high = np.maximum(high, [one.high for one in each])
    correlation = np.nan_to_num(edges.correlation, nan=0.0)
    pairs = difference_limits(
        means[None], (low[None], high[None]), means[:, None], (low[:, None], high[:, None]), correlation
    )
    for place, one in enumerate(gains):
        # Selections that always earn the same are one selection.
        if place and one.known and not (_rounded(paired[place], means) == 0 and not still[place]):
            gains[place] = replace(
                one, low=min(one.low, float(pairs[0][0, place])), high=max(one.high, float(pairs[1][0, place]))
            )
    each = [
        replace(one, low=float(a), high=float(b)).within(*edges.ends) if one.known else one
        for one, a, b in zip(each, low, high, strict=True)
    ]
    return _Means(tuple(each), tuple(gains), drawn, freedom, (pairs[0] > 0) | (pairs[1] < 0))


def _rounded(difference: float, means: FloatArray) -> float:
    """Return 0 for a difference of means that is rounding."""
    scale = float(np.abs(means[np.isfinite(means)]).max(initial=0.0))
    return 0.0 if abs(difference) <= ROUNDING * scale else float(difference)


def _spread(resampled: npt.NDArray[Any]) -> FloatArray:
    """Return the standard deviation (P,) of resampled means (B, P), NaN where fewer than two are known."""
    enough = np.isfinite(resampled).sum(axis=0) > 1
    spread = np.full(len(enough), np.nan)
    spread[enough] = np.nanstd(resampled[:, enough], axis=0, ddof=1)
    return spread


def few_labels(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return degrees of freedom (P,) of means over groups with weights (P, G), and a factor of standard errors.

    With equal weights they are G − 1 and 1. Else groups count as `effective_groups`, and squared residuals are as much
    too small as theirs. Fewer than two groups have no degree of freedom.
    """
    effective, number = effective_groups(weights), weights.shape[1]
    enough = effective >= 2 * (1 - ROUNDING)
    share = np.divide(effective - 1, effective, out=np.ones(len(effective)), where=enough)
    larger: FloatArray = np.sqrt((1 - 1 / number) / share)
    return np.where(enough, effective - 1, 0.0), larger


def effective_groups(weights: FloatArray) -> FloatArray:
    """Return how many groups with equal weights are as precise as G with weights (P, G), (P,); see Kish (1965)."""
    squares = (weights**2).sum(axis=1)
    effective: FloatArray = np.divide(weights.sum(axis=1) ** 2, squares, out=np.zeros(len(weights)), where=squares > 0)
    return effective


def _enough_labels(table: GroupSums, labelled: int | None) -> npt.NDArray[np.bool_]:
    """Return at which strengths (P,) enough groups, or samples of a single one, have a true score to resample them."""
    if labelled is not None:
        return np.full(table.sums.shape[1], labelled >= FEWEST_LABELS)
    many: npt.NDArray[np.bool_] = effective_groups(table.sums[2]) >= FEWEST_LABELS * (1 - ROUNDING)
    return many


def _turn(true: _Means, known: npt.NDArray[np.bool_]) -> Turn | None:
    """Return where means (P,) are largest, with an interval from resampled ones, and how they rise and fall.

    Args:
        true: the means.
        known: (P,), whether enough labels are known.
    """
    means, drawn, freedom = np.array([one.estimate for one in true.each]), true.drawn, true.freedom
    if len(means) < 2:
        return Turn("unknown", 0, 0, 0, 1.0, 1.0)
    rounding = ROUNDING * float(np.nanmax(np.abs(means)))
    moves: tuple[tuple[Direction, int], ...] = ()
    if known[0] and len(usable := np.flatnonzero(known & np.isfinite(means))) > 1:
        signs = _signs(means[usable], drawn[:, usable], float(freedom[usable].min()), rounding)
        if true.differ is not None:
            signs = signs * true.differ[np.ix_(usable, usable)]
        moves = tuple((direction, int(usable[end])) for direction, end in _moves(means[usable], signs))
    drawn = np.nan_to_num(drawn, nan=-np.inf)
    # Of means that are the same but for rounding, the weakest selection's counts.
    places = (drawn >= drawn.max(axis=1, keepdims=True) - rounding).argmax(axis=1)
    whole = drawn[:, np.isfinite(means)]
    whole = whole[np.isfinite(whole).all(axis=1)]
    tail = (1 - CONFIDENCE) / 2
    last = int(np.flatnonzero(np.isfinite(means))[-1])
    start, end = float((places == 0).mean()), float((drawn[:, last] >= drawn.max(axis=1) - rounding).mean())
    kind: TurnKind = "unknown"
    if not (known[0] and known[last]):
        pass
    elif len(whole) and (np.ptp(whole, axis=1) <= rounding).all():
        kind = "flat"
    elif start < tail and end < tail:
        kind = "turns"
    elif end > 1 - tail:
        kind = "rises"
    elif start > 1 - tail:
        kind = "falls"
    estimates = np.nan_to_num(means, nan=-np.inf)
    best = int((estimates >= estimates.max() - rounding).argmax())
    # Resamples of a score that few groups vary agree too often.
    if true.differ is not None:
        ends = {"turns": [(0, best), (best, last)], "rises": [(0, best)], "falls": [(0, last)]}.get(kind, [])
        if not all(true.differ[pair] for pair in ends):
            kind = "unknown"
    directions = [direction for direction, _ in moves]
    expected: dict[TurnKind, list[str]] = {"turns": ["rises", "falls"], "rises": ["rises"], "falls": ["falls"]}
    whole_shape = expected.get(kind, directions if len(directions) < 2 else ["rises", "falls"])
    if kind != "flat" and known[last] and directions not in (whole_shape, whole_shape[:1], whole_shape[1:], []):
        kind = "changes"
    low, high = np.quantile(places, [tail, 1 - tail], method="nearest")
    return Turn(kind, best, int(low), int(high), start, end, moves)


def _signs(means: FloatArray, drawn: npt.NDArray[Any], freedom: float, rounding: float) -> npt.NDArray[np.int_]:
    """Return the signs (P, P) of the differences of means (P,), [i, j] of the later j less the earlier i; else 0.

    A difference has a sign where its interval excludes 0. Intervals are paired, because all means of a resample (B, P)
    are of the same samples, and hold together with 95 %: their width is that of the largest deviation of a resample.
    Few degrees of freedom widen it as they widen Student's.
    """
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    signs = np.zeros((len(means), len(means)), int)
    if len(drawn) < 2 or not freedom > 0:
        return signs
    errors = np.zeros(signs.shape)
    largest = np.zeros(len(drawn))
    for i in range(len(means) - 1):
        differences = drawn[:, i + 1 :] - drawn[:, i, None]
        errors[i, i + 1 :] = differences.std(axis=0, ddof=1)
        deviations = np.abs(differences - (means[i + 1 :] - means[i]))
        deviations = deviations / np.maximum(errors[i, i + 1 :], max(rounding, 1e-300))
        largest = np.maximum(largest, deviations.max(axis=1))
    level = (1 + CONFIDENCE) / 2
    wider = float(special.stdtrit(freedom, level) / special.ndtri(level))
    reach = np.maximum(errors * wider * float(np.quantile(largest, CONFIDENCE)), rounding)
    differences = np.triu(means[None, :] - means[:, None], 1)
    signs[differences > reach] = 1
    signs[differences < -reach] = -1
    return signs


def _moves(means: FloatArray, signs: npt.NDArray[np.int_]) -> list[tuple[Direction, int]]:
    """Return the rises and falls of means (P,), whose differences have signs (P, P), each with the place of its end."""
    moves: list[tuple[Direction, int]] = []
    lowest = highest = 0
    for place in range(1, len(means)):
        direction = moves[-1][0] if moves else None
        if direction != "rises" and signs[lowest, place] > 0:
            moves.append(("rises", place))
            highest = place
        elif direction != "falls" and signs[highest, place] < 0:
            moves.append(("falls", place))
            lowest = place
        if means[place] > means[highest]:
            highest = place
            moves[-1:] = [("rises", place)] if direction == "rises" else moves[-1:]
        if means[place] < means[lowest]:
            lowest = place
            moves[-1:] = [("falls", place)] if direction == "falls" else moves[-1:]
    return moves


def _label_pairs(samples: Samples) -> LabelPairs:
    """Compare the proxies of labelled and unlabelled samples, of all groups."""
    if samples.true is None or samples.known.all():
        return LabelPairs()
    starts, second, sizes = samples.tie_starts, samples.known, samples.tie_lengths
    first, lengths = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    group = np.repeat(np.arange(samples.groups), samples.sizes)
    below = samples.offsets[group + 1] - (first + lengths)  # samples of the group that score lower
    sums = np.bincount(group[second], weights=(below + (lengths + 1) / 2)[second], minlength=samples.groups)
    labelled = np.bincount(group, weights=second, minlength=samples.groups)
    others = samples.sizes - labelled
    mixed = (labelled > 0) & (others > 0)
    of_pairs = labelled * others
    highest, lowest = np.full(samples.groups, -np.inf), np.full(samples.groups, np.inf)
    np.maximum.at(highest, group[second], samples.proxy[second])
    np.minimum.at(lowest, group[second], samples.proxy[second])
    unlabelled = ~second & (labelled > 0)[group]
    lower = int((unlabelled & (samples.proxy < lowest[group])).sum())
    higher = int((unlabelled & (samples.proxy > highest[group])).sum())
    return LabelPairs(
        float((sums - labelled * (labelled + 1) / 2)[mixed].sum()),
        float(of_pairs.sum()),
        float((of_pairs * (samples.sizes + 1)).sum()) / 12,
        lower,
        higher,
        int(unlabelled.sum()) - lower - higher,
    )


def check_labels(table: GroupSums) -> None:
    """Refuse true scores that are known for the top of the proxy alone, or for the bottom.

    They are if significantly more labelled samples have the higher proxy, or the lower one, nearly all unlabelled ones
    lie outside the labelled ones of their group on the other side, and these are many: more than a tenth of the
    samples, or most of a selection.

    Raises:
        UserError: they are.
    """
    labels = table.labels
    if not labels.unlabelled or not labels.differ:
        return
    top = labels.share.estimate > 0.5
    outside = labels.below if top else labels.above
    used = (table.sums[2] > 0).any(axis=0)
    unlabelled = 1 - float(table.sums[2][:, used].mean(axis=1).min())
    many = outside > _FEW * table.sizes[used].sum() or unlabelled > 0.5
    if outside < _CONFINED * labels.unlabelled or not many:
        return
    side, other = ("highest", "below") if top else ("lowest", "above")
    raise UserError(
        f"true scores are known for the rows with the {side} proxy alone: {outside:,} of {labels.unlabelled:,} rows "
        f"without one are {other} all labelled rows of their group, which cannot tell what "
        f"{'the base' if top else 'a selection'} earns; label rows drawn at random"
    )


def table_remarks(table: GroupSums, dropped: int, more: Sequence[str] = ()) -> list[str]:
    """Return sentences on a table: rows left out, a constant proxy, `more`, and labels."""
    texts = [f"{counted(dropped, 'row')} left out by --drop"] if dropped else []
    if table.lowest == table.highest:
        texts.append("the proxy is constant: all samples tie, and selection is random")
    labels = labels_sentence(table)
    return [*texts, *more, *([labels] if labels else [])]


def labels_sentence(table: GroupSums) -> str:
    """Return a sentence on how many true scores are known, and whether they are known for other proxies."""
    if not 0 < table.known < table.number:
        return ""
    text = f"true scores are known for {table.known:,} of {table.number:,} rows"
    share = table.labels.share
    if not table.labels.pairs:
        return f"{text}, in whole groups: it is that of these groups"
    top = share.estimate > 0.5
    percent = 100 * (share.estimate if top else 1 - share.estimate)
    ends = sorted(100 * (one if top else 1 - one) for one in (share.low, share.high))
    often = f"{percent:.0f} % [{ends[0]:.0f}, {ends[1]:.0f}] of pairs of a row with and one without"
    higher = "higher" if top else "lower"
    if table.labels.differ and not _SIMILAR <= share.estimate <= 1 - _SIMILAR:
        text += (
            f", which have the {higher} proxy in {often} in the same group: the true score is that of labelled rows, "
            "which may differ"
        )
    elif (table.label_ratios != 1).any():
        ratios = table.label_ratios
        most = ratios[np.abs(np.log(np.maximum(ratios, 1e-9))).argmax()]
        text += (
            f", and labels depend on the proxy's rank: rows of one of the selections are labelled {most:.2g} times as "
            "often as all rows; the true score is that of labelled rows, which may differ"
        )
        if most < _SELDOM:
            text += ", and unknown where they are labelled less than half as often"
    elif ends[1] > 100 * (1 - _SIMILAR):
        text += f"; that is too few to tell if their proxies differ: they have the {higher} one in {often}"
    known = np.flatnonzero(table.sums[2].any(axis=1))
    effective = effective_groups(table.sums[2])[known[-1]]
    if table.groups > 1 and effective < FEW_GROUPS:
        text += (
            f"; in the strongest selection they tell as much as {effective:.1f} labelled groups, and intervals "
            "are approximate"
        )
    return text
