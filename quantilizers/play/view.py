"""One playable environment: its pictures, its two returns so far, and the panel that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_environment
from quantilizers.envs.pictures import prepare_pictures
from quantilizers.errors import UserError
from quantilizers.play.picture import ACCENT, DIM, Line, Painter, Pixels

#: Words at the panel's right edge that no real ones exceed.
_LONGEST_NUMBER = "−9,999,999.99"


def make_game(
    definition: EnvironmentDefinition, max_steps: int, options: Mapping[str, Any] | None = None
) -> gymnasium.Env[Any, Any]:
    """Make one environment whose `render` gives all pictures since it was last called.

    Most give one picture a step. One that simulates several frames a step may give them all, by rendering in
    the mode `rgb_array_list` itself.

    Raises:
        UserError: it cannot be made or drawn here, or has no pictures.
    """
    game = make_environment(definition, max_steps=max_steps, render_mode="rgb_array_list", **(options or {}))
    modes = game.metadata.get("render_modes", [])
    if not {"rgb_array", "rgb_array_list"} & set(modes):
        raise UserError(f"{definition.name} has no pictures: its render modes are {', '.join(modes) or 'none'}")
    prepare_pictures(definition, game)
    return game


@dataclass
class Panel:
    """What the panel says beside the two returns.

    Attributes:
        title: its heading.
        above: words at the left and right edge, above the returns.
        below: the same, below the returns.
        keys: the same for keys and what they do, under those.
        status: the last line.
        statuses: what `status` can be, so that the panel is wide enough for each.
        hide_rewards: leaves the two returns out.
    """

    title: str
    above: list[tuple[str, str]] = field(default_factory=list)
    below: list[tuple[str, str]] = field(default_factory=list)
    keys: Sequence[tuple[str, str]] = ()
    status: str = ""
    statuses: Sequence[str] = ()
    hide_rewards: bool = False

    def lines(self, steps: str, true_return: str, proxy_return: str) -> list[Line]:
        """Return the panel's lines, top to bottom."""
        lines = [Line(self.title, colour=ACCENT, heading=True), Line()]
        lines += [*(Line(*row) for row in self.above), Line("Steps", steps)]
        if not self.hide_rewards:
            lines += [Line("True return", true_return), Line("Proxy return", proxy_return)]
        lines += [Line(*row) for row in self.below]
        lines += [Line(), *(Line(*row, colour=DIM) for row in self.keys), Line()]
        return [*lines, Line(self.status, colour=ACCENT)]


class GameView(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment that counts its two returns and shows them beside its pictures.

    Args:
        game: renders in the mode `rgb_array_list` and has just been reset.
        panel: what else the panel says; the owner changes it as things happen.
        zoom: how much the game is enlarged; None chooses by its height.

    Attributes:
        steps: of this episode so far.
        true_return: of this episode so far.
        proxy_return: of this episode so far, as the environment pays it.
    """

    def __init__(self, game: gymnasium.Env[Any, Any], panel: Panel, zoom: float | None = None) -> None:
        super().__init__(game)
        self.panel = panel
        self.steps = 0
        self.true_return = 0.0
        self.proxy_return = 0.0
        self._picture: Pixels = self._new_pictures()[-1]
        widest = panel.lines(_LONGEST_NUMBER, _LONGEST_NUMBER, _LONGEST_NUMBER)
        self._painter = Painter(widest, [Line(status) for status in panel.statuses], self._picture, zoom)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        self.steps = 0
        self.true_return = self.proxy_return = 0.0
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the environment and add up its rewards."""
        observation, proxy_reward, terminated, truncated, info = super().step(action)
        self.steps += 1
        self.true_return += info["true_reward"]
        self.proxy_return += float(proxy_reward)
        return observation, float(proxy_reward), terminated, truncated, info

    def render(self) -> list[Pixels]:  # type: ignore[override]
        """Return the pictures since the last call with their panel; the newest again where there are none."""
        pictures = self._new_pictures() or [self._picture]
        self._picture = pictures[-1]
        lines = self.panel.lines(str(self.steps), for_people(self.true_return), for_people(self.proxy_return))
        return [self._painter.paint(picture, lines) for picture in pictures]

    def look_again(self) -> None:
        """Take a new picture, after the state was set from outside."""
        self._new_pictures()
        rendered: Any = self.unwrapped.render()
        self._picture = rendered[-1] if isinstance(rendered, list) else rendered

    def _new_pictures(self) -> list[Pixels]:
        pictures: Any = self.env.render()
        return list(pictures)


def for_people(value: float) -> str:
    """Return a return for people to read: two digits, thousands separated, a true minus sign."""
    return f"{value:,.2f}".replace("-", "−")
