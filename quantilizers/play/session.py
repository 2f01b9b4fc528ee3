"""Recording a person: one session at the keyboard, from the first episode to the closing of the window."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import check_recorded_options
from quantilizers.errors import UserError
from quantilizers.play.keys import DISCARD, END, PAUSE, RESTART, ActionKeys, frames_per_second, keyboard_of
from quantilizers.play.recording import Episode, Recording
from quantilizers.play.view import GameView, Panel, make_game, readable
from quantilizers.play.window import GameWindow, open_display

BEGIN, PLAYING, PAUSED = "Press a playing key to begin", "Recording", "Paused: P goes on"
LEAVING = "Esc drops this episode: P goes on"
COMMANDS = (
    ("p", "pause, go on"),
    ("r", "restart the episode"),
    ("backspace", "discard the last one kept"),
    ("esc", "end"),
)


#: Files keep seeds as int64, and those of later episodes count up.
LARGEST_FIRST_SEED = 2**62


@dataclass(frozen=True)
class Session:
    """Settings of a session; a first seed that files cannot keep is a `UserError`."""

    environment: EnvironmentDefinition
    path: Path  # the npz file to write
    lock: Path | None  # held while the file is written; see `Recording`
    append: bool  # add to the file if it exists
    player: str  # a name kept with each episode
    first_seed: int | None  # reset seed of the first episode; later ones count up. None draws one
    max_steps: int  # horizon of an episode
    frames_per_second: float | None = None  # None takes the keyboard's
    options: Mapping[str, Any] = field(default_factory=dict)  # of the environment
    zoom: float | None = None  # enlargement of the game; None chooses one by the game's height
    changed_keys: Mapping[str, str] = field(default_factory=dict)  # from a usual key to the one that replaces it
    hide_rewards: bool = False  # do not show the returns

    def __post_init__(self) -> None:
        if self.first_seed is not None and not 0 <= self.first_seed <= LARGEST_FIRST_SEED:
            raise UserError(f"the reset seed is {self.first_seed}; give one from 0 to {LARGEST_FIRST_SEED:,}")
        check_recorded_options(self.environment, self.options)


def gather(session: Session) -> Recording:
    """Open the window, let the person play, and return the recording. Ctrl-C ends the session as Esc does.

    Raises:
        ExistsError: the file exists, and the session may not add to it.
        UserError: there is no display, the keys do not fit, or the file cannot be written.
    """
    environment = session.environment
    _ = environment.observation_space, environment.action_classes  # refused before a window opens
    recording = Recording(session.path, environment, session.player, session.append, session.options, session.lock)
    game = make_game(environment, session.max_steps, session.options)
    try:
        keyboard = keyboard_of(environment)
        keys = ActionKeys(keyboard, game.action_space, session.changed_keys, environment.action_classes)
        open_display()
        seed = secrets.randbelow(2**31) if session.first_seed is None else session.first_seed
        game.reset(seed=seed)
        panel = Panel(
            environment.name,
            keys=[*keys.controls, ("", ""), *COMMANDS],
            statuses=(BEGIN, PLAYING, PAUSED, LEAVING),
            hide_rewards=session.hide_rewards,
        )
        _describe_kept(panel, [])
        view = GameView(game, panel, session.zoom)
        caption = f"{environment.name}: recording into {session.path.name}"
        speed = session.frames_per_second or frames_per_second(environment)
        window = GameWindow(view, caption, list(keys.names), speed)
        while window.running:
            episode = recording.unfinished = recording.new_episode(seed)
            if _play(episode, view, window, keys, recording):
                recording.add(episode)
                recording.unfinished = None
                seed += 1
                _describe_kept(panel, recording.episodes)
    except KeyboardInterrupt:
        pass
    finally:
        game.close()
    return recording


def _play(episode: Episode, view: GameView, window: GameWindow, keys: ActionKeys, recording: Recording) -> bool:
    """Play one episode; return whether it ended, rather than being restarted or left.

    It waits for its first key, so nobody misses a start, and pauses while another window has the keyboard.
    """
    observation, _ = view.reset(seed=episode.seed)
    view.panel.status = BEGIN
    window.keys_for_step()  # forget earlier taps
    ended = False
    while not ended:
        _show(view, window)
        if not window.running or _obey(view.panel, window, recording):
            return False
        if view.panel.status == BEGIN and window.tapped:
            view.panel.status = PLAYING
            episode.recorded_at = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
        if view.panel.status != PLAYING:
            continue
        action = keys.action(window.keys_for_step())
        observation, ended = episode.take_step(view, observation, action)
    _show(view, window)
    return True


def _show(view: GameView, window: GameWindow) -> None:
    for picture in view.render():
        window.show(picture)


def _obey(panel: Panel, window: GameWindow, recording: Recording) -> bool:
    """Carry out the command keys; return whether the episode is to be restarted or left.

    Esc asks once before it drops the steps of an episode.
    """
    if window.take_lost_focus() and panel.status == PLAYING:
        panel.status = PAUSED
    for command in window.take_commands():
        if command == END:
            if panel.status in (BEGIN, LEAVING):
                window.running = False
            else:
                panel.status = LEAVING
        if command == RESTART or not window.running:
            return True
        if command == PAUSE and panel.status != BEGIN:
            panel.status = PAUSED if panel.status == PLAYING else PLAYING
        elif command == DISCARD and recording.discard_last():
            _describe_kept(panel, recording.episodes)
    return False


def _describe_kept(panel: Panel, episodes: list[Episode]) -> None:
    """Write the number of the next episode, and the returns of the last one kept, into the panel."""
    panel.above = [("Episode", str(len(episodes) + 1))]
    if not panel.hide_rewards:
        returns = [episodes[-1].true_return, episodes[-1].proxy_return] if episodes else []
        true_return, proxy_return = [readable(value) for value in returns] or ("none", "none")
        panel.below = [("Last kept: true", true_return), ("Last kept: proxy", proxy_return)]
