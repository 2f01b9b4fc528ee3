from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import keras
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from damage import zip_bytes
from quantilizers.envs.definition import EnvironmentDefinition, Experiment
from quantilizers.envs.registry import load_environment
from quantilizers.errors import MissingError, UserError
from quantilizers.policies import convolutional, keras_files
from quantilizers.policies.hyper_parameters import ConvolutionalTraining, PerceptronTraining
from quantilizers.policies.keras_files import (
    MEMBER,
    content_hash,
    keras_archive,
    load_policy,
    recipe_of,
    save_policy,
)
from quantilizers.policies.policy import TrainedPolicy, family_of, training_of
from quantilizers.policies.selection_settings import SelectionSettings
from quantilizers.recipe import Recipe
from quantilizers.rewards import own

CAR = load_environment("MountainCar-v0")
PICTURES = EnvironmentDefinition(
    "Pictures-v0", own, 10, spaces=(Box(0, 255, (4, 36, 36), np.uint8), Discrete(3)), acting="sample"
)
STEERED = EnvironmentDefinition("Steered-v0", own, 10, spaces=(Box(-np.inf, np.inf, (2,)), Box(-1.0, 1.0, (2,))))


def policy_of(environment: EnvironmentDefinition, training: Any, seed: int = 3) -> TrainedPolicy:
    keras.utils.set_random_seed(seed)
    weights = family_of(environment).build_model(environment, training).get_weights()
    return TrainedPolicy(0.25, seed, weights, training, data="0123")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "car.keras"
    save_policy(path, CAR, policy_of(CAR, PerceptronTraining((5, 6), max_epochs=7)), {"command": "by hand"})
    return path


def changed(path: Path, folder: Path, member: str, content: bytes | None) -> Path:
    """Copy a file with one of its members replaced, or left out."""
    copy = folder / "changed.keras"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            if name != member:
                new.writestr(name, old.read(name))
        if content is not None:
            new.writestr(member, content)
    return copy


def noted(path: Path, folder: Path, **entries: Any) -> Path:
    return changed(path, folder, MEMBER, json.dumps({**recipe_of(path).entries, **entries}).encode())


@pytest.mark.parametrize(
    ("environment", "training"),
    [
        (CAR, PerceptronTraining((5, 6), max_epochs=7)),
        (CAR, PerceptronTraining(())),
        (STEERED, PerceptronTraining()),
        (PICTURES, ConvolutionalTraining(steps=3)),
    ],
)
def test_what_is_saved_is_what_is_loaded(tmp_path: Path, environment: EnvironmentDefinition, training: Any) -> None:
    policy = policy_of(environment, training)
    save_policy(tmp_path / "one.keras", environment, policy)
    found = load_policy(tmp_path / "one.keras", environment)
    assert (found.quantile, found.seed, found.training, found.data) == (0.25, 3, training, "0123")
    for expected, array in zip(policy.weights, found.weights, strict=True):
        np.testing.assert_array_equal(array, expected)
    assert recipe_of(tmp_path / "one.keras").difference(Recipe({"training": asdict(training)}), only=["training"]) == ""
    assert [path.name for path in tmp_path.iterdir()] == ["one.keras"]


def test_a_file_says_how_it_was_trained(saved: Path) -> None:
    note = dict(recipe_of(saved).entries)
    assert note.pop("training")["hidden_units"] == [5, 6]
    assert note.pop("treatment") == asdict(SelectionSettings())
    assert note == {
        "environment": "MountainCar-v0",
        "quantile": 0.25,
        "seed": 3,
        "family": "multilayer_perceptron",
        "data": "0123",
        "code": 2,
        "command": "by hand",
    }


