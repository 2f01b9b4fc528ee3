"""Games of Video Pinball observed by pictures: many side by side, one, replays of recordings, a planner's simulator."""

from __future__ import annotations

import os
import weakref
from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding

from quantilizers.envs.planning import Earned
from quantilizers.envs.vector import IndexArray, TwoRewardVectorEnv
from quantilizers.envs.video_pinball.emulator import (
    ACTIONS,
    FRAMES_PER_SECOND,
    MAX_STEPS,
    OBSERVATIONS,
    PARALLEL_GAMES,
    SIDE,
    STACK,
    PinballConsole,
    give_back,
    take_emulators,
)
from quantilizers.envs.video_pinball.rollover_lane import RolloverLane
from quantilizers.errors import UserError
from quantilizers.processors import available_cores
from quantilizers.rewards import BoolArray, FloatArray, Reward, Steps

NO_OP_STEPS = 30
#: Arguments that start an emulator's only game without a new seed, which would make it compute its tables again.
_KEEP_SEED = np.array([0]), np.array([-1])
_NO_HORIZON = 2**62


class PinballVector(TwoRewardVectorEnv):
    """Many games, however they are observed: their no-ops, scores and cheat rates.

    The arguments are those of `TwoRewardVectorEnv`; both rewards are the score by default.
    """

    step_info = ("cheat", "cheat_rate")

    def __init__(self, num_envs: int, max_steps: int, observations: gymnasium.Space[Any], **rewards: Any) -> None:
        super().__init__(num_envs, max_steps, observations, ACTIONS, **rewards)
        self.cheats = np.zeros(num_envs, dtype=np.int64)
        self.no_op_steps = np.zeros(num_envs, dtype=np.int64)

    @abstractmethod
    def _restart(self, indices: IndexArray) -> None:
        """Start some games and do nothing for their `no_op_steps`."""

    @abstractmethod
    def _play(self, indices: IndexArray, actions: npt.NDArray[np.int64]) -> tuple[FloatArray, BoolArray]:
        """Step some games at the same time; return their scores of this step and whether they are over."""

    @abstractmethod
    def _cheating(self) -> BoolArray:
        """Return whether the ball is seen in the lane, (num_envs,); games that were not stepped are ignored."""

    def _start(self, indices: IndexArray) -> None:
        self.cheats[indices] = 0
        self.no_op_steps[indices] = [draw_no_op_steps(self._generators[index]) for index in indices]
        self._restart(indices)

    def _advance(self, actions: Any, active: BoolArray) -> tuple[FloatArray, BoolArray, dict[str, npt.NDArray[Any]]]:
        actions = np.asarray(actions, dtype=np.int64)
        scores, over = np.zeros(self.num_envs), np.zeros(self.num_envs, dtype=np.bool_)
        indices = np.flatnonzero(active)
        scores[indices], over[indices] = self._play(indices, actions[indices])
        cheating = self._cheating() & active
        self.cheats += cheating
        return scores, over, {"cheat": cheating, "cheat_rate": self.cheat_rates}

    @property
    def cheat_rates(self) -> FloatArray:
        """Fraction of each episode's frames so far with the ball in the lane, (num_envs,)."""
        rates: FloatArray = self.cheats / np.maximum(self.steps, 1)
        return rates


class VideoPinballVector(PinballVector):
    """Many games on `ale_py.AtariVectorEnv`, a thread each.

    Each game is an `AtariVectorEnv` of one. That costs a few per cent compared with one of many, and lets games differ
    in their numbers of no-ops and of steps, and rest when they are retired. When the object is closed or garbage, the
    next one uses its emulators.
    """

    def __init__(self, num_envs: int = 1, max_steps: int = MAX_STEPS, **rewards: Any) -> None:
        super().__init__(num_envs, max_steps, OBSERVATIONS, **rewards)
        self._lane = RolloverLane.load()
        self._games = take_emulators(num_envs)
        self._giving_back = weakref.finalize(self, give_back, self._games, os.getpid())
        self._giving_back.atexit = False
        self._observations = np.zeros((num_envs, STACK, SIDE, SIDE), dtype=np.uint8)

    def _restart(self, indices: IndexArray) -> None:
        with ThreadPoolExecutor(available_cores()) as pool:
            starts = pool.map(lambda index: self._games[index].reset(*_KEEP_SEED)[0][0], indices)
            for index, observation in zip(indices, starts, strict=True):
                self._observations[index] = observation
        for no_op in range(int(self.no_op_steps[indices].max())):
            waiting = indices[self.no_op_steps[indices] > no_op]
            self._play(waiting, np.zeros(len(waiting), dtype=np.int64))

    def _play(self, indices: IndexArray, actions: npt.NDArray[np.int64]) -> tuple[FloatArray, BoolArray]:
        scores, over = np.zeros(len(indices)), np.zeros(len(indices), dtype=np.bool_)
        games = [self._games[index] for index in indices]
        try:
            for game, action in zip(games, actions.tolist(), strict=True):
                game.send([action], [1.0])
            for place, game in enumerate(games):
                observation, score, terminated, _, _ = game.recv()
                self._observations[indices[place]] = observation[0]
                scores[place], over[place] = score[0], terminated[0]
        except BaseException:
            # The next user would take the missing answers for those to its first step.
            self._giving_back.detach()
            raise
        return scores, over

    def _cheating(self) -> BoolArray:
        return self._lane(self._observations[:, -1])

    def _observe(self) -> npt.NDArray[np.uint8]:
        return self._observations.copy()

    def close_extras(self, **kwargs: Any) -> None:
        """Give the emulators back."""
        self._giving_back()


