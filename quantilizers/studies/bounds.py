"""Theoretical bounds of quantilizers, and whether measured policies satisfy them.

**The cost bound** (Taylor 2016, *Quantilizers: A Safer Alternative to Maximizers for Limited Optimization*, section 3).
Let c ≥ 0 be any cost of an episode, known or not. The top q of a base distribution D has at most 1/q times its mean
cost:

    E_q[c] ≤ E_D[c] / q.

Proof: a quantilizer plays no episode more than 1/q times as often as D does, so Σ Q(x) c(x) ≤ Σ D(x) c(x) / q for
c ≥ 0. The same holds for any weights with the largest density ratio Q(x) / D(x) in place of 1/q: n for best-of-n.
No method that is to keep the bound for every c can earn more proxy return (Taylor 2016, optimality theorem).

**The guarantee** (Carey 2019, *When to use quantilization*: V = U + I with an implicit reward I ≤ 0 and E_D[I] ≥ −k).
Let U be the proxy return and V the true one, on one scale, and k at least the mean over D of the loss max(0, U − V).
Then

    E_q[V] ≥ E_q[U] − k / q.

Proof: V ≥ U − max(0, U − V), and the loss is a cost, of mean at most k / q. Where the true return exceeds the proxy
return, the loss is 0 and the guarantee holds all the more. The first term grows as q falls and the second falls, so
some q is best; it can be chosen without seeing V if k is known.

**Assumptions.** Both are about whole episodes, drawn as D draws them. The quantilizer of N episodes keeps
m = max(1, floor(q·N)) of them, so its 1/q is N/m, which is a little more where q·N is not whole. A cloned policy is not
a quantilizer of D: in states that its demonstrations do not show it does what none of them did, and nothing bounds its
cost. The guarantee needs U and V in one unit: a change of the proxy's unit keeps the same episodes but changes U − V
and the guarantee (`why_no_guarantee`). The cost bound needs no unit.

**Checks.** `check_bounds` looks at two costs made of true returns alone, so they need no unit in common with the proxy:
`failures` (an episode worse than the worst demonstration; the bound is 0 at every q, because no demonstration fails)
and `shortfall` (the distance to the best demonstration).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from quantilizers.evaluation.intervals import CONFIDENCE, Interval, mean_interval, student
from quantilizers.evaluation.weighted_means import WeightedMeans, top_means
from quantilizers.numbers_in_words import counted, short
from quantilizers.quantilize import RULES, best_first, density_ratio
from quantilizers.rewards import FloatArray, Reward
from quantilizers.studies.exact import RESAMPLES, Resampling, plain

Finding = Literal["kept", "broken", "undecided"]
#: Relative rounding error of sums of the same costs in another order.
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class CostBounds:
    """Mean costs of weighted episodes beside their bounds."""

    base_cost: float  # mean cost of all N episodes
    density_ratios: FloatArray  # (M,), largest ratio of an episode's weight to 1/N; 1/q for a quantile
    costs: FloatArray  # (M,), mean costs of the weighted episodes
    bounds: FloatArray  # (M,), density ratio times base cost

    @property
    def margins(self) -> FloatArray:
        """Bounds less costs, (M,)."""
        return self.bounds - self.costs

    @property
    def kept(self) -> bool:
        """Whether all bounds hold, but for rounding; for weighted episodes this is a theorem."""
        return bool((self.margins >= -ROUNDING * np.abs(self.bounds)).all())

    def as_numbers(self) -> dict[str, Any]:
        """Return values for JSON."""
        arrays = {name: plain(getattr(self, name)) for name in ("density_ratios", "costs", "bounds")}
        return {"base_cost": self.base_cost, **arrays, "kept": self.kept}


@dataclass(frozen=True)
class PolicyBound:
    """The cost of policies beside the bound of the quantilizer that they imitate."""

    quantile: float
    cost: Interval  # of the policies, over their seeds
    base_cost: Interval  # of the demonstrations, with an interval for the cost of the players who they are a sample of
    bound: Interval  # base cost times the density ratio of the episodes kept
    margin: Interval  # bound less cost, with the interval of the cost, for these demonstrations
    # "broken" if the policies' cost is above the bound for these demonstrations, "kept" if it is not, "undecided" if
    # its interval holds the bound.
    finding: Finding
    # The same with the interval of the bound included: "broken" only if the cost is above the largest bound that the
    # players may have.
    finding_for_players: Finding

    def sentence(self, what: str = "cost") -> str:
        """Return the finding in plain English, with a name for the cost, such as "share of episodes that crash"."""
        beside = f"the {what} of policies at q = {self.quantile:g} is {self.cost}"
        limit = f"the bound for these demonstrations is {short(self.bound.estimate)}"
        if self.finding == "broken":
            text = f"Broken: {beside}, and {limit}. The policies do what the episodes they imitate do not."
            if self.finding_for_players != "broken":
                text += f" For the players the bound may be as high as {short(self.bound.high)}."
            return text
        return f"{self.finding.capitalize()}: {beside}, and {limit}."

    def as_numbers(self) -> dict[str, Any]:
        """Return values for JSON; None stands for NaN and infinity."""
        intervals = {
            name: dict(zip(("estimate", "low", "high"), getattr(self, name).as_numbers(), strict=True))
            for name in ("cost", "base_cost", "bound", "margin")
        }
        findings = {"finding": self.finding, "finding_for_players": self.finding_for_players}
        return {"quantile": self.quantile, **intervals, **findings}


@dataclass(frozen=True, eq=False)
class Guarantee:
    """The lower bound of the exact quantilizer's true return, E_q[U] − k / q."""

    quantiles: FloatArray  # (M,)
    proxy: WeightedMeans  # E_q[U], M means
    implicit_loss: Interval  # k, given (without bounds) or estimated
    values: FloatArray  # (M,), the guarantee
    lows: FloatArray  # (M,), lower bounds of its 95 % interval; NaN where one episode is kept
    highs: FloatArray  # (M,), likewise
    best_quantile: float  # q at which the guarantee is highest
    best_low: float  # lower bound of its 95 % interval
    best_high: float
    # A sentence on why it does not apply, and the numbers mean nothing; None where it applies.
    why_not: str | None = None

    @property
    def applies(self) -> bool:
        """Whether proxy and true return are on one scale."""
        return self.why_not is None

    def margins(self, true_means: npt.NDArray[Any]) -> FloatArray:
        """Return how far mean true returns (M,) at the same quantiles are above the guarantee, (M,).

        It is never negative for the episodes that k was estimated from; for policies it may be.
        """
        return np.asarray(true_means - self.values)

    def finding(self, quantile: float, true_return: Interval) -> Finding:
        """Return whether policies keep the guarantee of the quantilizer that they imitate."""
        if self.why_not is not None:
            raise ValueError(self.why_not)
        (places,) = np.nonzero(self.quantiles == quantile)
        if not len(places):
            raise ValueError(f"there is no guarantee at q = {quantile:g}")
        value = self.values[places[0]]
        if true_return.high < value:
            return "broken"
        return "kept" if true_return.low >= value else "undecided"

    def as_numbers(self) -> dict[str, Any]:
        """Return values for JSON; None stands for NaN and infinity."""
        numbers: dict[str, Any] = {"applies": self.applies, "why_not": self.why_not}
        for name in ("quantiles", "values", "lows", "highs"):
            numbers[name] = plain(getattr(self, name))
        numbers["proxy"] = plain(self.proxy.means)
        loss = self.implicit_loss
        numbers["k"] = list(loss.as_numbers())
        numbers["best_quantile"] = [self.best_quantile, self.best_low, self.best_high]
        return numbers


