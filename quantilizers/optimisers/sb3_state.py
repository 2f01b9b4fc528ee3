"""The state of a learner of stable-baselines3 as plain arrays, for its own files hold pickled Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.base_class import BaseAlgorithm

from quantilizers.errors import UserError, reason_of

#: What the algorithms count; the last is QR-DQN's only, which copies its network to its target by it.
_COUNTERS = ("num_timesteps", "_n_updates", "_n_calls")
#: What the running spread of returns is made of.
_RUNNING = ("mean", "var", "count")


def state_arrays(model: BaseAlgorithm) -> dict[str, npt.NDArray[Any]]:
    """Return a learner's networks, their optimiser's state and its counters.

    Returns:
        `policy/NAME`, `optimizer/NUMBER OF PARAMETER/NAME`, `counter/NAME`, and where rewards are divided by the
        running spread of returns, `returns/NAME`.
    """
    parameters: dict[str, Any] = model.get_parameters()
    tensors = {f"policy/{name}": tensor for name, tensor in parameters["policy"].items()}
    for number, moments in parameters["policy.optimizer"]["state"].items():
        tensors |= {f"optimizer/{number}/{name}": torch.as_tensor(moment) for name, moment in moments.items()}
    arrays = {name: tensor.cpu().numpy().copy() for name, tensor in tensors.items()}
    scaling = model.get_vec_normalize_env()
    if scaling is not None:
        arrays |= {f"returns/{name}": np.array(getattr(scaling.ret_rms, name)) for name in _RUNNING}
    return arrays | {f"counter/{name}": np.array(getattr(model, name)) for name in _COUNTERS if hasattr(model, name)}


def restore_state(model: BaseAlgorithm, arrays: Mapping[str, npt.NDArray[Any]], path: Path) -> None:
    """Give a learner its state back.

    Args:
        model: a fresh one with the settings of the saved one.
        arrays: of `state_arrays`.
        path: where they come from, for messages.

    Raises:
        UserError: they do not fit.
    """
    policy: dict[str, torch.Tensor] = {}
    moments: dict[int, dict[str, torch.Tensor]] = {}
    try:
        for key, array in arrays.items():
            kind, _, name = key.partition("/")
            if kind == "policy":
                policy[name] = torch.from_numpy(array)
            elif kind == "optimizer":
                number, _, moment = name.partition("/")
                moments.setdefault(int(number), {})[moment] = torch.from_numpy(array)
        # The optimiser's settings are the fresh one's.
        optimizer: dict[str, Any] = {**model.get_parameters()["policy.optimizer"], "state": moments}
        state: dict[str, Any] = {"policy": policy, "policy.optimizer": optimizer}
        model.set_parameters(state)
        for name in _COUNTERS:
            if hasattr(model, name):
                setattr(model, name, int(arrays[f"counter/{name}"]))
        scaling = model.get_vec_normalize_env()
        if scaling is not None:
            for name in _RUNNING:
                setattr(scaling.ret_rms, name, float(arrays[f"returns/{name}"]))
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} does not fit the agent ({reason_of(error)}); delete it to train anew") from None