def test_notes_of_shipped_environments_have_no_entry_that_older_files_lack(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        note = json.loads(archive.read(MEMBER))
    assert set(note["treatment"]) == {"select", "subset", "budget", "method", "match", "weight"}
    assert not {"scaling", "definition", "ranking"} & set(note)


def test_a_policy_is_known_by_what_it_is_and_not_by_its_bytes(tmp_path: Path) -> None:
    policy = policy_of(CAR, training_of(CAR, {}))
    for name in ("one.keras", "two.keras"):
        save_policy(tmp_path / name, CAR, policy)
    one = content_hash(tmp_path / "one.keras")
    assert content_hash(tmp_path / "two.keras") == one
    save_policy(tmp_path / "elsewhere.keras", CAR, replace(policy, archive=keras_archive(CAR, policy)))
    assert content_hash(tmp_path / "elsewhere.keras") == one
    moved = replace(policy, weights=[policy.weights[0] + np.float32(1e-6), *policy.weights[1:]])
    for number, other in enumerate((moved, replace(policy, seed=policy.seed + 1))):
        save_policy(tmp_path / f"{number}.keras", CAR, other)
        assert content_hash(tmp_path / f"{number}.keras") != one
    with pytest.raises(MissingError):
        content_hash(tmp_path / "none.keras")
    content = (tmp_path / "two.keras").read_bytes()
    (tmp_path / "two.keras").write_bytes(content.replace(policy.weights[0].tobytes()[:16], bytes(16)))
    with pytest.raises(UserError, match=r"two\.keras is not a policy"):
        content_hash(tmp_path / "two.keras")


def test_stock_keras_opens_files_without_this_project(tmp_path: Path) -> None:
    expected = []
    for environment in (CAR, PICTURES):
        policy = policy_of(environment, training_of(environment, {}))
        save_policy(tmp_path / f"{environment.name}.keras", environment, policy)
        shape = environment.observation_shape
        seen = np.random.default_rng(7).integers(256, size=(3, *shape)).astype(environment.observation_dtype)
        np.save(tmp_path / f"{environment.name}.npy", seen)
        stacked = family_of(environment).stack(environment, [policy], "most_probable").probabilities(seen[None])[0]
        expected.append(stacked[0])
    code = (
        "import json, sys, keras, numpy as np\n"
        "for name in sys.argv[1:]:\n"
        "    probabilities = keras.models.load_model(f'{name}.keras')(np.load(f'{name}.npy')).numpy()\n"
        "    print(json.dumps(probabilities.tolist()))\n"
        "assert 'quantilizers' not in sys.modules"
    )
    words = [sys.executable, "-c", code, CAR.name, PICTURES.name]
    ended = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path)
    for line, stacked in zip(ended.stdout.splitlines(), expected, strict=True):
        probabilities = np.array(json.loads(line))
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(probabilities, stacked, atol=1e-5)


def test_a_file_of_an_earlier_version_is_refused(saved: Path, tmp_path: Path) -> None:
    for read in (recipe_of, content_hash, lambda path: load_policy(path, CAR)):
        with pytest.raises(UserError, match=r"notes no recipe, because an earlier version .*train it again$"):
            read(changed(saved, tmp_path, MEMBER, None))


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    for read in (recipe_of, content_hash, lambda path: load_policy(path, CAR)):
        with pytest.raises(MissingError, match=r"none.keras does not exist"):
            read(tmp_path / "none.keras")


def test_files_that_are_not_policies_are_refused_in_one_line(saved: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.keras"
    text.write_text("no model")
    half = tmp_path / "half.keras"
    half.write_bytes(saved.read_bytes()[:-200])
    other = tmp_path / "other.keras"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    for path in (text, half, other):
        with pytest.raises(UserError, match=r"is not a policy \(.*\); train it again$") as raised:
            load_policy(path, CAR)
        assert "\n" not in str(raised.value)
        assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 20_000,
        b'{"seed": 0}',
        b" " * 70_000 + b"{}",
        b"\xff",
        b'{"environment": 3}',
    ],
)
def test_damaged_notes_are_refused_in_one_line(saved: Path, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UserError, match=r"changed.keras is not a policy \(.*\); train it again$") as raised:
        recipe_of(changed(saved, tmp_path, MEMBER, content))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "entry",
    [
        {"quantile": 0},
        {"quantile": 2},
        {"quantile": True},
        {"quantile": float("nan")},
        {"quantile": "1"},
        {"seed": -1},
        {"seed": 0.5},
        {"family": "forest"},
        {"training": []},
        {"training": {"hidden_units": [20] * 17}},
        {"training": {"hidden_units": [65_537]}},
        {"training": {"hidden_units": "20"}},
        {"training": {"max_epochs": -1}},
        {"training": {"os.system": "true"}},
    ],
)
def test_impossible_notes_are_refused_in_one_line(saved: Path, tmp_path: Path, entry: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"changed.keras is not a policy \(.*\); train it again$") as raised:
        load_policy(noted(saved, tmp_path, **entry), CAR)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("units", [[5], [5, 7], [5, 6, 7], [65_536] * 16])
def test_a_note_of_other_layers_is_refused_before_anything_large_is_read(
    saved: Path, tmp_path: Path, units: list[int]
) -> None:
    path = noted(saved, tmp_path, training={"hidden_units": units})
    problem = r"is not a policy .*(its weights have .* bytes, not|weights between the hidden layers)"
    with pytest.raises(UserError, match=problem):
        load_policy(path, CAR)


