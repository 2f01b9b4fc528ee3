"""Watching recordings, policies and optimisers, in a window or as a video."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import MissingError, UserError
from quantilizers.evaluation.results import load_all_results
from quantilizers.evaluation.rollouts import episode_seeds
from quantilizers.layout import Layout
from quantilizers.optimisers.agents import AgentJob, job_of_agent
from quantilizers.optimisers.algorithms import ALGORITHMS, Algorithm
from quantilizers.optimisers.measurements import OPTIMISER_QUANTILE, measurement_difference
from quantilizers.play.acting import RecordedEpisode, played_by_optimiser, played_by_policy
from quantilizers.play.keys import END, PAUSE, RESTART, frames_per_second
from quantilizers.play.video import check_format, write_video
from quantilizers.play.view import GameView, Panel, make_game
from quantilizers.play.window import GameWindow, open_display
from quantilizers.policies.keras_files import content_hash, recipe_of
from quantilizers.policies.policy import acting_of
from quantilizers.policies.selection_settings import REFERENCE
from quantilizers.programs import call_of
from quantilizers.recipe import Recipe
from quantilizers.rewards import FloatArray

RANKS = ("best", "worst", "median")
COMMANDS = (("p", "pause, go on"), ("r", "play it again"), ("esc", "end"))
PLAYING, PAUSED, ENDED = "Playing", "Paused: P goes on", "Ended: R plays it again"


@dataclass(frozen=True)
class Showing:
    """The episode to show, and how."""

    environment: EnvironmentDefinition
    layout: Layout  # names the data set, and the policies trained on it
    episode: str  # its number, counted from 1, or its rank, one of `RANKS`
    by_true: bool  # rank by true instead of proxy return
    quantile: float | None  # of the policy to show; None shows the recording or the optimiser
    policy_seed: int  # of the policy or the optimiser
    max_steps: int | None  # horizon of a policy or an optimiser; None takes the environment's, or that of the training
    algorithm: str | None = None  # the optimiser to show, a key of `ALGORITHMS`; None shows none
    acting: str | None = None  # how the policy acts; None takes the environment's default
    frames_per_second: float | None = None  # None takes the keyboard's
    options: Mapping[str, Any] = field(default_factory=dict)  # of the environment
    output: Path | None = None  # the GIF or MP4 to write; None opens a window
    zoom: float | None = None  # enlargement of the game; None chooses one by the game's height
    hide_rewards: bool = False  # do not show the returns

    @property
    def horizon(self) -> int:
        """The horizon of a policy's episode."""
        return self.environment.max_steps if self.max_steps is None else self.max_steps


def show(showing: Showing) -> str:
    """Show an episode until it ends or the window is closed, and return a description of it and its outcome.

    Raises:
        MissingError: the data set or the policy does not exist, or the policy was not tested.
        UserError: the episode does not exist, cannot be acted out, or cannot be shown.
    """
    return draw(showing, episode_of(showing))


def episode_of(showing: Showing) -> RecordedEpisode:
    """Return the episode to show, which a policy or an optimiser plays first; see `show`."""
    if showing.output is not None:
        check_format(showing.output)
    if showing.algorithm is not None:
        return _of_optimiser(showing, showing.algorithm)
    return _recorded(showing) if showing.quantile is None else _of_policy(showing, showing.quantile)


def draw(showing: Showing, episode: RecordedEpisode) -> str:
    """Draw an episode in the window or the video, and return a description of it and its outcome; see `show`."""
    return _draw(showing, episode)[1]


def show_once(showing: Showing, episode: RecordedEpisode) -> tuple[bool, str]:
    """Draw an episode in a window that closes after it; return False if the user ended it, and a description."""
    return _draw(showing, episode, again=False)


