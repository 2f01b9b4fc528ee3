"""The shell scripts, with substitutes for Python to simulate a machine that lacks something."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from support import ROOT

SHELLS = [shell for shell in (["dash"], ["busybox", "sh"], ["bash", "--posix"]) if shutil.which(shell[0])]


@pytest.fixture(scope="module")
def quick_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This Python, which copies a virtual environment instead of making one, which takes seconds."""
    folder = tmp_path_factory.mktemp("made")
    venv.create(folder / "venv", with_pip=True, symlinks=True)
    copy = f'{shutil.which("cp")} -R {folder}/venv "$3"'
    body = f'case "$1 $2" in "-m venv") exec {copy};; *) exec {sys.executable} "$@";; esac\n'
    return stand_in(folder, body)


@pytest.fixture
def project(tmp_path: Path, quick_python: Path) -> Path:
    """A project with the real shell scripts, a quantilizer.py that prints its arguments, and a Python beside it."""
    (tmp_path / "quick-python").symlink_to(quick_python)
    shutil.copytree(ROOT / "scripts", tmp_path / "it's a project" / "scripts")
    folder = tmp_path / "it's a project"
    for name in ("requirements.txt", "requirements-dev.txt"):
        (folder / name).write_text("# nothing\n")
    (folder / "quantilizer.py").write_text("import sys\nprint('ran', *sys.argv[1:])\n")
    return folder


def stand_in(folder: Path, body: str, name: str = "python-stand-in") -> Path:
    path = folder / name
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(0o755)
    return path


def python_that_says(folder: Path, version: str, name: str, python: str | Path = sys.executable) -> Path:
    """A Python of the given name, which reports the given version."""
    body = f'case "$*" in *"version_info[:2]"*) echo {version};; *) exec {python} "$@";; esac\n'
    return stand_in(folder, body, name)


