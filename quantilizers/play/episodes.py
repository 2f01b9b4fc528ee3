"""Acting a recorded episode out again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from quantilizers.demonstrations import Demonstrations
from quantilizers.errors import UserError
from quantilizers.play.picture import Pixels
from quantilizers.play.starts import start_from
from quantilizers.play.view import GameView
from quantilizers.rollouts import environment_action

#: Differences up to this much come from files that keep their numbers in single precision.
ROUNDING = 1e-5


class RecordedEpisode:
    """One episode of a data set: its actions, from its start.

    It starts by its reset seed, which gives it back exactly; without one, from its first observation.

    Args:
        demonstrations: the data set.
        episode: index of the episode.
        rows: what it is, for the panel.

    Attributes:
        length: its steps.
        rows: what it is, for the panel.
    """

    def __init__(self, demonstrations: Demonstrations, episode: int, rows: list[tuple[str, str]]) -> None:
        self.length = int(demonstrations.lengths[episode])
        self.rows = rows
        self._observations = demonstrations.observations[episode, : self.length]
        self._actions = demonstrations.actions[episode, : self.length]
        self._true_return = float(demonstrations.true_returns[episode])
        seed = int(demonstrations.extras["seed"][episode]) if "seed" in demonstrations.extras else -1
        self._seed = seed if seed >= 0 else None
        self._differences = np.zeros(self.length)

    def pictures(self, view: GameView) -> Iterator[Pixels]:
        """Act it out from its start to its end, and yield every picture on the way.

        Raises:
            UserError: it has no reset seed, and its first observation does not show the whole state.
        """
        observation = self._start(view)
        yield from view.render()
        for step, action in enumerate(self._actions):
            recorded = self._observations[step].astype(np.float64)
            if recorded.size:  # pictures are not kept in files
                self._differences[step] = np.abs(np.asarray(observation, dtype=np.float64) - recorded).max()
            observation, _, terminated, truncated, _ = view.step(environment_action(action, view.action_space))
            yield from view.render()
            if terminated or truncated:
                return

    def _start(self, view: GameView) -> Any:
        observation, _ = view.reset(seed=self._seed)
        if self._seed is not None:
            return observation
        if not start_from(view, self._observations[0]):
            raise UserError(
                "the recording has no reset seed, and this environment cannot be started from an observation; "
                "record it again with play/gather_data.py, which keeps the seeds"
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
        elif abs(view.true_return - self._true_return) > ROUNDING * max(1.0, abs(self._true_return)):
            said = f"its true return is not the recorded one, {self._true_return:.6g}"
        elif self._differences.any():
            said = f"as recorded, to rounding ({largest})"
        else:
            said = "exactly as recorded"
        return f"{went}; started {start}; {said}"
