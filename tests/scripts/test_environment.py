"""The shell scripts, with stand-ins for Python where a machine is to lack something."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from support import ROOT

SHELLS = [shell for shell in (["dash"], ["busybox", "sh"], ["bash", "--posix"]) if shutil.which(shell[0])]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the real shell scripts, and a quantilizer.py that prints its arguments."""
    shutil.copytree(ROOT / "scripts", tmp_path / "it's a project" / "scripts")
    folder = tmp_path / "it's a project"
    for name in ("requirements.txt", "requirements-dev.txt"):
        (folder / name).write_text("# nothing\n")
    (folder / "quantilizer.py").write_text("import sys\nprint('ran', *sys.argv[1:])\n")
    return folder


def stand_in(folder: Path, body: str) -> Path:
    path = folder / "python-stand-in"
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(0o755)
    return path


def run(project: Path, *words: str, shell: list[str] = SHELLS[0], **variables: str) -> subprocess.CompletedProcess[str]:
    script = project / "scripts" / "train_test_plot.sh"
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(project), **variables}
    if "PYTHON" not in variables:
        environment["PYTHON"] = shutil.which("python3") or "python3"
    return subprocess.run(
        [*shell, str(script), *words], cwd="/", env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_it_makes_the_environment_once_and_installs_again_only_when_requirements_change(
    project: Path, shell: list[str]
) -> None:
    first = run(project, shell=shell)
    assert first.returncode == 0, first.stderr
    assert first.stdout == "ran --do train test optimize plot --env_name MountainCar-v0\n"
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
    lines = [line for line in ended.stderr.splitlines() if not line.startswith(("making", "installing"))]
    assert len(lines) == 1, ended.stderr
    assert "ran" not in ended.stdout
    return lines[0]


def test_a_missing_or_old_python_is_one_line(project: Path) -> None:
    assert "not installed; install Python 3.11" in refusal(project, PYTHON="python-that-is-not-there")
    old = stand_in(project, 'case "$*" in *version_info*) exit 1;; --version) echo Python 3.8.18;; esac\n')
    assert "Python 3.8.18 is too old; install Python 3.11" in refusal(project, PYTHON=str(old))


def test_a_missing_venv_module_is_one_line(project: Path) -> None:
    body = 'case "$*" in *ensurepip*) exit 1;; esac\nexit 0\n'
    assert "python3-venv" in refusal(project, PYTHON=str(stand_in(project, body)))


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
