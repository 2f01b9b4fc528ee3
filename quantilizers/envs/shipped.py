"""The environments that ship, by name; importing this module imports neither Gymnasium nor NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Shipped(NamedTuple):
    """Where an environment that ships is defined.

    Attributes:
        module: the module of `quantilizers.envs` whose `ENVIRONMENT` it is.
        gymnasium_id: its id in Gymnasium. RR stands for robust rewards: the reference implementation of Carey (2019)
            calls its wrapper of all three `RobustRewardEnv`.
    """

    module: str
    gymnasium_id: str


#: Environments by the name that the command line uses.
SHIPPED = {
    "MountainCar-v0": Shipped("mountain_car", "quantilizers/MountainCarRR-v0"),
    "Hopper-v2": Shipped("hopper", "quantilizers/HopperRR-v0"),
    "VideoPinballNoFrameskip-v4": Shipped("video_pinball", "quantilizers/VideoPinballRR-v0"),
}
#: Options of environments that have a flag of the command line.
OPTION_FLAGS = {"lamb": "λ, the cost of the implicit reward on Video Pinball: points for a cheat rate of 1"}
_REGISTRY = f"{__name__.rpartition('.')[0]}.registry"
#: The functions by which Gymnasium makes an environment from its address; specifications name them.
MAKER, VECTOR_MAKER = f"{_REGISTRY}:make_registered", f"{_REGISTRY}:make_registered_vector"


def environment_names() -> list[str]:
    """Return the names of the environments that ship."""
    return list(SHIPPED)


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
