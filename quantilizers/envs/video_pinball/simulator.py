"""Video Pinball for planners: games that are taken back to where they were, several times as fast as observed ones."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding

from quantilizers.envs.planning import Earned
from quantilizers.envs.video_pinball.console import PinballConsole
from quantilizers.envs.video_pinball.games import draw_no_op_steps
from quantilizers.envs.video_pinball.rollover_lane import RolloverLane
from quantilizers.envs.video_pinball.task import SIDE
from quantilizers.rewards import Reward, Steps


class PinballSimulator:
    """One game on an emulator of its own, as `quantilizers.envs.planning.Simulator` has it.

    Pictures are looked at only where the reward speaks of the ball in the lane.

    Args:
        reward: what the steps are to be paid.
    """

    def __init__(self, reward: Reward) -> None:
        self._reward = reward
        self._console = PinballConsole()
        self._lane = RolloverLane.load() if "cheat" in reward.info else None
        self._pictures: list[npt.NDArray[np.uint8]] = []

    def start(self, seed: int) -> None:
        """Start a game, with the steps of doing nothing that the seed draws."""
        self._console.start(draw_no_op_steps(seeding.np_random(seed)[0]))

    def step(self, action: npt.NDArray[Any]) -> Earned:
        """Hold an action for four frames."""
        self._pictures.clear()
        score = self._console.step(int(action[0]), see=None if self._lane is None else self._look)
        info = {} if self._lane is None else {"cheat": self._lane(self._observed())}
        # What is observed beside that pays nothing here.
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
        brighter = np.maximum(*self._pictures[-2:]) if len(self._pictures) > 1 else self._pictures[-1]
        return cv2.resize(brighter, (SIDE, SIDE), interpolation=cv2.INTER_AREA)[None].astype(np.uint8)
