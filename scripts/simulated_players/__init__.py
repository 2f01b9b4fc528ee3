"""Simulated players at the keyboard, one file for each environment; none of their episodes was played by people."""

from __future__ import annotations

import importlib
from types import ModuleType

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.shipped import environment_names, module_name
from quantilizers.errors import UserError


def players_of(environment: EnvironmentDefinition) -> ModuleType:
    """Return the file of an environment's simulated players; raise `UserError` if it has none."""
    if environment.name not in environment_names():
        raise UserError(
            f"{environment.name} has no simulated players; those that do are {', '.join(environment_names())}"
        )
    return importlib.import_module(f"{__name__}.{module_name(environment.name)}")
