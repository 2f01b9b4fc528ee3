"""Find an environment by its name, in any Python file, or in an installed package.

Definitions, and the simulators they need, are imported when one is loaded or made.
"""

from __future__ import annotations

import copyreg
import functools
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_environment, make_vector
from quantilizers.envs.shipped import (
    SHIPPED,
    absolute,
    environment_names,
    observed,
    parts_of,
    register_environments,
    runs_code,
)
from quantilizers.envs.two_rewards import TwoRewards
from quantilizers.errors import UserError, did_you_mean, fault_of
from quantilizers.files import sha256_of

#: The entry point group in which installed packages list the environments they define.
ENTRY_POINTS = "quantilizers.environments"

#: Folders of files that were run.
_FOLDERS: set[str] = set()

register_environments()


def load_environment(address: str | Path | EnvironmentDefinition) -> EnvironmentDefinition:
    """Return the definition of an environment.

    Loading a file runs its code, so addresses are taken from the command line only.

    Args:
        address: the name of one that ships; `FILE.py:NAME` or `package.module:NAME`; or the name of an entry point
            `quantilizers.environments` of an installed package. A definition is returned unchanged.

    Raises:
        UserError: there is no such environment, or it cannot be loaded; the message lists the known ones. Or it has the
            name of one that ships, or no name of its own beside others in its file.
    """
    if isinstance(address, EnvironmentDefinition):
        return address
    if not isinstance(address, (str, Path)):
        raise UserError(f"{address!r} is no environment; give its name, its address or its definition")
    address = str(address)
    if address in SHIPPED:
        module, gymnasium_id, name = SHIPPED[address]
        shipped = getattr(importlib.import_module(f"quantilizers.envs.{module}"), name)
        definition: Any = replace(shipped, name=address, gymnasium_id=gymnasium_id)
    elif runs_code(address):
        definition = _load_from_outside(address)
    else:
        found = next(iter(entry_points(group=ENTRY_POINTS, name=address)), None)
        if found is None:
            raise UserError(_unknown(address))
        try:
            definition = found.load()
        except (Exception, SystemExit) as error:  # whatever the package's code raises
            raise UserError(f"{address} of the package {found.value} cannot be loaded: {fault_of(error)}") from error
        if isinstance(definition, EnvironmentDefinition) and definition.name_is_derived:
            definition = replace(definition, name=address)
    if not isinstance(definition, EnvironmentDefinition):
        raise UserError(f"{address} is a {type(definition).__name__}, not an EnvironmentDefinition")
    if definition.name in SHIPPED and address not in SHIPPED:
        raise UserError(
            f"{address} is named {definition.name}, as an environment that ships, whose data sets and results are "
            'under that name; give the definition another one, name="…"'
        )
    loaded = replace(definition, address=address)
    object.__setattr__(loaded, "is_at_address", True)
    return loaded


def environment_and_options(
    address: str | Path | EnvironmentDefinition, options: Mapping[str, Any]
) -> tuple[EnvironmentDefinition, dict[str, Any]]:
    """Return the definition of an environment under options, and all its options.

    The option `observation` of an environment that ships chooses the definition and is none of its options.

    Raises:
        UserError: as `load_environment` and `check_options` do.
    """
    definition, options = _observed(address, options)
    return definition, check_options(definition, options)


def _observed(
    address: str | Path | EnvironmentDefinition, options: Mapping[str, Any]
) -> tuple[EnvironmentDefinition, dict[str, Any]]:
    """Return the definition and the options without `observation`, which chooses among the definitions of a game."""
    if isinstance(address, EnvironmentDefinition):
        named = address.address if address.is_at_address else ""
    else:
        named = str(address)
    wanted, others = observed(named, options)
    return load_environment(address if wanted == named else wanted), others


def _load_from_outside(address: str) -> Any:
    """Run the file or import the module that an address names, and return the object it names."""
    where, file, name = parts_of(address)
    if file is not None and not file.is_file():
        raise UserError(f"{where} does not exist; an address is FILE.py:NAME, such as my_env.py:ENVIRONMENT")
    try:
        with np.errstate():  # what the file sets is for its own code
            module = importlib.import_module(where) if file is None else _run_file(file)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    except (Exception, SystemExit) as error:  # whatever the file's code raises
        raise UserError(f"{where} cannot be loaded: {fault_of(error)}") from error
    definition = getattr(module, name, None)
    if definition is None:
        names = [key for key, value in vars(module).items() if isinstance(value, EnvironmentDefinition)]
        raise UserError(f"{where} has no {name}; it defines {', '.join(names) or 'no environment'}")
    if not isinstance(definition, EnvironmentDefinition) or not definition.name_is_derived:
        return definition
    derived = where.rpartition(".")[2] if file is None else file.stem
    unnamed = {
        id(value): key
        for key, value in vars(module).items()
        if isinstance(value, EnvironmentDefinition) and value.name_is_derived
    }
    if name != "ENVIRONMENT" and len(unnamed) > 1:
        raise UserError(
            f"{where} defines {', '.join(unnamed.values())} without names, which would all be called {derived}; give "
            f'{name} one, name="…"'
        )
    return replace(definition, name=derived)


def origin_of(environment: EnvironmentDefinition) -> Path | None:
    """Return the file whose code defines an environment; None if its address names no file or module that is there."""
    if not runs_code(environment.address):
        return None
    where, file, _ = parts_of(environment.address)
    found = getattr(sys.modules.get(where), "__file__", None) if file is None else file
    return Path(found).resolve() if found is not None and Path(found).is_file() else None