def implicit_losses(true_returns: npt.NDArray[Any], proxy_returns: npt.NDArray[Any]) -> FloatArray:
    """Return the implicit loss max(0, U − V) of each episode, (N,), with both returns (N,) on one scale."""
    return np.asarray(np.maximum(0.0, proxy_returns.astype(np.float64) - true_returns))


def failures(true_returns: npt.NDArray[Any], threshold: float) -> FloatArray:
    """Return 1 for each true return below a threshold, 0 for the others: a cost whose mean is a share of episodes."""
    return (true_returns < threshold).astype(np.float64)


def top_cost_bounds(costs: npt.NDArray[Any], proxy_returns: npt.NDArray[Any], quantiles: Sequence[float]) -> CostBounds:
    """Compare the mean costs of the top q of N episodes with their bounds, N / max(1, floor(q·N)) times the mean."""
    return cost_bounds(costs, np.stack([RULES["quantile"].weights(proxy_returns, quantile) for quantile in quantiles]))


def cost_bounds(costs: npt.NDArray[Any], weights: npt.NDArray[Any]) -> CostBounds:
    """Compare the mean costs (N,), not negative, under weights (M, N), whose rows sum to 1, with their bounds."""
    checked = _checked(costs)
    if checked.ndim != 1 or weights.ndim != 2 or weights.shape[1] != len(checked):
        raise ValueError(f"costs {costs.shape} and weights {weights.shape} are not (N,) and (M, N)")
    base = float(checked.mean())
    ratios = np.array([density_ratio(row) for row in weights])
    return CostBounds(base, ratios, weights @ checked, ratios * base)


