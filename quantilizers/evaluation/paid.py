"""What test episodes are paid, kept as small as it is saved."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quantilizers.evaluation.rollouts import Rollouts

KINDS = ("true reward", "proxy reward")


class Paid:
    """What E episodes of each of P policies are paid in at most T steps, to be filled batch by batch.

    Rewards are kept in single precision, as files hold them: memory grows by 8 bytes a step of an episode. Returns are
    summed before, from what was paid.

    Args:
        policies: P.
        episodes: E.
        steps: T.

    Attributes:
        rewards: (2, P, E, T), true and proxy, zero after an episode's end.
        returns: (2, P, E), likewise.
        lengths: (P, E) steps of each episode.
    """

    def __init__(self, policies: int, episodes: int, steps: int) -> None:
        self.rewards = np.zeros((2, policies, episodes, steps), dtype=np.float32)
        self.returns = np.zeros((2, policies, episodes))
        self.lengths = np.zeros((policies, episodes), dtype=np.int64)
        #: For policies that were paid NaN or infinity where that began: kind of reward, episode, step and value.
        self._not_finite: dict[int, tuple[int, int, int, float]] = {}

    def put(self, policies: slice, episodes: slice, part: Rollouts) -> None:
        """Write the rollouts of some policies and episodes into their places."""
        # Sums are of T numbers in any batch, so that they are the same bits in all.
        whole = np.zeros((*part.lengths.shape, self.rewards.shape[3]))
        for kind, paid in enumerate((part.true_rewards, part.proxy_rewards)):
            whole[..., : paid.shape[2]] = paid
            self.returns[kind, policies, episodes] = whole.sum(axis=-1)
            self._look_for_what_is_not_finite(kind, policies.start, episodes.start, whole)
            with np.errstate(over="ignore"):  # what is infinite only in single precision is refused with the results
                self.rewards[kind, policies, episodes] = whole
        self.lengths[policies, episodes] = part.lengths

    def _look_for_what_is_not_finite(self, kind: int, policy: int, episode: int, paid: npt.NDArray[np.float64]) -> None:
        for of_policy in np.flatnonzero(~np.isfinite(paid).all(axis=(1, 2))):
            first, step = np.argwhere(~np.isfinite(paid[of_policy]))[0]
            found = (kind, episode + int(first), int(step), float(paid[of_policy, first, step]))
            known = self._not_finite.get(policy + int(of_policy), found)
            self._not_finite[policy + int(of_policy)] = min(known, found, key=lambda place: place[:3])

    def is_finite(self, policy: int) -> bool:
        """Return whether a policy was paid numbers only."""
        return policy not in self._not_finite

    def told(self) -> dict[int, str]:
        """Say for each policy that was paid NaN or infinity where that began."""
        return {
            policy: f"{KINDS[kind]} {value:g} at step {step + 1} of episode {episode + 1}"
            for policy, (kind, episode, step, value) in sorted(self._not_finite.items())
        }
