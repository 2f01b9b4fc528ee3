"""The part of the stage `study` that prints the bounds: what theory promises, and whether it is kept."""

from __future__ import annotations

from quantilizers.figures.tables import format_table
from quantilizers.numbers_in_words import short
from quantilizers.quantilize import number_kept
from quantilizers.studies.bound_checks import COSTS, BoundChecks
from quantilizers.studies.bounds import Guarantee, PolicyBound


def bounds_text(checks: BoundChecks, number: int) -> str:
    """Return the bounds as tables, and a sentence for each that policies break.

    Args:
        checks: of `check_bounds`.
        number: of demonstrations.
    """
    parts = [
        "\nbounds (Taylor 2016): the top q cost at most 1/q times as much as all demonstrations, whatever the cost"
    ]
    for cost, words in COSTS.items():
        kept = checks.kept[cost]
        head = ["q", "keeps", "bound", "kept episodes", "policies", "policies keep it"]
        rows = [
            [
                f"{bound.quantile:g}",
                f"{number_kept(bound.quantile, number):,}",
                short(limit),
                short(of_kept),
                str(bound.cost),
                _finding(bound),
            ]
            for limit, of_kept, bound in zip(
                kept.bounds.tolist(), kept.costs.tolist(), checks.policies[cost], strict=True
            )
        ]
        always = "the kept episodes keep it everywhere" if kept.kept else "THE KEPT EPISODES BREAK IT"
        parts += [f"\n{words}; {always}:", format_table(head, rows)]
    parts += [f"- {sentence}" for sentence in checks.broken]
    return "\n".join([*parts, guarantee_text(checks.guarantee)])


def guarantee_text(promised: Guarantee) -> str:
    """Return the guarantee E_q[U] − k/q at each q and the best q, or in a line why there is none."""
    if promised.why_not is not None:
        return f"\n{promised.why_not}"
    loss = promised.implicit_loss
    given = "given" if not loss.known else f"estimated, 95 % interval [{short(loss.low)}, {short(loss.high)}]"
    head = ["q", "E_q[U]", "k/q", "guarantee E_q[U] − k/q"]
    rows = [
        [f"{quantile:g}", short(proxy), short(proxy - value), f"{short(value)} [{short(low)}, {short(high)}]"]
        for quantile, proxy, value, low, high in zip(
            promised.quantiles.tolist(),
            promised.proxy.means.tolist(),
            promised.values.tolist(),
            promised.lows.tolist(),
            promised.highs.tolist(),
            strict=True,
        )
    ]
    best = f"q = {promised.best_quantile:g} [{promised.best_low:g}, {promised.best_high:g}]"
    return (
        f"\nguarantee for the true return of the exact quantilizer (Carey 2019), k = {short(loss.estimate)} ({given}); "
        f"it is highest at {best}:\n{format_table(head, rows)}"
    ).replace("nan, nan", "no interval")


def _finding(bound: PolicyBound) -> str:
    return {"kept": "yes", "broken": "NO", "undecided": "undecided"}[bound.finding]
