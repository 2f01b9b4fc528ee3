"""From what a person asked for to a recording."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.play.keyboards import frames_per_second, keyboard_of
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
        frames_per_second: how fast the game runs; None is the keyboard's own speed.
        options: further arguments of the environment.
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
    frames_per_second: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    zoom: float | None = None
    changed_keys: Mapping[str, str] = field(default_factory=dict)
    hide_rewards: bool = False

    def __post_init__(self) -> None:
        if self.first_seed is not None and self.first_seed < 0:
            raise UserError(f"the reset seed {self.first_seed} is below 0")


def gather(sitting: Sitting) -> Recording:
    """Open the window, let the person play, and return what was recorded. Ctrl-C ends like Esc.

    Raises:
        UserError: there is no display, or the file cannot be written.
    """
    environment = sitting.environment
    recording = Recording(sitting.path, environment, sitting.player, sitting.append, sitting.options)
    game = make_game(environment, sitting.max_steps, sitting.options)
    try:
        keyboard = keyboard_of(environment)
        keys = ActionKeys(keyboard, game.action_space, sitting.changed_keys, environment.action_classes)
        open_display()
        seed = secrets.randbelow(2**31) if sitting.first_seed is None else sitting.first_seed
        game.reset(seed=seed)
        view = GameView(game, session_panel(environment.name, keys, sitting.hide_rewards), sitting.zoom)
        caption = f"{environment.name}: recording into {sitting.path.name}"
        speed = sitting.frames_per_second or frames_per_second(environment)
        window = GameWindow(view, caption, list(keys.names), speed)
        Session(view, window, keys, recording, seed).run()
    except KeyboardInterrupt:
        pass
    finally:
        game.close()
    return recording
