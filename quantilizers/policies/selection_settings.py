"""Selections: the weighted episodes that policies of a quantile imitate; and the settings that make them.

The command line's help lists the settings, so NumPy is imported only to select.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from quantilizers.choices import (
    BUDGETS,
    MATCHES,
    PLAYER_SELECTIONS,
    SELECTIONS,
    UNITS,
    WITHINS,
    Budget,
    Match,
    SelectionName,
    Unit,
    Within,
    check_settings,
    declared,
    setting,
)
from quantilizers.errors import UserError
from quantilizers.matching import matched_strength
from quantilizers.policies.hyper_parameters import AnyTraining, PerceptronTraining
from quantilizers.quantilize import (
    METHODS,
    Rule,
    best_first,
    effective_sample_size,
    kl_divergence,
    number_kept,
    rows_of_groups,
    rule_named,
    selected,
    selected_within,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from quantilizers.datasets.demonstrations import Demonstrations
    from quantilizers.rewards import FloatArray

#: The stages in which the selection matters.
LEARNING = ("train", "test")


@dataclass(frozen=True)
class SelectionSettings:
    """Which episodes policies imitate, and for how long; the defaults are the reference implementation's.

    The budget `epochs` is the reference's number of passes over the selection. `updates` is as many gradient steps as
    imitation of all demonstrations takes in these passes, whatever the selection, without early stopping. The
    convolutional network always learns from a fixed number of minibatches. Files note the settings as `treatment`.

    Raises:
        UserError: a value is impossible, or two do not go together.
    """

    select: SelectionName = field(
        default="top",
        metadata=setting(
            "episodes that a quantile keeps: the top by proxy return, or as many others as a control",
            choices=SELECTIONS,
            stages=LEARNING,
        ),
    )
    subset: int = declared(0, "number of the random subset, with --select random", least=0, stages=LEARNING)
    budget: Budget = field(
        default="epochs",
        metadata=setting(
            "length of training: passes over the selection, or as many gradient steps as imitation takes",
            choices=BUDGETS,
            stages=LEARNING,
        ),
    )
    method: str = declared(
        "quantile",
        "rule that selects episodes; all but the first weight all of them, as strongly as a quantile",
        choices=METHODS,
        stages=LEARNING,
    )
    match: Match = field(
        default="kl",
        metadata=setting(
            "distance in which the other rules are as strong as the quantile",
            choices=MATCHES,
            stages=(*LEARNING, "study"),
        ),
    )
    weight: Unit = field(
        default="steps",
        metadata=setting("unit with equal weight in the cloning loss", choices=UNITS, stages=(*LEARNING, "study")),
    )
    within: Within = field(
        default="all",
        metadata=setting(
            "episodes that are ranked together: all, or those of each group, such as a start or a question",
            choices=WITHINS,
            stages=("inspect", *LEARNING, "study"),
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self, flags=False)
        if self.subset and self.select != "random":
            raise UserError(f"subset numbers random choices of episodes, and select is {self.select}; leave one out")
        if not self.rule.is_quantile and self.select != "top":
            raise UserError(
                f"select {self.select} goes with the method quantile; {self.method} weights all episodes by their "
                "proxy returns"
            )

        if self.select in PLAYER_SELECTIONS and self.within != "all":
            raise UserError(f"select {self.select} chooses players among all episodes; leave within {self.within} out")

    @property
    def noted(self) -> dict[str, Any]:
        """The settings as files note them: `within` only if it is not `all`, which files of version 0.2.0 lack."""
        values = asdict(self)
        return {name: value for name, value in values.items() if (name, value) != ("within", "all")}

    @property
    def rule(self) -> Rule:
        """The rule of the method."""
        return rule_named(self.method)

    def choose(self, demonstrations: Demonstrations, quantile: float) -> Selection:
        """Select the episodes of a quantile, without making observations that the file left out."""
        return self.choose_all(demonstrations, [quantile], observations=False)[quantile]

    def choose_all(
        self, demonstrations: Demonstrations, quantiles: Iterable[float], observations: bool = True
    ) -> dict[float, Selection]:
        """Select what policies of each quantile imitate; observations that the file left out are made once for all.

        Raises:
            UserError: a quantile is impossible, the demonstrations cannot be ranked, their players are needed and
                unknown, or observations cannot be made.
        """
        import numpy as np

        proxy_returns = demonstrations.proxy_returns
        groups = demonstrations.groups_within(self.within)
        if self.select in PLAYER_SELECTIONS and demonstrations.players is None:
            raise UserError(f"select {self.select} needs two players or more, and the name of each episode's player")
        weigh = (
            partial(self._weights, demonstrations.players) if groups is None else partial(self._weights_within, groups)
        )
        weighted = {quantile: weigh(proxy_returns, quantile) for quantile in quantiles}
        longest = max((kept for kept, _ in weighted.values()), key=len)
        others = np.concatenate([kept for kept, _ in weighted.values()])
        wanted = np.concatenate([longest, np.setdiff1d(others, longest)])
        widest = demonstrations.select(wanted)
        if observations:
            widest = widest.with_observations()
        places = np.empty(demonstrations.number, dtype=np.intp)
        places[wanted] = np.arange(len(wanted))
        selections = {}
        for quantile, (kept, weights) in weighted.items():
            place = places[kept]
            # The best are nested: each is the beginning of the widest, and no copy is made.
            first = slice(len(kept)) if np.array_equal(place, np.arange(len(kept))) else place
            selections[quantile] = Selection(
                quantile, widest.select(first), weights, demonstrations.number, self.weight
            )
        return selections

    def training(self, wanted: AnyTraining, demonstrations: Demonstrations) -> AnyTraining:
        """Return the hyper-parameters under the budget; `wanted` are those under the budget `epochs`.

        Raises:
            UserError: both the hyper-parameters and the budget set a number of updates.
        """
        if self.budget == "epochs" or not isinstance(wanted, PerceptronTraining):
            return wanted
        if wanted.updates:
            raise UserError(f"the budget updates sets how many there are, and updates is {wanted.updates}; give one")
        rows = int(demonstrations.lengths.sum())
        return replace(wanted, updates=wanted.max_epochs * -(-rows // min(wanted.batch_size, rows)))

    def _weights(
        self, players: npt.NDArray[Any] | None, proxy_returns: npt.NDArray[Any], quantile: float
    ) -> tuple[npt.NDArray[np.intp], FloatArray]:
        """Return the indices of the k selected episodes, best first, and their weights (k,), which sum to 1."""
        import numpy as np

        # A rule as strong as keeping all episodes keeps all of them, without rounding.
        if number_kept(quantile, len(proxy_returns)) == len(proxy_returns) or self.rule.is_quantile:
            kept = selected(proxy_returns, quantile, self.select, self.subset, players=players)
            return kept, np.full(len(kept), 1 / len(kept))
        weights = self.rule.weights(proxy_returns, matched_strength(self.rule, proxy_returns, quantile, self.match))
        order = best_first(proxy_returns)
        order = order[weights[order] > 0]
        return order, weights[order]

    def _weights_within(
        self, groups: npt.NDArray[Any], proxy_returns: npt.NDArray[Any], quantile: float
    ) -> tuple[npt.NDArray[np.intp], FloatArray]:
        """Return the same where episodes are ranked within their groups (N,), each of which keeps its share."""
        import numpy as np

        if self.rule.is_quantile:
            return selected_within(proxy_returns, groups, quantile, self.select, self.subset)
        kept, weights = [], []
        for rows in rows_of_groups(groups):
            chosen, shares = self._weights(None, proxy_returns[rows], quantile)
            kept.append(rows[chosen])
            weights.append(shares * len(rows) / len(proxy_returns))
        return np.concatenate(kept), np.concatenate(weights)


#: The reference implementation's.
REFERENCE = SelectionSettings()


@dataclass(frozen=True, eq=False)
class Selection:
    """The k of N episodes that policies of a quantile imitate."""

    quantile: float
    demonstrations: Demonstrations  # the k episodes
    weights: FloatArray  # (k,), of the episodes; they sum to 1
    number: int  # N
    unit: Unit = "steps"  # with equal weight in the cloning loss

    @cached_property
    def step_weights(self) -> FloatArray | None:
        """Weight of each step in the cloning loss, episode after episode, with mean 1; None where all count 1."""
        of_steps = step_weights(self.weights, self.lengths, self.unit)
        return None if (of_steps == 1).all() else of_steps

    def with_observations(self) -> Selection:
        """Return the selection with observations that the file left out; itself if it left none out."""
        observed = self.demonstrations.with_observations()
        return self if observed is self.demonstrations else replace(self, demonstrations=observed)

    @classmethod
    def of_all(cls, demonstrations: Demonstrations) -> Selection:
        """Select all of some demonstrations, with equal weights."""
        import numpy as np

        number = demonstrations.number
        return cls(1.0, demonstrations, np.full(number, 1 / number), number)

    @property
    def divergence(self) -> float:
        """KL divergence from N equally weighted episodes, in nats; log(1/q) but for rounding for the top q."""
        import numpy as np

        return kl_divergence(np.concatenate([self.weights, np.zeros(self.number - len(self.weights))]))

    @property
    def effective_number(self) -> float:
        """Effective sample size of the weights (Kish 1965); k where they are equal."""
        return effective_sample_size(self.weights)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Steps of each episode, (k,)."""
        return self.demonstrations.lengths

    @property
    def true_returns(self) -> FloatArray:
        """True return of each episode, (k,)."""
        return self.demonstrations.true_returns

    @property
    def second_quantities(self) -> FloatArray:
        """What the environment's figures show beside the true return, of each episode, (k,)."""
        found = self.demonstrations.second_quantities
        assert found is not None
        return found

    @cached_property
    def proxy_returns(self) -> FloatArray:
        """Proxy return of each episode, (k,)."""
        return self.demonstrations.proxy_returns

    @property
    def data(self) -> str:
        """Fingerprint of the episodes."""
        return self.demonstrations.fingerprint

    @property
    def true_return(self) -> float:
        """Weighted mean true return."""
        return self.mean(self.true_returns)

    @property
    def proxy_return(self) -> float:
        """Weighted mean proxy return."""
        return self.mean(self.proxy_returns)

    def mean(self, values: FloatArray) -> float:
        """Return the weighted mean of values of the episodes, (k,)."""
        # With equal weights it is the plain mean, to the bit.
        alike = (self.weights == self.weights[0]).all()
        return float(values.mean() if alike else self.weights @ values)


