"""Policy files: stock Keras models with a note of how each was trained, which may come from anybody.

Reading needs neither Keras nor TensorFlow, whose import takes seconds: the weights are HDF5 in the archive.

A file is the zip archive of `keras.Model.save` with one more member, `quantilizers.json`:

```json
{"environment": "MountainCar-v0", "quantile": 0.1, "seed": 0, "family": "multilayer_perceptron",
 "training": {"hidden_units": [20, 20], …}, "treatment": {"select": "top", …},
 "data": "SHA-256 of the episodes that it imitates", "code": 2}
```
"""

from __future__ import annotations

import io
import json
import math
import re
import time
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import numpy as np

from quantilizers.arrays import digest_of
from quantilizers.choices import PolicyFamilyName, Scaling
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.identity import identity_of
from quantilizers.errors import NotInstalledError, UserError, reason_of
from quantilizers.files import atomic_write
from quantilizers.gates.hdf5 import HDF5Arrays, open_hdf5
from quantilizers.gates.regular_files import open_regular, size_of
from quantilizers.gates.zips import open_zip, read_member
from quantilizers.policies.hyper_parameters import AnyTraining, training_from
from quantilizers.policies.policy import TrainedPolicy, Weights, family_name, family_of
from quantilizers.policies.selection_settings import SelectionSettings, selection_settings_from
from quantilizers.quantilize import check_quantile
from quantilizers.recipe import Recipe

#: The member of the archive with the recipe of a policy.
MEMBER = "quantilizers.json"
#: The member in which Keras keeps the weights.
_WEIGHTS = "model.weights.h5"
#: Most bytes of the note.
_MAX_NOTE = 2**16
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "environment": str,
    "quantile": (int, float),
    "seed": int,
    "family": str,
    "training": dict,
    "data": str,
}


def keras_archive(environment: EnvironmentDefinition, policy: TrainedPolicy) -> bytes:
    """Return the bytes of a policy's `.keras` file without its note, so a process without TensorFlow can write it."""
    import h5py  # Keras needs it, too

    # Keras takes six times as long to write a file as it takes to replace the weights in one.
    members = _members_of_model(environment, policy.training, policy.scaling)
    shapes = [array.shape for array in policy.weights]
    weights = io.BytesIO(members[_WEIGHTS])
    with h5py.File(weights, "r+") as file:
        for name, array in zip(_names_in_file(shapes), policy.weights, strict=True):
            file[name][...] = array
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in {**members, _WEIGHTS: weights.getvalue()}.items():
            archive.writestr(zipfile.ZipInfo(name), member)
    return content.getvalue()


@lru_cache(maxsize=4)
def _members_of_model(
    environment: EnvironmentDefinition, training: AnyTraining, scaling: Scaling
) -> Mapping[str, bytes]:
    """Return the members of an untrained policy's archive, by name, as `keras.Model.save` writes them."""
    import h5py
    import keras

    model = family_of(environment).build_model(environment, training, scaling)
    content, kinds = io.BytesIO(), Counter[str]()
    # Keras itself writes HDF5 to a file where memory is scarce, and HDF5 crashes later if the disk was full.
    with h5py.File(content, "w") as file:
        file.create_group("vars").attrs["name"] = model.name
        for layer in model.layers:
            kind = re.sub("(?<=[a-z])(?=[A-Z])", "_", type(layer).__name__).lower()
            variables = file.create_group(f"layers/{kind}_{kinds[kind]}/vars" if kinds[kind] else f"layers/{kind}/vars")
            kinds[kind] += 1
            variables.attrs["name"] = layer.name
            layer.save_own_variables(variables)
    about = {"keras_version": keras.__version__, "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S")}
    members = {"metadata.json": json.dumps(about), "config.json": model.to_json()}
    return {**{name: text.encode() for name, text in members.items()}, _WEIGHTS: content.getvalue()}


