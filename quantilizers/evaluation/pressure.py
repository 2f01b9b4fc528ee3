"""Optimisation pressure, measured: the KL divergence of agents from the imitator of all demonstrations.

Along an agent's own episodes, the divergences of its action probabilities from the imitator's add up, step by step, to
the divergence of what it does in an episode, given the start (the chain rule; the game's own randomness cancels). The
mean over episodes is in nats an episode. Of an agent that selects whole episodes of the imitator it is at most
log(1/q); of a policy that was trained on the top q it may be anything.

It is known of agents that draw their actions. One that takes the most probable action, or plays a plan, has no
probabilities of its own, and its divergence counts as unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UnreadableError, UserError, reason_of
from quantilizers.evaluation.intervals import Interval, mean_interval
from quantilizers.evaluation.rollouts import episode_batches, randomness_of, roll_out
from quantilizers.gates.json_files import read_json
from quantilizers.policies.policy import Policies, TrainedPolicies
from quantilizers.rewards import FloatArray

#: Least probability that counts, the smallest normal number of single precision; a step adds at most 87 nats.
LEAST = float(np.finfo(np.float32).tiny)
_ARRAYS = ("divergences", "true_returns", "proxy_returns")


class DrawingPolicies(Policies, Protocol):
    """Policies that draw their actions."""

    def probabilities(self, observations: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return the class probabilities from which `act` would draw next; see `TrainedPolicies`.

        An empty list if it would not draw among classes.
        """
        ...


def step_divergences(agent: Sequence[npt.NDArray[Any]], base: Sequence[npt.NDArray[Any]]) -> FloatArray:
    """Return the KL divergence (…) of class probabilities (…, classes) from those of the base, over all components.

    >>> step_divergences([np.array([[0.5, 0.5]])], [np.array([[0.25, 0.75]])]).round(3)  # (log 2 + log 2/3) / 2
    array([0.144])
    """
    total: FloatArray = np.zeros(agent[0].shape[:-1])
    for of_agent, of_base in zip(agent, base, strict=True):
        p, q = of_agent.astype(np.float64), np.maximum(of_base.astype(np.float64), LEAST)
        logs = np.log(np.maximum(p, LEAST)) - np.log(q)
        total += np.maximum((p * logs).sum(axis=-1), 0.0)
    return total


class Compared(Policies):
    """P policies, each beside an imitator that sees its episodes.

    Attributes:
        divergences: (P, E) so far, in nats.
    """

    def __init__(self, policies: DrawingPolicies, imitators: TrainedPolicies) -> None:
        self._policies, self._imitators = policies, imitators
        self.divergences: FloatArray = np.zeros((0, 0))

    def begin(self, episodes: int) -> None:
        """Begin new episodes, and forget the divergences of earlier ones."""
        self.divergences = np.zeros((0, episodes))
        self._policies.begin(episodes)
        self._imitators.begin(episodes)

    def act(
        self, observations: npt.NDArray[Any], generators: Sequence[np.random.Generator], running: npt.NDArray[np.bool_]
    ) -> npt.NDArray[Any]:
        """Choose actions (P, E, A), and add the divergence of their probabilities."""
        if not len(self.divergences):
            self.divergences = np.zeros(running.shape)
        steps = step_divergences(
            self._policies.probabilities(observations), self._imitators.probabilities(observations)
        )
        self.divergences += np.where(running, steps, 0.0)
        chosen = self._policies.act(observations, generators, running)
        self._imitators.remember(observations, chosen)
        return chosen


