from __future__ import annotations

import subprocess
import sys

import pytest

from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.optimisers.algorithms import ALGORITHMS, Algorithm, variant_of
from quantilizers.optimisers.learner import learner_of
from support import ROOT


@pytest.mark.parametrize("algorithm", [*ALGORITHMS.values(), ALGORITHMS["kl_control"].without_dynamics])
def test_every_algorithm_has_a_learner(algorithm: Algorithm) -> None:
    for library in algorithm.libraries:
        pytest.importorskip(library, reason="requirements-optimizers.txt is not installed")
    assert callable(learner_of(algorithm).train)
    assert callable(learner_of(algorithm).policies_of)


@pytest.mark.parametrize("name", environment_names())
def test_environments_name_algorithms_of_the_table(name: str) -> None:
    assert set(load_environment(name).experiment.optimisers) <= set(ALGORITHMS)


def test_only_the_first_algorithm_of_an_environment_needs_no_mark() -> None:
    assert [variant_of(algorithm, ("sarsa", "q_learning")) for algorithm in ("sarsa", "q_learning", "ppo")] == [
        "",
        "q_learning",
        "ppo",
    ]


def test_neither_the_table_nor_its_own_learners_import_torch() -> None:
    code = (
        "import sys\n"
        "from quantilizers.optimisers.algorithms import ALGORITHMS\n"
        "from quantilizers.optimisers.learner import learner_of\n"
        "for algorithm in ALGORITHMS.values():\n"
        "    if not algorithm.libraries:\n"
        "        learner_of(algorithm)\n"
        "heavy = {'torch', 'stable_baselines3', 'tensorflow', 'keras', 'tensorboard', 'matplotlib'}\n"
        "found = heavy & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