def policy_bound(
    policy_costs: npt.NDArray[Any], base_costs: npt.NDArray[Any], quantile: float, largest: float = np.inf
) -> PolicyBound:
    """Compare the cost of policies with the bound of the quantilizer that they imitate, and flag where it is broken.

    The interval of the players' cost takes the demonstrations as independent. It is Student's, or Clopper & Pearson's
    (1934) where all costs are 0 or 1, so that none in 20 does not count as never.

    Args:
        policy_costs: (seeds, episodes), not negative.
        base_costs: (N,) of all demonstrations, not negative.
        quantile: q of the quantilizer.
        largest: the largest that a cost can be.
    """
    if base_costs.ndim != 1 or base_costs.size == 0:
        raise ValueError(f"costs of demonstrations have shape {base_costs.shape}, not (N,)")
    cost, base = mean_interval(_checked(policy_costs)).within(0.0, largest), _base_cost(_checked(base_costs))
    ratio = density_ratio(RULES["quantile"].weights(base_costs, quantile))
    bound = Interval(ratio * base.estimate, ratio * base.low, ratio * base.high, base.over)
    limit = bound.estimate
    margin = Interval(limit - cost.estimate, limit - cost.high, limit - cost.low, cost.over, cost.one_seed_only)
    slack = ROUNDING * limit
    return PolicyBound(
        quantile,
        cost,
        base,
        bound,
        margin,
        _finding(cost, limit + slack, limit + slack),
        _finding(cost, bound.low + slack, bound.high + slack),
    )


