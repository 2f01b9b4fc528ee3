"""From the options of `play/replay.py` to a window or a video."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from quantilizers.datasets import load_dataset
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.files import Layout
from quantilizers.play.acting import played_by_policy
from quantilizers.play.choosing import RANKS, choose_episode, episode_number
from quantilizers.play.episodes import RecordedEpisode
from quantilizers.play.keys import PAUSE, RESTART
from quantilizers.play.video import check_format, write_video
from quantilizers.play.view import GameView, Panel, make_game
from quantilizers.play.window import GameWindow, open_display
from quantilizers.results import load_all_results
from quantilizers.rollouts import episode_seeds
from quantilizers.settings import Settings

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
        frames_per_second: speed.
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
    frames_per_second: float
    output: Path | None = None
    zoom: float | None = None
    hide_rewards: bool = False


def show(showing: Showing) -> str:
    """Show the episode until it ends or the window is closed.

    Returns:
        What was shown and how it went, for people.

    Raises:
        UserError: the episode is not there, cannot be acted out, or cannot be shown.
    """
    if showing.output is not None:
        check_format(showing.output)
    episode = _recorded(showing) if showing.quantile is None else _of_policy(showing, showing.quantile)
    if showing.output is None:
        open_display()
    else:
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # else pygame looks for a display, and complains
    game = make_game(showing.environment, episode.length)
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
            write_video(showing.output, episode.pictures(view), showing.frames_per_second)
        else:
            caption = f"{showing.environment.name}: {', '.join(word for row in episode.rows for word in row)}"
            _watch(episode, view, GameWindow(view, caption, [], showing.frames_per_second))
        return ", ".join(f"{left.lower()} {right}" for left, right in episode.rows) + f": {episode.outcome(view)}"
    finally:
        game.close()


def _recorded(showing: Showing) -> RecordedEpisode:
    demonstrations = load_dataset(showing.layout, showing.environment)
    returns = demonstrations.true_returns
    if not showing.by_true and showing.episode in RANKS:
        returns = showing.environment.proxy_rewards(demonstrations).sum(axis=1)
    chosen = choose_episode(showing.episode, returns)
    rows = [("Recording", showing.layout.dataset), ("Episode", f"{chosen + 1} of {demonstrations.number}")]
    return RecordedEpisode(demonstrations, chosen, rows)


def _of_policy(showing: Showing, quantile: float) -> RecordedEpisode:
    """Return a test episode of a policy. One that samples its actions samples them anew."""
    environment, layout, seed = showing.environment, showing.layout, showing.policy_seed
    path = layout.model(quantile, seed)
    trained = Settings(environment, layout, (quantile,), range(seed, seed + 1), 1, showing.max_steps)
    command = trained.command_for("train", "test")
    if not path.exists():
        raise UserError(f"{path} is missing; train it: {command}")
    if showing.episode in RANKS:
        results = load_all_results([layout.rewards(seed)], environment.name, [quantile], command)[0]
        returns = results.true_returns[0] if showing.by_true else results.proxy_returns[0]
        number = choose_episode(showing.episode, returns) + 1
    else:
        number = episode_number(showing.episode)
    rows = [("Policy", layout.dataset), ("Quantile", f"{quantile:g}"), ("Seed", str(seed)), ("Episode", str(number))]
    reset_seed = episode_seeds(seed, slice(number - 1, number))[0]
    played = played_by_policy(environment, path, reset_seed, [seed, number - 1], showing.max_steps)
    return RecordedEpisode(played, 0, rows)


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
