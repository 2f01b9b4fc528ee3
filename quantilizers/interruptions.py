"""Former names of `quantilizers.process`."""

from __future__ import annotations

from quantilizers.process import ignoring_ctrl_c as starting_a_process
from quantilizers.process import on_interruption as clearing_away

__all__ = ["clearing_away", "leave_to_the_first", "starting_a_process"]


def leave_to_the_first() -> None:
    """Do nothing: a process that was started within `starting_a_process` ignores Ctrl-C anyway."""