def test_weights_that_do_not_fit_the_note_are_refused(saved: Path, tmp_path: Path) -> None:
    """Weights of the same size at other paths are refused, or layers would keep random weights."""
    units = PerceptronTraining((6, 5))
    save_policy(tmp_path / "two.keras", STEERED, policy_of(STEERED, units))
    with zipfile.ZipFile(tmp_path / "two.keras") as archive:
        weights = archive.read("model.weights.h5")
    with pytest.raises(UserError, match="is not a policy for MountainCar-v0"):
        load_policy(changed(saved, tmp_path, "model.weights.h5", weights), CAR)
    with pytest.raises(UserError, match="is not a policy for MountainCar-v0"):
        load_policy(changed(saved, tmp_path, "model.weights.h5", b"no weights"), CAR)


@pytest.mark.parametrize("elsewhere", ["link", "external", "virtual"])
def test_weights_in_other_files_are_not_read(saved: Path, tmp_path: Path, elsewhere: str) -> None:
    with zipfile.ZipFile(saved) as archive:
        (tmp_path / "own.h5").write_bytes(archive.read("model.weights.h5"))
    secret = tmp_path / "secret"
    np.zeros((2, 5), dtype=np.float32).tofile(secret)
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["kernel"] = np.zeros((2, 5), dtype=np.float32)
    with h5py.File(tmp_path / "own.h5", "a") as file:
        place = file["layers/dense/vars"]
        del place["0"]
        if elsewhere == "link":
            place["0"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "kernel")
        elif elsewhere == "external":
            place.create_dataset("0", (2, 5), np.float32, external=[(str(secret), 0, 40)])
        else:
            layout = h5py.VirtualLayout((2, 5), np.float32)
            layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "kernel", (2, 5))
            place.create_virtual_dataset("0", layout)
    changed_file = changed(saved, tmp_path, "model.weights.h5", (tmp_path / "own.h5").read_bytes())
    with pytest.raises(UserError, match="is not a policy for MountainCar-v0"):
        load_policy(changed_file, CAR)


@pytest.mark.parametrize("way", ["chunked", "deflated", "twice", "words", "whole numbers", "half precision"])
def test_weights_are_as_keras_writes_them(saved: Path, tmp_path: Path, way: str) -> None:
    """Chunks, filters and words of any length let a small file claim gigabytes."""
    with zipfile.ZipFile(saved) as archive:
        (tmp_path / "own.h5").write_bytes(archive.read("model.weights.h5"))
    with h5py.File(tmp_path / "own.h5", "a") as file:
        place = file["layers/dense/vars"]
        kernel = place["0"][()]
        del place["0"]
        if way == "chunked":
            place.create_dataset("0", data=kernel, chunks=True)
        elif way == "deflated":
            place.create_dataset("0", data=kernel, compression="gzip")
        elif way == "twice":
            place["0"] = place["1"]
        elif way == "words":
            place["0"] = ["word"] * len(kernel)
        else:
            place["0"] = kernel.astype("i4" if way == "whole numbers" else "f2")
    path = changed(saved, tmp_path, "model.weights.h5", (tmp_path / "own.h5").read_bytes())
    with pytest.raises(UserError, match="is not a policy for MountainCar-v0"):
        load_policy(path, CAR)
    if way != "twice":
        with pytest.raises(UserError, match="is not a policy "):
            content_hash(path)


def test_large_arrays_that_do_not_fit_the_note_are_refused_before_they_are_read(saved: Path, tmp_path: Path) -> None:
    size = 2**23
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file["layers/dense/vars/9"] = np.zeros(size, dtype=np.uint8).view(np.float32)
    path = changed(saved, tmp_path, "model.weights.h5", (tmp_path / "own.h5").read_bytes())
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=f"its weights have {size} bytes, not"):
            load_policy(path, CAR)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The file's bytes, and not the array's.
    assert size < peak < 1.5 * size


@pytest.mark.parametrize("environment", [CAR, STEERED, PICTURES])
def test_members_are_those_that_keras_writes(environment: EnvironmentDefinition, tmp_path: Path) -> None:
    training = training_of(environment, {})
    scaling = "none" if environment is PICTURES else "standard"
    ours = keras_files._members_of_model.__wrapped__(environment, training, scaling)
    keras.utils.set_random_seed(0)
    model = family_of(environment).build_model(environment, training, scaling)
    model.save(tmp_path / "theirs.keras")
    with zipfile.ZipFile(tmp_path / "theirs.keras") as archive:
        theirs = {name: archive.read(name) for name in archive.namelist()}
    assert list(ours) == list(theirs)

    def without_numbers(entries: dict[str, Any]) -> dict[str, Any]:
        """Leave out the numbers that Keras gives to objects which occur twice."""
        return {name: value for name, value in entries.items() if name != "shared_object_id"}

    def described(members: Mapping[str, bytes]) -> dict[str, Any]:
        config = json.loads(members["config.json"], object_hook=without_numbers)
        about = json.loads(members["metadata.json"])
        about["date_saved"] = re.sub(r"\d", "0", about["date_saved"])
        # Keras counts models in their names.
        found = {"config": {**config, "config": {**config["config"], "name": ""}}, "about": about}
        with h5py.File(io.BytesIO(members["model.weights.h5"]), "r") as file:

            def note(path: str, item: Any) -> None:
                attributes = dict(item.attrs) if path != "vars" else [*item.attrs]
                found[path] = (attributes, getattr(item, "shape", None), getattr(item, "dtype", None))

            file.visititems(note)
        return found

    assert described(ours) == described(theirs)