def draw_no_op_steps(generator: np.random.Generator) -> int:
    """Draw the number of steps of doing nothing before an episode begins."""
    return int(generator.integers(NO_OP_STEPS))


class VideoPinball(gymnasium.Env[npt.NDArray[np.uint8], np.int64]):
    """One game rewarded by the score: a vector of one, with pictures in colour to show. It has no horizon.

    The `render_mode` `human` opens a window; `rgb_array` gives the latest picture; `rgb_array_list` all pictures since
    the last call of `render`, four for each step.
    """

    metadata = {  # noqa: RUF012
        "render_modes": ["human", "rgb_array", "rgb_array_list"],
        "render_fps": FRAMES_PER_SECOND,
    }
    #: The vectorised form, which determines the observation.
    vector: ClassVar[Callable[..., PinballVector]] = VideoPinballVector

    def __init__(self, render_mode: str | None = None) -> None:
        modes = self.metadata["render_modes"]
        if render_mode is not None and render_mode not in modes:
            raise ValueError(f"render_mode {render_mode!r} is not one of {', '.join(modes)}")
        self.render_mode = render_mode
        self._game = type(self).vector(1, max_steps=_NO_HORIZON)
        self._console = None if render_mode is None else PinballConsole(display=render_mode == "human")
        self._pictures: list[npt.NDArray[np.uint8]] = []
        self.observation_space = self._game.single_observation_space
        self.action_space = self._game.single_action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        observations, _ = self._game.reset(seed=[seed])
        if self._console is not None:
            self._console.start(int(self._game.no_op_steps[0]))
            self._pictures = [self._console.picture()]
        return observations[0], {"cheat": False, "cheat_rate": 0.0}

    def step(self, action: Any) -> tuple[npt.NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Hold an action for four frames."""
        observations, score, terminated, _, info = self._game.step(np.array([action]))
        if self._console is not None:
            self._console.step(int(action), see=self._keep_picture)
        about = {"cheat": bool(info["cheat"][0]), "cheat_rate": float(info["cheat_rate"][0])}
        return observations[0], float(score[0]), bool(terminated[0]), False, about

    def render(self) -> Any:
        """Return the picture or pictures, (210, 160, 3) uint8; None if the render mode is `human` or None."""
        if self._console is None or self.render_mode == "human":
            return None
        if self.render_mode == "rgb_array":
            return self._pictures[-1]
        pictures, self._pictures = self._pictures, []
        return pictures

    def _keep_picture(self, console: PinballConsole) -> None:
        if self.render_mode == "rgb_array":
            self._pictures.clear()
        if self.render_mode != "human":
            self._pictures.append(console.picture())


def observed_frame(pictures: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """Return the frame (1, 84, 84) that an environment observes after the grey pictures (210, 160): the brighter."""
    import cv2

    brighter = np.maximum.reduce(pictures)
    return cv2.resize(brighter, (SIDE, SIDE), interpolation=cv2.INTER_AREA)[None].astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Replay:
    """Frames and rewards of recorded actions that were played again.

    Attributes:
        frames: (N, T + 3, 84, 84) uint8, zero after an episode's last action.
        scores: (N, T), the proxy rewards.
        cheats: (N, T) bool, whether the ball was seen in the lane after each step.
    """

    frames: npt.NDArray[np.uint8]
    scores: FloatArray
    cheats: BoolArray

    @property
    def observations(self) -> npt.NDArray[np.uint8]:
        """Observations before each action, (N, T, 4, 84, 84): a read-only view; a copy takes four times its memory."""
        windows = np.lib.stride_tricks.sliding_window_view(self.frames, STACK, axis=1)
        view: npt.NDArray[np.uint8] = np.moveaxis(windows, -1, 2)
        return view


def replay(seeds: npt.NDArray[np.int64], actions: npt.NDArray[Any], lengths: npt.NDArray[np.int64]) -> Replay:
    """Play recorded actions (N, T) again in games reset with the recorded seeds (N,), and as many steps as `lengths`.

    The replay is exact, because the game is deterministic; a game that ends before its recorded actions do is refused.
    """
    number, steps = actions.shape
    frames = np.zeros((number, steps + STACK - 1, SIDE, SIDE), dtype=np.uint8)

    def see(episodes: IndexArray, step: int, observations: npt.NDArray[np.uint8]) -> None:
        if step == 0:
            frames[episodes, :STACK] = observations
        else:
            frames[episodes, step + STACK - 1] = observations[:, -1]

    return Replay(frames, *play_again(VideoPinballVector, seeds, actions, lengths, see))


def play_again(
    vector: Callable[..., PinballVector],
    seeds: npt.NDArray[np.int64],
    actions: npt.NDArray[Any],
    lengths: npt.NDArray[np.int64],
    see: Callable[[IndexArray, int, npt.NDArray[np.uint8]], None],
) -> tuple[FloatArray, BoolArray]:
    """Play recorded actions again and return the scores and cheats (N, T); see `replay`.

    Calls `see` with the numbers of episodes, a step, and the observations (n, …) before their actions of that step.
    """
    number, steps = actions.shape
    all_scores, cheats = np.zeros((number, steps)), np.zeros((number, steps), dtype=np.bool_)
    for first in range(0, number, PARALLEL_GAMES):
        part = slice(first, first + PARALLEL_GAMES)
        games = vector(len(seeds[part]), max_steps=steps + 1)
        observations, _ = games.reset(seed=seeds[part].tolist())
        see(np.arange(first, first + games.num_envs), 0, observations)
        over = lengths[part] == 0
        for step in range(int(lengths[part].max())):
            games.retire(lengths[part] <= step)
            playing = lengths[part] > step
            if (over & playing).any():
                episode = first + int(np.argmax(over & playing))
                raise UserError(f"episode {episode} ends before its recorded actions; its seed or actions are wrong")
            observations, scores, terminated, _, info = games.step(np.where(playing, actions[part, step], 0))
            all_scores[part, step] = scores
            cheats[part, step] = info["cheat"]
            going_on = np.flatnonzero(lengths[part] > step + 1)
            if len(going_on):
                see(first + going_on, step + 1, observations[going_on])
            over |= terminated
        games.close()
    return all_scores, cheats


class PinballSimulator:
    """A `quantilizers.envs.planning.Simulator` of one game, several times as fast as an observed game.

    It looks at pictures only if the reward depends on the ball in the lane.
    """

    def __init__(self, reward: Reward) -> None:
        self._reward = reward
        self._console = PinballConsole()
        self._lane = RolloverLane.load() if "cheat" in reward.info else None
        self._pictures: list[npt.NDArray[np.uint8]] = []

    def start(self, seed: int) -> None:
        """Start a game after the number of no-ops that the seed draws."""
        self._console.start(draw_no_op_steps(seeding.np_random(seed)[0]))

    def step(self, action: npt.NDArray[Any]) -> Earned:
        """Hold an action for four frames."""
        self._pictures.clear()
        score = self._console.step(int(action[0]), see=None if self._lane is None else self._look)
        info = {} if self._lane is None else {"cheat": self._lane(self._observed())}
        # No reward of this game depends on the observation.
        steps = Steps(np.zeros((1, 0)), action[None], info)
        at_once, at_end = self._reward.at_once_and_at_end(np.array([float(score)]), steps)
        return Earned(float(at_once[0]), float(at_end[0]), self._console.over)

    def save(self) -> Any:
        """Return the state of the emulator."""
        return self._console.save()

    def restore(self, state: Any) -> None:
        """Go back to a state of the emulator."""
        self._console.restore(state)

    def _look(self, console: PinballConsole) -> None:
        self._pictures.append(console.grey_picture())

    def _observed(self) -> npt.NDArray[np.uint8]:
        """Return the newest observed frame, (1, 84, 84), as the environment makes it: the brighter of the last two."""
        return observed_frame(self._pictures[-2:])