def _run_file(path: Path) -> ModuleType:
    resolved = path.resolve()
    # The module's name is unique: the file hides no other module and is run once.
    name = f"quantilizers_environment_{hashlib.sha256(str(resolved).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, resolved)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _neighbours(resolved.parent):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _neighbours(folder: Path) -> Iterator[None]:
    """Let a file that is run import the files beside it, as `python FILE.py` does.

    They come first while the file is run, and last afterwards, for imports inside of its functions. Modules of the same
    names beside a file that was run before are imported again, because they are other files.
    """
    own = str(folder)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        top = name.partition(".")[0]
        if not isinstance(file, str) or not _FOLDERS & {str(parent) for parent in Path(file).parents}:
            continue
        if own not in {str(parent) for parent in Path(file).parents} and (
            (folder / f"{top}.py").is_file() or (folder / top).is_dir()
        ):
            del sys.modules[name]
    sys.path.insert(0, own)
    try:
        yield
    finally:
        sys.path.remove(own)
        if own not in sys.path:
            sys.path.append(own)
        _FOLDERS.add(own)


def _unknown(name: str) -> str:
    installed = sorted({entry.name for entry in entry_points(group=ENTRY_POINTS)})
    names = [*environment_names(), *installed]
    known = f"known are {', '.join(names)}, or FILE.py:NAME for one of your own"
    return f"unknown environment {name!r}{did_you_mean(name, names) or ';'} {known}"


@dataclass(frozen=True)
class Address:
    """Where a worker finds an environment.

    Attributes:
        text: as `load_environment` takes it; the path of a file is absolute.
        sha256: of the file; empty if it is no file.
    """

    text: str
    sha256: str = ""


def address_of(environment: EnvironmentDefinition) -> Address:
    """Return the address by which workers find an environment; refuse one that was defined in memory."""
    if not environment.address:
        raise UserError(
            f"workers cannot load {environment.name}, which was defined in memory; define it in a file and "
            "load it by its address, such as my_env.py:ENVIRONMENT"
        )
    _, file, _ = parts_of(environment.address)
    return Address(absolute(environment.address), "" if file is None else sha256_of(file))


def environment_at(address: Address) -> EnvironmentDefinition:
    """Load an environment in a worker, which runs the code of a file; refuse another file than the address means."""
    _, file, _ = parts_of(address.text)
    if file is not None and (not file.is_file() or sha256_of(file) != address.sha256):
        state = "another file" if file.is_file() else "no file"
        raise UserError(f"at {file} the worker finds {state}; every worker needs the same file at the same path")
    return load_environment(address.text)


def _reduced(environment: EnvironmentDefinition) -> Any:
    if environment.address:
        changed = {} if environment.is_at_address else _changes(environment)
        return _environment_with, (address_of(environment), changed)
    return object.__reduce_ex__(environment, 4)  # possible if its functions can be pickled


def _changes(environment: EnvironmentDefinition) -> dict[str, Any]:
    """Return the fields in which a definition differs from the one at its address, after `dataclasses.replace`."""
    loaded = load_environment(environment.address)
    values = {one.name: getattr(environment, one.name) for one in fields(environment) if one.init}
    return {name: value for name, value in values.items() if name != "address" and value != getattr(loaded, name)}


def _environment_with(address: Address, changed: Mapping[str, Any]) -> EnvironmentDefinition:
    environment = environment_at(address)
    return replace(environment, **changed) if changed else environment


# Other processes load an environment by its address, because functions of a user's file cannot be pickled.
copyreg.pickle(EnvironmentDefinition, _reduced)


@functools.wraps(make_environment)
def make_registered(environment: str | Path | EnvironmentDefinition, **arguments: Any) -> TwoRewards:
    """Make one environment from its definition, name or address: `quantilizers.make_environment`, and Gymnasium's."""
    definition, arguments = _observed(environment, arguments)
    return make_environment(definition, **arguments)


@functools.wraps(make_vector)
def make_registered_vector(
    environment: str | Path | EnvironmentDefinition, num_envs: int, **arguments: Any
) -> VectorEnv[Any, Any, Any]:
    """Make several from their definition, name or address: `quantilizers.make_vector`, and Gymnasium's."""
    definition, arguments = _observed(environment, arguments)
    return make_vector(definition, num_envs, **arguments)


def check_options(environment: EnvironmentDefinition, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of an environment, the given ones converted to the types of the defaults.

    Raises:
        UserError: the environment has no such option, or its value is impossible.
    """
    values = dict(environment.options)
    for name, value in options.items():
        if name not in values:
            known = f"its options are {', '.join(values)}" if values else "it has no options"
            raise UserError(f"{environment.name} has no option {name!r}{did_you_mean(name, values) or ';'} {known}")
        values[name] = _converted(name, value, values[name])
    environment.rewards(values)
    return values


def check_recorded_options(environment: EnvironmentDefinition, options: Mapping[str, Any]) -> None:
    """Refuse to record under an option that changes the true reward: recordings hold it under the defaults."""
    default = environment.true_options()
    for name, value in environment.true_options(options).items():
        if value != default[name]:
            raise UserError(
                f"{name} = {value} changes the true reward of {environment.name}, and recordings hold that under the "
                f"default, {default[name]}; record without it. It takes effect where the recording is used"
            )


def _converted(name: str, value: Any, default: Any) -> Any:
    try:
        if isinstance(default, bool):
            words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
            return words[str(value).lower()]
        return type(default)(value) if isinstance(default, (int, float, str)) else value
    except (KeyError, TypeError, ValueError):
        raise UserError(f"the option {name} takes a {type(default).__name__}, not {value!r}") from None
