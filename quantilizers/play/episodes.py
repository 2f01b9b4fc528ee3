"""Acting a recorded episode out again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.actions import environment_action
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.starts import start_from
from quantilizers.errors import UserError
from quantilizers.play.picture import Pixels
from quantilizers.play.view import GameView

#: Differences up to this much come from files that keep their numbers in single precision.
ROUNDING = 1e-5


class RecordedEpisode:
    """One episode of a data set: its actions, from its start.

    It starts by its reset seed, which gives it back exactly; without one, from its first observation.

    Args:
        environment: where it was played.
        episodes: of the data set.
        episode: index of the episode.
        rows: what it is, for the panel.

    Attributes:
        length: its steps.
        rows: what it is, for the panel.
    """

    def __init__(
        self, environment: EnvironmentDefinition, episodes: Episodes, episode: int, rows: list[tuple[str, str]]
    ) -> None:
        self.length = int(episodes.lengths[episode])
        self.rows = rows
        self._environment = environment
        self._observations = episodes.observations[episode, : self.length]
        self._actions = episodes.actions[episode, : self.length]
        self._true_return = float(episodes.true_returns[episode])
        seed = int(episodes.extras["seed"][episode]) if "seed" in episodes.extras else -1
        self._seed = seed if seed >= 0 else None
        finals = episodes.final_observations
        self._final = None if finals is None else finals[episode]
        self._differences = np.zeros(self.length + 1)

    def pictures(self, view: GameView) -> Iterator[Pixels]:
        """Act it out from its start to its end, and yield every picture on the way.

        Raises:
            UserError: it has no reset seed, and its first observation does not show the whole state.
        """
        observation = self._start(view)
        yield from view.render()
        for step, action in enumerate(self._actions):
            self._compare(step, observation, self._observations[step])
            observation, _, terminated, truncated, _ = view.step(environment_action(action, view.action_space))
            yield from view.render()
            if terminated or truncated:
                break
        if self._final is not None and view.steps == self.length:
            self._compare(self.length, observation, self._final)

    def _compare(self, step: int, observation: Any, recorded: npt.NDArray[Any]) -> None:
        if recorded.size:  # files may leave observations out
            difference = np.asarray(observation, dtype=np.float64) - recorded.astype(np.float64)
            self._differences[step] = np.abs(difference).max()

    def _start(self, view: GameView) -> Any:
        observation, _ = view.reset(seed=self._seed)
        if self._seed is not None:
            return observation
        if not start_from(self._environment, view, self._observations[0]):
            raise UserError(
                "the recording has no reset seed, and this environment cannot be started from an observation; "
                "recordings made by this project keep the seeds"
            )
        view.look_again()
        return self._observations[0]

    def outcome(self, view: GameView) -> str:
        """Return how it went, and whether as recorded, in a few words."""
        went = f"{view.steps} steps, true return {view.true_return:.6g}, proxy return {view.proxy_return:.6g}"
        start = "by its first observation, for the file has no reset seed" if self._seed is None else "by its seed"
        apart = self._differences > ROUNDING
        largest = f"by {self._differences.max():.1e} at most"
        if apart.any():
            said = f"it parts from the recording after {int(np.argmax(apart))} steps, {largest}"
        elif view.steps < self.length:
            said = f"it ends before the recording, which has {self.length} steps"
        elif abs(view.true_return - self._true_return) > ROUNDING * max(1.0, abs(self._true_return)):
            said = f"its true return is not the recorded one, {self._true_return:.6g}"
        elif self._differences.any():
            said = f"as recorded, to rounding ({largest})"
        else:
            said = "exactly as recorded"
        return f"{went}; started {start}; {said}"
