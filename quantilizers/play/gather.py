"""From the options of `play/gather_data.py` to a recording."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.play.keys import ActionKeys
from quantilizers.play.recording import Recording
from quantilizers.play.session import Session, session_panel
from quantilizers.play.view import GameView, make_game
from quantilizers.play.window import GameWindow, open_display


@dataclass(frozen=True)
class Sitting:
    """What a person asked for before playing.

    Attributes:
        environment: what is played.
        path: the npz file.
        append: add to the file.
        player: a name kept with each episode.
        first_seed: the first episode is reset with it; None draws one.
        max_steps: an episode is cut after so many steps.
        frames_per_second: how fast the game runs.
        zoom: how much the game is enlarged; None chooses by its height.
        changed_keys: from a usual key to the one to use in its place.
        hide_rewards: do not show the returns.

    Raises:
        UserError: the first seed is below 0.
    """

    environment: EnvironmentDefinition
    path: Path
    append: bool
    player: str
    first_seed: int | None
    max_steps: int
    frames_per_second: float
    zoom: float | None = None
    changed_keys: Mapping[str, str] = field(default_factory=dict)
    hide_rewards: bool = False

    def __post_init__(self) -> None:
        if self.first_seed is not None and self.first_seed < 0:
            raise UserError(f"--seed {self.first_seed} is below 0; leave it out for a random one")


def gather(sitting: Sitting) -> Recording:
    """Open the window, let the person play, and return what was recorded. Ctrl-C ends like Esc.

    Raises:
        UserError: there is no display, or the file cannot be written.
    """
    environment = sitting.environment
    recording = Recording(sitting.path, environment, sitting.player, sitting.append)
    game = make_game(environment, sitting.max_steps)
    try:
        keys = ActionKeys(environment.keyboard, game.action_space, sitting.changed_keys)
        open_display()
        seed = secrets.randbelow(2**31) if sitting.first_seed is None else sitting.first_seed
        game.reset(seed=seed)
        view = GameView(game, session_panel(environment.name, keys, sitting.hide_rewards), sitting.zoom)
        caption = f"{environment.name}: recording into {sitting.path.name}"
        window = GameWindow(view, caption, list(keys.names), sitting.frames_per_second)
        Session(view, window, keys, recording, seed).run()
    except KeyboardInterrupt:
        pass
    finally:
        game.close()
    return recording


def summary(recording: Recording, environment: EnvironmentDefinition) -> str:
    """Return what was recorded and the command that trains on it, for people."""
    episodes = recording.episodes
    if not episodes:
        return "no episode was finished, so nothing was recorded"
    lines = [f"{len(episodes)} episode{'s' if len(episodes) > 1 else ''} recorded into {recording.path}"]
    for label, returns in (
        (environment.true_label, [episode.true_return for episode in episodes]),
        (environment.proxy_label, [episode.proxy_return for episode in episodes]),
    ):
        lines.append(f"{label}: {np.mean(returns):.6g} in the mean, {max(returns):.6g} at best")
    command = ["python", "quantilizer.py", "--do", "train", "test", "plot", "--env_name", environment.name]
    lines.append(f"train on it: {shlex.join([*command, '--dataset_name', recording.path.stem])}")
    return "\n".join(lines)
