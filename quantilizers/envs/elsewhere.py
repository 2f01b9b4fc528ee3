"""How another process finds an environment: by its address, and only if the file there is the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment, parts_of
from quantilizers.errors import UserError
from quantilizers.files import sha256_of


@dataclass(frozen=True)
class Address:
    """Where an environment is defined.

    Attributes:
        text: as `load_environment` takes it; a file by its whole path.
        sha256: of the file; empty where it is no file.
    """

    text: str
    sha256: str = ""


def address_of(environment: EnvironmentDefinition) -> Address:
    """Return where another process finds an environment.

    Raises:
        UserError: it was defined in memory.
    """
    if not environment.address:
        raise UserError(
            f"other processes cannot load {environment.name}, for it was defined in memory; define it in a file and "
            "load it by its address, such as my_env.py:ENVIRONMENT"
        )
    file, name = _file_in(environment.address)
    return Address(environment.address) if file is None else Address(f"{file.resolve()}:{name}", sha256_of(file))


def environment_at(address: Address) -> EnvironmentDefinition:
    """Return the environment, by running the code of its file where it is in one.

    Raises:
        UserError: it cannot be loaded, or the file is another one than where the address comes from.
    """
    file, _ = _file_in(address.text)
    if file is not None and (not file.is_file() or sha256_of(file) != address.sha256):
        state = "another file" if file.is_file() else "no file"
        raise UserError(f"at {file} the worker finds {state}; every worker needs the same file at the same path")
    return load_environment(address.text)


def _file_in(address: str) -> tuple[Path | None, str]:
    """Return the file that an address names, and the name in it; None where it names no file."""
    where, name = parts_of(address)
    return (Path(where) if where.endswith(".py") else None), name
