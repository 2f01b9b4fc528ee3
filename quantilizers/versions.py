"""Which versions a result was made with."""

from __future__ import annotations

from functools import cache

__version__ = "0.2.0"

_LIBRARIES = (
    "numpy",
    "scipy",
    "matplotlib",
    "gymnasium",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "mujoco",
    "ale-py",
    "torch",
    "stable-baselines3",
    "sb3-contrib",
)


def versions() -> dict[str, str]:
    """Return the versions of Python, this project and the libraries that are installed."""
    return dict(_found())


@cache
def _found() -> dict[str, str]:
    # The programs' help imports this module; importing these two takes as long as the help itself.
    import platform
    from importlib import metadata

    found = {"python": platform.python_version(), "quantilizers": __version__}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found
