"""A dynamic programme over a grid of states and the number of steps left, played in the exact dynamics.

The value of a state with k steps left is the maximum over actions of the reward plus the value with k − 1 steps left
(Bellman 1957), interpolated linearly between grid points. Actions are chosen by the same sum from the exact state, so
interpolation errors cost a little of the return, and the reported return is exact. With an effort of h, rewards more
than h steps ahead do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import sparse

from quantilizers.envs.planning import Dynamics
from quantilizers.errors import UserError
from quantilizers.rewards import BoolArray, FloatArray, Reward, Steps

#: Steps looked ahead in the exact dynamics before the grid's values are used.
EXACT_STEPS = 5


class DynamicProgramme:
    """The values of all grid points for every number of steps left up to the effort.

    Args:
        dynamics: of the environment.
        reward: to maximise, which has no mean at the end.
        look_ahead: number of steps, the effort.

    Raises:
        UserError: the reward has a mean at the end, which depends on more than the state.
    """

    def __init__(self, dynamics: Dynamics, reward: Reward, look_ahead: int) -> None:
        if any(part.kind == "mean_at_end" for part in reward.parts):
            raise UserError("a dynamic programme cannot plan on a mean that is given at the end")
        self._dynamics, self._reward = dynamics, reward
        axes = [np.linspace(*ends) for ends in zip(dynamics.low, dynamics.high, dynamics.points, strict=True)]
        states = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
        steps = [self._step(states, np.full(len(states), action)) for action in range(dynamics.actions)]
        # The next state does not depend on the number of steps left: weights of the grid's points.
        followed = [
            sparse.diags_array(np.where(over, 0.0, 1.0)) @ self._weights(after, len(states)) for after, _, over in steps
        ]
        values = np.zeros(len(states))
        by_steps_left = [values.astype(np.float32)]
        for _ in range(look_ahead - 1):
            worth = [earned + weights @ values for (_, earned, _), weights in zip(steps, followed, strict=True)]
            values = self._backed_up(np.stack(worth), states)
            by_steps_left.append(values.astype(np.float32))
        self.values = np.stack(by_steps_left)  # (look_ahead, points), with 0, 1, … steps left

    def _backed_up(self, worth: FloatArray, states: FloatArray) -> FloatArray:
        """Return the values (n,) of states (n, D) from the worths (actions, n) of their actions."""
        values: FloatArray = worth.max(axis=0)
        return values

    def plan(
        self, seeds: Sequence[int], max_steps: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatArray]:
        """Plan the episodes of E reset seeds side by side.

        Returns:
            Actions (E, T, 1), lengths (E,) and returns (E,).
        """
        states = np.stack([self._dynamics.start(seed) for seed in seeds])
        running = np.ones(len(states), dtype=np.bool_)
        expected, lengths = np.zeros(len(states)), np.zeros(len(states), dtype=np.int64)
        actions = np.zeros((len(states), max_steps, 1), dtype=np.int64)
        for step in range(max_steps):
            left = min(len(self.values), max_steps - step)
            chosen = np.argmax(self._worth(states, left, EXACT_STEPS), axis=0)
            after, earned, over = self._step(states, chosen)
            actions[running, step, 0] = chosen[running]
            expected += np.where(running, earned, 0.0)
            lengths += running
            states = np.where(running[:, None], after, states)
            running &= ~over
            if not running.any():
                break
        return actions[:, : lengths.max()], lengths, expected

    def _worth(self, states: FloatArray, left: int, exact_steps: int) -> FloatArray:
        """Return the value of each action (actions, n), with the first steps exact."""
        number, actions = len(states), self._dynamics.actions
        # Every action in every state, action by action.
        after, earned, over = self._step(np.tile(states, (actions, 1)), np.repeat(np.arange(actions), number))
        if left == 1:
            return earned.reshape(actions, number)
        if exact_steps > 1:
            ahead = np.max(self._worth(after, left - 1, exact_steps - 1), axis=0)
        else:
            ahead = self._weights(after, self.values.shape[1]) @ self.values[left - 1]
        return (earned + np.where(over, 0.0, ahead)).reshape(actions, number)

    def _step(self, states: FloatArray, actions: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Return the states (n, D) after actions (n,), their rewards (n,), and whether the episodes are over (n,)."""
        after, own, over = self._dynamics.advance(states, actions)
        seen = Steps(self._dynamics.observe(after), actions)
        return after, self._reward.at_once_and_at_end(own, seen)[0], over

    def _weights(self, states: FloatArray, number: int) -> sparse.csr_array:
        """Return the weights (n, points) of the grid's points in the linear interpolation at states (n, D)."""
        low, high, points = (np.array(getattr(self._dynamics, name)) for name in ("low", "high", "points"))
        places = np.clip((states - low) / (high - low), 0.0, 1.0) * (points - 1)
        cells = np.minimum(places.astype(np.int64), points - 2)
        within = places - cells
        strides = np.append(np.cumprod(points[:0:-1])[::-1], 1)
        columns: list[npt.NDArray[np.int64]] = []
        shares: list[FloatArray] = []
        for corner in product((0, 1), repeat=len(points)):
            columns.append((cells + corner) @ strides)
            shares.append(np.where(corner, within, 1.0 - within).prod(axis=1))
        width = len(columns)
        indices = np.stack(columns, axis=1).ravel()
        data = np.stack(shares, axis=1).ravel()
        starts = np.arange(0, width * len(states) + 1, width)
        return sparse.csr_array((data, indices, starts), shape=(len(states), number))
