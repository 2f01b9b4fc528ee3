"""Damaged and hostile files of every kind: read rightly, or refused in one line; nothing written, nothing run.

The normal tests look at some dozens of each kind, which are the same every time. `-m slow` looks at thousands, other
ones every time unless ROBUSTNESS_SEED is set; DAMAGED_FILES=10000 at ten thousand of each, and DAMAGED_MINUTES limits
the time that a kind takes.
"""

from __future__ import annotations

import io
import json
import os
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import h5py
import keras
import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from damage import (
    Draw,
    damaged_array,
    damaged_bytes,
    damaged_inside,
    damaged_json,
    damaged_members,
    damaged_npz,
    npy_bytes,
    zip_bytes,
)
from evaluation.test_results import TRAINED
from evaluation.test_results import make as make_results
from optimisers.jobs_for_tests import job, optimise_all
from optimisers.test_paths import path_of
from quantilizers.arrays import load_arrays
from quantilizers.datasets.bringing_in import install, read_source
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.fields import Wanted
from quantilizers.datasets.formats import read_recording
from quantilizers.datasets.minari_bridge import export_dataset, import_dataset
from quantilizers.datasets.summary import dataset_title, summarise
from quantilizers.demonstrations.frame_stacks import FrameStacks, open_frames, write_frames
from quantilizers.envs.making import make_environment
from quantilizers.envs.mountain_car import advance
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.envs.video_pinball.rollover_lane import AREAS_PATH, RolloverLane
from quantilizers.errors import UserError
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.evaluation.results import load_all_results, load_results
from quantilizers.files import sha256_of
from quantilizers.layout import Layout, shipped_log
from quantilizers.optimisers.agents import load_agent
from quantilizers.optimisers.measurements import is_measured, load_measurement
from quantilizers.optimisers.paths import load_path_of
from quantilizers.optimisers.sarsa_and_q_learning import LinearLearners
from quantilizers.policies import convolutional
from quantilizers.policies.hyper_parameters import ConvolutionalTraining, PerceptronTraining
from quantilizers.policies.keras_files import MEMBER, load_policy, recipe_of, save_policy
from quantilizers.policies.policy import TrainedPolicy, family_of
from quantilizers.recipe import Recipe
from quantilizers.stages import comparing_imitators, resampling, studying
from quantilizers.stages.finished import record_difference
from quantilizers.stages.reporting import study_tables_of
from quantilizers.stages.run import Run
from quantilizers.stages.settings import Settings
from quantilizers.stages.study_files import softer_arms
from quantilizers.studies import imitators
from quantilizers.studies.base_distribution import BaseDistribution
from recordings import record_game, screen_path, trajectory_path
from robustness_settings import DAMAGED_FILES, MINUTES, QUICK, SEED, THOROUGH
from watching import bounded_memory, nothing_written_nothing_run

with suppress(ModuleNotFoundError):
    import polars  # noqa: F401 - a damaged file may look like a table, and importing sets variables

CAR = load_environment("MountainCar-v0")
#: Draws a damaged file and reads it; gives whether it was read.
Reader = Callable[[Draw], bool]

#: How many files the slow tests look at.
MAIN, OTHER = (DAMAGED_FILES or number for number in (2_500, 500))
#: The most that memory may grow by while they do.
MORE_MEMORY = 400 * 2**20
#: And how many in one run of Hypothesis.
AT_ONCE = 250


def refused(read: Callable[[], Any], allowed: Path | None = None) -> bool:
    """Read a file; return whether it was refused, and fail if that took more than one line."""
    with nothing_written_nothing_run(allowed), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            read()
        except UserError as error:
            message = str(error)
            assert message.isprintable(), repr(message)
            assert len(message) < 2000, message[:300]
            return True
    return False


def same(path: Path, original: Mapping[str, np.ndarray]) -> None:
    """Fail if an array of a file differs from what was once written."""
    for key, array in load_arrays(path, []).items():
        assert array.dtype == original[key].dtype
        np.testing.assert_array_equal(array, original[key])