@dataclass(frozen=True, eq=False)
class Pressures:
    """Measured divergences of one kind of agent, with the returns of the same episodes.

    Attributes:
        quantile: q of the cloned policies; None for an optimiser.
        algorithm: of the optimiser; empty for cloned policies.
        seeds: S of them.
        agents: content hash of each seed's policy, or SHA-256 of its agent's file.
        imitators: content hash of the policy that each is compared with.
        divergences: (S, E) in nats.
        true_returns: (S, E).
        proxy_returns: (S, E).

    Raises:
        UserError: the arrays do not fit, or hold NaN, infinity or a negative divergence.
    """

    quantile: float | None
    algorithm: str
    seeds: tuple[int, ...]
    agents: tuple[str, ...]
    imitators: tuple[str, ...]
    divergences: FloatArray
    true_returns: FloatArray
    proxy_returns: FloatArray

    def __post_init__(self) -> None:
        shapes = {getattr(self, name).shape for name in _ARRAYS}
        number = len(self.seeds)
        if len(shapes) > 1 or self.divergences.ndim != 2 or 0 in self.divergences.shape:
            raise UserError(f"divergences and returns have shapes {sorted(shapes)}, not (seeds, episodes) all")
        if not len(self.divergences) == len(self.agents) == len(self.imitators) == number:
            raise UserError(f"there are {number} seeds, and rows for {len(self.divergences)}")
        if not all(np.isfinite(getattr(self, name)).all() for name in _ARRAYS) or self.divergences.min() < 0:
            raise UserError("a divergence or return is NaN or infinite, or a divergence negative")

    @property
    def key(self) -> tuple[float | None, str]:
        """Quantile and algorithm."""
        return self.quantile, self.algorithm

    @property
    def made_from(self) -> tuple[tuple[int, str, str], ...]:
        """Seed, agent and imitator of each row."""
        return tuple(zip(self.seeds, self.agents, self.imitators, strict=True))

    @property
    def divergence(self) -> Interval:
        """Mean divergence in nats an episode, with its interval over seeds."""
        return mean_interval(self.divergences).within(0.0, np.inf)

    @property
    def true(self) -> Interval:
        """Mean true return with its interval over seeds."""
        return mean_interval(self.true_returns)

    @property
    def proxy(self) -> Interval:
        """Mean proxy return with its interval over seeds."""
        return mean_interval(self.proxy_returns)

    def of(self, seeds: Sequence[int]) -> Pressures:
        """Return the rows of some seeds; raise a ValueError if one was not measured."""
        rows = [self.seeds.index(seed) for seed in seeds]
        arrays = {name: getattr(self, name)[rows] for name in _ARRAYS}
        agents, imitators = (tuple(of_all[row] for row in rows) for of_all in (self.agents, self.imitators))
        return replace(self, seeds=tuple(seeds), agents=agents, imitators=imitators, **arrays)

    def with_further(self, other: Pressures) -> Pressures:
        """Return it with the rows of further seeds of another one, in the order of seeds.

        It is unchanged if the other one has another number of episodes.
        """
        further = [seed for seed in other.seeds if seed not in self.seeds]
        if not further or other.divergences.shape[1] != self.divergences.shape[1]:
            return self
        rest = other.of(further)
        arrays: dict[str, Any] = {name: np.concatenate([getattr(self, name), getattr(rest, name)]) for name in _ARRAYS}
        seeds, agents = self.seeds + rest.seeds, self.agents + rest.agents
        joined = replace(self, seeds=seeds, agents=agents, imitators=self.imitators + rest.imitators, **arrays)
        return joined.of(sorted(seeds))

    def as_numbers(self) -> dict[str, Any]:
        """Return values for JSON."""
        interval = self.divergence
        return {
            "quantile": self.quantile,
            "algorithm": self.algorithm,
            "seeds": list(self.seeds),
            "agents": list(self.agents),
            "imitators": list(self.imitators),
            "nats_per_episode": list(interval.as_numbers()),
            **{name: getattr(self, name).tolist() for name in _ARRAYS},
        }

    @classmethod
    def from_numbers(cls, numbers: Mapping[str, Any]) -> Pressures:
        """Read what `as_numbers` returned; raise a UserError, TypeError, ValueError or LookupError if it cannot be."""
        quantile = numbers["quantile"]
        divergences, true, proxy = (np.array(numbers[name], dtype=np.float64) for name in _ARRAYS)
        return cls(
            None if quantile is None else float(quantile),
            str(numbers["algorithm"]),
            tuple(int(seed) for seed in numbers["seeds"]),
            tuple(map(str, numbers["agents"])),
            tuple(map(str, numbers["imitators"])),
            divergences,
            true,
            proxy,
        )


def load_pressures(path: Path) -> list[Pressures]:
    """Read the measured divergences in a file; none if there is no file. A damaged one is a `UserError`."""
    if not path.exists():
        return []
    try:
        return [Pressures.from_numbers(row) for row in read_json(path)["agents"]]
    except UnreadableError:
        raise
    except (UserError, ValueError, LookupError, TypeError, ArithmeticError) as error:
        raise UserError(f"{path} is damaged ({reason_of(error)}); delete it and run --do pressure again") from None


def measure_pressure(
    environment: EnvironmentDefinition,
    policies: DrawingPolicies,
    imitators: TrainedPolicies,
    seeds: Sequence[int],
    episodes: int,
    max_steps: int,
    options: Mapping[str, Any],
    on_step: Callable[[int], object] | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return divergences, true and proxy returns (P, E) of test episodes of P policies, of one seed each.

    The episodes are those in which policies are tested.

    Args:
        environment: where they act.
        policies: P of them, side by side.
        imitators: P of them, with which they are compared.
        seeds: P of them.
        episodes: E.
        max_steps: episodes are cut after this number of steps.
        options: of the environment.
        on_step: called after each step with the number of episodes that took it.
    """
    compared = Compared(policies, imitators)
    found = np.zeros((3, len(seeds), episodes))
    for batch in episode_batches(episodes, environment.parallel_episodes):
        played = roll_out(environment, compared, *randomness_of(seeds, batch), max_steps, options, on_step=on_step)
        returns = played.true_rewards.sum(axis=-1), played.proxy_rewards.sum(axis=-1)
        found[:, :, batch] = np.stack([compared.divergences, *returns])
    divergences, true, proxy = found
    return divergences, true, proxy