def step_weights(weights: npt.NDArray[Any], lengths: npt.NDArray[Any], unit: Unit = "episodes") -> FloatArray:
    """Return the weight of each step in the cloning loss of weighted episodes.

    Behavioural cloning sums a loss over steps, so an episode twice as long counts twice, while the theory speaks of
    episodes. With `episodes` a step has its episode's weight divided by the episode's length, so the steps of an
    episode together have its weight. With `steps` each step has its episode's weight.

    >>> import numpy as np
    >>> step_weights(np.array([0.5, 0.5]), np.array([1, 3]))
    array([2.        , 0.66666667, 0.66666667, 0.66666667])

    Weights (N,) are on any scale. The result (sum of the lengths,) is episode after episode. Its mean is 1, so the loss
    keeps its size beside a regulariser; equal episodes in the unit `steps` give exactly 1 everywhere.

    Raises:
        ValueError: the arrays do not fit, a weight is negative, or all are zero.
    """
    import numpy as np

    if weights.ndim != 1 or weights.shape != lengths.shape:
        raise ValueError(f"weights {weights.shape} and lengths {lengths.shape} are not (N,) both")
    if not (np.isfinite(weights).all() and weights.min() >= 0 and (weights * lengths).max() > 0):
        raise ValueError("weights must be finite, not negative, and not all zero")
    of_one_step = weights.astype(np.float64) / weights.max()
    if unit == "episodes":
        of_one_step = np.divide(of_one_step, lengths, out=np.zeros(len(lengths)), where=lengths > 0)
    steps = np.repeat(of_one_step, lengths)
    scaled: FloatArray = steps * (len(steps) / steps.sum())
    return scaled


def selection_settings_from(values: Mapping[str, Any]) -> SelectionSettings:
    """Return the selection settings noted in a file; those that an older version did not note are the reference's.

    Raises:
        UserError: a name is unknown, or a value impossible.
    """
    unknown = [name for name in values if name not in asdict(REFERENCE)]
    if unknown:
        raise UserError(f"{unknown[0]!r} is not a selection setting")
    return SelectionSettings(**values)
