"""The returns of a fitted quantilizer in its environment."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from quantilizers.choices import whole_number
from quantilizers.datasets.summary import horizon_doubts
from quantilizers.envs.registry import check_options
from quantilizers.errors import DataWarning, UserError
from quantilizers.evaluation.intervals import Interval, mean_interval
from quantilizers.evaluation.measuring import measure_policies
from quantilizers.numbers_in_words import counted
from quantilizers.policies.policy import Policies, acting_of, family_of
from quantilizers.rewards import FloatArray

if TYPE_CHECKING:
    from quantilizers.policies.quantilizer import Quantilizer


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Returns of the policies of one quantile: one policy for each of S seeds, E episodes of each.

    Attributes:
        environment: the name of the environment.
        quantile: fraction of the demonstrations that the policies imitate.
        true_returns: (S, E).
        proxy_returns: (S, E).
        lengths: (S, E) steps.
        possible: lowest and highest true return of an episode; infinite where they are unknown.
    """

    environment: str
    quantile: float
    true_returns: FloatArray
    proxy_returns: FloatArray
    lengths: npt.NDArray[np.int64]
    possible: tuple[float, float] = (-math.inf, math.inf)

    @property
    def true_return(self) -> Interval:
        """The mean true return and its 95 % interval over seeds; over episodes with a single seed."""
        return mean_interval(self.true_returns).within(*self.possible)

    @property
    def proxy_return(self) -> Interval:
        """The mean proxy return and its 95 % interval over seeds; over episodes with a single seed."""
        return mean_interval(self.proxy_returns)

    def __str__(self) -> str:
        seeds, episodes = self.true_returns.shape
        return (
            f"{self.environment}, q = {self.quantile:g}, {counted(seeds, 'seed')}, {counted(episodes, 'episode')} "
            f"each: true return {self.true_return}, proxy return {self.proxy_return} "
            f"[95 % intervals over {self.true_return.over}]"
        )


def evaluate(
    quantilizer: Quantilizer, episodes: int | None = None, max_steps: int | None = None, **options: Any
) -> Evaluation:
    """Let a fitted quantilizer act in its environment, and measure both returns.

    >>> import quantilizers
    >>> demonstrations = quantilizers.Demonstrations.load("demo", "MountainCar-v0")
    >>> quantilizer = quantilizers.Quantilizer(quantile=0.1, seeds=2, max_epochs=5).fit(demonstrations)
    >>> evaluation = quantilizers.evaluate(quantilizer, episodes=3)
    >>> evaluation.true_returns.shape
    (2, 3)
    >>> bool(evaluation.true_return.estimate >= -200)
    True

    Args:
        quantilizer: a fitted one.
        episodes: of each of its policies; None is the environment's default.
        max_steps: episodes are cut after this number of steps; None is the environment's default, or the length of the
            longest demonstration if the environment sets `cut_as_demonstrations`.
        **options: of the environment. Those that the proxy takes are the ones that ranked the demonstrations.

    Raises:
        UserError: it is not fitted, a number or an option is impossible, or the demonstrations were ranked under
            another option of the proxy.
    """
    if not hasattr(quantilizer, "policies_") and not hasattr(quantilizer, "quantile"):
        raise UserError(
            f"evaluate measures a fitted Quantilizer, not a {type(quantilizer).__name__}; agents of Stable-Baselines3 "
            "are measured by its evaluate_policy, in quantilizers.make_environment(environment)"
        )
    policies = {policy.seed: policy for policy in getattr(quantilizer, "policies_", ())}
    if not policies:
        raise UserError("the quantilizer is not fitted; call fit(demonstrations) first")
    environment, quantile = quantilizer.environment_, quantilizer.policies_[0].quantile
    if max_steps is None:
        longest = quantilizer.longest_demonstration_ if environment.experiment.cut_as_demonstrations else None
        max_steps = longest or environment.max_steps
    max_steps = whole_number("max_steps", max_steps)
    episodes = whole_number("episodes", environment.experiment.number_trajectories if episodes is None else episodes)
    for doubt in horizon_doubts(getattr(quantilizer, "longest_demonstration_", 0) or 0, max_steps):
        warnings.warn(doubt, DataWarning, stacklevel=2)
    family, acting = family_of(environment), acting_of(environment, quantilizer.acting)

    def stack(wanted: Sequence[tuple[float, int]]) -> Policies:
        return family.stack(environment, [policies[seed] for _, seed in wanted], acting)

    ranking = environment.proxy_options(quantilizer.policies_[0].options)
    options = check_options(environment, {**ranking, **options})
    for name, value in environment.proxy_options(options).items():
        if value != ranking.get(name):
            raise UserError(
                f"the demonstrations were ranked by the proxy with {name} {ranking.get(name)}, not {value}; "
                f"fit again on Demonstrations.load(..., options={{{name!r}: {value!r}}})"
            )
    results = measure_policies(environment, stack, [quantile], list(policies), episodes, max_steps, options)
    return Evaluation(
        environment=environment.name,
        quantile=quantile,
        true_returns=np.concatenate([of_seed.true_returns for of_seed in results]),
        proxy_returns=np.concatenate([of_seed.proxy_returns for of_seed in results]),
        lengths=np.concatenate([of_seed.lengths for of_seed in results]),
        possible=environment.true_range(max_steps),
    )