def _draw(showing: Showing, episode: RecordedEpisode, again: bool = True) -> tuple[bool, str]:
    """Draw an episode, in a window also `again`; return whether a window was left open, and a description."""
    in_window, going_on = showing.output is None, True
    if in_window:
        film = f"{call_of('python play/replay.py', 'quantilizer-replay')} … --output FILE.gif"
        open_display(otherwise=f", or make a film: {film}")
    else:
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # otherwise pygame looks for a display and complains
    speed = showing.frames_per_second or frames_per_second(showing.environment)
    game = make_game(showing.environment, episode.length, showing.options)
    try:
        game.reset(seed=0)
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
            window = GameWindow(view, caption, [], speed)
            _watch(episode, view, window, again)
            going_on = window.running
        named = ", ".join(f"{left.lower()} {right}" for left, right in episode.rows)
        return going_on, f"{named}: {episode.outcome(view)}"
    finally:
        game.close()


def choose_episode(wanted: str, returns: npt.NDArray[Any]) -> int:
    """Return the index of an episode, given its number counted from 1, or its rank.

    The median of an even number of episodes is the worse of the two in the middle; of equal episodes the first counts.
    Anything else, and an episode that does not exist, is a `UserError`.
    """
    worst_first = np.argsort(returns, kind="stable")
    if wanted == "best":
        return int(np.argmax(returns))
    if wanted == "worst":
        return int(worst_first[0])
    if wanted == "median":
        return int(worst_first[(len(returns) - 1) // 2])
    number = _episode_number(wanted)
    if number > len(returns):
        raise UserError(f"episode {number} is not there; the episodes are 1 to {len(returns)}")
    return number - 1


def _episode_number(wanted: str) -> int:
    if not (wanted.isascii() and wanted.isdigit() and int(wanted) > 0):
        raise UserError(f"the episode {wanted!r} is neither a number from 1 on nor {', '.join(RANKS)}")
    return int(wanted)


def _recorded(showing: Showing) -> RecordedEpisode:
    demonstrations = Demonstrations.find(showing.layout, showing.environment, showing.options)
    returns = demonstrations.true_returns
    if not showing.by_true and showing.episode in RANKS:
        returns = demonstrations.proxy_returns
    chosen = choose_episode(showing.episode, returns)
    rows = [("Recording", showing.layout.dataset), ("Episode", f"{chosen + 1} of {demonstrations.number}")]
    return RecordedEpisode(showing.environment, demonstrations.episodes, chosen, rows)


def _of_policy(showing: Showing, quantile: float) -> RecordedEpisode:
    """Let a policy play one of its test episodes. A policy that samples its actions draws new ones."""
    environment, layout, seed = showing.environment, showing.layout, showing.policy_seed
    path = layout.model(quantile, seed)
    if not path.exists():
        raise MissingError(f"{path} is missing")
    if showing.episode in RANKS:
        number = choose_episode(showing.episode, _tested_returns(showing, quantile, path)) + 1
    else:
        number = _episode_number(showing.episode)
    rows = [("Policy", layout.dataset), ("Quantile", f"{quantile:g}"), ("Seed", str(seed)), ("Episode", str(number))]
    reference = asdict(REFERENCE)
    selecting: Mapping[str, Any] = recipe_of(path).entries.get("treatment", {})
    rows += [(name.capitalize(), str(value)) for name, value in selecting.items() if value != reference[name]]
    reset_seed = episode_seeds(seed, slice(number - 1, number))[0]
    played = played_by_policy(
        environment, path, reset_seed, [seed, number - 1], showing.horizon, showing.acting, showing.options
    )
    return RecordedEpisode(environment, played, 0, rows, played=True)


def _of_optimiser(showing: Showing, algorithm: str) -> RecordedEpisode:
    """Let an optimiser play one of its test episodes. An optimiser that acts at random draws new actions."""
    environment, layout, seed = showing.environment, showing.layout, showing.policy_seed
    job = job_of_agent(environment, layout, algorithm, seed)
    difference = Recipe({"options": job.options}).difference(Recipe({"options": showing.options}))
    if difference:
        raise UserError(f"{job.agent} was trained {difference}; use the same values")
    if showing.episode in RANKS:
        number = choose_episode(showing.episode, _measured_returns(showing, job)) + 1
    else:
        number = _episode_number(showing.episode)
    chosen = ALGORITHMS[algorithm]
    rows = [("Optimiser", chosen.label), ("Seed", str(seed)), ("Episode", str(number))]
    if job.steps:
        rows.insert(1, _effort_row(chosen, job.steps))
    played = played_by_optimiser(job, environment, number - 1, showing.max_steps or job.max_steps)
    return RecordedEpisode(environment, played, 0, rows, played=True)


def _effort_row(algorithm: Algorithm, steps: int) -> tuple[str, str]:
    if algorithm.plans:
        return "Effort", f"{steps:,}"
    return "Chosen of" if algorithm.imitates else "Trained for", algorithm.amount(steps)


def _measured_returns(showing: Showing, job: AgentJob) -> FloatArray:
    """Return the returns (E,) of an optimiser's test episodes, to rank them."""
    if ALGORITHMS[job.algorithm].measured_in_training:
        raise UserError(
            f"{ALGORITHMS[job.algorithm].label} is measured while it learns, and those episodes cannot be played "
            "again; choose the episode by its number"
        )
    results = load_all_results([job.rewards], showing.environment.name, [OPTIMISER_QUANTILE])[0]
    wanted = replace(job, max_steps=showing.max_steps or job.max_steps, number_trajectories=results.lengths.shape[1])
    if difference := measurement_difference(wanted):
        raise UserError(f"{job.rewards} was measured {difference}; choose the episode by its number")
    returns: FloatArray = (results.true_returns if showing.by_true else results.proxy_returns)[0]
    return returns


def _tested_returns(showing: Showing, quantile: float, policy: Path) -> FloatArray:
    """Return the returns (E,) of a policy's test episodes, to rank them, if they were tested as asked for now."""
    path = showing.layout.rewards(showing.policy_seed)
    results = load_all_results([path], showing.environment.name, [quantile])[0]
    note = recipe_of(policy).entries
    wanted = {
        "training": note["training"],
        "treatment": note["treatment"],
        "max_steps": showing.horizon,
        "options": showing.options,
        "acting": acting_of(showing.environment, showing.acting),
        "data": {str(quantile): note["data"]},
    }
    difference = results.difference(Recipe(wanted, results.recipe.sentences), only=wanted)
    if difference:
        raise UserError(f"{path} was measured {difference}; use the same values, or choose the episode by its number")
    if quantile in results.policies and results.policies[quantile] != content_hash(policy):
        raise UserError(
            f"{path} is of another policy than {policy}; test it again, or choose the episode by its number"
        )
    returns: FloatArray = (results.true_returns if showing.by_true else results.proxy_returns)[0]
    return returns


def _watch(episode: RecordedEpisode, view: GameView, window: GameWindow, again: bool) -> None:
    """Show an episode, again after each restart, until the window is closed; without `again` until the episode ends."""
    while window.running:
        view.panel.status = PLAYING
        for picture in episode.pictures(view):
            window.show(picture)
            if _wait_or_restart(view, window):
                break
        else:
            if not again:
                return
            view.panel.status = ENDED
            _wait_or_restart(view, window)


def _wait_or_restart(view: GameView, window: GameWindow) -> bool:
    """Wait while paused or ended; return whether the episode is to be restarted or the window was closed."""
    while window.running:
        for command in window.take_commands():
            if command == END:
                window.running = False
            if command in (END, RESTART):
                return True
            if command == PAUSE and view.panel.status != ENDED:
                view.panel.status = PAUSED if view.panel.status == PLAYING else PLAYING
        if view.panel.status == PLAYING:
            return False
        window.show(view.render()[-1])
    return True