def save_policy(
    path: Path, environment: EnvironmentDefinition, policy: TrainedPolicy, provenance: Mapping[str, Any] | None = None
) -> None:
    """Write a policy's `.keras` file, atomically; `provenance` adds entries to its note.

    Raises:
        UserError: the file cannot be written.
    """
    definition = identity_of(environment)
    ranking = environment.proxy_options(policy.options)
    recipe = {
        **(provenance or {}),
        **({"ranking": ranking} if ranking else {}),
        "environment": environment.name,
        # Environments that ship have none; their policies keep their content hashes.
        **({"definition": definition} if definition else {}),
        "quantile": policy.quantile,
        "seed": policy.seed,
        "family": family_name(environment),
        "training": asdict(policy.training),
        "treatment": policy.selecting.noted,
        "data": policy.data,
        "code": policy.training.code,
        **({"scaling": policy.scaling} if policy.scaling != "none" else {}),
    }
    content = keras_archive(environment, policy) if policy.archive is None else policy.archive
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
        with zipfile.ZipFile(temporary, "a") as members:
            members.writestr(zipfile.ZipInfo(MEMBER), Recipe(recipe).text)


def recipe_of(path: Path) -> Recipe:
    """Return the recipe that a policy was trained by, without reading its weights.

    Its entries are those of the note, which may have further ones, such as `held_out`, finite numbers by name.
    Hyper-parameters and selection settings that files of older versions do not note are the reference's.

    Raises:
        MissingError: there is no such file.
        UnreadableError: this user may not read it.
        UserError: it is not a policy, is damaged, or was written by an earlier version, which left no note.
    """
    note = _note(path)
    training, selecting = _settings_in(path, note)
    return Recipe({**note, "training": asdict(training), "treatment": asdict(selecting)})


def _note(path: Path) -> Mapping[str, Any]:
    """Return the entries of the recipe as they stand in a file."""
    return _read(path, with_weights=False)[0]


def _read(path: Path, with_weights: bool = True) -> tuple[Mapping[str, Any], bytes]:
    """Return the entries of the recipe as they stand in a file, and the HDF5 of its weights."""
    try:
        with open_regular(path) as file, open_zip(file) as archive:
            members = Counter(archive.namelist())
            if MEMBER not in members:
                if _WEIGHTS in members:
                    raise UserError(
                        f"{path} notes no recipe, because an earlier version or Keras itself saved it; train it again"
                    )
                raise ValueError(f"it has no {MEMBER}")
            if max(members.values()) > 1:
                raise ValueError("it has a member twice")
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("it is compressed, which Keras' files are not")
            note = Recipe.parse(read_member(archive, MEMBER, _MAX_NOTE).decode()).entries
            weights = read_member(archive, _WEIGHTS, size_of(file)) if with_weights else b""
        for key, kind in _KINDS.items():
            if not isinstance(note.get(key), kind) or isinstance(note.get(key), bool):
                raise ValueError(f"its {key} is {str(note.get(key))[:60]!r}")
        if note["seed"] < 0 or note["family"] not in get_args(PolicyFamilyName):
            raise ValueError("its seed or family is impossible")
        _check_quantile(note["quantile"])
        if note.get("scaling", "none") not in get_args(Scaling):
            raise ValueError(f"its scaling is {str(note['scaling'])[:60]!r}")
        if not isinstance(note.get("treatment", {}), dict):
            raise ValueError(f"its treatment is {str(note['treatment'])[:60]!r}")
        _check_held_out(note.get("held_out", {}))
    except UserError:
        raise
    except Exception as error:  # a damaged zip or JSON may raise anything
        raise _damaged(path, error) from None
    return note, weights


def _check_quantile(quantile: float) -> None:
    try:
        check_quantile(quantile)
    except UserError as error:
        raise ValueError(str(error)) from None


def _check_held_out(found: Any) -> None:
    """Raise a ValueError unless it is a mapping of names to finite numbers."""
    values = found.values() if isinstance(found, dict) else [None]
    if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in values):
        raise ValueError(f"its held_out is {str(found)[:60]!r}")


def content_hash(path: Path) -> str:
    """Return the identity of a policy: the SHA-256 of its note and weights.

    Other parts of the file note when it was written, so two files of the same policy differ.
    """
    note, content = _read(path)
    try:
        with _arrays_in(content) as found:
            return digest_of(((name, found[name]) for name in sorted(found)), Recipe(note).text.encode())
    except NotInstalledError:
        raise
    except Exception as error:  # a damaged HDF5 may raise anything
        raise _damaged(path, error) from None


