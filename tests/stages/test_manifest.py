from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import quantilizer
from quantilizers.errors import UserError
from quantilizers.files import sha256_of
from quantilizers.stages import analysing
from quantilizers.stages import manifest as manifest_module
from quantilizers.stages.manifest import Manifest
from support import files_of

Run = Callable[..., tuple[int, str, str]]
INSPECT = ("--do", "inspect", "--dataset_name", "small")


def manifests(log: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((log / "runs").glob("*.json"))]


def test_a_run_says_what_was_asked_with_what_it_was_done_and_how_it_ended(run: Run, log: Path) -> None:
    for _ in range(2):
        assert run(*INSPECT)[0] == 0
    first, second = manifests(log)
    assert first["process"] == second["process"], "runs of one process have files of their own"
    assert first["outcome"] == "finished"
    assert first["began"] < first["ended"]
    assert first["command"] == ["python", "quantilizer.py", "--log_dir", str(log), *INSPECT]
    assert (first["stages"], first["dataset"]) == (["inspect"], "small")
    assert first["data_sha256"] == sha256_of(log / "MountainCar-v0" / "small.npz")
    assert first["versions"].keys() >= {"python", "quantilizers", "numpy"}
    assert first["machine"]["cores"] >= 1
    ((name, seconds),) = [(stage["stage"], stage["seconds"]) for stage in first["stages_done"]]
    assert name == "inspect"
    assert seconds > 0


def test_units_are_noted_with_the_hash_of_their_file_while_the_run_goes_on(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "runs", {})
    with manifest.kept(), manifest.stage("train"):
        (running,) = manifests(tmp_path)
        assert (running["outcome"], running["done"]) == ("running", [])
        (tmp_path / "policy.keras").write_bytes(b"weights")
        manifest.done(tmp_path / "policy.keras", quantile=0.5, seed=3)
        ((noted,),) = [content["done"] for content in manifests(tmp_path)]
    assert (noted["stage"], noted["quantile"], noted["seed"]) == ("train", 0.5, 3)
    assert noted["sha256"] == sha256_of(tmp_path / "policy.keras")
    assert manifests(tmp_path)[0]["outcome"] == "finished"


def test_many_units_are_noted_seldom_and_all_of_them_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_module, "SECONDS_BETWEEN_NOTES", 60.0)
    manifest = Manifest(tmp_path / "runs", {})
    (tmp_path / "policy.keras").write_bytes(b"weights")
    with manifest.kept():
        for seed in range(5):
            manifest.done(tmp_path / "policy.keras", seed=seed)
        assert len(manifests(tmp_path)[0]["done"]) == 1
    assert [noted["seed"] for noted in manifests(tmp_path)[0]["done"]] == [0, 1, 2, 3, 4]


def test_what_was_there_before_the_run_is_not_done_by_it(tmp_path: Path) -> None:
    import os

    old = tmp_path / "old.npz"
    old.write_bytes(b"")
    os.utime(old, (1e9, 1e9))
    manifest = Manifest(tmp_path / "runs", {})
    with manifest.kept():
        manifest.done(old)
    assert manifests(tmp_path)[0]["done"] == []


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(UserError("no more"), "refused"), (KeyboardInterrupt(), "interrupted"), (ZeroDivisionError("x"), "failed")],
)
def test_how_a_run_ended_is_noted(error: BaseException, outcome: str, tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "runs", {})
    with pytest.raises(type(error)), manifest.kept():
        with manifest.stage("train"):
            pass
        raise error
    (content,) = manifests(tmp_path)
    assert content["outcome"] == outcome
    assert str(error) in (content["message"] or "")


def test_a_run_that_is_refused_before_it_has_done_anything_leaves_nothing(
    run: Run, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise UserError("no such thing")

    before = files_of(log)
    monkeypatch.setattr(analysing, "inspect", refuse)
    assert run(*INSPECT)[0] == 2
    assert run("--do", "inspect", "--dataset_name", "none")[0] == 2
    assert files_of(log) == before


def test_an_interrupted_run_says_how_it_goes_on(run: Run, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(analysing, "inspect", interrupt)
    code, _, err = run(*INSPECT, "--path", "a b")
    assert code == 130
    again = f"python quantilizer.py --log_dir {log} --do inspect --dataset_name small --path 'a b'"
    assert err.endswith(f"quantilizer.py: interrupted; go on with: {again}\n")
    assert manifests(log)[0]["outcome"] == "interrupted"
    assert quantilizer.PROGRAM == "quantilizer.py"


def test_seconds_are_right_where_the_clock_is_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = Manifest(tmp_path)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 86_400)
    with manifest.kept(), manifest.stage("train"):
        pass
    assert manifest.path is not None
    (stage,) = json.loads(manifest.path.read_text())["stages_done"]
    assert 0 <= stage["seconds"] < 60
