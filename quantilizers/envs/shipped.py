"""The environments that ship, by name; importing this module imports neither Gymnasium nor NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from quantilizers.errors import UserError, did_you_mean
from quantilizers.layout import DATA_OF


class Shipped(NamedTuple):
    """Where an environment that ships is defined.

    Attributes:
        module: the module of `quantilizers.envs` that defines it.
        gymnasium_id: its id in Gymnasium. RR stands for robust rewards: the reference implementation of Carey (2019)
            calls its wrapper of all three `RobustRewardEnv`.
        definition: its name in the module.
    """

    module: str
    gymnasium_id: str
    definition: str = "ENVIRONMENT"


#: Environments by the name that the command line uses.
SHIPPED = {
    "MountainCar-v0": Shipped("mountain_car", "quantilizers/MountainCarRR-v0"),
    "Hopper-v2": Shipped("hopper", "quantilizers/HopperRR-v0"),
    "VideoPinballNoFrameskip-v4": Shipped("video_pinball", "quantilizers/VideoPinballRR-v0"),
    "VideoPinballNoFrameskip-ram-v4": Shipped(
        "video_pinball", "quantilizers/VideoPinballRR-ram-v0", "MEMORY_ENVIRONMENT"
    ),
}
#: Environments of one game by the value of the option `observation`; the first is the default.
OBSERVATION = "observation"
_OBSERVED_BY = ({"pictures": "VideoPinballNoFrameskip-v4", "ram": "VideoPinballNoFrameskip-ram-v4"},)
#: Options of environments that have a flag of the command line.
OPTION_FLAGS = {"lamb": "λ, the cost of the implicit reward on Video Pinball: points for a cheat rate of 1"}
_REGISTRY = f"{__name__.rpartition('.')[0]}.registry"
#: The functions by which Gymnasium makes an environment from its address; specifications name them.
MAKER, VECTOR_MAKER = f"{_REGISTRY}:make_registered", f"{_REGISTRY}:make_registered_vector"


def environment_names() -> list[str]:
    """Return the names of the environments that ship; one game counts once, however it may be observed."""
    return [name for name in SHIPPED if name not in DATA_OF]


def observed(address: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the address of an environment as `observation` among the options wants it, and the other options.

    Raises:
        UserError: the environment has no such observation, or its name says another one.
    """
    ways = next((ways for ways in _OBSERVED_BY if address in ways.values()), None)
    if ways is None or OBSERVATION not in options:
        return address, dict(options)
    wanted = str(options[OBSERVATION])
    if wanted not in ways:
        raise UserError(
            f"the option {OBSERVATION} is {wanted!r}{did_you_mean(wanted, ways) or ';'} it is {' or '.join(ways)}"
        )
    default = next(iter(ways.values()))
    if address not in (default, ways[wanted]):
        raise UserError(f"{address} does not observe {wanted}; name {ways[wanted]}, or leave {OBSERVATION} out")
    return ways[wanted], {name: value for name, value in options.items() if name != OBSERVATION}


def module_name(name: str) -> str:
    """Return the module that defines an environment that ships, such as `mountain_car`."""
    return SHIPPED[name].module


def runs_code(address: str) -> bool:
    """Return whether loading this address runs code that is neither this project's nor installed."""
    return address not in SHIPPED and (":" in address or address.endswith(".py"))


def parts_of(address: str) -> tuple[str, Path | None, str]:
    """Return the file or module that an address names, the file's path, and the environment's name in it."""
    where, colon, name = address.rpartition(":")
    if not colon or where in ("", "."):
        where, name = address, ""
    return where, Path(where) if where.endswith(".py") else None, name or "ENVIRONMENT"


def absolute(address: str) -> str:
    """Return an address that means the same in every working directory."""
    _, file, name = parts_of(address)
    return address if file is None else f"{file.resolve()}:{name}"


def register_environments() -> None:
    """Import Gymnasium and register the environments that ship with it; repeating this is harmless."""
    from gymnasium.envs.registration import register, registry

    for name, shipped in SHIPPED.items():
        if shipped.gymnasium_id not in registry:
            register(
                id=shipped.gymnasium_id,
                entry_point=MAKER,
                vector_entry_point=VECTOR_MAKER,
                kwargs={"environment": name, "reward": "proxy"},
            )
