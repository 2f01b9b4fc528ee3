"""Strengths at which rules are comparable: as far from the base distribution as a quantile is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from quantilizers.choices import MATCHES, Match, check_choice
from quantilizers.quantilize import Rule, effective_sample_size, kl_divergence, number_kept

if TYPE_CHECKING:
    import numpy.typing as npt

#: Relative precision to which strengths are matched.
PRECISION = 1e-9


def matched_strength(rule: Rule, scores: npt.NDArray[Any], quantile: float, match: Match = "kl") -> float:
    """Return the strength at which a rule is as far from the base distribution as a quantile is.

    The quantile keeps k = max(1, floor(q·N)) of N samples. Its KL divergence (match `kl`) is log(N/k), which is
    log(1/q) but for rounding; its effective sample size (match `effective_size`) is k. The strength is infinite where
    no finite one goes as far: k is 1, or k or more samples tie for the best by score.

    >>> import numpy as np
    >>> from quantilizers.quantilize import RULES
    >>> scores = np.array([3.0, 1.0, 2.0, 0.0])
    >>> n = matched_strength(RULES["best_of_n"], scores, quantile=0.5)
    >>> round(n, 2), round(kl_divergence(RULES["best_of_n"].weights(scores, n)), 4)  # log 2
    (4.66, 0.6931)

    Raises:
        UserError: the quantile is impossible, or the match unknown, or nothing imitates by this rule.
        ValueError: the scores are not (N,) or not finite.
    """
    places = rule.places(scores)
    kept = number_kept(quantile, len(places))
    check_choice("match", match, MATCHES)
    if rule.neutral is None:
        return quantile
    # Scores have a unit, and the search works best near 1.
    scale = (float(places.mean()) or 1.0) if rule.by_score else 1.0
    places = places / scale if rule.by_score else places
    target = math.log(len(places) / kept)  # also a start for the search

    def lacking(strength: float) -> float:
        found = rule.weights_of_places(places, strength)
        far = kl_divergence(found) if match == "kl" else math.log(len(places) / effective_sample_size(found))
        return target - far

    if target == 0:
        return rule.neutral / scale
    if lacking(math.inf) >= -PRECISION:
        return math.inf
    return _root(lacking, rule.neutral, start=target) / scale


def matched_within(rule: Rule, scores: npt.NDArray[Any], divergence: float) -> float:
    """Return the strength at which a rule by score has a mean KL divergence over decision problems.

    One strength holds for all problems, as one KL penalty does. It is infinite where no finite one goes as far.

    Args:
        rule: by score, for fresh draws.
        scores: (S, m), m of each problem.
        divergence: in nats.
    """
    import numpy as np

    assert rule.by_score
    assert rule.neutral is not None
    if divergence <= 0:
        return rule.neutral
    below = scores - scores.max(axis=1, keepdims=True)
    scale = float(-below.mean()) or 1.0
    number = scores.shape[1]

    def lacking(strength: float) -> float:
        weights = rule.fresh(below, strength / scale)
        return divergence - float((weights * np.log(np.maximum(weights * number, 1e-300))).sum()) / len(scores)

    best = (below == 0).sum(axis=1)
    if divergence >= float(np.log(number / best).mean()) - PRECISION:
        return math.inf
    return _root(lacking, rule.neutral, start=divergence) / scale


def _root(lacking: Callable[[float], float], neutral: float, start: float) -> float:
    """Return where a falling function is 0."""
    # It takes long to import, and only matched rules need it.
    from scipy import optimize

    # In the logarithm of the strength, where divergences are nearly straight.
    low = high = start
    while lacking(math.exp(high)) > 0:
        high += 1.0
    while math.exp(low) > neutral and lacking(math.exp(low)) < 0:
        low -= 1.0
    low = low if math.exp(low) > neutral or neutral == 0 else math.log(neutral)
    return math.exp(optimize.brentq(lambda power: lacking(math.exp(power)), low, high, xtol=PRECISION))
