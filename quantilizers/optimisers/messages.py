"""What a training process tells the one that started it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a seed has come.

    Attributes:
        steps: steps of training so far.
        proxy_return: of an episode of training, where one has just ended.
        true_return: likewise.
        measured_steps: steps of the episodes in which the trained agent is measured, once that has begun.
    """

    steps: int
    proxy_return: float | None = None
    true_return: float | None = None
    measured_steps: int | None = None


#: Sends one message.
SendProgress = Callable[[Progress], None]
