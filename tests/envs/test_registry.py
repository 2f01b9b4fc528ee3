from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from quantilizers.envs.making import make_environment
from quantilizers.envs.registry import check_options, load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import UserError
from support import ROOT

MINE = """\
from quantilizers import EnvironmentDefinition, each_step

ENVIRONMENT = EnvironmentDefinition("CartPole-v1", each_step(lambda steps: steps.observations[:, 2]), max_steps=50)
OTHER = EnvironmentDefinition("CartPole-v1", ENVIRONMENT.proxy, max_steps=20, name="short_pole")
NUMBER = 3
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "leaning pole.py"
    path.write_text(MINE)
    return path


def test_those_that_ship_are_found_by_their_names() -> None:
    for name in environment_names():
        assert load_environment(name).name == name
        assert load_environment(name).address == name


def test_a_file_of_anybodys(mine: Path) -> None:
    environment = load_environment(f"{mine}:ENVIRONMENT")
    assert environment.name == "leaning pole"
    assert environment.address == f"{mine}:ENVIRONMENT"
    assert load_environment(str(mine)).max_steps == 50
    assert load_environment(f"{mine}:OTHER").name == "short_pole"
    assert load_environment(f"{mine}:OTHER").max_steps == 20
    make_environment(environment).reset(seed=0)


def test_a_module_of_anybodys(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine.rename(mine.with_name("leaning_pole.py"))
    monkeypatch.syspath_prepend(mine.parent)
    monkeypatch.delitem(sys.modules, "leaning_pole", raising=False)
    environment = load_environment("leaning_pole:OTHER")
    assert (environment.name, environment.max_steps) == ("short_pole", 20)


def test_an_installed_packages_entry_point(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine.rename(mine.with_name("entry_pole.py"))
    about = mine.parent / "entry_pole-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: entry-pole\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[quantilizers.environments]\nLeaningPole-v0 = entry_pole:OTHER\n")
    monkeypatch.syspath_prepend(mine.parent)
    environment = load_environment("LeaningPole-v0")
    assert (environment.name, environment.address) == ("short_pole", "LeaningPole-v0")


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("MountainCar", "did you mean MountainCar-v0"),
        ("Chess", "known are MountainCar-v0, Hopper-v2"),
        ("", "unknown environment"),
        ("nowhere.py:ENVIRONMENT", "nowhere.py does not exist"),
        ("nowhere.py", "nowhere.py does not exist"),
        ("no_such_module_here:ENVIRONMENT", "no_such_module_here cannot be loaded"),
    ],
)
def test_unknown_ones_are_refused(address: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem) as raised:
        load_environment(address)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "name", "problem"),
    [
        (MINE, "NUMBER", "is a int, not an EnvironmentDefinition"),
        (MINE, "MISSING", "defines ENVIRONMENT, OTHER"),
        ("1 / 0", "ENVIRONMENT", "ZeroDivisionError"),
        ("ENVIRONMENT = (", "ENVIRONMENT", "SyntaxError"),
        ("import not_installed_here", "ENVIRONMENT", "not_installed_here"),
        ("", "ENVIRONMENT", "defines no environment"),
    ],
)
def test_files_that_misbehave_are_refused_in_one_line(tmp_path: Path, text: str, name: str, problem: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(UserError, match=problem) as raised:
        load_environment(f"{path}:{name}")
    assert "\n" not in str(raised.value)


def test_options_have_the_types_of_their_defaults() -> None:
    pinball = load_environment("VideoPinballNoFrameskip-v4")
    assert check_options(pinball, {}) == {"lamb": 1.0}
    assert check_options(pinball, {"lamb": "50"}) == {"lamb": 50.0}
    for given, problem in (({"lamb": "much"}, "takes a float"), ({"lamb": -1}, "λ is -1"), ({"speed": 1}, "no option")):
        with pytest.raises(UserError, match=problem):
            check_options(pinball, given)
    with pytest.raises(UserError, match="it has no options"):
        check_options(load_environment("MountainCar-v0"), {"lamb": 1.0})


@pytest.mark.parametrize(
    "imports", ["quantilizers, gymnasium", "gymnasium, quantilizers", "quantilizers.envs.registry"]
)
def test_importing_the_package_registers_its_environments_before_or_after_gymnasium(imports: str) -> None:
    code = (
        f"import {imports}, gymnasium, importlib.util\n"
        "print(sorted(name for name in gymnasium.registry if name.startswith('quantilizers/')))\n"
        "found = importlib.util.find_spec('gymnasium').loader\n"
        "print(found is gymnasium.__loader__, type(found).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    ids = ["quantilizers/HopperRR-v0", "quantilizers/MountainCarRR-v0", "quantilizers/VideoPinballRR-v0"]
    assert done.stdout.splitlines() == [str(ids), "True SourceFileLoader"]
