"""From what a person wants to watch to a window or a video."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import MissingError, UserError
from quantilizers.evaluation.results import differences, load_all_results
from quantilizers.evaluation.rollouts import episode_seeds
from quantilizers.layout import Layout
from quantilizers.play.acting import played_by_policy
from quantilizers.play.choosing import RANKS, choose_episode, episode_number
from quantilizers.play.episodes import RecordedEpisode
from quantilizers.play.keyboards import frames_per_second
from quantilizers.play.keys import PAUSE, RESTART
from quantilizers.play.video import check_format, write_video
from quantilizers.play.view import GameView, Panel, make_game
from quantilizers.play.window import GameWindow, open_display
from quantilizers.policies.keras_files import described
from quantilizers.policies.policy import acting_of

COMMANDS = (("p", "pause, go on"), ("r", "play it again"), ("esc", "end"))
PLAYING, PAUSED, ENDED = "Playing", "Paused: P goes on", "Ended: R plays it again"


@dataclass(frozen=True)
class Showing:
    """What to show, and how.

    Attributes:
        environment: where.
        layout: names the data set, and the policies trained on it.
        episode: number or rank, as `choose_episode` takes it.
        by_true: rank by true instead of proxy return.
        quantile: of the policy to show; None shows the recording.
        policy_seed: of the policy to show.
        max_steps: an episode of a policy is cut after so many steps.
        acting: how the policy acts; None is the environment's way.
        frames_per_second: speed; None is the keyboard's own.
        options: further arguments of the environment.
        output: GIF or MP4 to write; None opens a window.
        zoom: how much the game is enlarged; None chooses by its height.
        hide_rewards: do not show the returns.
    """

    environment: EnvironmentDefinition
    layout: Layout
    episode: str
    by_true: bool
    quantile: float | None
    policy_seed: int
    max_steps: int
    acting: str | None = None
    frames_per_second: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    output: Path | None = None
    zoom: float | None = None
    hide_rewards: bool = False


def show(showing: Showing) -> str:
    """Show the episode until it ends or the window is closed.

    Returns:
        What was shown and how it went, for people.

    Raises:
        MissingError: the data set or the policy is not there, or the policy was not tested.
        UserError: the episode is not there, cannot be acted out, or cannot be shown.
    """
    if showing.output is not None:
        check_format(showing.output)
    episode = _recorded(showing) if showing.quantile is None else _of_policy(showing, showing.quantile)
    if showing.output is None:
        open_display()
    else:
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # else pygame looks for a display, and complains
    speed = showing.frames_per_second or frames_per_second(showing.environment)
    game = make_game(showing.environment, episode.length, showing.options)
    try:
        game.reset(seed=0)
        in_window = showing.output is None
        panel = Panel(
            showing.environment.name,
            above=episode.rows,
            keys=COMMANDS if in_window else (),
            statuses=(PLAYING, PAUSED, ENDED) if in_window else (),
            hide_rewards=showing.hide_rewards,
        )
        view = GameView(game, panel, showing.zoom)
        if showing.output is not None:
            write_video(showing.output, episode.pictures(view), speed)
        else:
            caption = f"{showing.environment.name}: {', '.join(word for row in episode.rows for word in row)}"
            _watch(episode, view, GameWindow(view, caption, [], speed))
        return ", ".join(f"{left.lower()} {right}" for left, right in episode.rows) + f": {episode.outcome(view)}"
    finally:
        game.close()


def _recorded(showing: Showing) -> RecordedEpisode:
    demonstrations = Demonstrations.find(showing.layout, showing.environment)
    returns = demonstrations.true_returns
    if not showing.by_true and showing.episode in RANKS:
        returns = demonstrations.proxy_returns
    chosen = choose_episode(showing.episode, returns)
    rows = [("Recording", showing.layout.dataset), ("Episode", f"{chosen + 1} of {demonstrations.number}")]
    return RecordedEpisode(showing.environment, demonstrations.episodes, chosen, rows)


def _of_policy(showing: Showing, quantile: float) -> RecordedEpisode:
    """Return a test episode of a policy. One that samples its actions samples them anew."""
    environment, layout, seed = showing.environment, showing.layout, showing.policy_seed
    path = layout.model(quantile, seed)
    if not path.exists():
        raise MissingError(f"{path} is missing")
    if showing.episode in RANKS:
        number = choose_episode(showing.episode, _tested_returns(showing, quantile, path)) + 1
    else:
        number = episode_number(showing.episode)
    rows = [("Policy", layout.dataset), ("Quantile", f"{quantile:g}"), ("Seed", str(seed)), ("Episode", str(number))]
    reset_seed = episode_seeds(seed, slice(number - 1, number))[0]
    played = played_by_policy(
        environment, path, reset_seed, [seed, number - 1], showing.max_steps, showing.acting, showing.options
    )
    return RecordedEpisode(environment, played, 0, rows)


def _tested_returns(showing: Showing, quantile: float, policy: Path) -> npt.NDArray[np.float64]:
    """Return what a policy earned in its test episodes, (E,).

    Raises:
        UserError: the episodes were tested otherwise than they would be played now.
    """
    path = showing.layout.rewards(showing.policy_seed)
    results = load_all_results([path], showing.environment.name, [quantile])[0]
    note = described(policy)
    now = {
        **note["training"],
        "max_steps": showing.max_steps,
        "options": dict(showing.options),
        "acting": acting_of(showing.environment, showing.acting),
        "data": [note["data"]],
    }
    different = differences(results.conditions, now)
    if different:
        raise UserError(
            f"{path} was measured on other episodes: they and what is asked for now differ in {different}; "
            "ask for the same, or for an episode by its number"
        )
    returns: npt.NDArray[np.float64] = (results.true_returns if showing.by_true else results.proxy_returns)[0]
    return returns


def _watch(episode: RecordedEpisode, view: GameView, window: GameWindow) -> None:
    """Show an episode as often as it is asked for, until the window is closed."""
    while window.running:
        view.panel.status = PLAYING
        for picture in episode.pictures(view):
            window.show(picture)
            if _wait_or_restart(view, window):
                break
        else:
            view.panel.status = ENDED
            _wait_or_restart(view, window)


def _wait_or_restart(view: GameView, window: GameWindow) -> bool:
    """Wait while paused or ended; return whether the episode is wanted from its start, or the window closed."""
    while window.running:
        for command in window.take_commands():
            if command == RESTART:
                return True
            if command == PAUSE and view.panel.status != ENDED:
                view.panel.status = PAUSED if view.panel.status == PLAYING else PLAYING
        if view.panel.status == PLAYING:
            return False
        window.show(view.render()[-1])
    return True