# Demonstrations ----------------------------------------------------------------------------------------------------


def demonstrations_reader(folder: Path) -> Reader:
    whole = {name: (shipped_log() / name / "demo.npz").read_bytes() for name in environment_names()}
    arrays = {name: load_arrays(shipped_log() / name / "demo.npz", []) for name in whole}
    # Hopper's file is large; a part of it is damaged in the same ways.
    name = "Hopper-v2"
    arrays[name] = {
        key: array[:10, :50] if array.shape[1:2] == (1000,) else array[:10] for key, array in arrays[name].items()
    }
    arrays[name]["ep_rets"] = arrays[name]["rews"].sum(axis=1, dtype=np.float64)
    whole[name] = zip_bytes([(f"{key}.npy", npy_bytes(array)) for key, array in arrays[name].items()])
    # Whole files are read first, which loads everything that an environment needs.
    for name, data in whole.items():
        layout = Layout(folder, name, "whole")
        layout.data.parent.mkdir()
        layout.data.write_bytes(data)
        summarise(Demonstrations.find(layout, load_environment(name)))
        make_environment(load_environment(name)).close()

    def read(draw: Draw) -> bool:
        name = draw(st.sampled_from(environment_names()))
        data, guarded = draw(damaged_npz(whole[name], arrays[name]))
        layout = Layout(folder, name, "damaged")
        layout.data.parent.mkdir(exist_ok=True)
        layout.data.write_bytes(data)

        def look() -> None:
            found = Demonstrations.find(layout, load_environment(name))
            summary = summarise(found)
            assert np.isfinite([*summary.true_returns, *summary.proxy_returns]).all()
            assert summary.selection(0.5).number == max(1, found.number // 2)
            top = found.top(0.25)
            assert top.episodes.observations.dtype.isnative
            dataset_title(layout)
            if guarded:
                same(layout.data, arrays[name])

        return not refused(look)

    return read


# Results -----------------------------------------------------------------------------------------------------------


def results_reader(folder: Path) -> Reader:
    path = folder / "results.npz"
    make_results(provenance=TRAINED).save(path)
    whole, arrays = path.read_bytes(), load_arrays(path, [])
    notes = {key: json.loads(str(arrays[key])) for key in ("options", "provenance")}

    def read(draw: Draw) -> bool:
        guarded = False
        if draw(st.integers(0, 4)):
            data, guarded = draw(damaged_npz(whole, arrays))
            path.write_bytes(data)
        else:
            key = draw(st.sampled_from(list(notes)))
            text = draw(damaged_json(notes[key])).decode("utf-8", "replace")
            members = {**arrays, key: np.array(text)}
            path.write_bytes(zip_bytes([(f"{name}.npy", npy_bytes(array)) for name, array in members.items()]))

        def look() -> None:
            load_results(path)
            (found,) = load_all_results([path], "MountainCar-v0", [1.0, 0.5])
            assert np.isfinite(found.true_returns).all()
            assert (found.lengths >= 1).all()
            assert found.recipe.text
            str(mean_interval(found.true_returns))
            if guarded:
                same(path, arrays)

        return not refused(look)

    return read


# Policies ----------------------------------------------------------------------------------------------------------


def policies_reader(folder: Path) -> Reader:
    keras.utils.set_random_seed(0)
    training = PerceptronTraining()
    weights = family_of(CAR).build_model(CAR, training).get_weights()
    original, path = folder / "original.keras", folder / "damaged.keras"
    save_policy(original, CAR, TrainedPolicy(0.25, 3, weights, training, data="0123"))
    whole = original.read_bytes()
    with zipfile.ZipFile(original) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    note = dict(recipe_of(original).entries)

    def changed(name: str, content: bytes) -> bytes:
        replaced = [(one, content if one == name else of_one) for one, of_one in members]
        return zip_bytes(replaced, zipfile.ZIP_STORED)

    def read(draw: Draw) -> bool:
        way = draw(st.integers(0, 4))
        if way == 0:
            data = draw(damaged_bytes(whole))
        elif way == 1:
            data = zip_bytes(draw(damaged_members(members)), zipfile.ZIP_STORED)
        elif way == 2:
            data = changed(MEMBER, draw(damaged_json(note)))
        else:
            # With the right checksum, or the reader of HDF5 would not see it.
            name = draw(st.sampled_from([name for name, _ in members if name != MEMBER]))
            data = changed(name, draw(damaged_bytes(dict(members)[name])))
        path.write_bytes(data)

        def look() -> None:
            policy = load_policy(path, CAR)
            assert [array.shape for array in policy.weights] == [array.shape for array in weights]
            assert all(np.isfinite(array).all() for array in policy.weights)
            if way == 0:
                for array, expected in zip(policy.weights, weights, strict=True):
                    np.testing.assert_array_equal(array, expected)

        return not refused(look)

    return read


# Archives and arrays of people's play ------------------------------------------------------------------------------


def archives_reader(folder: Path) -> Reader:
    inside = {}
    for name, rows in (("MountainCar-v0", 10), ("VideoPinballNoFrameskip-v4", 5)):
        arrays = load_arrays(shipped_log() / name / "demo.npz", [])
        small = {key: array[:rows] for key, array in arrays.items()}
        inside[f"paper/{name}/people.npz"] = (
            zip_bytes([(f"{key}.npy", npy_bytes(one)) for key, one in small.items()]),
            small,
        )
    members = [("README.txt", b"people's play"), *((name, data) for name, (data, _) in inside.items())]
    whole = zip_bytes(members)
    number = iter(range(10**9))

    def read(draw: Draw) -> bool:
        way = draw(st.integers(0, 4))
        if way == 0:
            data = draw(damaged_bytes(whole))
        elif way == 1:
            data = zip_bytes(draw(damaged_members(members)))
        elif way == 2:
            data = draw(damaged_bytes(zip_bytes(draw(damaged_members(members)))))
        else:
            name = draw(st.sampled_from(list(inside)))
            damaged, _ = draw(damaged_npz(*inside[name]))
            data = zip_bytes([(one, damaged if one == name else content) for one, content in members])
        place = folder / str(next(number))
        (place / "unpacked").mkdir(parents=True)
        archive, log = place / "damaged.zip", place / "log"
        archive.write_bytes(data)

        def look() -> None:
            for target in install(read_source(archive, place / "unpacked"), log):
                assert target.parent.parent == log
                found = Demonstrations.load(target, target.parent.name)
                assert np.isfinite(found.proxy_returns).all()

        was_refused = refused(look, allowed=place)
        if was_refused:
            assert not log.exists()
        return not was_refused

    return read


def recorded_play(episodes: int = 3, steps: int = 130) -> np.ndarray:
    """Play of Mountain Car as one repository has it: position and velocity after each action, and the action."""
    generator = np.random.default_rng(0)
    position, velocity = generator.uniform(-0.6, -0.4, episodes), np.zeros(episodes)
    rows = []
    for _ in range(steps):
        actions = generator.integers(3, size=episodes)
        position, velocity = advance(position, velocity, actions)
        rows.append(np.stack([position, velocity, actions], axis=-1))
    return np.stack(rows, axis=1)


def pictures_reader(folder: Path) -> Reader:
    """The three kinds of `.npy`: pictures of the lane, people's play, cached frames."""
    frames_path, path = folder / "frames.npy", folder / "damaged.npy"
    frames = np.arange(6 * 4 * 5, dtype=np.uint8).reshape(6, 4, 5)
    write_frames(frames_path, frames.shape, frames, lambda: np.arange(2))
    files = {
        "lane": (AREAS_PATH.read_bytes(), np.load(AREAS_PATH)),
        "play": (npy_bytes(recorded_play()), recorded_play()),
        "frames": (frames_path.read_bytes(), frames),
    }

    def look(kind: str) -> None:
        if kind == "lane":
            RolloverLane.load(path)(np.zeros((2, 84, 84), dtype=np.uint8))
        elif kind == "play":
            for arrival in read_source(path, folder):
                assert np.isfinite(arrival.demonstrations.proxy_returns).all()
        else:
            found = open_frames(path, frames.shape)
            if found is None:
                raise UserError("it is made anew")
            shown = FrameStacks([found[0]], 6, 4)[np.array([0]), np.array([5])]
            np.testing.assert_array_equal(shown[0], frames[2:6])

    def read(draw: Draw) -> bool:
        kind = draw(st.sampled_from(list(files)))
        data, array = files[kind]
        damaged = draw(st.sampled_from((damaged_bytes(data), damaged_array(array))))
        path.write_bytes(draw(damaged))
        return not refused(lambda: look(kind))

    return read


# Recordings of the Atari Grand Challenge ---------------------------------------------------------------------------


def recordings_reader(folder: Path) -> Reader:
    pinball = load_environment("VideoPinballNoFrameskip-v4")
    data, cache = folder / "recordings", folder / "cache"
    for number in (1, 2):
        record_game(data, number, [0, 1, 3, 4] * 8)
    originals = {path: path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}
    texts = [trajectory_path(data, number) for number in (1, 2)]
    screens = [screen_path(data, 1, frame) for frame in (0, 3, 4, 31)]
    lines = st.sampled_from(
        (
            "", ",,,,", "nan,nan,nan,nan,nan", "1e300,1e300,0,0,0", "9" * 5000, "0,0,0,1,99", "-1,0,0,0,-7",
            "frame,reward,score,terminal,action", "0x10,0,0,0,0", "#", "0,0,0,0,0.5", "9223372036854775807,0,0,0,0",
            "1,2,3", "0;0;0;0;0", "\ufeff", "0,1e39,0,0,0",
        )
    )  # fmt: skip

    def read(draw: Draw) -> bool:
        assert pinball.recordings.load_folder is not None
        if draw(st.booleans()):
            path = draw(st.sampled_from(texts))
            rows = originals[path].decode().splitlines()
            if draw(st.booleans()):
                place = draw(st.integers(0, len(rows) - 1))
                rows[place : place + draw(st.integers(0, 2))] = draw(st.lists(lines, min_size=1, max_size=3))
                damaged = "\n".join(rows).encode()
            else:
                damaged = draw(damaged_bytes(originals[path]))
        else:
            path = draw(st.sampled_from(screens))
            damaged = draw(damaged_bytes(originals[path]))
        path.write_bytes(damaged)

        def look() -> None:
            episodes = pinball.recordings.load_folder(data, cache)
            assert np.isfinite(episodes.true_returns).all()
            shown = episodes.observations[np.array([0]), np.array([0])]
            assert shown.shape[1:] == pinball.observation_shape

        try:
            return not refused(look, allowed=cache)
        finally:
            path.write_bytes(originals[path])

    return read


# Optimisers' agents and what they earned, checkpoints --------------------------------------------------------------


def agents_reader(folder: Path) -> Reader:
    wanted = job(folder)
    optimise_all([wanted])
    whole, arrays = wanted.agent.read_bytes(), load_arrays(wanted.agent, [])

    def read(draw: Draw) -> bool:
        data, _ = draw(damaged_npz(whole, arrays))
        wanted.agent.write_bytes(data)

        def look() -> None:
            agent = load_agent(wanted)
            learners = LinearLearners([wanted], CAR)
            learners.restore()
            assert np.isfinite(learners.weights).all()
            if agent is not None:
                assert len(agent.curve.steps) == len(agent.curve.true_returns)

        return not refused(look)

    return read


def measurements_reader(folder: Path) -> Reader:
    layout = Layout(folder, "MountainCar-v0", "demo")
    wanted = job(folder)
    optimise_all([wanted])
    path = layout.optimiser_rewards(0)
    path.parent.mkdir()
    whole, arrays = wanted.rewards.read_bytes(), load_arrays(wanted.rewards, [])
    assert str(arrays["agent"]) == sha256_of(wanted.agent)

    def read(draw: Draw) -> bool:
        data, _ = draw(damaged_npz(whole, arrays))
        path.write_bytes(data)
        wanted.rewards.write_bytes(data)

        def look() -> None:
            is_measured(wanted)
            measured = load_measurement(layout, [0], "")
            assert measured is not None
            assert np.isfinite(measured.true_returns).all()

        return not refused(look)

    return read


def checkpoints_reader(folder: Path) -> Reader:
    from policies.test_keras_files import PICTURES

    cloning = convolutional.CloningRun(PICTURES, 0, ConvolutionalTraining(steps=3))
    cloning.curves = {"loss/train": [(0, 1.0), (1, 0.5)]}
    path, recipe = folder / "policy.checkpoint.npz", Recipe({"data": "0123"})
    cloning.save_checkpoint(path, recipe)
    whole, arrays = path.read_bytes(), load_arrays(path, [])
    small = {key: array for key, array in arrays.items() if array.size < 10_000}

    def read(draw: Draw) -> bool:
        if draw(st.booleans()):
            path.write_bytes(draw(damaged_bytes(whole)))
        else:
            key = draw(st.sampled_from(list(small)))
            members = [(f"{name}.npy", npy_bytes(array)) for name, array in arrays.items() if name != key]
            path.write_bytes(zip_bytes([*members, (f"{key}.npy", draw(damaged_array(small[key])))], zipfile.ZIP_STORED))

        def look() -> None:
            cloning.step, cloning.curves = 0, {}
            cloning.resume_from(path, recipe)
            assert 0 <= cloning.step <= 3
            assert all(np.isfinite(np.asarray(variable)).all() for variable in cloning._variables)

        return not refused(look)

    return read


# Studies and comparisons of imitators -------------------------------------------------------------------------------


def studies_reader(folder: Path) -> Reader:
    """The two kinds of JSON that studies leave behind, read by plot, report, study and imitators."""
    layout = Layout(folder, CAR.name, "people")
    played = Demonstrations.load("lets-do-irl", CAR).select(slice(0, 8))
    players = np.array([f"player {episode % 4}" for episode in range(8)])
    replace(played.episodes, extras={"player": players}).save(layout.data)
    training = {"max_epochs": 1, "hidden_units": ()}
    methods = ("quantile", "exponential")
    wanted = Settings(CAR, layout, (1.0, 0.5), range(2), 3, 30, subsets=2, methods=methods, wanted_training=training)
    demonstrations = Demonstrations.find(layout, CAR)
    with (
        patch.object(imitators, "HISTORIES", (0,)),
        patch.object(imitators, "HIDDEN_UNITS", ((4,),)),
        patch.object(imitators, "MAX_EPOCHS", (1,)),
    ):
        studying.run(Run(wanted))
        comparing_imitators.run(Run(wanted))
    paths = (layout.study, layout.imitators)
    originals = {path: path.read_bytes() for path in paths}
    whole = {path: json.loads(data) for path, data in originals.items()}
    assert softer_arms(wanted, demonstrations)
    assert study_tables_of(wanted)[0]
    # Whole files have these settings; other settings are a difference.
    assert not any(record_difference(path, wanted) for path in paths)
    other = replace(wanted, max_steps=31)
    assert all("max_steps 30, not 31" in record_difference(path, other) for path in paths)

    def read(draw: Draw) -> bool:
        path = draw(st.sampled_from(paths))
        damaged = draw(st.sampled_from((damaged_inside, damaged_inside, damaged_json)))
        path.write_bytes(draw(damaged(whole[path])))

        def look() -> None:
            if path == layout.study:
                for agent in softer_arms(wanted, demonstrations):
                    assert np.isfinite([agent.true.estimate, agent.proxy.estimate, agent.pressure]).all()
                tables, _, _ = study_tables_of(wanted)
                assert all(cell.isprintable() for table in tables for row in table.rows for cell in row)
            if difference := record_difference(path, wanted):
                raise UserError(difference)

        try:
            return not refused(look)
        finally:
            path.write_bytes(originals[path])

    return read


def players_reader(folder: Path) -> Reader:
    """The result of a study with players drawn with replacement, which is read before another one replaces it."""
    layout = Layout(folder, CAR.name, "people")
    played = Demonstrations.load("lets-do-irl", CAR).select(slice(0, 8))
    for name, number in (("people", 4), ("many", 8)):
        players = np.array([f"player {episode % number}" for episode in range(8)])
        replace(played.episodes, extras={"player": players}).save(layout.data.with_stem(name))
    wanted = Settings(
        CAR, layout, (1.0, 0.5), range(2), 3, 30, subsets=2, wanted_training={"max_epochs": 1, "hidden_units": ()},
        resample="players", resamples=2, players_from="many",
    )  # fmt: skip
    studying.run(Run(wanted))
    path = layout.study.with_stem(f"{layout.study.stem}_players")
    whole = json.loads(path.read_bytes())
    resampling.check(wanted)
    with pytest.raises(UserError, match="was made with --players_from many, and this run is without --players_from"):
        resampling.check(replace(wanted, players_from=None))

    def read(draw: Draw) -> bool:
        if draw(st.booleans()):
            # The entries that are compared.
            inside = json.loads(draw(damaged_inside(whole["settings"])))
            path.write_text(json.dumps({**whole, "settings": inside}))
        else:
            damaged = draw(st.sampled_from((damaged_inside, damaged_json)))
            path.write_bytes(draw(damaged(whole)))
        return not refused(lambda: resampling.check(wanted))

    return read


# Data of other libraries: HDF5 has no checksums, and metadata are JSON ------------------------------------------------


def small_play() -> Demonstrations:
    return Demonstrations.load("demo").select(slice(0, 3))


def minari_reader(folder: Path) -> Reader:
    pytest.importorskip("minari", reason="Minari is optional: pip install -r requirements-minari.txt")
    name = "people/MountainCar-v0/small-v0"
    place = folder / name / "data"
    with patch.dict(os.environ, {"MINARI_DATASETS_PATH": str(folder)}):
        export_dataset(small_play(), name)
        assert import_dataset(name, CAR).number == 3
    originals = {path: path.read_bytes() for path in (place / "main_data.hdf5", place / "metadata.json")}
    arrays, metadata = originals
    whole = json.loads(originals[metadata])

    def read(draw: Draw) -> bool:
        way = draw(st.integers(0, 3))
        if way < 2:
            path, data = arrays, draw(damaged_bytes(originals[arrays]))
        elif way == 2:
            path, data = metadata, draw(damaged_inside(whole))
        else:
            inner = {**whole, "quantilizers": json.loads(draw(damaged_inside(whole["quantilizers"])))}
            path, data = metadata, json.dumps(inner).encode()
        path.write_bytes(data)

        def look() -> None:
            found = import_dataset(name, CAR)
            assert np.isfinite([*found.true_returns, *found.proxy_returns]).all()

        try:
            with patch.dict(os.environ, {"MINARI_DATASETS_PATH": str(folder)}):
                return not refused(look, allowed=folder)
        finally:
            path.write_bytes(originals[path])

    return read


def hdf5_reader(folder: Path) -> Reader:
    """Steps in one row in packed HDF5, as other libraries write them."""
    play = small_play().episodes
    observations, actions = play.transitions()
    real = ~play.done
    ends = np.concatenate([np.arange(length) == length - 1 for length in play.lengths])
    path, buffer = folder / "MountainCar-v0" / "d4rl.hdf5", io.BytesIO()
    path.parent.mkdir()
    with h5py.File(buffer, "w") as file:
        for name, array in (
            ("observations", observations), ("actions", actions), ("rewards", play.true_rewards[real]),
            ("terminals", ends), ("timeouts", np.zeros(len(ends), bool)),
        ):  # fmt: skip
            file.create_dataset(name, data=array, compression="gzip", chunks=True)
    whole = buffer.getvalue()
    wanted = Wanted(environment=CAR, reward="true")

    def read(draw: Draw) -> bool:
        path.write_bytes(draw(damaged_bytes(whole)))

        def look() -> None:
            found = Demonstrations(read_recording(path, wanted).episodes, CAR)
            assert np.isfinite([*found.true_returns, *found.proxy_returns]).all()

        return not refused(look)

    path.write_bytes(whole)
    assert read_recording(path, wanted).episodes.number == 3
    return read


def paths_reader(folder: Path) -> Reader:
    """The path of an optimiser in JSON, and a base distribution in npz."""
    written, path = path_of(), folder / "path.json"
    written.save(path, {"command": ["python", "quantilizer.py"]})
    base, file = made_distribution(), folder / "base.npz"
    base.save(file)
    whole, content = json.loads(path.read_bytes()), path.read_bytes()
    data, arrays = file.read_bytes(), load_arrays(file, [])

    def read(draw: Draw) -> bool:
        if draw(st.booleans()):
            damaged, guarded = draw(damaged_npz(data, arrays))
            file.write_bytes(damaged)

            def look() -> None:
                found = BaseDistribution.load(file)
                assert np.isfinite([*found.true_returns, *found.proxy_returns]).all()
                assert found.title.isprintable()
                if guarded:
                    same(file, arrays)
        else:
            damage = draw(st.sampled_from((damaged_inside(whole), damaged_json(whole), damaged_bytes(content))))
            path.write_bytes(draw(damage))

            def look() -> None:
                found = load_path_of(path)
                assert found is not None
                assert found.effort_label.isprintable()

        return not refused(look)

    return read


def made_distribution() -> BaseDistribution:
    numbers = np.arange(12)
    return BaseDistribution(
        "MountainCar-v0", -1.0 * numbers, 2.0 * numbers, numbers + 1, numbers % 3, "simulated players", "0", 0, "test"
    )  # fmt: skip


READERS = {
    "demonstrations": (demonstrations_reader, MAIN),
    "results": (results_reader, MAIN),
    "policies": (policies_reader, MAIN),
    "archives": (archives_reader, MAIN),
    "pictures": (pictures_reader, OTHER),
    "recordings": (recordings_reader, OTHER),
    "agents": (agents_reader, OTHER),
    "measurements": (measurements_reader, OTHER),
    "checkpoints": (checkpoints_reader, OTHER),
    "studies": (studies_reader, OTHER),
    "players": (players_reader, OTHER),
    "minari": (minari_reader, OTHER),
    "hdf5": (hdf5_reader, OTHER),
    "paths": (paths_reader, OTHER),
}


def look_at(reader: Reader, how: settings) -> Counter[bool]:
    """Let a reader look at many files until the time is over; return how many were read and how many were not.

    Hypothesis remembers all that it drew until a run of it ends, more than 100 KiB for a file. Thousands of files are
    therefore read in several runs, to measure the memory of the readers alone.
    """
    counts: Counter[bool] = Counter()
    end = time.monotonic() + 60 * MINUTES
    for first in range(0, how.max_examples, AT_ONCE):
        if time.monotonic() > end:
            break

        @seed(SEED + first)
        @settings(how, max_examples=min(AT_ONCE, how.max_examples - first))
        @given(st.data())
        def look(data: Any) -> None:
            counts[reader(data.draw)] += 1

        look()
    return counts


@pytest.mark.parametrize("kind", READERS)
def test_damaged_files_are_read_rightly_or_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    make, _ = READERS[kind]
    counts = look_at(make(tmp_path), QUICK)
    assert counts[False] > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", READERS)
def test_thousands_of_damaged_files(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, number = READERS[kind]
    reader = make(tmp_path)
    look_at(reader, QUICK)
    begun = time.monotonic()
    with bounded_memory(MORE_MEMORY):
        counts = look_at(reader, settings(THOROUGH, max_examples=number))
    with capsys.disabled():
        seconds = time.monotonic() - begun
        print(f"\n{kind}: {counts.total():,} damaged files, {counts[True]:,} read, {counts[False]:,} refused; ", end="")
        print(f"seed {SEED}, {seconds:.0f} s")
    assert counts.total() >= number or seconds > 60 * MINUTES
    assert counts[True] > 0
