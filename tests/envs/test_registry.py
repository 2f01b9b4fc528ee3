from __future__ import annotations

import copy
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantilizers.envs.making import make_environment
from quantilizers.envs.registry import address_of, check_options, environment_at, load_environment
from quantilizers.envs.shipped import SHIPPED, environment_names
from quantilizers.errors import UserError
from quantilizers.rewards import own
from quantilizers.versions import __version__
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
        assert load_environment(name).gymnasium_id == SHIPPED[name].gymnasium_id


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
    "before",
    ["import quantilizers, gymnasium", "import gymnasium, quantilizers", "import gymnasium; module='quantilizers:'"],
)
def test_gymnasium_makes_the_environments_in_either_order_of_imports_and_by_their_module(before: str) -> None:
    """Without a finder or loader that waits for Gymnasium to be imported."""
    code = (
        f"import sys; finders = list(sys.meta_path); module = ''; {before}\n"
        "made = gymnasium.make(module + 'quantilizers/MountainCarRR-v0')\n"
        "print(sorted(name for name in gymnasium.registry if name.startswith('quantilizers/')), made.spec.id)\n"
        "print(finders == sys.meta_path, type(gymnasium.__loader__).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    ids = sorted(shipped.gymnasium_id for shipped in SHIPPED.values())
    assert done.stdout.splitlines() == [f"{ids} quantilizers/MountainCarRR-v0", "True SourceFileLoader"]


def test_the_program_registers_when_it_loads_an_environment() -> None:
    code = (
        "import sys; sys.argv = ['quantilizer.py']\n"
        "import quantilizers; print('gymnasium' in sys.modules)\n"
        "from quantilizers.envs import registry\n"
        "import gymnasium; print('quantilizers/HopperRR-v0' in gymnasium.registry)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_the_package_declares_the_entry_point_that_gymnasium_reads_plugins_from() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["gymnasium.envs"]
    module, _, function = declared["__root__"].partition(":")
    code = (
        "import importlib, gymnasium, quantilizers\n"
        "for name in [name for name in gymnasium.registry if name.startswith('quantilizers/')]:\n"
        "    del gymnasium.registry[name]\n"
        f"importlib.import_module({module!r}).{function}()\n"
        "print(gymnasium.make('quantilizers/MountainCarRR-v0').spec.id)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["quantilizers/MountainCarRR-v0"]


def test_importing_works_without_gymnasium() -> None:
    code = "import sys; sys.modules['gymnasium'] = None; import quantilizers; print(quantilizers.__version__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == __version__


def test_an_environment_in_a_file_is_the_same_file_in_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is absolute, and a changed or missing file is refused."""
    file = tmp_path / "my_car.py"
    file.write_text(
        "from quantilizers.envs.registry import load_environment\n"
        "from dataclasses import replace\n"
        "ENVIRONMENT = replace(load_environment('MountainCar-v0'), name='MyCar-v0', address='')\n"
    )
    monkeypatch.chdir(tmp_path)
    address = address_of(load_environment("my_car.py"))
    assert address.text == f"{file}:ENVIRONMENT"
    assert environment_at(address).name == "MyCar-v0"
    file.write_text(file.read_text() + "# other\n")
    with pytest.raises(UserError, match="the worker finds another file; every worker needs the same file"):
        environment_at(address)
    file.unlink()
    with pytest.raises(UserError, match="the worker finds no file"):
        environment_at(address)
    assert address_of(load_environment("MountainCar-v0")).text == "MountainCar-v0"


def test_workers_cannot_load_an_environment_that_was_defined_in_memory() -> None:
    with pytest.raises(UserError, match=r"workers cannot load MountainCar-v0.*my_env\.py:ENVIRONMENT"):
        address_of(replace(load_environment("MountainCar-v0"), address=""))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("own, max_steps=0", "max_steps is 0"),
        ("3, max_steps=9", "proxy is 3, not a reward"),
        ("own, max_steps=9, quantiles=(2.0,)", "quantile 2 is impossible"),
        ("own, max_steps=9, acting='sampel'", "acting is 'sampel'; did you mean sample?"),
        ("own, max_steps=9, true_label='a', figures=Figures(true_label='b')", "true_label is 'a', and figures."),
    ],
)
def test_a_value_refused_in_a_definition_names_file_and_key(tmp_path: Path, values: str, message: str) -> None:
    file = tmp_path / "leaning.py"
    imports = "from quantilizers import EnvironmentDefinition, Figures, own"
    file.write_text(f"{imports}\nENVIRONMENT = EnvironmentDefinition('CartPole-v1', {values})\n")
    with pytest.raises(UserError, match=f"^{re.escape(f'{file}: {message}')}"):
        load_environment(f"{file}:ENVIRONMENT")


def test_other_processes_get_the_fields_that_were_replaced() -> None:
    """Their address alone would load the definition without them. A copy is made as one is sent."""
    car = load_environment("MountainCar-v0")
    plain = copy.copy(car)
    assert plain.is_at_address
    changed = copy.copy(replace(car, proxy=own, max_steps=7))
    assert (changed.max_steps, changed.proxy.own_weight, changed.is_at_address) == (7, 1.0, False)
    assert changed.vector is car.vector


def test_numpy_s_settings_of_a_file_do_not_leave_it(tmp_path: Path) -> None:
    path = tmp_path / "strict.py"
    path.write_text("import numpy as np\nnp.seterr(all='raise')\n" + MINE)
    before = np.geterr()
    assert load_environment(str(path)).name == "strict"
    assert np.geterr() == before
