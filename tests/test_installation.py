"""The wheel and the sdist: built, checked, installed into an empty environment, and used from an empty folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from email import message_from_string
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

from support import ROOT, copy_of_the_project, files_of, shipped_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(name: str) -> set[str]:
    """The requirements of a file, written alike."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {line.replace("'", '"') for line in lines if line and not line.startswith(("#", "-r"))}


def extras(*names: str) -> set[str]:
    declared = PROJECT["optional-dependencies"]
    return {line.replace("'", '"') for name in names for line in declared[name]}


def test_requirements_and_extras_agree() -> None:
    core = {line.replace("'", '"') for line in PROJECT["dependencies"]}
    wanted = core | extras("train", "atari", "mujoco", "video", "report")
    # The one with ffmpeg, which videos need, is the other as well.
    assert requirements("requirements.txt") == wanted - {"imageio>=2.38"}
    assert requirements("requirements-minari.txt") == extras("minari")
    assert requirements("requirements-cluster.txt") == extras("cluster")
    assert requirements("requirements-recordings.txt") == extras("recordings")
    assert requirements("requirements-optimizers.txt") | {"tensorboard>=2.21"} == extras("optimizers")


class Built(NamedTuple):
    """The wheel and the sdist of a checkout, and the files that the checkout had before its user added some."""

    wheel: Path
    sdist: Path
    files: set[str]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Built from a copy, because building leaves files behind; the wheel is built from the sdist."""
    folder = tmp_path_factory.mktemp("built")
    copy = copy_of_the_project(folder / "checkout")
    files = set(files_of(copy))
    for own in ("log/mine-v0/demo.npz", "log/MountainCar-v0/ryan.npz", "log/fig/own.png", "notes.md", "docs/own.md"):
        (copy / own).parent.mkdir(parents=True, exist_ok=True)
        (copy / own).write_bytes(b"of the user's own")
    command = [sys.executable, "-m", "build", str(copy), "--outdir", str(folder / "dist")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0 and "No matching distribution" in done.stderr + done.stdout:
        pytest.skip("the package index cannot be reached, so nothing can be built")
    assert done.returncode == 0, done.stderr
    assert "would be ignored" not in done.stderr + done.stdout
    (wheel,), (sdist,) = (folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz")
    return Built(wheel, sdist, files)


@pytest.fixture(scope="module")
def wheel(built: Built) -> Path:
    return built.wheel


def test_wheel_and_sdist_hold_the_project_s_files_alone_and_can_be_published(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    generated = {name for name in names if ".egg-info/" in name or name in ("PKG-INFO", "setup.cfg")}
    assert names - generated <= built.files
    assert {"pyproject.toml", "setup.py", "CHANGELOG.md", "quantilizers/py.typed"} <= names
    assert not any(name.startswith("tests/") for name in names)
    with zipfile.ZipFile(built.wheel) as archive:
        names = {name.replace("quantilizers/log/", "log/") for name in archive.namelist() if ".dist-info/" not in name}
    assert names <= built.files
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", str(built.wheel), str(built.sdist)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr


def required_by(distribution: metadata.Distribution) -> set[str]:
    """The names of what a distribution needs here, without its extras."""
    needed = [Requirement(line) for line in distribution.requires or []]
    return {one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})}


class Installed:
    """A virtual environment with nothing but the wheel, and an empty working folder."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        venv.create(folder / "venv")
        self.programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        self.packages = Path(
            subprocess.run(
                [self.programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
                capture_output=True, text=True, check=True,
            ).stdout.strip()
        )  # fmt: skip
        self.work = folder / "work"
        self.work.mkdir()
        command = [sys.executable, "-m", "pip", "--python", str(self.programs / "python"), "install", "--quiet"]
        command += ["--no-compile", "--no-deps", str(wheel)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def link_dependencies(self) -> None:
        """Link the installed package's dependencies, direct and indirect, from the tests' environment."""
        (about,) = self.packages.glob("quantilizers-*.dist-info")
        names, linked = required_by(metadata.PathDistribution(about)), set()
        while names:
            name = names.pop()
            if name in linked:
                continue
            linked.add(name)
            distribution = metadata.distribution(name)
            for top in {path.parts[0] for path in distribution.files or []} - {"..", "__pycache__"}:
                if not (self.packages / top).exists():
                    (self.packages / top).symlink_to(Path(str(distribution.locate_file(top))))
            names |= required_by(distribution)

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment["SDL_VIDEODRIVER"] = "dummy"
        command = [str(self.programs / program), *words]
        return subprocess.run(command, cwd=self.work, env=environment, capture_output=True, text=True)

    def state(self) -> dict[str, str]:
        """Every file of the installed package but compiled ones, by its hash."""
        files = [path for path in self.packages.glob("quantilizer*/**/*") if path.is_file()]
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.suffix != ".pyc"}


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installed:
    """The package and its core dependencies, nothing else."""
    installed = Installed(tmp_path_factory.mktemp("core"), wheel)
    installed.link_dependencies()
    return installed


def test_the_core_reads_inspects_and_steps(core: Installed) -> None:
    before = core.state()
    for name in ("MountainCar-v0", "Hopper-v2", "VideoPinballNoFrameskip-v4"):
        done = core.run("quantilizer", "--do", "inspect", "--env_name", name)
        assert done.returncode == 0, done.stderr
        assert (core.work / "log" / "fig" / f"demo_{name}_inspect.png").exists()
    code = (
        "import gymnasium, quantilizers, sys\n"
        "game = gymnasium.make_vec('quantilizers/MountainCarRR-v0', num_envs=3)\n"
        "game.reset(seed=0)\n"
        "print(game.step(game.action_space.sample())[4]['true_reward'])\n"
        "print([name for name in ('tensorflow', 'mujoco', 'ale_py', 'torch') if name in sys.modules])\n"
    )
    done = core.run("python", "-c", code)
    assert done.stdout.splitlines() == ["[-1. -1. -1.]", "[]"], done.stderr
    assert core.state() == before, "site-packages stay as they are"


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["--do", "train"], "train"),
        (["--do", "optimize", "--env_name", "Hopper-v2"], "optimizers"),
    ],
)
def test_what_needs_an_extra_names_it(core: Installed, words: list[str], extra: str) -> None:
    done = core.run("quantilizer", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"pip install 'quantilizers[{extra}]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_every_program_says_what_it_is(core: Installed) -> None:
    for program in PROJECT["scripts"]:
        done = core.run(program, "--help")
        assert done.returncode == 0, (program, done.stderr)
        assert program in done.stdout
        wrong = core.run(program, "--no_such_flag")
        assert wrong.returncode == 2
        assert len(wrong.stderr.splitlines()) == 1
    assert core.run("quantilizer", "--version").stdout.split()[-1] == "0.2.0"


def test_the_wheel_has_its_data_types_and_licence(core: Installed) -> None:
    package = core.packages / "quantilizers"
    assert (package / "py.typed").exists()
    installed = {path.relative_to(package / "log") for path in (package / "log").rglob("*") if path.is_file()}
    assert installed == set(map(Path, shipped_files())), "the data that ship, and none of the user's own"
    people = package / "log" / "MountainCar-v0"
    assert (people / "lets-do-irl.npz").exists()
    assert "Reinforcement Learning KR" in (people / "lets-do-irl.LICENSE.txt").read_text(encoding="utf-8")
    about = next(core.packages.glob("quantilizers-*.dist-info"))
    metadata = message_from_string((about / "METADATA").read_text(encoding="utf-8"))
    assert metadata["License-Expression"] == "MIT"
    assert {
        "train",
        "atari",
        "mujoco",
        "optimizers",
        "minari",
        "cluster",
        "video",
        "report",
        "scores",
        "recordings",
        "notebook",
        "gpu",
        "all",
    } == set(metadata.get_all("Provides-Extra", []))
    assert next(about.rglob("LICENSE")).read_text(encoding="utf-8").startswith("MIT License")


def test_training_from_an_empty_folder(tmp_path: Path, wheel: Path) -> None:
    """With the libraries of this environment beside the installed package: all output is in ./log or --log_dir."""
    installed = Installed(tmp_path, wheel)
    (installed.packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    small = ["--seed_nb", "1", "--number_trajectories", "3"]
    policies = ["--quantiles", "0.1", "--max_epochs", "3", *small]
    optimiser = ["--do", "optimize", "--optimiser_steps", "600", "--log_dir", "elsewhere", *small]
    before = installed.state()
    for words, log, name in ((policies, "log", "demo"), (optimiser, "elsewhere", "optimiser")):
        done = installed.run("quantilizer", *words)
        assert done.returncode == 0, done.stderr
        written = {path.parent.name for path in (installed.work / log).rglob(f"{name}_*") if path.is_file()}
        assert {"models", "rewards", "fig"} <= written
    assert sorted(path.name for path in installed.work.iterdir()) == ["elsewhere", "log"]
    assert installed.state() == before
