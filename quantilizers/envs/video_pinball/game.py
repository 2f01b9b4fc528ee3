"""One game of Video Pinball, for people to look at and for learners that take one at a time."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from quantilizers.envs.video_pinball.console import PinballConsole
from quantilizers.envs.video_pinball.games import VideoPinballVector
from quantilizers.envs.video_pinball.task import FRAMES_PER_SECOND

_NO_HORIZON = 2**62


class VideoPinball(gymnasium.Env[npt.NDArray[np.uint8], np.int64]):
    """One game, which pays the score: a `VideoPinballVector` of one, and pictures in colour. It has no horizon.

    Args:
        render_mode: `human` opens a window; `rgb_array` gives the latest picture; `rgb_array_list` all those since
            `render` was last called, four for each step; None.

    Raises:
        UserError: the pictures of the lane cannot be read.
    """

    metadata = {  # noqa: RUF012
        "render_modes": ["human", "rgb_array", "rgb_array_list"],
        "render_fps": FRAMES_PER_SECOND,
    }

    def __init__(self, render_mode: str | None = None) -> None:
        modes = self.metadata["render_modes"]
        if render_mode is not None and render_mode not in modes:
            raise ValueError(f"render_mode {render_mode!r} is not one of {', '.join(modes)}")
        self.render_mode = render_mode
        self._game = VideoPinballVector(1, max_steps=_NO_HORIZON)
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
        return observations[0], {}

    def step(self, action: Any) -> tuple[npt.NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Hold an action for four frames."""
        observations, score, terminated, _, info = self._game.step(np.array([action]))
        if self._console is not None:
            self._console.step(int(action), see=self._keep_picture)
        about = {
            "cheat": bool(info["cheat"][0]),
            "cheat_rate": float(info["cheat_rate"][0]),
        }
        return observations[0], float(score[0]), bool(terminated[0]), False, about

    def render(self) -> Any:
        """Return what the render mode says, each picture (210, 160, 3) uint8; None where it is `human` or None."""
        if self._console is None or self.render_mode == "human":
            return None
        pictures, self._pictures = self._pictures, self._pictures[-1:]
        if self.render_mode == "rgb_array":
            return pictures[-1]
        self._pictures = []
        return pictures

    def _keep_picture(self, console: PinballConsole) -> None:
        if self.render_mode == "rgb_array":
            self._pictures.clear()
        if self.render_mode != "human":
            self._pictures.append(console.picture())
