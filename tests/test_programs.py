from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import venv
from importlib import metadata
from pathlib import Path

import pytest

import quantilizers.programs
from quantilizers.errors import UserError
from quantilizers.programs import CORE, Parser, call_of, run_program
from quantilizers.versions import __version__
from support import ROOT


def refuse() -> None:
    raise UserError("no such thing; take another")


def interrupt() -> None:
    raise KeyboardInterrupt


def test_the_exit_code_tells_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_program("scripts/thing.py", lambda: None) == 0
    assert run_program("scripts/thing.py", refuse) == 2
    assert capsys.readouterr().err == "thing.py: no such thing; take another\n"
    assert run_program("scripts/thing.py", interrupt) == 130


def test_exhausted_memory_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def exhaust() -> None:
        bytearray(2**62)

    assert run_program("scripts/thing.py", exhaust) == 2
    assert capsys.readouterr().err == "thing.py: memory is exhausted; give this process more, or ask for less at once\n"


@pytest.mark.parametrize("words", [["--out", ""], ["--out="], ["--several", "a", ""], ["-s", "a", "", "b"]])
def test_an_empty_value_of_a_flag_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser("thing.py")
    parser.add_argument("--out", type=Path, default="")
    parser.add_argument("--several", "-s", nargs="+")
    assert run_program("thing.py", lambda: parser.parse_args(words)) == 2
    flag = "--out" if words[0].startswith("--out") else "--several"
    assert capsys.readouterr().err == f"thing.py: argument {flag}: its value is empty; see python thing.py --help\n"
    assert parser.parse_args([]).out == Path()


def test_an_error_of_the_program_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run_program("thing.py", lambda: print(1 / 0))


def test_a_program_is_called_by_its_file_in_the_repository() -> None:
    """And by its command where the package is installed, which tests/test_installation.py shows."""
    assert call_of("python quantilizer.py", "quantilizer") == "python quantilizer.py"


def test_a_wrong_flag_is_refused_and_abbreviations_are_none() -> None:
    parser = Parser("thing.py")
    parser.add_argument("--number", type=int)
    for words in (["--numbr", "3"], ["--num", "3"], ["--number", "three"]):
        with pytest.raises(UserError, match=r"see python thing\.py --help"):
            parser.parse_args(words)


def test_two_dashes_are_no_value() -> None:
    parser = Parser("thing.py")
    parser.add_argument("--number", type=int)
    parser.add_argument("--name")
    for flag in ("--number", "--name"):
        with pytest.raises(UserError, match=f"argument {flag}: '--' is no value"):
            parser.parse_args([f"{flag}=--"])
    assert parser.parse_args(["--name=---"]).name == "---"


def programs() -> list[str]:
    """Every file that people run, relative to the project's folder; `audit.py` is a check without arguments."""
    files = [ROOT / "quantilizer.py", *ROOT.glob("play/*.py"), *ROOT.glob("scripts/**/*.py")]
    run = [path for path in files if path.read_text(encoding="utf-8").startswith("#!") and path.name != "audit.py"]
    return [str(path.relative_to(ROOT)) for path in run]


@pytest.mark.parametrize("program", programs())
def test_every_program_refuses_a_wrong_flag_in_one_line(program: str) -> None:
    ended = subprocess.run(
        [sys.executable, program, "--no_such_flag"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(program.rpartition("/")[2] + ": ")


def test_the_package_is_the_program() -> None:
    command = [sys.executable, "-m", "quantilizers", "--version"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.startswith("quantilizer.py ")


def test_a_flag_that_was_probably_meant_is_named() -> None:
    parser = Parser("thing.py")
    parser.add_argument("--number", type=int)
    with pytest.raises(UserError, match=r"--numbr 3; did you mean --number\? see"):
        parser.parse_args(["--numbr", "3"])
    with pytest.raises(UserError, match="arguments: --zoom; see"):
        parser.parse_args(["--zoom"])


def test_every_parser_tells_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        Parser("scripts/thing.py").parse_args(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"scripts/thing.py {__version__}\n")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, and beside it `empty`, a Python without any library."""
    folder = tmp_path_factory.mktemp("bare")
    for name in ("quantilizers", "play", "scripts"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "quantilizer.py", folder)
    venv.create(folder / "empty", with_pip=False)
    return folder


@pytest.mark.parametrize("made", [False, True], ids=["without .venv", "beside .venv"])
@pytest.mark.parametrize(
    "program", [*programs(), "-m quantilizers.commands.load_data", "-m quantilizers.commands.minari"]
)
def test_without_libraries_every_program_names_the_way_out_in_one_line(bare: Path, program: str, made: bool) -> None:
    python = bare / ".venv" / "bin" / "python"
    if made:
        python.parent.mkdir(parents=True, exist_ok=True)
        python.touch()
    else:
        shutil.rmtree(bare / ".venv", ignore_errors=True)
    words = [*program.split(), "--path", "a b"]
    empty = {"PATH": "/usr/bin:/bin", "HOME": str(bare)}
    ended = subprocess.run(
        [str(bare / "empty" / "bin" / "python"), *words],
        cwd=bare,
        env=empty,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    way_out = f".venv/bin/python {program} --path 'a b'" if made else "pip install -r requirements.txt"
    name = program.rpartition("/")[2].removeprefix("-m ")
    assert ended.stderr == f"{name}: gymnasium is not installed here; run: {way_out}\n"


def test_the_core_is_what_the_package_depends_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split("[<>=]", dependency)[0].lower() for dependency in project["dependencies"]}
    assert {"pyyaml" if module == "yaml" else module for module in CORE} == names


def test_what_is_installed_is_what_python_says() -> None:
    for name in [name for pair in quantilizers.programs.RIVALS for name in pair]:
        there = any(found.name.lower().replace("_", "-") == name for found in metadata.distributions())
        assert quantilizers.programs._is_installed(name) == there, name
    assert quantilizers.programs._is_installed("pytest-timeout")


def test_rivals_are_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    there = {"pygame-ce", "pygame", "opencv-python-headless"}
    monkeypatch.setattr(quantilizers.programs, "_is_installed", there.__contains__)
    assert run_program("play/replay.py", lambda: None) == 0
    assert capsys.readouterr().err == (
        "replay.py: pygame and pygame-ce are both installed, and each overwrites the other's files; "
        "run: pip uninstall -y pygame pygame-ce && pip install pygame-ce\n"
    )
    monkeypatch.setattr(quantilizers.programs, "_is_installed", ["opencv-python", *there - {"pygame"}].__contains__)
    assert run_program("play/replay.py", lambda: None) == 0
    assert "pip install opencv-python-headless\n" in capsys.readouterr().err


def test_names_with_control_characters_are_still_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise UserError("no data set 'a\nb\x1b[2J\udcff'")

    assert run_program("quantilizer.py", work) == 2
    assert capsys.readouterr().err == "quantilizer.py: no data set 'a\\nb\\x1b[2J\\udcff'\n"


@pytest.mark.parametrize("value", ["-1e-3", "-1E5", "-.5", "-2.", "-3"])
def test_a_negative_number_is_a_value(value: str) -> None:
    parser = Parser("x.py")
    parser.add_argument("--lamb", type=float)
    assert parser.parse_args(["--lamb", value]).lamb == float(value)
