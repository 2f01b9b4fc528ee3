"""Demonstrations on their way to other processes: arrays, and the address of their environment."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import WITHOUT_OBSERVATIONS, Episodes
from quantilizers.envs.registry import Address, environment_at
from quantilizers.errors import UserError
from quantilizers.execution.units import Shared

#: What the names of a file's extra arrays begin with, so that they are no others'.
_EXTRA = "extra/"
#: The latest in this process: what is made anew, such as observations, is made once for several units.
_latest: dict[tuple[str, Address], Demonstrations] = {}


def shared_demonstrations(demonstrations: Demonstrations) -> Shared[Any]:
    """Return the arrays of demonstrations; observations that can be made anew do not travel.

    Raises:
        UserError: the observations stay on disk.
    """
    episodes = demonstrations.episodes
    observations = episodes.observations
    if demonstrations.environment.recordings.replay_observations is not None:
        observations = np.zeros((*episodes.done.shape, *WITHOUT_OBSERVATIONS))
    if not isinstance(observations, np.ndarray):
        raise UserError("these demonstrations stay on disk, for they can be larger than the memory, and do not travel")
    arrays = {"obs": observations, "acs": episodes.actions, "rews": episodes.true_rewards, "done": episodes.done}
    return Shared(arrays | {_EXTRA + name: array for name, array in episodes.extras.items()})


def demonstrations_of(shared: Shared[Any], address: Address) -> Demonstrations:
    """Return the demonstrations whose arrays came, with their observations.

    Args:
        shared: of `shared_demonstrations`.
        address: of their environment.

    Raises:
        UserError: the environment cannot be loaded, or observations cannot be made anew.
    """
    key = shared.identity, address
    found = _latest.get(key)
    if found is None:
        arrays = shared.arrays
        extras = {name.removeprefix(_EXTRA): array for name, array in arrays.items() if name.startswith(_EXTRA)}
        episodes = Episodes(arrays["obs"], arrays["acs"], arrays["rews"], arrays["done"], extras)
        found = Demonstrations(episodes, environment_at(address)).with_observations()
        _latest.clear()
        _latest[key] = found
    return found
