"""Cross-fitting: the strength of a selection is chosen on some groups and judged on the others."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from quantilizers.choices import whole_number
from quantilizers.errors import UserError
from quantilizers.evaluation.intervals import CONFIDENCE, Interval, difference_limits
from quantilizers.numbers_in_words import counted
from quantilizers.quantilize import RULES, Strength, real_number
from quantilizers.rewards import FloatArray
from quantilizers.scores.curves import (
    ROUNDING,
    Edges,
    GroupSums,
    check_labels,
    check_sizes,
    effective_groups,
    short_interval,
    table_remarks,
    trace_sums,
)
from quantilizers.scores.hedge_tuning import (
    between,
    hedge_tune,
    level_strengths,
    numbers_of_draws,
    rewards_by_level,
)
from quantilizers.scores.samples import Samples
from quantilizers.terminal import divided_table, wrapped

#: Folds and their repetitions.
FOLDS, REPEATS = 5, 20
#: Number of random parts into which a single problem is split, each a problem with fewer samples.
PARTS = 20
#: Fewest groups whose true score is known, or partly known groups that tell as much.
FEWEST_GROUPS = 20
#: Resamples of groups.
RESAMPLES = 400
#: More groups are resampled in as many random blocks.
MOST_UNITS = 1000


@dataclass(frozen=True, eq=False)
class StrengthChoice:
    """The strength that true scores recommend, and what choosing like that earns.

    Attributes:
        chosen: the strength chosen on all groups.
        candidates: strengths among which it was chosen, the base distribution first.
        estimates: mean true score of each candidate, over all groups. The largest of them is biased upwards.
        earned: mean true score with 95 % interval, of the choice made on other groups, and of the alternatives.
        gains: the choice minus each of the others, paired over groups.
        cost: true score of the base minus that of best of n, paired over groups.
        shares: how often each candidate was chosen, over folds.
        fixed_rule: name of the fixed rule, the best quarter of n, among those that earn.
        hedged: n of HedgeTune, tuned on all groups.
        table: sums at all strengths.
        parts: whether a single problem was split into parts.
        n_given: whether k was chosen for a given n.
        dropped: number of rows that were left out.
    """

    chosen: Strength
    candidates: tuple[Strength, ...]
    estimates: tuple[Interval, ...]
    earned: dict[str, Interval]
    gains: dict[str, Interval]
    cost: Interval
    shares: FloatArray
    fixed_rule: str
    hedged: float
    table: GroupSums
    parts: bool
    n_given: bool = False
    dropped: int = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.sentence()}>"

    def __str__(self) -> str:
        """Return the table of what is earned, and the recommendation."""
        head, *rows = self.rows()
        return "\n".join([divided_table(head, rows), *map(wrapped, [self.sentence(), *self.remarks()])])

    @property
    def groups(self) -> int:
        """Number of groups with a labelled row."""
        return int((self.table.sums[2, 0] > 0).sum())

    def costs_more_than(self, tolerance: float) -> bool:
        """Whether best of n costs more true score than a tolerance, by more than rounding."""
        scale = max(abs(one.estimate) for one in self.earned.values())
        return self.cost.estimate > tolerance + ROUNDING * scale

    def sentence(self) -> str:
        """Return the recommendation in one sentence."""
        place = self.candidates.index(self.chosen)
        named = f"{self.chosen.label}, which is the base distribution" if place == 0 else self.chosen.label
        return (
            f"choose {named}: chosen in {100 * float(self.shares[place]):.0f} % of {FOLDS * REPEATS} folds; on groups "
            f"that it was not chosen on, choosing earns {short_interval(self.earned['chosen'])}, a difference of "
            f"{short_interval(self.gains['base'])} from the base"
        )

    def remarks(self) -> list[str]:
        """Return sentences on the table, as those of a curve, and on the alternatives."""
        return [*self.table_remarks(), *self.alternatives()]

    def table_remarks(self) -> list[str]:
        """Return sentences on the table."""
        return table_remarks(self.table, self.dropped, () if self.n_given else self.table.remarks())

    def alternatives(self) -> list[str]:
        """Return a sentence on the alternative that earns most, if it earns more than the choice."""
        name = min(self.gains, key=lambda one: self.gains[one].estimate)
        gain, n = self.gains[name], max(one.draws for one in self.candidates)
        if not gain.estimate < 0:
            return []
        of_n = name == self.fixed_rule and all((one.extra or 1) == 1 for one in self.candidates)
        return [
            f"{self._named(name)} earns {short_interval(-gain)} more{'' if gain.high < 0 else ', which may be chance'}"
            f"{f'; choose k for n = {n} (--n {n}) to compare all' if of_n else ''}"
        ]

    def rows(self) -> list[tuple[str, ...]]:
        """Return the rows of a table, its head first: a selection, its true score, and the choice minus it."""
        rows: list[tuple[str, ...]] = [("selection", "true [95 %]", "choice minus it [95 %]")]
        for name, interval in self.earned.items():
            gain = short_interval(self.gains[name]) if name in self.gains else ""
            rows.append((self._named(name), short_interval(interval), gain))
        return rows

    def _named(self, name: str) -> str:
        """Return the name of what earns, with the strength if that is not its name."""
        if name == self.fixed_rule and not name.startswith("best of"):
            return f"fixed rule ({name})"
        return {
            "chosen": f"chosen ({self.chosen.label})", "HedgeTune": f"HedgeTune (best of {self.hedged:.3g})",
        }.get(name, name)  # fmt: skip

    def as_numbers(self) -> dict[str, Any]:
        """Return values for JSON."""
        return {
            "chosen": self.chosen.label,
            "groups": self.groups,
            "true_scores_known": self.table.known,
            "rows_dropped": self.dropped,
            "candidates": [
                {"strength": one.label, "true": estimate.as_numbers(), "chosen_in": float(share)}
                for one, estimate, share in zip(self.candidates, self.estimates, self.shares, strict=True)
            ],
            "earned": {name: interval.as_numbers() for name, interval in self.earned.items()},
            "chosen_minus": {name: interval.as_numbers() for name, interval in self.gains.items()},
            "cost_of_best_of_n": self.cost.as_numbers(),
            "fixed_rule": self.fixed_rule,
            "hedge_tune_n": self.hedged,
            "sentence": self.sentence(),
            "remarks": self.remarks(),
        }


def choose(
    proxy: npt.ArrayLike,
    true: npt.ArrayLike,
    group: npt.ArrayLike | None = None,
    *,
    n: int | None = None,
    tolerance: float = 0.0,
    seed: int = 0,
) -> StrengthChoice:
    """Choose k for a given n, or n for k = 1, by true scores.

    The strength is chosen on four fifths of the groups and judged on the rest, 20 times over (Stone 1974), beside the
    base distribution, best of n, the fixed rule that takes the best quarter, and HedgeTune (Khalaf et al. 2025), whose
    n is where d/dn of the mean true score at the proxy's levels is 0, tuned on the same groups. The levels are 64 equal
    parts of the proxy's ranks within a group, or as many as the smallest group has samples. All have the estimates
    of a curve; a real n has the mean of its neighbours'.

    The interval of choosing is of the mean true score that it earns in fresh groups, over all tables with four fifths
    of the groups from which it might be chosen. It is from 400 resamples of groups, in each of which strengths are
    chosen and judged again, and wider by Student's factor where groups are few.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> proxy = rng.normal(size=(200, 16))
    >>> true = proxy - np.maximum(proxy - 1, 0) ** 2 * 3 + rng.normal(size=proxy.shape)
    >>> choose(proxy.ravel(), true.ravel(), np.repeat(np.arange(200), 16), n=16).chosen.label
    'top 4 of 16'

    Args:
        proxy: (R,) finite scores.
        true: (R,) scores that matter; NaN where unknown.
        group: (R,) decision problem of each sample; None splits a single one at random into 20 parts.
        n: number of draws, for which k is chosen; None chooses n for k = 1.
        tolerance: choose the weakest selection whose estimate is within this of the largest.
        seed: of the folds.

    Raises:
        UserError: true scores are unknown, or known in too few groups, or a group has fewer than n samples.
    """
    samples = Samples.of(proxy, true, group)
    if samples.true is None:
        raise UserError("no true score is known, and a choice needs some")
    check_tolerance(tolerance)
    check_sizes(samples.names, samples.sizes)
    seed, n = whole_number("seed", seed, 0), None if n is None else whole_number("n", n)
    parts = samples.groups == 1
    if parts:
        fewest = PARTS * max(4, n or 4)
        if samples.number < fewest:
            raise UserError(f"one group of {samples.number:,} samples is too small to choose on; {fewest:,} would do")
        codes = np.random.default_rng(seed).permutation(samples.number) % PARTS
        samples = Samples.of(samples.proxy, samples.true, codes)
    if n is not None:
        samples.check_draws(n)
    candidates = _candidates(int(samples.sizes.min()) if n is None else n, fixed=n is not None)
    draws = max(one.draws for one in candidates)
    quarter = RULES["top_k_of_n"].at(draws, k=max(1, draws // 4))
    table = GroupSums.of(samples, [*candidates, quarter])
    check_labels(table)
    if (unseen := table.without_unseen().sums[2].sum(axis=1) == 0).any():
        first = int(unseen.argmax())
        raise UserError(
            f"rows of {[*candidates, quarter][first].label} are labelled {table.label_ratios[first]:.2g} times as "
            "often as all rows: labels depend on the proxy's rank, and nothing tells what it earns; label rows drawn "
            "at random"
        )
    _check_number_of_labels(table)
    # The estimates are those of a curve.
    fixed = trace_sums(table, [*candidates, quarter], samples, seed=seed)
    best_of_n = next(place for place, one in enumerate(candidates) if one.draws == draws and (one.extra or 1) == 1)
    others = {"base": 0, f"best of {draws}": best_of_n, quarter.label: len(candidates)}
    found = _cross_fit(samples, table, len(candidates), draws, tolerance, seed)
    over = fixed.true[0].over
    freedom = float(effective_groups(table.sums[2]).min()) - 1

    scale = float(np.abs(found.chosen).max())
    # Percentiles of resamples, which normal ones would hold too rarely where groups are few.
    level = (1 + CONFIDENCE) / 2
    wider = float(special.stdtrit(freedom, level) / special.ndtri(level))

    def varies(values: FloatArray) -> bool:
        return float(values[1:].std(ddof=1)) > ROUNDING * scale

    def interval(values: FloatArray) -> Interval:
        """Return the estimate (the first) with the interval that the resamples after it give."""
        values = np.where(np.abs(values) <= ROUNDING * scale, 0.0, values)
        estimate = float(values[0])
        low, high = (wider * (np.quantile(values[1:], (1 - level, level)) - estimate)).tolist()
        return Interval(estimate, estimate + min(low, 0.0), estimate + max(high, 0.0), over)

    def mean(values: FloatArray, sums: FloatArray) -> Interval:
        """Return the interval of a mean with sums (2, G), unknown or wider where few groups show how much it varies."""
        one = interval(values)
        if table.ends is None:
            return one if varies(values) else replace(one, low=math.nan, high=math.nan)
        edges = Edges.of(values[:1], sums[None, 0], sums[None, 1], table.ends, np.ones((1, 1)))
        low, high = edges.limits(values[:1], values[None, 1:].std(axis=1, ddof=1))
        return replace(one, low=min(one.low, float(low[0])), high=max(one.high, float(high[0]))).within(*table.ends)

    # Where true scores do not vary, the first candidate is always chosen, and another might be in another table.
    steady = found.always_the_same and any(map(varies, found.fixed.T))

    def difference(name: str, of_other: FloatArray) -> Interval:
        """Return the interval of the choice minus another selection, unknown or wider likewise."""
        of_chosen, other = found.chosen, earned[name]
        one, both = interval(of_chosen - of_other), (varies(of_chosen), varies(of_other))
        differs = varies(of_chosen - of_other)
        picked = int(found.shares.argmax())
        named = (candidates[picked].label, "HedgeTune", "" if picked else "base")
        if not differs and (len(candidates) == 1 or (steady and name in named)):
            return one  # it is the same selection
        if table.ends is None:
            return one if differs and all(both) else replace(one, low=math.nan, high=math.nan)
        # Selections that differ in no resample would differ in another table.
        correlation = np.corrcoef(of_chosen[1:], of_other[1:])[0, 1] if differs and all(both) else 0.0
        left, right = (
            [np.array([number]) for number in (it.estimate, it.low, it.high)] for it in (earned["chosen"], other)
        )
        low, high = difference_limits(
            left[0], (left[1], left[2]), right[0], (right[1], right[2]), np.array([correlation])
        )
        return replace(one, low=min(one.low, float(low[0])), high=max(one.high, float(high[0])))

    sums = table.sums[1:, : len(candidates)]
    tuned = RULES["best_of_n"].at(max(1, round(found.hedged_n)))
    earned = {
        "chosen": mean(found.chosen, np.einsum("p,vpg->vg", found.shares, sums)),
        **{name: fixed.true[place] for name, place in others.items()},
        "HedgeTune": mean(found.hedged, samples.weighted(samples.columns[1:], [tuned])[:, 0]),
    }
    alternatives = {name: found.fixed[:, place] for name, place in others.items()} | {"HedgeTune": found.hedged}
    chosen = candidates[int(_pick(found.fixed[0, : len(candidates)], tolerance))]
    return StrengthChoice(
        chosen,
        tuple(candidates),
        fixed.true[: len(candidates)],
        earned,
        {name: difference(name, values) for name, values in alternatives.items()},
        -fixed.gains[best_of_n],
        found.shares,
        quarter.label,
        found.hedged_n,
        table,
        parts,
        n is not None,
    )


def _check_number_of_labels(table: GroupSums) -> None:
    """Refuse too few labels in some selection; raise a UserError that says how many would do."""
    effective = float(effective_groups(table.sums[2]).min())
    if effective >= FEWEST_GROUPS - ROUNDING * FEWEST_GROUPS:
        return
    enough = math.ceil(table.known * FEWEST_GROUPS / max(1.0, effective))
    way = f"about {enough:,} labelled rows, spread like these, would do"
    if table.groups < FEWEST_GROUPS:
        way = f"{FEWEST_GROUPS} groups with labelled rows would do"
    elif enough > table.number:
        way = "label all rows, or more groups"
    raise UserError(
        f"{counted(table.known, 'labelled row')} of {counted(table.groups, 'group')} tell as much as {effective:.1f} "
        f"labelled groups in the strongest selection, and a choice needs {FEWEST_GROUPS}; {way}"
    )


@dataclass(frozen=True, eq=False)
class _CrossFitted:
    """True scores earned in the table, and in B resamples of its groups, (B + 1,) each.

    Attributes:
        chosen: of the choice, on groups that it was not made on.
        hedged: of HedgeTune, likewise.
        fixed: of each strength, (B + 1, P).
        shares: how often each candidate was chosen in the table.
        always_the_same: whether one candidate was chosen in all folds of the table and of its resamples.
        hedged_n: HedgeTune's n, tuned on the whole table.
    """

    chosen: FloatArray
    hedged: FloatArray
    fixed: FloatArray
    shares: FloatArray
    always_the_same: bool
    hedged_n: float


def _cross_fit(
    samples: Samples, table: GroupSums, candidates: int, draws: int, tolerance: float, seed: int
) -> _CrossFitted:
    """Choose on some groups and sum on the others, in the table and in resamples of its groups.

    Folds share groups, and a choice made on few of them is noisy, so the spread over groups understates the error. The
    whole procedure is repeated in each resample instead. Copies of a group lie in one fold.
    """
    numbers = numbers_of_draws(draws)
    best, levels = [RULES["best_of_n"].at(int(one)) for one in numbers], level_strengths(samples)
    sums = np.concatenate([table.sums[1:], samples.weighted(samples.columns[1:], [*best, *levels])], axis=1)
    bounds = (table.sums.shape[1], table.sums.shape[1] + len(best))
    generator = np.random.default_rng(seed)
    sums = _in_blocks(sums[:, :, table.sums[2, 0] > 0], generator)
    units = sums.shape[2]
    folds = [generator.permutation(units) % FOLDS for _ in range(REPEATS)]
    counts = np.concatenate(
        [np.ones((1, units)), generator.multinomial(units, np.full(units, 1 / units), size=RESAMPLES)]
    )
    chosen, hedged = np.zeros((2, len(counts))), np.zeros((2, len(counts)))
    picks, weakest, strongest = np.zeros(candidates), candidates, 0
    for fold in folds:
        # (true or labels, resample, fold, strength)
        held = np.stack([counts[:, fold == one] @ sums[:, :, fold == one].swapaxes(1, 2) for one in range(FOLDS)], 2)
        train = np.einsum("vbfs,fg->vbgs", held, 1 - np.eye(FOLDS))
        tops, bottoms = train[:, :, :, :candidates]
        means = np.divide(tops, bottoms, out=np.full(tops.shape, -np.inf), where=bottoms > 0)
        pick = _pick(means, tolerance)
        picks += np.bincount(pick[0], minlength=candidates)
        weakest, strongest = min(weakest, int(pick.min())), max(strongest, int(pick.max()))
        chosen += np.take_along_axis(held, pick[None, :, :, None], axis=3).sum(axis=(2, 3))
        rewards = rewards_by_level(*train[:, :, :, bounds[1] :])
        place, share = between(numbers, hedge_tune(rewards, draws))
        for at, weight in ((place, 1 - share), (np.minimum(place + 1, len(numbers) - 1), share)):
            judged = np.take_along_axis(held, bounds[0] + at[None, :, :, None], axis=3)[..., 0]
            hedged += (weight * judged).sum(axis=2)
    whole = counts @ sums[:, :, :].swapaxes(1, 2)
    hedged_n = float(hedge_tune(rewards_by_level(*whole[:, 0, bounds[1] :]), draws))
    return _CrossFitted(
        chosen[0] / chosen[1],
        hedged[0] / hedged[1],
        whole[0, :, : bounds[0]] / whole[1, :, : bounds[0]],
        picks / picks.sum(),
        weakest == strongest,
        hedged_n,
    )


def _in_blocks(sums: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Return sums (2, P, U) of groups, or of random blocks of many groups."""
    number = sums.shape[2]
    if number <= MOST_UNITS:
        return sums
    starts = np.linspace(0, number, MOST_UNITS, endpoint=False).astype(np.intp)
    summed: FloatArray = np.add.reduceat(sums[:, :, generator.permutation(number)], starts, axis=2)
    return summed


def check_tolerance(tolerance: float) -> None:
    """Refuse a tolerance that is negative or not finite; raise a UserError."""
    if not 0 <= real_number("the tolerance", tolerance) < math.inf:
        raise UserError(f"the tolerance is {tolerance:g}; it is finite and not negative")


def _candidates(n: int, *, fixed: bool) -> list[Strength]:
    """Return the base distribution and selections of increasing pressure: top k of n, or best of 1, 2, 4, … n."""
    powers = [2**power for power in range(int(math.log2(max(n, 1))) + 1)]
    if fixed:
        return [RULES["top_k_of_n"].at(n, k=k) for k in sorted({n, *powers}, reverse=True)]
    return [RULES["best_of_n"].at(one) for one in sorted({*powers, n})]


def _pick(means: FloatArray, tolerance: float) -> npt.NDArray[np.intp]:
    """Return the weakest selection (…) whose mean, of means (…, P), is within a tolerance of the largest."""
    rounding = ROUNDING * np.abs(np.where(np.isfinite(means), means, 0.0)).max(axis=-1, keepdims=True)
    weakest: npt.NDArray[np.intp] = (means >= means.max(axis=-1, keepdims=True) - tolerance - rounding).argmax(axis=-1)
    return weakest
