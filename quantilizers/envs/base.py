"""Making the environment under the two rewards: it pays its own reward and has no horizon of Gymnasium's."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
from gymnasium.wrappers import HumanRendering, RenderCollection

from quantilizers.errors import NotInstalledError, UserError


def make_base(
    make: str | Callable[..., gymnasium.Env[Any, Any]],
    name: str,
    render_mode: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> gymnasium.Env[Any, Any]:
    """Make one environment that pays its own reward.

    Args:
        make: an id of Gymnasium, a class or function that takes `render_mode`, or the path of one, such as
            `package.module:Name`.
        name: of the environment, for messages.
        render_mode: as Gymnasium's; one that ends in `_list` collects pictures where the environment does not, and
            `human` opens a window where it opens none.
        options: further arguments.

    Raises:
        NotInstalledError: a library that it needs is missing.
        UserError: it cannot be made.
    """
    arguments: dict[str, Any] = dict(options or {})
    if render_mode is not None:
        arguments["render_mode"] = render_mode
    try:
        if isinstance(make, str) and not make.rpartition(":")[2].isidentifier():
            # −1 leaves Gymnasium's time limit out: the horizon is the definition's, which pays what is due at the cut.
            return gymnasium.make(make, max_episode_steps=-1, disable_env_checker=True, **arguments)
        maker = load_path(make)
        modes = getattr(maker, "metadata", {}).get("render_modes", ())
        if render_mode is not None and render_mode.endswith("_list") and render_mode not in modes:
            arguments["render_mode"] = render_mode.removesuffix("_list")
            return RenderCollection(maker(**arguments))
        if render_mode == "human" and render_mode not in modes and "rgb_array" in modes:
            return HumanRendering(maker(**{**arguments, "render_mode": "rgb_array"}))
        game: gymnasium.Env[Any, Any] = maker(**arguments)
    except UserError:
        raise
    except ImportError as error:
        raise NotInstalledError(f"{name} needs {error.name}, which is not installed", str(error.name)) from None
    except Exception as error:  # whatever an environment's constructor raises
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"{name} cannot be made: {reason}") from error
    return game


def load_path(path: Any) -> Any:
    """Return what a path such as `package.module:Name` names, or anything but a word as it is."""
    if not isinstance(path, str):
        return path
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
