"""Hoppers on MuJoCo: many on its own threads, and what one step does to a state."""

from __future__ import annotations

from typing import Any

import gymnasium
import mujoco
import numpy as np
import numpy.typing as npt
from gymnasium.envs.mujoco.mujoco_env import expand_model_path
from mujoco.batch import Batch

from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.hopper.task import ACTIONS, MAX_STEPS, OBSERVATIONS, PROXY
from quantilizers.envs.vector import IndexArray, TwoRewardVectorEnv
from quantilizers.processors import available_cores
from quantilizers.rewards import BoolArray, FloatArray, own

FRAME_SKIP = 4
MAX_OBSERVED_SPEED = 10.0
START_NOISE = 5e-3
CONTROL_COST = 1e-3
#: Simulated time of one step: FRAME_SKIP times the time step in the model of the hopper.
STEP_SECONDS = 0.008
LOWEST_HEIGHT, WIDEST_LEAN, WIDEST_STATE = 0.7, 0.2, 100.0


def load_model() -> mujoco.MjModel:
    """Return MuJoCo's model of the hopper, as Gymnasium ships it."""
    return mujoco.MjModel.from_xml_path(expand_model_path("hopper.xml"))


class HopperVector(TwoRewardVectorEnv):
    """Hundreds of hoppers on MuJoCo's own threads, bit for bit Gymnasium's Hopper-v4.

    MuJoCo's solver of contacts begins from its last result, so that a step depends, in its last bits, on each
    hopper's warm start beside position and velocity. `mujoco.batch` keeps it with the state; `mujoco.rollout`
    takes warm starts but gives back none, so that its hoppers drift away from Gymnasium's.
    It has no picture; a single hopper has.

    Args:
        num_envs: how many.
        max_steps: an episode is truncated after so many steps.
        threads: how many threads step them; None is one for each processor. Results do not depend on it.
        **rewards: `proxy`, `true` and `reward`, as `TwoRewardVectorEnv` takes them.
    """

    def __init__(
        self, num_envs: int = 1, max_steps: int = MAX_STEPS, threads: int | None = None, **rewards: Any
    ) -> None:
        super().__init__(num_envs, max_steps, OBSERVATIONS, ACTIONS, **{"proxy": PROXY, "true": own, **rewards})
        model = load_model()
        wanted = available_cores() if threads is None else threads
        self._batch = Batch(model, num_envs, nthread=max(1, min(wanted, num_envs)))
        # Live views of MuJoCo's states: what is written here is simulated, what was simulated is read here.
        self._positions: FloatArray = self._batch.bind("qpos")
        self._velocities: FloatArray = self._batch.bind("qvel")
        self._controls: FloatArray = self._batch.bind("ctrl")
        self._start_state: FloatArray = self._batch.state[0].copy()
        self._start_position: FloatArray = self._positions[0].copy()

    def _start(self, indices: IndexArray) -> None:
        # The whole row, for a warm start from the episode before would change the last bits of this one.
        self._batch.state[indices] = self._start_state
        noise = np.array([self._generators[index].uniform(-START_NOISE, START_NOISE, size=12) for index in indices])
        self._positions[indices] = self._start_position + noise[:, :6]
        self._velocities[indices] = noise[:, 6:]

    def _advance(self, actions: Any, active: BoolArray) -> tuple[FloatArray, BoolArray, dict[str, npt.NDArray[Any]]]:
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs, 3):
            raise ValueError(f"actions of shape {actions.shape} for {self.num_envs} hoppers of 3 joints")
        before = self._positions[:, 0].copy()
        self._controls[:] = actions
        chosen = None if active.all() else np.flatnonzero(active)
        if chosen is None or chosen.size:
            self._batch.step(chosen, nstep=FRAME_SKIP)
        speed = (self._positions[:, 0] - before) / STEP_SECONDS
        squares = np.square(actions)
        # In this order and in the actions' own precision, as Gymnasium computes it for one hopper.
        control_cost = CONTROL_COST * (squares[:, 0] + squares[:, 1] + squares[:, 2])
        return speed + 1.0 - control_cost, ~self._healthy(), {}

    def _healthy(self) -> BoolArray:
        height, lean = self._positions[:, 1], self._positions[:, 2]
        within = (height > LOWEST_HEIGHT) & (np.abs(lean) < WIDEST_LEAN)
        within &= (np.abs(self._positions[:, 2:]) < WIDEST_STATE).all(axis=1)
        within &= (np.abs(self._velocities) < WIDEST_STATE).all(axis=1)
        return within & (height < np.inf)

    def _observe(self) -> FloatArray:
        observations = np.empty((self.num_envs, 11))
        observations[:, :5] = self._positions[:, 1:]
        np.clip(self._velocities, -MAX_OBSERVED_SPEED, MAX_OBSERVED_SPEED, out=observations[:, 5:])
        return observations


def states_after(observations: FloatArray, actions: FloatArray) -> FloatArray:
    """Return what would be observed one step after observations.

    Exact but for the solver's warm start, which no observation holds (below 1e-8 rad in the foot's angle), where no
    speed was clipped in the observation. Where one was, the hopper is taken to move at the clipped speed.

    Args:
        observations: (n, 11).
        actions: (n, 3).

    Returns:
        (n, 11).
    """
    batch = Batch(load_model(), len(observations), nthread=min(available_cores(), len(observations)))
    positions, velocities = batch.bind("qpos"), batch.bind("qvel")
    positions[:, 1:] = observations[:, :5]
    velocities[:] = observations[:, 5:]
    batch.bind("ctrl")[:] = actions
    batch.step(nstep=FRAME_SKIP)
    clipped = np.clip(velocities, -MAX_OBSERVED_SPEED, MAX_OBSERVED_SPEED)
    after: FloatArray = np.concatenate([positions[:, 1:], clipped], axis=1)
    return after


def final_observations(episodes: Episodes) -> FloatArray:
    """Return the observations (N, 11) after the last actions, simulated from those before them."""
    rows, last = np.arange(episodes.number), episodes.lengths - 1
    before, actions = episodes.observations[rows, last], episodes.actions[rows, last]
    return states_after(before.astype(np.float64), actions.astype(np.float64))


def start_from(game: gymnasium.Env[Any, Any], observation: npt.NDArray[Any]) -> bool:
    """Put a hopper into the state that an observation shows: all of it but how far along the track it is."""
    base: Any = game.unwrapped
    numbers = np.asarray(observation, dtype=np.float64)
    base.set_state(np.concatenate([base.init_qpos[:1], numbers[:5]]), numbers[5:])
    return True
