"""The state of a learner of stable-baselines3 as plain arrays. Its own files hold pickled Python. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.base_class import BaseAlgorithm

from quantilizers.errors import UserError

#: What the algorithms count; the last only QR-DQN, which copies its network to its target by it.
_COUNTERS = ("num_timesteps", "_n_updates", "_n_calls")


def state_arrays(model: BaseAlgorithm) -> dict[str, npt.NDArray[Any]]:
    """Return a learner's networks, their optimiser's state and its counters."""
    arrays = {f"policy/{name}": tensor.cpu().numpy().copy() for name, tensor in model.policy.state_dict().items()}
    for parameter, state in model.policy.optimizer.state_dict()["state"].items():
        for name, tensor in state.items():
            arrays[f"optimizer/{parameter}/{name}"] = torch.as_tensor(tensor).cpu().numpy().copy()
    counters = {f"counter/{name}": np.array(getattr(model, name)) for name in _COUNTERS if hasattr(model, name)}
    return arrays | counters


def restore_state(model: BaseAlgorithm, arrays: Mapping[str, npt.NDArray[Any]], path: Path) -> None:
    """Give a learner its state back.

    Args:
        model: a fresh one with the settings of the saved one.
        arrays: of `state_arrays`.
        path: where they come from, for messages.

    Raises:
        UserError: they do not fit.
    """
    policy = {name.removeprefix("policy/"): array for name, array in arrays.items() if name.startswith("policy/")}
    optimizer: dict[int, dict[str, torch.Tensor]] = {}
    try:
        model.policy.load_state_dict({name: torch.from_numpy(array) for name, array in policy.items()})
        for key, array in arrays.items():
            if key.startswith("optimizer/"):
                _, parameter, name = key.split("/")
                optimizer.setdefault(int(parameter), {})[name] = torch.from_numpy(array)
        model.policy.optimizer.load_state_dict({**model.policy.optimizer.state_dict(), "state": optimizer})
        for name in _COUNTERS:
            if hasattr(model, name):
                setattr(model, name, int(arrays[f"counter/{name}"]))
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} does not fit the agent ({reason}); delete it to train anew") from None
