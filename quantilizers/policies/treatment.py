"""Treatments: what policies learn from, and for how long, where that departs from the reference implementation.

The command line's help names them, so that what only choosing episodes needs is imported when they are chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from quantilizers.choices import BUDGETS, MATCHES, METHODS, SELECTIONS, UNITS, Budget, Match, Method, Selection, Unit
from quantilizers.errors import UserError, did_you_mean
from quantilizers.policies.hyper_parameters import AnyTraining, PerceptronTraining

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from quantilizers.datasets.demonstrations import Demonstrations
    from quantilizers.rewards import FloatArray

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "select": SELECTIONS,
    "budget": BUDGETS,
    "method": METHODS,
    "match": MATCHES,
    "weight": UNITS,
}


@dataclass(frozen=True)
class Treatment:
    """What is done with demonstrations before policies learn from them; the defaults are the reference's.

    >>> Treatment(select="bottom").difference(Treatment())
    'select bottom, not top'

    Attributes:
        select: which episodes a quantile keeps: the `top` by proxy return, as many at `random`, or the `bottom`.
        subset: number of the random choice, from 0 on; 0 for the others.
        budget: `epochs` is the reference's number of passes over what is kept; `updates` as many gradient steps as
            imitation of all demonstrations takes in these passes, whatever is kept, without early stop. The
            convolutional network learns from a fixed number of minibatches anyway.
        method: `quantile` keeps the top; `best_of_n` and `exponential` keep all episodes and weigh them.
        match: `kl` or `effective_size`, by which the strength of these two is matched with a quantile.
        weight: what counts alike in cloning: each of the `steps`, or each of the `episodes`, as in the theory.

    Raises:
        UserError: a value is impossible, or two do not go together.
    """

    select: Selection = "top"
    subset: int = 0
    budget: Budget = "epochs"
    method: Method = "quantile"
    match: Match = "kl"
    weight: Unit = "steps"

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                hint = did_you_mean(str(value), known) or ";"
                raise UserError(f"{name} is {value!r}{hint} it is one of {', '.join(known)}")
        if isinstance(self.subset, bool) or not isinstance(self.subset, int) or not 0 <= self.subset < 2**31:
            raise UserError(f"subset is {self.subset!r}; give the number of a random choice, from 0 on")
        if self.subset and self.select != "random":
            raise UserError(f"subset numbers random choices of episodes, and select is {self.select}; leave one out")
        if self.method != "quantile" and self.select != "top":
            raise UserError(
                f"select {self.select} goes with the method quantile; {self.method} weighs all episodes by their proxy "
                "returns"
            )

    def difference(self, wanted: Treatment) -> str:
        """Say how this treatment differs from one that is wanted, by the first difference; empty where it does not."""
        for parameter in fields(self):
            here, there = getattr(self, parameter.name), getattr(wanted, parameter.name)
            if here != there:
                return f"{parameter.name} {here}, not {there}"
        return ""

    def choose(self, demonstrations: Demonstrations, quantile: float) -> Chosen:
        """Choose and weigh what policies of a quantile imitate.

        Args:
            demonstrations: all of them.
            quantile: q, 0 < q ≤ 1.

        Raises:
            UserError: the quantile is impossible, or the demonstrations cannot be ranked.
        """
        return self.choose_all(demonstrations, [quantile], observations=False)[quantile]

    def choose_all(
        self, demonstrations: Demonstrations, quantiles: Iterable[float], observations: bool = True
    ) -> dict[float, Chosen]:
        """Choose and weigh what policies of each quantile imitate, with observations made once for all.

        Args:
            demonstrations: all of them.
            quantiles: each 0 < q ≤ 1.
            observations: whether those that the file left out are made anew.

        Raises:
            UserError: as `choose`, or observations cannot be made.
        """
        import numpy as np

        from quantilizers.demonstrations.weighting import step_weights

        proxy_returns = demonstrations.proxy_returns
        weights = {quantile: self._weights(proxy_returns, quantile) for quantile in quantiles}
        longest = max((kept for kept, _ in weights.values()), key=len)
        others = np.concatenate([kept for kept, _ in weights.values()])
        wanted = np.concatenate([longest, np.setdiff1d(others, longest)])
        widest = demonstrations.select(wanted)
        if observations:
            widest = widest.with_observations()
        places = np.empty(demonstrations.number, dtype=np.intp)
        places[wanted] = np.arange(len(wanted))
        chosen = {}
        for quantile, (kept, of_kept) in weights.items():
            place = places[kept]
            # The best are nested: each is the beginning of the widest, and no copy is made.
            first = slice(len(kept)) if np.array_equal(place, np.arange(len(kept))) else place
            split = widest.select(first)
            of_steps: FloatArray | None = step_weights(of_kept, split.lengths, self.weight)
            if of_steps is not None and (of_steps == 1).all():
                of_steps = None
            chosen[quantile] = Chosen(quantile, split, of_kept, demonstrations.number, of_steps)
        return chosen

    def training(self, wanted: AnyTraining, demonstrations: Demonstrations) -> AnyTraining:
        """Return the hyper-parameters under the budget.

        Args:
            wanted: under the budget `epochs`.
            demonstrations: all of them.

        Raises:
            UserError: the hyper-parameters have a number of updates of their own, and the budget is to set it.
        """
        if self.budget == "epochs" or not isinstance(wanted, PerceptronTraining):
            return wanted
        if wanted.updates:
            raise UserError(f"the budget updates sets how many there are, and updates is {wanted.updates}; give one")
        rows = int(demonstrations.lengths.sum())
        return replace(wanted, updates=wanted.max_epochs * -(-rows // min(wanted.batch_size, rows)))

    def _weights(self, proxy_returns: npt.NDArray[Any], quantile: float) -> tuple[npt.NDArray[np.intp], FloatArray]:
        """Return the k episodes that are imitated, the best first, and the weights (k,) of them, which sum to 1."""
        import numpy as np

        from quantilizers.demonstrations.selecting import best_episodes, number_kept, select_episodes
        from quantilizers.demonstrations.weighting import cut

        if not 0 < quantile <= 1:
            raise UserError(f"quantile {quantile:g} is impossible; each lies above 0 and is at most 1, such as 0.25")
        # What is as strong as keeping all of them is to keep all of them, without rounding.
        if self.method == "quantile" or number_kept(quantile, len(proxy_returns)) == len(proxy_returns):
            kept = select_episodes(proxy_returns, quantile, self.select, self.subset)
            return kept, np.full(len(kept), 1 / len(kept))
        weights = cut(self.method, proxy_returns, quantile, self.match).weights
        order = best_episodes(proxy_returns, 1.0)
        order = order[weights[order] > 0]
        return order, weights[order]


#: The reference implementation's.
REFERENCE = Treatment()


@dataclass(frozen=True, eq=False)
class Chosen:
    """The k episodes that policies of a quantile imitate, of N.

    Attributes:
        quantile: q.
        demonstrations: k of them.
        weights: (k,) of the episodes; they sum to 1.
        number: N.
        step_weights: what each of their steps counts, episode after episode, with a mean of 1; None is 1 for each.
    """

    quantile: float
    demonstrations: Demonstrations
    weights: FloatArray
    number: int
    step_weights: FloatArray | None

    @property
    def divergence(self) -> float:
        """KL divergence from N equally weighted episodes, in nats; of the top q it is log(1/q) but for rounding."""
        import numpy as np

        from quantilizers.demonstrations.weighting import kl_divergence

        return kl_divergence(np.concatenate([self.weights, np.zeros(self.number - len(self.weights))]))


def splits_of(chosen: Mapping[float, Chosen]) -> tuple[dict[float, Demonstrations], dict[float, FloatArray]]:
    """Return what `PolicyFamily.fit` takes: the demonstrations, and the weights of steps where there are any."""
    splits = {key: of_key.demonstrations for key, of_key in chosen.items()}
    weights = {key: of_key.step_weights for key, of_key in chosen.items() if of_key.step_weights is not None}
    return splits, weights


def treatment_from(values: Mapping[str, Any]) -> Treatment:
    """Return the treatment that a file notes; what it does not name is the reference's, as before there were others.

    Raises:
        UserError: a name or a value is impossible.
    """
    unknown = [name for name in values if name not in asdict(REFERENCE)]
    if unknown:
        raise UserError(f"{unknown[0]!r} is no part of a treatment")
    return Treatment(**values)
