"""The environments that ship, by name: read without importing them, Gymnasium or NumPy."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from importlib.abc import Loader

#: Name on the command line: the package of this one that defines it, and its id in Gymnasium. RR stands for robust
#: rewards: the reference implementation of Carey (2019) calls its wrapper of all three `RobustRewardEnv`.
BUILT_IN = {
    "MountainCar-v0": ("mountain_car", "quantilizers/MountainCarRR-v0"),
    "Hopper-v2": ("hopper", "quantilizers/HopperRR-v0"),
    "VideoPinballNoFrameskip-v4": ("video_pinball", "quantilizers/VideoPinballRR-v0"),
}
#: Options of environments that the command line has a flag of its own for.
OPTION_FLAGS = {"lamb": "λ, what the implicit reward costs on Video Pinball: a cheat rate of 1 costs so many points"}
_REGISTRY = f"{__name__.rpartition('.')[0]}.registry"


def environment_names() -> list[str]:
    """Return the names of the environments that ship."""
    return list(BUILT_IN)


def module_name(name: str) -> str:
    """Return the name of the package that defines an environment that ships, such as `mountain_car`."""
    return BUILT_IN[name][0]


def runs_code(address: str) -> bool:
    """Return whether loading an environment by this address runs code that is neither this project's nor installed."""
    return address not in BUILT_IN and (":" in address or address.endswith(".py"))


def register_environments() -> None:
    """Register the environments that ship with Gymnasium, which is imported for it; again is harmless."""
    from gymnasium.envs.registration import register, registry

    for name, (_, gymnasium_id) in BUILT_IN.items():
        if gymnasium_id not in registry:
            register(
                id=gymnasium_id,
                entry_point=f"{_REGISTRY}:make_registered",
                vector_entry_point=f"{_REGISTRY}:make_registered_vector",
                kwargs={"environment": name},
            )


def register_with_gymnasium() -> None:
    """Register the environments now where Gymnasium is imported, and otherwise as soon as it is.

    Importing Gymnasium takes as long as all else that `--help` does, so that importing this package does not.
    """
    if "gymnasium" in sys.modules:
        register_environments()
    elif not any(isinstance(finder, _WhenGymnasiumIsImported) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WhenGymnasiumIsImported())


class _WhenGymnasiumIsImported:
    """Finds Gymnasium where others do, so that the environments are registered when it has been imported."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return where Gymnasium is, to be loaded as always and then told of the environments; None for all else."""
        if name != "gymnasium":
            return None
        found = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = cast("Loader", _Loader(spec.loader))
        return spec


class _Loader:
    """Loads Gymnasium by its own loader, then registers."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        # Whoever asks where the module came from, such as importlib.resources, is to find its own loader.
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        register_environments()
