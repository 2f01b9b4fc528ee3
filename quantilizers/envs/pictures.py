"""What an environment's pictures need before the first is drawn: for MuJoCo, an OpenGL that works here."""

from __future__ import annotations

import os
from typing import Any

import gymnasium

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.off_screen import choose_off_screen_gl


def prepare_pictures(environment: EnvironmentDefinition, game: gymnasium.Env[Any, Any]) -> None:
    """Make a game ready to be drawn without a window.

    A definition may say how. Where it does not, all of Gymnasium's MuJoCo environments are known.

    Args:
        environment: whose game it is.
        game: of which no picture was drawn yet.

    Raises:
        UserError: there is nothing here to draw with.
    """
    if environment.prepare_pictures is not None:
        environment.prepare_pictures(game)
    elif game.has_wrapper_attr("mujoco_renderer"):
        choose_off_screen_gl(os.environ)
        # Without a graphics card shadows and reflections take 85 of the 119 ms that drawing a hopper takes.
        model: Any = game.get_wrapper_attr("model")
        model.light_castshadow[:] = False
        model.mat_reflectance[:] = 0.0