def run(project: Path, *words: str, shell: list[str] = SHELLS[0], **variables: str) -> subprocess.CompletedProcess[str]:
    script = project / "scripts" / "train_test_plot.sh"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(project), **variables}
    if "PYTHON" not in variables and "PATH" not in variables:
        environment["PYTHON"] = str(project.parent / "quick-python")
    return subprocess.run(
        [shutil.which(shell[0]) or shell[0], *shell[1:], str(script), *words],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_it_makes_the_environment_once_and_installs_again_only_when_requirements_change(
    project: Path, shell: list[str]
) -> None:
    # One is made in the usual way.
    first = run(project, shell=shell, **({"PYTHON": sys.executable} if shell == SHELLS[0] else {}))
    assert first.returncode == 0, first.stderr
    assert first.stdout == "ran --do train test optimize plot --env_name MountainCar-v0 --optimisers random planner\n"
    assert "making" in first.stderr
    assert "installing" in first.stderr
    second = run(project, "--seed_nb", "3", "--path", "a b", shell=shell)
    assert second.stdout == "ran --do train test plot --seed_nb 3 --path a b\n"
    assert second.stderr == ""
    (project / "requirements.txt").write_text("# something else\n")
    third = run(project, shell=shell)
    assert "making" not in third.stderr
    assert "installing" in third.stderr


def refusal(project: Path, **variables: str) -> str:
    ended = run(project, **variables)
    assert ended.returncode == 2
    lines = [line for line in ended.stderr.splitlines() if not line.startswith(("making", "installing", "  "))]
    assert len(lines) == 1, ended.stderr
    assert "ran" not in ended.stdout
    return lines[0]


def test_a_missing_python_or_one_that_is_not_supported_is_one_line(project: Path) -> None:
    assert "not installed; install Python 3.11 to 3.13" in refusal(project, PYTHON="python-that-is-not-there")
    for version in ("3.8", "3.10", "3.14"):
        other = python_that_says(project, version, "python-other")
        message = refusal(project, PYTHON=str(other))
        assert f"is Python {version}, for which TensorFlow has no release; set PYTHON" in message
    assert not (project / ".venv").exists()


def tools(project: Path) -> Path:
    """A folder of programs with no Python in it."""
    folder = project / "tools"
    folder.mkdir()
    for name in ("sh", "dirname", "basename", "rm", "cat", "grep", "tail", "sed", "mktemp", "readlink"):
        (folder / name).symlink_to(shutil.which(name) or name)
    return folder


def test_the_newest_supported_python_of_the_machine_is_taken(project: Path) -> None:
    folder = tools(project)
    message = refusal(project, PATH=str(folder))
    assert "install Python 3.13 (Debian and Ubuntu: apt install python3.13-venv; or install uv" in message
    python_that_says(folder, "3.14", "python3")
    assert "Python 3.14 is here, for which TensorFlow has no release; install Python 3.13" in refusal(
        project, PATH=str(folder)
    )
    assert not (project / ".venv").exists(), "nothing is made or downloaded before"
    for version in ("3.11", "3.12", "3.14"):
        python_that_says(folder, version, f"python{version}")
    marked = python_that_says(folder, "3.12", "python3.12", project.parent / "quick-python")
    marked.write_text(marked.read_text().replace("exec", f"echo taken >{project.parent / 'taken'}; exec"))
    done = run(project, PATH=str(folder))
    assert done.returncode == 0, done.stderr
    assert (project.parent / "taken").exists()
    (project.parent / "taken").unlink()
    stand_in(folder, 'case "$*" in *version_info*) echo 3.13;; *) exit 1;; esac\n', "python3.13")
    assert run(project, PATH=str(folder), QUANTILIZERS_VENV=str(project / "other")).returncode == 0
    assert (project.parent / "taken").exists(), "one without venv is passed over"


def test_uv_makes_the_environment_and_installs_where_it_is_there(project: Path) -> None:
    folder = tools(project)
    calls = project.parent / "calls"
    quick = project.parent / "quick-python"
    stand_in(
        folder, f'echo "$*" >>{calls}\ncase $1 in venv) for last; do :; done; {quick} -m venv "$last";; esac\n', "uv"
    )
    done = run(project, PATH=str(folder))
    assert done.returncode == 0, done.stderr
    made, installed = calls.read_text().splitlines()
    venv = project / ".venv"
    assert made == f"venv --quiet --seed --python >=3.11,<3.14 {venv}"
    assert installed == f"pip install --python {venv}/bin/python --upgrade -r {project}/requirements.txt"
    assert "with uv" in done.stderr
    assert run(project, PATH=str(folder)).stderr == "", "and only once"


def test_the_lock_is_what_is_installed_where_there_is_one(project: Path) -> None:
    (project / "requirements-lock.txt").write_text("# nothing\n")
    done = run(project)
    assert done.returncode == 0, done.stderr
    assert "installing requirements-lock.txt" in done.stderr
    (project / "requirements-lock.txt").write_text("a-package==1.0\n")
    assert "could not install requirements.txt: ERROR: " in refusal(project), "it has no hash"


def test_large_downloads_are_told_while_installing(project: Path, tmp_path: Path) -> None:
    output = (
        "Collecting numpy==2.4.6\n  Downloading numpy-2.4.6.whl.metadata (6.6 kB)\n"
        "  Downloading numpy-2.4.6-cp311-cp311-linux_x86_64.whl (16.9 MB)\n  Downloading six-1.17.0.whl (11 kB)\n"
        "Downloading tensorflow-cpu (249.5MiB)\nInstalling collected packages: a, b\ninstalled\n"
    )
    script = '. "$1"; show_progress "$2"'
    words = [f"{project}/scripts/x.sh", f"{project}/scripts/environment.sh", str(tmp_path / "log")]
    done = subprocess.run(["sh", "-c", script, *words], input=output, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == [
        "  Downloading numpy-2.4.6 (16.9 MB)",
        "  Downloading tensorflow-cpu (249.5MiB)",
        "  Installing collected packages",
    ]
    assert (tmp_path / "log").read_text() == output


def test_a_missing_venv_module_is_one_line(project: Path) -> None:
    body = 'case "$*" in *version_info*) echo 3.12;; *ensurepip*) exit 1;; esac\nexit 0\n'
    assert "apt install python3.12-venv" in refusal(project, PYTHON=str(stand_in(project, body)))


def test_no_network_is_one_line_and_the_next_run_installs_again(project: Path) -> None:
    (project / "requirements.txt").write_text("a-package-that-cannot-be-fetched\n")
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1", "PIP_CONFIG_FILE": "/dev/null"}
    message = refusal(project, **nowhere)
    assert "cannot reach the package index" in message
    (project / "requirements.txt").write_text("# nothing\n")
    again = run(project)
    assert again.returncode == 0, again.stderr


def test_a_broken_environment_is_made_again(project: Path) -> None:
    assert run(project).returncode == 0
    (project / ".venv" / "bin" / "python").unlink()
    again = run(project)
    assert again.returncode == 0, again.stderr
    assert "making" in again.stderr


def test_a_link_to_a_script_is_the_script(project: Path, tmp_path: Path) -> None:
    (tmp_path / "link.sh").symlink_to(project / "scripts" / "train_test_plot.sh")
    words = ["sh", str(tmp_path / "link.sh"), "--help"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(project), "PYTHON": str(tmp_path / "none")}
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert ended.stderr.startswith(f"link.sh: {tmp_path / 'none'} is not installed")
