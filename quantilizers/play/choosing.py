"""Choosing an episode by its number or its return."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.errors import UserError

RANKS = ("best", "worst", "median")


def choose_episode(wanted: str, returns: npt.NDArray[Any]) -> int:
    """Return the index of the episode that is asked for.

    Args:
        wanted: its number, counted from 1, or one of `RANKS`. With an even number of episodes the median is the
            worse of the two in the middle; among equals the first is taken.
        returns: (N,) of the episodes.

    Raises:
        UserError: it is neither, or there is no such episode.
    """
    worst_first = np.argsort(returns, kind="stable")
    if wanted == "best":
        return int(np.argmax(returns))
    if wanted == "worst":
        return int(worst_first[0])
    if wanted == "median":
        return int(worst_first[(len(returns) - 1) // 2])
    number = episode_number(wanted)
    if number > len(returns):
        raise UserError(f"episode {number} is not there; the episodes are 1 to {len(returns)}")
    return number - 1


def episode_number(wanted: str) -> int:
    """Return an episode's number, counted from 1.

    Raises:
        UserError: it is not one.
    """
    if not (wanted.isascii() and wanted.isdigit() and int(wanted) > 0):
        raise UserError(f"the episode {wanted!r} is neither a number from 1 on nor {', '.join(RANKS)}")
    return int(wanted)
