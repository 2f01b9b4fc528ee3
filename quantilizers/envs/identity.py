"""Digests of an environment's rewards, dynamics and source, which every product of it records.

An edit of a definition that changes nothing, such as a comment, may change a digest. An edit that changes a reward, a
function or how the environment is made always does.
"""

from __future__ import annotations

import copyreg
import functools
import hashlib
import inspect
import random
import sys
import sysconfig
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import gymnasium
import numpy as np

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.shipped import SHIPPED
from quantilizers.files import sha256_of

#: Sentences of `Recipe.difference` about each part; they continue "the policy was trained".
SENTENCES: Mapping[str, str] = {
    "proxy_reward": "with another proxy reward than the environment's definition has now",
    "true_reward": "with another true reward than the environment's definition has now",
    "making": "in an environment that its definition made in another way than now",
    "package": "with another version of the environment's package than is installed now",
    "recordings": "with other functions for recordings than the environment's definition has now",
    "source": "with another source of the environment's definition than its file and the files it imports have now",
}
#: The fields of a definition that the digests are of.
_DIGESTED = (
    "make", "proxy", "true", "options", "vector", "classes", "prepare_pictures", "flatten_observations", "recordings",
)  # fmt: skip
#: Folders of code whose version is recorded instead of its source.
_INSTALLED = tuple({Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib")})
_PROJECT = Path(__file__).resolve().parent.parent
#: Types of class attributes that the digest of a class contains, beside its methods.
_DATA = (
    int, float, complex, str, bytes, tuple, list, dict, set, frozenset, property, np.ndarray, np.generic,
)  # fmt: skip
#: Digests of definitions in use. Their code was read once; an edit of the file during a run does not change it.
_FOUND: WeakKeyDictionary[EnvironmentDefinition, dict[str, str]] = WeakKeyDictionary()


def identity_of(environment: EnvironmentDefinition) -> dict[str, str]:
    """Return digests of an environment's parts, by the names in `SENTENCES`.

    An environment that ships has none, because the version of the project's code stands for it.
    """
    if environment not in _FOUND:
        _FOUND[environment] = {} if _ships(environment) else _parts_of(environment)
    return dict(_FOUND[environment])


def _parts_of(environment: EnvironmentDefinition) -> dict[str, str]:
    make = environment.make
    flattened = [True] if environment.flatten_observations else []
    parts = {
        "proxy_reward": digest(environment.proxy, environment.options),
        "true_reward": digest(environment.true, environment.options),
        "making": digest(
            _spec_of(make), environment.vector, environment.classes, environment.prepare_pictures, *flattened
        ),
        "package": _package_of(make),
        "recordings": digest(environment.recordings),
    }
    source = _source_of(environment)
    return {**parts, "source": source} if source else parts


def _ships(environment: EnvironmentDefinition) -> bool:
    """Whether an environment is one of the project's, unchanged."""
    if environment.address not in SHIPPED:
        return False
    module, _, name = SHIPPED[environment.address]
    own = getattr(sys.modules[f"quantilizers.envs.{module}"], name)
    return all(getattr(environment, name) == getattr(own, name) for name in _DIGESTED)


def _spec_of(make: Any) -> Any:
    if not isinstance(make, str):
        return make
    try:
        spec = gymnasium.spec(make)
    except gymnasium.error.Error:  # the path of a class or function
        return make
    kwargs, wrappers = spec.kwargs, spec.additional_wrappers
    return make, spec.entry_point, kwargs, wrappers, spec.max_episode_steps, spec.order_enforce


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    """Return the installed distributions of each module, which takes a second to find out."""
    return packages_distributions()


def _package_of(make: Any) -> str:
    """Return the versions of Gymnasium and of the package whose code makes an environment."""
    spec = _spec_of(make)
    entry = spec[1] if isinstance(spec, tuple) else spec
    module = entry.replace(":", ".") if isinstance(entry, str) else getattr(entry, "__module__", None) or ""
    names = {"gymnasium", *_distributions().get(module.partition(".")[0], ())}
    found = []
    for name in sorted(names):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _source_of(environment: EnvironmentDefinition) -> str:
    """Digest the sources of all modules, outside of installed packages, that the definition's functions reach."""
    roots = [environment.make, environment.proxy, environment.true, environment.vector, environment.prepare_pictures]
    roots += [getattr(environment.recordings, one.name) for one in fields(environment.recordings)]
    modules: dict[str, types.ModuleType] = {}
    file = environment.address.rpartition(":")[0] or environment.address
    resolved = Path(file).resolve() if file.endswith(".py") else None
    waiting = [
        module
        for module in list(sys.modules.values())
        if resolved is not None and _file_of(module) is not None and Path(str(_file_of(module))).resolve() == resolved
    ]
    waiting += [sys.modules[name] for root in roots for name in _modules_of(root) if name in sys.modules]
    while waiting:
        module = waiting.pop()
        if module.__name__ in modules or not _is_the_users(module):
            continue
        modules[module.__name__] = module
        for value in list(vars(module).values()):
            if isinstance(value, types.ModuleType):
                waiting.append(value)
            elif (name := getattr(value, "__module__", None)) in sys.modules and isinstance(name, str):
                waiting.append(sys.modules[name])
    digests = sorted(sha256_of(Path(str(_file_of(module)))) for module in modules.values())
    return hashlib.sha256(" ".join(digests).encode()).hexdigest() if digests else ""


def _modules_of(root: Any) -> Iterator[str]:
    if isinstance(root, str):
        spec = _spec_of(root)
        entry = spec[1] if isinstance(spec, tuple) else spec
        yield entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "")
    elif hasattr(root, "parts"):
        for part in root.parts:
            yield getattr(part.quantity, "__module__", None) or ""
    else:
        yield getattr(root, "__module__", None) or ""


def _file_of(module: types.ModuleType) -> str | None:
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) and file.endswith(".py") and Path(file).is_file() else None


