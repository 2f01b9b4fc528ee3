"""What a training process tells the one that started it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

SECONDS_BETWEEN_MESSAGES = 0.5


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


class SendNowAndThen:
    """Sends progress, except what comes too soon after the last.

    Args:
        send: sends one message.
    """

    def __init__(self, send: SendProgress) -> None:
        self._send = send
        self._sent = -math.inf

    def __call__(self, progress: Progress) -> None:
        """Send progress, or drop it."""
        if time.monotonic() - self._sent >= SECONDS_BETWEEN_MESSAGES:
            self._send(progress)
            self._sent = time.monotonic()
