"""Emulators of Video Pinball, each with a thread of its own, which are used again.

Making one takes a tenth of a second of one processor, nearly all of it for a table of colours that every emulator
makes for itself. Starting a game on one that has played others before takes a tenth of that, and is the same game.
"""

from __future__ import annotations

import os

from ale_py import ALEVectorInterface
from ale_py.vector_env import AtariVectorEnv

from quantilizers.envs.video_pinball.console import FRAME_SKIP, GAME
from quantilizers.envs.video_pinball.task import PARALLEL_GAMES, SIDE, STACK

#: Those that nobody plays on, by process: threads do not outlive a fork.
_idle: dict[int, list[ALEVectorInterface]] = {}


def take_emulators(number: int) -> list[ALEVectorInterface]:
    """Return so many emulators of one game each, whose threads are waiting for a `reset`."""
    idle = _idle.setdefault(os.getpid(), [])
    taken = [idle.pop() for _ in range(min(number, len(idle)))]
    return taken + [_make() for _ in range(number - len(taken))]


def give_back(emulators: list[ALEVectorInterface], process: int) -> None:
    """Keep emulators for others, as many as one test needs, and empty the list.

    Args:
        emulators: all that was sent to them must have been received.
        process: the number of the one that took them.
    """
    _idle[process] = [*_idle.get(process, []), *emulators][-PARALLEL_GAMES:]
    emulators.clear()


def _make() -> ALEVectorInterface:
    # The horizon is the caller's own: the emulator's would leave out the last of an episode's frames.
    return AtariVectorEnv(
        GAME,
        num_envs=1,
        num_threads=1,
        frameskip=FRAME_SKIP,
        stack_num=STACK,
        img_height=SIDE,
        img_width=SIDE,
        max_num_frames_per_episode=2**30,
        noop_max=0,
        use_fire_reset=False,
        reward_clipping=False,
    ).ale