def test_a_policy_is_saved_without_temporary_files_memory_or_a_clock(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras writes HDF5 to a file where memory is scarce; archives have no times before 1980."""
    policy, start = load_policy(saved, CAR), time.gmtime(0)
    monkeypatch.setattr(time, "localtime", lambda *_: start)
    monkeypatch.setattr("keras.src.saving.saving_lib.is_memory_sufficient", lambda _: False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    keras_files._members_of_model.cache_clear()
    save_policy(tmp_path / "car.keras", CAR, policy, {"command": "by hand"})
    assert keras_files._members_of_model.cache_info().misses == 1
    assert content_hash(tmp_path / "car.keras") == content_hash(saved)


def test_members_are_stored_and_there_once(saved: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    for content in (zip_bytes(members), zip_bytes([*members, members[0]], zipfile.ZIP_STORED)):
        (tmp_path / "other.keras").write_bytes(content)
        for read in (recipe_of, content_hash, lambda path: load_policy(path, CAR)):
            with pytest.raises(UserError, match=r"is not a policy \(it (is compressed|has a member twice)"):
                read(tmp_path / "other.keras")
    os.mkfifo(tmp_path / "pipe.keras")
    for path in (tmp_path, tmp_path / "pipe.keras"):
        with pytest.raises(UserError, match="not a regular file"):
            recipe_of(path)


def test_policies_are_read_and_act_without_tensorflow(saved: Path) -> None:
    code = (
        "import sys, numpy as np\n"
        "from quantilizers import Quantilizer\n"
        "print(Quantilizer.load(sys.argv[1:], 'MountainCar-v0').predict(np.zeros((3, 2))).shape)\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(saved)], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "(3,)"


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    policy = policy_of(CAR, PerceptronTraining())
    policy.weights[2][0, 0] = np.nan
    save_policy(tmp_path / "nan.keras", CAR, policy)
    with pytest.raises(UserError, match=r"nan.keras is not a policy .*NaN or infinity"):
        load_policy(tmp_path / "nan.keras", CAR)


def test_a_policy_of_another_environment_is_refused_by_name(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a multilayer perceptron policy for MountainCar-v0, not a policy"):
        load_policy(saved, STEERED)
    save_policy(tmp_path / "pictures.keras", PICTURES, policy_of(PICTURES, ConvolutionalTraining()))
    other = replace(PICTURES, spaces=(PICTURES.observation_space, Discrete(2)))
    with pytest.raises(UserError, match=r"is not a policy for Pictures-v0 .*train it again"):
        load_policy(tmp_path / "pictures.keras", other)
    with pytest.raises(UserError, match="a convolutional policy for Pictures-v0, not"):
        other = replace(PICTURES, experiment=Experiment(policy="multilayer_perceptron"))
        load_policy(tmp_path / "pictures.keras", other)


def test_shapes_are_known_without_building_a_model() -> None:
    for environment in (PICTURES, replace(PICTURES, spaces=(Box(0, 255, (40, 50, 3), np.uint8), Discrete(3)))):
        model = convolutional.build_model(environment)
        assert convolutional.weight_shapes(environment) == [array.shape for array in model.get_weights()]


def test_the_treatment_comes_back_and_files_of_before_have_the_reference_s(saved: Path, tmp_path: Path) -> None:
    treated = replace(
        load_policy(saved, CAR), selecting=SelectionSettings(select="random", subset=3, weight="episodes")
    )
    save_policy(tmp_path / "treated.keras", CAR, treated)
    assert recipe_of(tmp_path / "treated.keras").entries["treatment"] == asdict(treated.selecting)
    assert load_policy(tmp_path / "treated.keras", CAR).selecting == treated.selecting
    noted = {"select": "best"}, {"colour": "red"}, ["top"]
    for name, selecting in zip(("unknown", "other", "list", "before"), (*noted, None), strict=True):
        note = dict(recipe_of(saved).entries)
        note.pop("treatment")
        note |= {} if selecting is None else {"treatment": selecting}
        path = tmp_path / f"{name}.keras"
        with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
            for member in old.namelist():
                new.writestr(member, json.dumps(note) if member == MEMBER else old.read(member))
        if selecting is None:
            assert load_policy(path, CAR).selecting == SelectionSettings()
        else:
            with pytest.raises(UserError, match="is not a policy"):
                load_policy(path, CAR)