@contextmanager
def _arrays_in(content: bytes) -> Iterator[HDF5Arrays]:
    """Open a model's HDF5 file; refuse what Keras does not write, before any array is read."""
    with open_hdf5(content) as found:
        for name in found:
            if (dtype := found.dtype(name).newbyteorder("=")) not in (np.float32, np.float64):
                raise ValueError(f"its {name} holds {dtype}")
        yield found


def load_policy(path: Path, environment: EnvironmentDefinition) -> TrainedPolicy:
    """Read a policy of an environment.

    Only weights are read: nothing in the file can name code to run or take more memory than its size.

    Raises:
        MissingError: there is no such file.
        UserError: it is not a policy of this environment, or is damaged.
        NotInstalledError: h5py is not installed.
    """
    note, content = _read(path)
    training, selecting = _settings_in(path, note)
    if note["environment"] != environment.name or note["family"] != family_name(environment):
        kind = note["family"].replace("_", " ")
        found = f"a {kind} policy for {' '.join(note['environment'].split())[:60]}"
        raise UserError(f"{path} is {found}, not a policy for {environment.name}; train it again")
    try:
        scaling = note.get("scaling", "none")
        weights = _weights_in(content, family_of(environment).weight_shapes(environment, training, scaling))
    except NotInstalledError:
        raise
    except Exception as error:  # a damaged zip or HDF5 may raise anything
        raise _damaged(path, error, f"a policy for {environment.name}") from None
    quantile, seed, data = float(note["quantile"]), note["seed"], note["data"]
    ranking = note.get("ranking", {})
    if not isinstance(ranking, dict):
        raise _damaged(path, ValueError(f"its ranking is {str(ranking)[:60]!r}"))
    about: dict[str, Any] = {"data": data, "selecting": selecting, "options": ranking, "scaling": scaling}
    return TrainedPolicy(quantile, seed, weights, training, **about)


def _settings_in(path: Path, note: Mapping[str, Any]) -> tuple[AnyTraining, SelectionSettings]:
    try:
        return training_from(note["family"], note["training"]), selection_settings_from(note.get("treatment", {}))
    except UserError as error:
        raise _damaged(path, error) from None


def _weights_in(content: bytes, shapes: Sequence[tuple[int, ...]]) -> Weights:
    """Return the arrays of a model; raise a ValueError unless they are finite and have these shapes."""
    wanted = list(zip(_names_in_file(shapes), shapes, _types_in_file(shapes), strict=True))
    expected = sum(dtype.itemsize * int(np.prod(shape, dtype=object)) for _, shape, dtype in wanted)
    with _arrays_in(content) as found:
        if found.claimed != expected:
            raise ValueError(f"its weights have {found.claimed} bytes, not {expected}")
        for name, shape, dtype in wanted:
            if name not in found or found.shape(name) != shape or found.dtype(name).newbyteorder("=") != dtype:
                raise ValueError(f"it has no {name} of shape {shape}")
        weights = [found[name] for name, _, _ in wanted]
    if not all(np.isfinite(array).all() for array in weights):
        raise ValueError("its weights hold NaN or infinity")
    if weights[1].dtype == np.float64 and not (weights[1] > 0).all():
        raise ValueError("it scales observations by variances that are not positive")
    return weights


def _names_in_file(shapes: Sequence[tuple[int, ...]]) -> Iterator[str]:
    """Yield the paths of a model's arrays in Keras' file: layers are counted by kind, which the axes of one tell."""
    kinds = {1: "batch_normalization", 2: "dense", 4: "conv2d"}
    layers = Counter[str]()
    for kernel in shapes[::2]:
        kind = kinds[len(kernel)]
        layer = f"{kind}_{layers[kind]}" if layers[kind] else kind
        layers[kind] += 1
        yield f"layers/{layer}/vars/0"
        yield f"layers/{layer}/vars/1"


def _types_in_file(shapes: Sequence[tuple[int, ...]]) -> Iterator[np.dtype[Any]]:
    """Yield the types of a model's arrays: means and variances of features are in double precision."""
    for kernel in shapes[::2]:
        yield from [np.dtype(np.float64 if len(kernel) == 1 else np.float32)] * 2


def _damaged(path: Path, error: Exception, what: str = "a policy") -> UserError:
    return UserError(f"{path} is not {what} ({reason_of(error)}); train it again")
