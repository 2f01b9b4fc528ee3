"""The environments: one file each, and how to find them.

Importing this package registers the ids with Gymnasium; the modules themselves, and the simulators they need,
are imported when an environment is made or its definition loaded.
"""

from __future__ import annotations

import importlib

from gymnasium.envs.registration import register, registry

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError

#: Name on the command line: module in this package, scalar class, vectorised class, Gymnasium id.
_BUILT_IN = {
    "MountainCar-v0": (
        "mountain_car",
        "MountainCarRR",
        "MountainCarRRVector",
        "quantilizers/MountainCarRR-v0",
    ),
    "Hopper-v2": ("hopper", "HopperRR", "HopperRRVector", "quantilizers/HopperRR-v0"),
    "VideoPinballNoFrameskip-v4": (
        "video_pinball",
        "VideoPinballRR",
        "VideoPinballRRVector",
        "quantilizers/VideoPinballRR-v0",
    ),
}


def environment_names() -> list[str]:
    """Return the environments' names on the command line."""
    return list(_BUILT_IN)


def load_environment(name: str) -> EnvironmentDefinition:
    """Return the definition of an environment.

    Args:
        name: its name on the command line.

    Raises:
        UserError: there is none of that name; the message lists those there are.
    """
    definition: EnvironmentDefinition = importlib.import_module(f"{__name__}.{module_name(name)}").ENVIRONMENT
    return definition


def module_name(name: str) -> str:
    """Return the name of an environment's module in this package, such as `mountain_car`.

    Raises:
        UserError: there is no environment of that name; the message lists those there are.
    """
    if name not in _BUILT_IN:
        raise UserError(f"unknown environment {name!r}; --env_name is one of {', '.join(_BUILT_IN)}")
    return _BUILT_IN[name][0]


def register_environments() -> None:
    """Register the environments with Gymnasium; again is harmless. Importing this package has done it already."""
    for module, scalar, vector, gymnasium_id in _BUILT_IN.values():
        if gymnasium_id not in registry:
            register(
                id=gymnasium_id,
                entry_point=f"{__name__}.{module}:{scalar}",
                vector_entry_point=f"{__name__}.{module}:{vector}",
            )


register_environments()