def guarantee(
    proxy_returns: npt.NDArray[Any],
    quantiles: Sequence[float],
    implicit_loss: float | None = None,
    true_returns: npt.NDArray[Any] | None = None,
    why_not: str | None = None,
    players: npt.NDArray[Any] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Guarantee:
    """Return E_q[U] − k / q at each q, and the q that maximises it.

    Intervals are Student's, with standard errors from resamples of episodes or of whole players, in each of which k is
    estimated, and one degree of freedom less than episodes kept. For the top m of N episodes 1/q is N/m.

    Args:
        proxy_returns: U (N,), of the demonstrations or of more episodes of the base distribution.
        implicit_loss: k, the mean implicit loss of the base distribution, if it is known.
        true_returns: V (N,), from which k is estimated if it is not given.
        why_not: from `why_no_guarantee`.
        players: (N,), who played each episode; whole players are drawn.
    """
    proxy, number = top_means(proxy_returns, proxy_returns, quantiles), len(proxy_returns)
    # The first row keeps all, for the mean loss of a resample.
    weights = np.stack([RULES["quantile"].weights(proxy_returns, quantile) for quantile in (1.0, *quantiles)])
    ratios = weights[1:].max(axis=1) * number
    if implicit_loss is not None:
        if not implicit_loss >= 0:
            raise ValueError(f"k is {implicit_loss:g}; a mean implicit loss is not negative")
        loss = Interval(implicit_loss, np.nan, np.nan, "given")
        losses = np.full(number, implicit_loss)
    elif true_returns is not None:
        losses = implicit_losses(true_returns, proxy_returns)
        loss = _base_cost(losses)
    else:
        raise ValueError("give k, or the true returns to estimate it from")
    of_proxy, of_losses = Resampling(proxy_returns, players, resamples, seed).ranked_means(
        np.stack([proxy_returns, losses]), weights[:, best_first(proxy_returns)]
    )
    resampled = of_proxy[:, 1:] - ratios * of_losses[:, :1]
    values = proxy.means - ratios * loss.estimate
    errors, freedom = resampled.std(axis=0, ddof=1), proxy.effective_sizes - 1
    # The effective size of one episode may be a little more than 1 by rounding.
    freedom = np.where(freedom > 0.5, freedom, np.nan)
    # It takes as long to import as matplotlib, and figures need only the other bounds.
    from scipy import stats

    reach = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * errors
    grid = np.array(quantiles, dtype=np.float64)
    chosen = grid[resampled.argmax(axis=1)]
    return Guarantee(
        grid,
        proxy,
        loss,
        values,
        values - reach,
        values + reach,
        float(grid[values.argmax()]),
        float(np.quantile(chosen, (1 - CONFIDENCE) / 2, method="lower")),
        float(np.quantile(chosen, (1 + CONFIDENCE) / 2, method="higher")),
        why_not,
    )


def why_no_guarantee(proxy: Reward, true: Reward) -> str | None:
    """Return a sentence on why E_q[U] − k / q does not apply to these rewards; None if it does.

    They are on one scale if the true reward is the proxy reward and something more: V = U + I. Otherwise, such as a
    proxy of positions beside a true reward of −1 per step, V − U is a difference of two units.
    """
    left = _weights(true)
    for part, weight in _weights(proxy).items():
        if left.get(part) != weight:
            return (
                "The guarantee E_q[U] − k/q does not apply: the true reward is not the proxy reward and something "
                "more, so that the two are not on one scale. With the proxy in another unit the same episodes would "
                "be kept, and the guarantee would be another. The bound of 1/q on any cost holds all the same."
            )
    return None


def _weights(reward: Reward) -> dict[tuple[Any, ...], float]:
    """Return how much of each kind of part is in a reward."""
    weights: dict[tuple[Any, ...], float] = {}
    for part in reward.parts:
        key = (part.kind, part.quantity)
        weights[key] = weights.get(key, 0.0) + part.weight
    return weights


def _base_cost(costs: FloatArray) -> Interval:
    """Return the mean cost of N independent episodes (N,), and its interval."""
    over = counted(len(costs), "demonstration")
    mean = float(costs.mean())
    if np.isin(costs, (0.0, 1.0)).all():
        from scipy import stats

        bounds = stats.binomtest(int(costs.sum()), len(costs)).proportion_ci(CONFIDENCE, method="exact")
        return Interval(mean, float(bounds.low), float(bounds.high), over)
    error = float(costs.std(ddof=1)) / np.sqrt(len(costs)) if len(costs) > 1 else np.nan
    found = student(mean, error, len(costs) - 1, over)
    return Interval(mean, max(0.0, found.low), found.high, over) if found.known else found


def _finding(cost: Interval, low: float, high: float) -> Finding:
    """Compare a cost with a bound that lies between two numbers."""
    if cost.low > high:
        return "broken"
    return "kept" if cost.high <= low else "undecided"


def _checked(costs: npt.NDArray[Any]) -> FloatArray:
    if costs.size == 0 or not np.isfinite(costs).all() or costs.min() < 0:
        raise ValueError("costs must be finite and not negative, and there must be some")
    return costs.astype(np.float64)


#: The costs, and what their means are called.
COSTS = {
    "failures": "share of episodes worse than the worst demonstration",
    "shortfall": "distance to the best demonstration",
}
#: The largest that a cost can be; intervals of its mean stay below.
LARGEST_COSTS = {"failures": 1.0, "shortfall": np.inf}


@dataclass(frozen=True, eq=False)
class BoundChecks:
    """The bounds at each q."""

    quantiles: tuple[float, ...]  # M of them, the largest first
    kept: Mapping[str, CostBounds]  # of the selected episodes, by cost; they keep the bound by theorem
    # Of the policies trained on them, by cost, one for each q; they may break it.
    policies: Mapping[str, tuple[PolicyBound, ...]]
    guarantee: Guarantee  # E_q[U] − k / q, or why it does not apply

    @property
    def broken(self) -> list[str]:
        """A sentence for each bound that policies break."""
        return [
            bound.sentence(COSTS[cost])
            for cost, bounds in self.policies.items()
            for bound in bounds
            if bound.finding == "broken"
        ]

    def as_numbers(self) -> dict[str, Any]:
        """Return values for JSON; None stands for NaN and infinity."""
        return {
            "quantiles": list(self.quantiles),
            "costs": {
                cost: {
                    "mean_of": words,
                    "kept": self.kept[cost].as_numbers(),
                    "policies": [bound.as_numbers() for bound in self.policies[cost]],
                }
                for cost, words in COSTS.items()
            },
            "guarantee": self.guarantee.as_numbers(),
            "broken": self.broken,
        }


def check_bounds(
    true_returns: npt.NDArray[Any],
    proxy_returns: npt.NDArray[Any],
    policies: Mapping[float, npt.NDArray[Any]],
    why_not: str | None,
    implicit_loss: float | None = None,
    players: npt.NDArray[Any] | None = None,
) -> BoundChecks:
    """Compare what demonstrations and policies cost with the bounds of the quantilizer.

    Args:
        true_returns: (N,) of all demonstrations.
        policies: true returns of the policies of the top q, (seeds, episodes), by q.
        why_not: from `why_no_guarantee`.
        implicit_loss: k, the mean implicit loss of the base distribution; None estimates it.
        players: (N,), who played each demonstration; whole players are drawn for the guarantee's intervals.
    """
    quantiles = tuple(sorted(policies, reverse=True))
    kept, of_policies = {}, {}
    for cost in COSTS:
        base = episode_costs(cost, true_returns, true_returns)
        kept[cost] = top_cost_bounds(base, proxy_returns, quantiles)
        of_policies[cost] = tuple(
            policy_bound(episode_costs(cost, policies[quantile], true_returns), base, quantile, LARGEST_COSTS[cost])
            for quantile in quantiles
        )
    promised = guarantee(
        proxy_returns, quantiles, implicit_loss, true_returns=true_returns, why_not=why_not, players=players
    )
    return BoundChecks(quantiles, kept, of_policies, promised)


@dataclass(frozen=True)
class RolloutBounds:
    """Mean costs of a sampling quantilizer's episodes beside their bounds, n/k times the mean of all its rollouts."""

    ratio: float  # n/k
    base: Mapping[str, Interval]  # mean cost of the rollouts, over seeds, by cost
    cost: Mapping[str, Interval]  # of the episodes played
    margin: Mapping[str, Interval]  # bound less cost, paired by seed

    def bound(self, cost: str) -> float:
        """Return the bound."""
        return self.ratio * self.base[cost].estimate

    def finding(self, cost: str) -> Finding:
        """Return whether the episodes played keep the bound, beyond the luck of the choice among rollouts."""
        margin = self.margin[cost]
        if margin.high < 0:
            return "broken"
        return "kept" if margin.low >= 0 else "undecided"

    def as_numbers(self) -> dict[str, Any]:
        """Return values for JSON; None stands for NaN and infinity."""
        kinds = ("base", "cost", "margin")
        numbers: dict[str, Any] = {"ratio": self.ratio}
        for cost in self.base:
            of_cost = {kind: list(getattr(self, kind)[cost].as_numbers()) for kind in kinds}
            numbers[cost] = {**of_cost, "bound": self.bound(cost), "finding": self.finding(cost)}
        return numbers


def bounds_of_rollouts(
    rollouts: npt.NDArray[Any], played: npt.NDArray[Any], ratio: float, demonstrations: npt.NDArray[Any]
) -> RolloutBounds:
    """Compare what the episodes of a sampling quantilizer cost with the bound that it has.

    Args:
        rollouts: true returns of the imitator's rollouts, (seeds, episodes, n).
        played: true returns of the rollouts that were played, (seeds, episodes).
        ratio: n/k.
        demonstrations: true returns (N,), beside which costs are defined.
    """
    base, cost, margin = {}, {}, {}
    for name in COSTS:
        of_all = episode_costs(name, rollouts, demonstrations).mean(axis=-1)
        of_played = episode_costs(name, played, demonstrations)
        base[name], cost[name] = (mean_interval(one).within(0.0, LARGEST_COSTS[name]) for one in (of_all, of_played))
        margin[name] = mean_interval(ratio * of_all - of_played)
    return RolloutBounds(ratio, base, cost, margin)


def episode_costs(cost: str, true_returns: npt.NDArray[Any], demonstrations: npt.NDArray[Any]) -> FloatArray:
    """Return one of `COSTS` of episodes with these true returns, beside all demonstrations' (N,)."""
    if cost == "failures":
        return failures(true_returns, float(demonstrations.min()))
    return np.asarray(np.maximum(0.0, demonstrations.max() - true_returns.astype(np.float64)))
