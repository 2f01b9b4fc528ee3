"""Where people's play of the environments that ship can be downloaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.mountain_car import lets_do_irl


@dataclass(frozen=True)
class Source:
    """One download.

    Attributes:
        url: its address.
        about: what it is, for people.
        environment: whose play it is; None where the download itself tells.
        to_episodes: from the array of a `.npy` file to episodes; None where the download is a zip of npz files.
    """

    url: str
    about: str
    environment: str | None = None
    to_episodes: Callable[[npt.NDArray[Any]], Episodes] | None = None


#: By name, which is the data set's name too where `to_episodes` is given. The paper's address is the one that the
#: reference implementation gives.
SOURCES = {
    "paper": Source(
        url="https://www.dropbox.com/sh/5p2f46s23eum86s/AADhtxW5WM2P1b2w82rn7xyla?dl=1",
        about="the human data of Carey (2019), Hopper and Mountain Car",
    ),
    "lets-do-irl": Source(
        url=lets_do_irl.URL,
        about="20 episodes of Mountain Car that one person played (MIT licence, © 2021 Reinforcement Learning KR)",
        environment="MountainCar-v0",
        to_episodes=lets_do_irl.to_episodes,
    ),
}
