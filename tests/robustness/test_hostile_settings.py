"""Hostile configurations and values on the command line: accepted, or refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quantilizer
from damage import damaged_bytes
from robustness_settings import QUICK, THOROUGH
from watching import nothing_written_nothing_run

NUMBERS = (
    "0",
    "-1",
    "1",
    "2",
    "9" * 30,
    "9" * 5000,
    "1e999",
    "nan",
    "inf",
    "-inf",
    "1e-320",
    "0.5",
    "",
    " ",
    "0x10",
    "1_0",
)
WORDS = (
    "demo", "..", "../../etc/passwd", "/etc/passwd", "a" * 300, "\x1b[2J", "two\nlines", "os:system", "x.py", "-", "--",
    "ü", "\udcff", "null", "True", "optimiser_x", "~", "$HOME", "`true`", "train", "mean_seeds", "MountainCar-v0",
)  # fmt: skip
FLAGS = (
    "env_name", "dataset_name", "do", "seed_min", "seed_nb", "number_trajectories", "quantiles", "render", "plotstyle",
    "path", "max_steps", "algorithm", "optimiser_steps", "env_option", "lamb", "acting", "hidden_units", "max_epochs",
    "learning_rate", "batch_size", "subsets", "log_dir", "config",
)  # fmt: skip
VALUES = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(WORDS), st.text(max_size=12), st.integers().map(str))
BOMBS = (
    "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", "quantiles: " + "[" * 20_000, "? " * 9000, "- " * 9000,
    "%TAG ! tag:x\n", "seed_nb: !!python/object/apply:os.system ['true']", "seed_nb: !!int '3'", "\ufeffseed_nb: 3",
    "seed_nb: 3\0", "{" * 9000, "a: " * 5000, "seed_nb: |\n  3\n", "<<: {seed_nb: 3}", "x: " + "'" * 30_000,
    "env_option: {a: {b: 1}}",
)  # fmt: skip


def outcome(words: list[str], capsys: pytest.CaptureFixture[str]) -> int:
    """Run the command line; fail unless it ends well, or with one line."""
    with nothing_written_nothing_run():
        code = quantilizer.main([*words, "--print_config"])
    out, err = capsys.readouterr()
    assert code in (0, 2), (code, err)
    if code == 2:
        assert out == ""
        assert err.count("\n") == 1, err[:600]
        assert err.rstrip("\n").isprintable(), err[:600]
        assert len(err) < 20_000
    return code


def values_on_the_command_line(data: Any, capsys: pytest.CaptureFixture[str], folder: Path) -> int:
    words = []
    for flag in data.draw(st.lists(st.sampled_from(FLAGS), min_size=1, max_size=3)):
        words += [f"--{flag}={data.draw(VALUES)}"]
    return outcome(words, capsys)


def configurations(data: Any, capsys: pytest.CaptureFixture[str], folder: Path) -> int:
    way = data.draw(st.integers(0, 2))
    whole = b"env_name: MountainCar-v0\nquantiles: [1.0, 0.5]\nseed_nb: 3\nenv_option: {}\nhidden_units: [20, 20]\n"
    if way == 0:
        content = data.draw(damaged_bytes(whole))
    elif way == 1:
        content = data.draw(st.sampled_from(BOMBS)).encode("utf-8", "surrogatepass")
    else:
        lines = st.tuples(st.sampled_from(FLAGS), VALUES).map(lambda pair: f"{pair[0]}: {pair[1]}")
        content = "\n".join(data.draw(st.lists(lines, max_size=4))).encode("utf-8", "surrogatepass")
    (folder / "run.yaml").write_bytes(content)
    return outcome(["--config", str(folder / "run.yaml")], capsys)


KINDS = {"values": values_on_the_command_line, "configurations": configurations}


def look_at(kind: str, how: settings, capsys: pytest.CaptureFixture[str], folder: Path) -> list[int]:
    codes: list[int] = []

    @how
    @given(st.data())
    def look(data: Any) -> None:
        codes.append(KINDS[kind](data, capsys, folder))

    look()
    return codes


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_settings_are_refused_in_one_line(
    kind: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert 2 in look_at(kind, QUICK, capsys, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_hostile_settings(kind: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    codes = look_at(kind, settings(THOROUGH, max_examples=1000), capsys, tmp_path)
    with capsys.disabled():
        print(f"\n{kind}: {len(codes):,} looked at, {codes.count(0):,} taken, {codes.count(2):,} refused")
    assert {0, 2} == set(codes)
