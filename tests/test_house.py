"""The architecture: layers that import only those below, no cycles, and the cost of importing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from quantilizers.envs.shipped import SHIPPED
from support import ROOT


def test_the_floors_are_kept() -> None:
    """The contracts of pyproject.toml: layers import those below them, and no packages or files import each other."""
    command = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "2 kept, 0 broken" in done.stdout


def test_only_the_environments_room_knows_the_environments() -> None:
    """Other packages reach the environments that ship through the registry alone."""
    graph = grimp.build_graph("quantilizers", include_external_packages=False)
    for shipped in SHIPPED.values():
        home = f"quantilizers.envs.{shipped.module}"
        for module in {home, *graph.find_descendants(home)}:
            importers = graph.find_modules_that_directly_import(module)
            assert all(importer.startswith("quantilizers.envs.") for importer in importers), (module, importers)


@pytest.mark.parametrize(
    ("imported", "left_out"),
    [
        # Gymnasium finds only what is registered with it, so this imports Gymnasium and with it NumPy.
        ("quantilizers", ["scipy", "matplotlib", "tensorflow", "torch", "pygame", "mujoco", "ale_py", "yaml"]),
        ("quantilizers.datasets.demonstrations", ["matplotlib", "tensorflow", "mujoco", "ale_py", "torch", "pygame"]),
        ("quantilizers.stages.plotting", ["scipy.stats", "tensorflow", "mujoco", "ale_py", "torch", "pygame"]),
        ("quantilizers.stages.testing", ["scipy.stats", "matplotlib", "tensorflow", "mujoco", "torch", "pygame"]),
        ("quantilizers.policies.policy", ["tensorflow", "mujoco", "ale_py", "torch", "pygame"]),
        ("quantilizers.optimisers.algorithms", ["tensorflow", "torch", "stable_baselines3", "gymnasium.envs.mujoco"]),
        ("quantilizers.evaluation.rollouts", ["tensorflow", "mujoco", "ale_py", "torch", "pygame"]),
    ],
)
def test_importing_one_part_does_not_load_the_others(imported: str, left_out: list[str]) -> None:
    code = f"import sys, {imported}; print([name for name in {left_out!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_program_s_help_imports_neither_gymnasium_nor_numpy() -> None:
    command = [sys.executable, "-X", "importtime", "quantilizer.py", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "quantilizers.errors" in imported
    assert not imported & {"numpy", "scipy", "matplotlib", "gymnasium", "yaml", "importlib.metadata"}


def test_environments_that_ship_can_be_inspected_without_their_simulators() -> None:
    code = (
        "import sys\n"
        "for name in ('mujoco', 'ale_py', 'tensorflow', 'cv2', 'pygame'): sys.modules[name] = None\n"
        "from quantilizers import Demonstrations\n"
        "from quantilizers.envs.shipped import SHIPPED\n"
        "for name in SHIPPED: print(Demonstrations.load('demo', name).proxy_returns.mean())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == len(SHIPPED)


def test_the_top_level_holds_the_programs_and_pages_alone() -> None:
    """Recordings and tables that were written into the current folder are not taken along."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a clone")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    kinds = {Path(name).suffix for name in listed if "/" not in name and not name.startswith(".")}
    assert kinds <= {"", ".md", ".txt", ".py", ".toml", ".cff", ".in"}