def _is_the_users(module: types.ModuleType) -> bool:
    file = _file_of(module)
    if file is None:
        return False
    path = Path(file).resolve()
    return not any(path.is_relative_to(folder) for folder in (*_INSTALLED, _PROJECT))


def digest(*values: Any) -> str:
    """Return a digest of code and data that differs if one of the values does; see `_pieces`."""
    found = hashlib.sha256()
    seen: dict[int, Any] = {}  # keeps temporary objects alive, whose ids would be used again
    for value in values:
        for piece in _pieces(value, seen):
            found.update(len(piece).to_bytes(8, "big"))
            found.update(piece)
    return found.hexdigest()


def _pieces(value: Any, seen: dict[int, Any]) -> Iterator[bytes]:
    """Yield bytes that differ if two values do: code with all that it refers to, arrays with their numbers."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        yield f"{type(value).__name__} {value!r}".encode(errors="surrogatepass")
        return
    if id(value) in seen:
        yield b"seen"
        return
    seen[id(value)] = value
    yield f"{type(value).__module__}.{type(value).__qualname__}".encode()
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        yield f"{array.dtype} {array.shape}".encode()
        yield array.tobytes() if array.dtype.kind != "O" else repr(array.tolist()).encode()
    elif isinstance(value, types.CodeType):
        yield value.co_code
        yield " ".join((*value.co_names, "|", *value.co_varnames, "|", *value.co_freevars)).encode()
        for constant in value.co_consts:
            yield from _pieces(constant, seen)
    elif isinstance(value, (types.FunctionType, types.MethodType)):
        yield from _of_function(value, seen)
    elif isinstance(value, functools.partial):
        yield from _pieces([value.func, list(value.args), value.keywords], seen)
    elif isinstance(value, Mapping):
        for key, of_key in value.items():
            yield from _pieces(key, seen)
            yield from _pieces(of_key, seen)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _pieces(item, seen)
    elif isinstance(value, (set, frozenset)):
        yield repr(sorted(map(repr, value))).encode()
    elif isinstance(value, types.ModuleType):
        yield value.__name__.encode()
    elif isinstance(value, type):
        yield f"{value.__module__}.{value.__qualname__}".encode()
        module = sys.modules.get(value.__module__)
        if module is None or _is_the_users(module) or _file_of(module) is None:
            yield from _pieces(value.__bases__, seen)
            for name, member in sorted(vars(value).items()):
                if inspect.isroutine(member) or (isinstance(member, _DATA) and not name.startswith("__")):
                    yield name.encode()
                    yield from _pieces(getattr(member, "fget", None) or getattr(member, "__func__", member), seen)
    elif is_dataclass(value):
        for one in fields(value):
            yield one.name.encode()
            yield from _pieces(getattr(value, one.name), seen)
    else:
        yield str(getattr(value, "__qualname__", "")).encode()
        yield from _pieces(_state_of(value), seen)


def _state_of(value: Any) -> Any:
    """Return what an object consists of: its attributes, and what a copy of it is made from, as `copy` finds out."""
    if isinstance(value, (np.random.Generator, np.random.RandomState, random.Random)):
        return None  # who drew from it meanwhile is no matter of the definition
    attributes = dict(getattr(value, "__dict__", {}))
    registered: Any = copyreg.dispatch_table.get(type(value))
    try:
        reduced: Any = value.__reduce_ex__(2) if registered is None else registered(value)
    except Exception:  # files, locks and other objects that cannot be copied
        return attributes
    if isinstance(reduced, str):
        return [attributes, reduced]
    # The fourth and fifth are the items of a list and of a mapping, to be gone through once.
    return [attributes, *reduced[:3], *(list(one or ()) for one in reduced[3:5])]


def _of_function(value: types.FunctionType | types.MethodType, seen: dict[int, Any]) -> Iterator[bytes]:
    function: Any = value.__func__ if isinstance(value, types.MethodType) else value
    if isinstance(value, types.MethodType):
        yield from _pieces(value.__self__, seen)
    module = sys.modules.get(function.__module__ or "")
    yield function.__qualname__.encode()
    if module is not None and _file_of(module) is not None and not _is_the_users(module):
        # Installed code is known by its version, but what it was given here is not.
        yield function.__module__.encode()
        yield from _pieces([cell.cell_contents for cell in function.__closure__ or ()], seen)
        return
    yield from _pieces(function.__code__, seen)
    yield from _pieces([function.__defaults__, function.__kwdefaults__], seen)
    yield from _pieces([cell.cell_contents for cell in function.__closure__ or ()], seen)
    names = _names_in(function.__code__)
    for name in names:
        if name not in function.__globals__:
            continue
        found = function.__globals__[name]
        yield name.encode()
        yield from _pieces(found, seen)
        if isinstance(found, types.ModuleType) and (_file_of(found) is None or _is_the_users(found)):
            # What the function reads of it; its source is digested elsewhere.
            for attribute in names:
                if attribute in vars(found):
                    yield attribute.encode()
                    yield from _pieces(vars(found)[attribute], seen)


def _names_in(code: types.CodeType) -> list[str]:
    """Return the names that code and the functions inside it use, in order."""
    inner = [name for one in code.co_consts if isinstance(one, types.CodeType) for name in _names_in(one)]
    return list(dict.fromkeys([*code.co_names, *inner]))
