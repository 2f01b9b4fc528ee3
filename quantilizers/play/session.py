"""One sitting of a person at the keyboard, from the first episode to the closing of the window."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from quantilizers.envs.actions import environment_action
from quantilizers.play.keys import DISCARD, PAUSE, RESTART, ActionKeys
from quantilizers.play.recording import Episode, Recording
from quantilizers.play.view import GameView, Panel, for_people
from quantilizers.play.window import GameWindow

BEGIN, PLAYING, PAUSED = "Press a playing key to begin", "Recording", "Paused: P goes on"
COMMANDS = (
    ("p", "pause, go on"),
    ("r", "restart the episode"),
    ("backspace", "discard the last one kept"),
    ("esc", "end"),
)


def session_panel(title: str, keys: ActionKeys, hide_rewards: bool) -> Panel:
    """Return the panel of a sitting in which nothing was played yet."""
    panel = Panel(
        title,
        keys=[*keys.controls, ("", ""), *COMMANDS],
        statuses=(BEGIN, PLAYING, PAUSED),
        hide_rewards=hide_rewards,
    )
    _describe_kept(panel, [])
    return panel


def _describe_kept(panel: Panel, episodes: list[Episode]) -> None:
    panel.above = [("Episode", str(len(episodes) + 1))]
    if not panel.hide_rewards:
        last = (
            [for_people(value) for value in (episodes[-1].true_return, episodes[-1].proxy_return)] if episodes else []
        )
        true_return, proxy_return = last or ("none", "none")
        panel.below = [("Last kept: true", true_return), ("Last kept: proxy", proxy_return)]


class Session:
    """Plays episode after episode and keeps each that is finished.

    An episode waits for its first key, so that nobody misses a start, and pauses while the keyboard is elsewhere.

    Args:
        view: the game, with the panel of `session_panel`.
        window: shows it.
        keys: what the pressed keys do.
        recording: keeps the episodes.
        first_seed: the first episode kept is reset with it, each later one with the next number.
    """

    def __init__(
        self, view: GameView, window: GameWindow, keys: ActionKeys, recording: Recording, first_seed: int
    ) -> None:
        self._view = view
        self._window = window
        self._keys = keys
        self._recording = recording
        self._next_seed = first_seed

    def run(self) -> None:
        """Play until the window is closed or Esc is pressed.

        Raises:
            UserError: an episode cannot be written.
        """
        while self._window.running:
            episode = self._recording.new_episode(self._next_seed)
            if self._play(episode):
                self._recording.add(episode)
                self._next_seed += 1
                _describe_kept(self._view.panel, self._recording.episodes)

    def _play(self, episode: Episode) -> bool:
        """Play one episode; return whether it was finished, neither restarted nor left."""
        view, window = self._view, self._window
        observation, _ = view.reset(seed=episode.seed)
        view.panel.status = BEGIN
        window.keys_for_step()  # forget what was tapped before
        ended = False
        while not ended:
            self._show()
            if not window.running or self._obey():
                return False
            if view.panel.status == BEGIN and window.tapped:
                view.panel.status = PLAYING
                episode.recorded_at = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
            if view.panel.status != PLAYING:
                continue
            action = self._keys.action(window.keys_for_step())
            before = np.array(observation)
            observation, _, terminated, truncated, info = view.step(environment_action(action, view.action_space))
            episode.add_step(before, action, info)
            ended = terminated or truncated
        episode.final_observation = np.array(observation)
        episode.proxy_return = view.proxy_return
        self._show()
        return True

    def _show(self) -> None:
        """Show what happened since the last time, and hear the keys."""
        for picture in self._view.render():
            self._window.show(picture)

    def _obey(self) -> bool:
        """Carry out what was asked for beside playing; return whether the episode starts anew."""
        panel = self._view.panel
        if self._window.take_lost_focus() and panel.status == PLAYING:
            panel.status = PAUSED
        for command in self._window.take_commands():
            if command == RESTART:
                return True
            if command == PAUSE and panel.status != BEGIN:
                panel.status = PLAYING if panel.status == PAUSED else PAUSED
            elif command == DISCARD and self._recording.discard_last():
                _describe_kept(panel, self._recording.episodes)
        return False
