"""Cross-fitting: the strength of a selection is chosen on some groups and judged on the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.errors import UserError
from quantilizers.evaluation.intervals import Interval, student
from quantilizers.numbers_in_words import counted
from quantilizers.quantilize import RULES, Strength
from quantilizers.rewards import FloatArray
from quantilizers.scores.curves import ROUNDING, GroupSums, check_labels, short_interval
from quantilizers.scores.samples import Samples

#: Folds and their repetitions.
FOLDS, REPEATS = 5, 20
#: Number of random parts into which a single problem is split, each a problem with fewer samples.
PARTS = 20
#: Fewest groups with a labelled row in the selection.
FEWEST_GROUPS = 20


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
        groups: number of groups with a labelled row in every selection.
        parts: whether a single problem was split into parts.
    """

    chosen: Strength
    candidates: tuple[Strength, ...]
    estimates: tuple[Interval, ...]
    earned: dict[str, Interval]
    gains: dict[str, Interval]
    cost: Interval
    shares: FloatArray
    groups: int
    parts: bool

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

    def as_numbers(self) -> dict[str, Any]:
        """Return values for JSON."""
        return {
            "chosen": self.chosen.label,
            "groups": self.groups,
            "candidates": [
                {"strength": one.label, "true": estimate.as_numbers(), "chosen_in": float(share)}
                for one, estimate, share in zip(self.candidates, self.estimates, self.shares, strict=True)
            ],
            "earned": {name: interval.as_numbers() for name, interval in self.earned.items()},
            "chosen_minus": {name: interval.as_numbers() for name, interval in self.gains.items()},
            "cost_of_best_of_n": self.cost.as_numbers(),
            "sentence": self.sentence(),
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
    n is where d/dn of the mean true score at the proxy's levels is 0, tuned on the same groups.

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
    table = GroupSums.of(samples, candidates)
    check_labels(table)
    _, tops, bottoms = table.sums
    usable = np.flatnonzero((bottoms > 0).all(axis=0))
    if len(usable) < FEWEST_GROUPS:
        labelled = int(samples.known.sum())
        enough = math.ceil(labelled * FEWEST_GROUPS / max(1, len(usable)))
        way = f"about {enough:,} labelled rows, spread like these, would do"
        if samples.groups < FEWEST_GROUPS:
            way = f"{FEWEST_GROUPS} groups with labelled rows would do"
        verb = "has" if len(usable) == 1 else "have"
        raise UserError(
            f"{counted(len(usable), 'group')} of {samples.groups:,} {verb} a labelled row in every selection, with "
            f"{labelled:,} labelled rows; {way}"
        )
    scores = tops[:, usable] / bottoms[:, usable]
    part = samples.part(usable)
    rewards = _rewards_by_level(part)
    draws = max(one.draws for one in candidates)
    quarter = RULES["top_k_of_n"].at(draws, k=max(1, draws // 4))
    top, bottom = part.weighted(part.columns[1:], [quarter])[:, 0]
    quarter_scores = top / np.where(bottom > 0, bottom, np.nan)
    number = len(usable)
    best_of_n = next(place for place, one in enumerate(candidates) if one.draws == draws and (one.extra or 1) == 1)
    earned = np.zeros(number)
    hedged = np.zeros(number)
    picks = np.zeros(len(candidates))
    generator = np.random.default_rng(seed)
    for _ in range(REPEATS):
        folds = generator.permutation(number) % FOLDS
        for fold in range(FOLDS):
            held, train = folds == fold, folds != fold
            pick = _pick(scores[:, train].mean(axis=1), tolerance)
            picks[pick] += 1
            earned[held] += scores[pick, held] / REPEATS
            tuned = hedge_tune(rewards[train].mean(axis=0), draws)
            hedged[held] += rewards[held] @ _real_best_of_n(rewards.shape[1], tuned) / REPEATS
    over = counted(number, "part" if parts else "group")

    def interval(values: FloatArray) -> Interval:
        finite = values[np.isfinite(values)]
        return student(float(finite.mean()), float(finite.std(ddof=1)) / math.sqrt(len(finite)), len(finite) - 1, over)

    others = {
        "base": scores[0],
        f"best of {draws}": scores[best_of_n],
        quarter.label: quarter_scores,
        "HedgeTune": hedged,
    }
    chosen = candidates[_pick(scores.mean(axis=1), tolerance)]
    return StrengthChoice(
        chosen,
        tuple(candidates),
        tuple(interval(row) for row in scores),
        {"chosen": interval(earned), **{name: interval(values) for name, values in others.items()}},
        {name: interval(_difference(earned, values)) for name, values in others.items()},
        interval(_difference(scores[0], scores[best_of_n])),
        picks / picks.sum(),
        number,
        parts,
    )


def check_tolerance(tolerance: float) -> None:
    """Refuse a tolerance that is negative or not finite; raise a UserError."""
    if not 0 <= tolerance < math.inf:
        raise UserError(f"the tolerance is {tolerance:g}; it is finite and not negative")


def hedge_tune(rewards: FloatArray, most: int) -> float:
    """Return the real n, from 1 to `most`, at which best of n stops gaining true score (Khalaf et al. 2025).

    It is the first root of R(n) = E[r(u) p_n(u) ∂/∂n log p_n(u)] with p_n(u) = n u^(n−1) and r(u) the mean true score
    at the proxy's level u in (0, 1); `most` where R stays positive, and 1 where it is negative from the start.

    Args:
        rewards: r (L,), at even levels, the highest proxy first.
        most: largest n.
    """
    levels = np.arange(len(rewards), -1, -1) / len(rewards)
    logarithms = np.log(np.where(levels > 0, levels, 1.0))

    def residual(n: float) -> float:
        # ∂/∂n of u^n is u^n log u, at the edges of each level.
        slopes = levels**n * logarithms
        return float(rewards @ (slopes[:-1] - slopes[1:]))

    grid = np.geomspace(1.0, max(float(most), 1.0 + 1e-9), 200)
    values = np.array([residual(n) for n in grid])
    if values[0] <= 0:
        return 1.0
    falls = np.flatnonzero(values <= 0)
    if not len(falls):
        return float(most)
    low, high = grid[falls[0] - 1], grid[falls[0]]
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if residual(middle) > 0 else (low, middle)
    return float(low)


def _real_best_of_n(number: int, n: float) -> FloatArray:
    levels = np.arange(number, -1, -1) / number
    weights: FloatArray = levels[:-1] ** n - levels[1:] ** n
    return weights


def _rewards_by_level(samples: Samples) -> FloatArray:
    """Return the mean true score (G, L) of each group at even levels of its proxy, the highest first.

    Levels without a labelled row have the group's mean.
    """
    levels = int(min(samples.sizes.min(), 64))
    cuts = [RULES["trimmed"].at(1 / levels, cut=place / levels) for place in range(levels)]
    tops, bottoms = samples.weighted(samples.columns[1:], cuts)
    means = tops.sum(axis=0) / bottoms.sum(axis=0)
    filled: FloatArray = np.where(bottoms > 0, tops / np.where(bottoms > 0, bottoms, 1.0), means).T
    return filled


def _candidates(n: int, *, fixed: bool) -> list[Strength]:
    """Return the base distribution and selections of increasing pressure: top k of n, or best of 1, 2, 4, … n."""
    powers = [2**power for power in range(int(math.log2(max(n, 1))) + 1)]
    if fixed:
        return [RULES["top_k_of_n"].at(n, k=k) for k in sorted({n, *powers}, reverse=True)]
    return [RULES["best_of_n"].at(one) for one in sorted({*powers, n})]


def _difference(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return a difference that is 0 where it is rounding."""
    difference = left - right
    return np.where(np.abs(difference) <= ROUNDING * np.abs(left).max(), 0.0, difference)


def _pick(means: FloatArray, tolerance: float) -> int:
    """Return the weakest selection whose mean is within a tolerance of the largest."""
    rounding = ROUNDING * float(np.abs(means).max())
    return int(np.flatnonzero(means >= means.max() - tolerance - rounding)[0])


def summary_rows(choice: StrengthChoice) -> list[tuple[str, str, str]]:
    """Return rows of a table: a selection, its true score, and the choice minus it."""
    rows = [(f"chosen ({choice.chosen.label})", short_interval(choice.earned["chosen"]), "")]
    for name, interval in choice.earned.items():
        if name != "chosen":
            rows.append((name, short_interval(interval), short_interval(choice.gains[name])))
    return rows
