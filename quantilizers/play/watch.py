"""From what a person wants to watch to a window or a video."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
from quantilizers.optimisers.agents import job_of_agent
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.measurements import OPTIMISER_QUANTILE
from quantilizers.play.acting import another_process, played_by_optimiser, played_by_policy
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
        quantile: of the policy to show; None shows the recording, or the optimiser.
        policy_seed: of the policy or the optimiser to show.
        max_steps: an episode of a policy or an optimiser is cut after so many steps; None is the environment's
            horizon, or the one that the optimiser was trained for.
        algorithm: of the optimiser to show, a key of `quantilizers.optimisers.algorithms.ALGORITHMS`; None shows none.
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
    max_steps: int | None
    algorithm: str | None = None
    acting: str | None = None
    frames_per_second: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    output: Path | None = None
    zoom: float | None = None
    hide_rewards: bool = False

    @property
    def horizon(self) -> int:
        """After how many steps the episode of a policy is cut."""
        return self.environment.max_steps if self.max_steps is None else self.max_steps


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
    if showing.algorithm is not None:
        episode = _of_optimiser(showing, showing.algorithm)
    else:
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


@contextmanager
def showing_elsewhere() -> Iterator[Callable[[Showing], str]]:
    """Give what is like `show`, for videos, and does it in `another_process`."""
    with another_process() as call:
        yield lambda showing: str(call(_show, showing.environment, {**vars(showing), "environment": None}))


def _show(environment: EnvironmentDefinition, what: Mapping[str, Any]) -> str:
    return show(Showing(**{**what, "environment": environment}))


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
        environment, path, reset_seed, [seed, number - 1], showing.horizon, showing.acting, showing.options
    )
    return RecordedEpisode(environment, played, 0, rows)


def _of_optimiser(showing: Showing, algorithm: str) -> RecordedEpisode:
    """Return an episode that an optimiser is measured in. What it draws at random, it draws anew.

    Raises:
        MissingError: it was not trained, or the episodes were not measured.
        UserError: it was trained with other options of the environment.
    """
    environment, layout, seed = showing.environment, showing.layout, showing.policy_seed
    job = job_of_agent(environment, layout, algorithm, seed)
    different = differences({"options": dict(job.options)}, {"options": dict(showing.options)})
    if different:
        raise UserError(f"{job.agent} and what is asked for differ in {different}; ask for the same")
    if showing.episode in RANKS:
        number = choose_episode(showing.episode, _measured_returns(showing, job)) + 1
    else:
        number = episode_number(showing.episode)
    chosen = ALGORITHMS[algorithm]
    rows = [("Optimiser", chosen.label), ("Seed", str(seed)), ("Episode", str(number))]
    if job.steps:
        rows.insert(1, ("Effort", f"{job.steps:,}") if chosen.plans else ("Trained for", chosen.amount(job.steps)))
    played = played_by_optimiser(job, environment, number - 1, showing.max_steps or job.max_steps)
    return RecordedEpisode(environment, played, 0, rows)


def _measured_returns(showing: Showing, job: Job) -> npt.NDArray[np.float64]:
    """Return what an optimiser earned in the episodes that it was measured in, (E,).

    Raises:
        MissingError: it was not measured.
        UserError: it was measured in its training, of which no episode can be played again, or with another horizon.
    """
    if ALGORITHMS[job.algorithm].measured_in_training:
        raise UserError(
            f"{ALGORITHMS[job.algorithm].label} is measured while it learns, and those episodes cannot be played "
            "again; ask for an episode by its number"
        )
    if showing.max_steps not in (None, job.max_steps):
        raise UserError(f"{job.rewards} was measured in {job.max_steps} steps; ask for an episode by its number")
    results = load_all_results([job.rewards], showing.environment.name, [OPTIMISER_QUANTILE])[0]
    returns: npt.NDArray[np.float64] = (results.true_returns if showing.by_true else results.proxy_returns)[0]
    return returns


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
        "max_steps": showing.horizon,
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
