from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import environments_for_tests
import pytest
from jobs_for_tests import optimise_all, small_job

from quantilizers.errors import NotInstalledError, UserError
from quantilizers.evaluation.results import load_results
from quantilizers.execution.processes import LocalProcesses
from quantilizers.optimisers import ppo_and_qr_dqn
from quantilizers.optimisers.agents import load_agent
from quantilizers.optimisers.reports import TrainingReport

HERE = Path(__file__).parent


class Silent(TrainingReport):
    """Takes no note; nothing is trained."""

    def __init__(self, environment: Any) -> None:
        self.environment = environment


def refuse(*arguments: Any) -> None:
    raise AssertionError("a process was started")


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalProcesses, "run", refuse)


@pytest.mark.usefixtures("no_process")
def test_what_does_not_suit_is_refused_before_a_process_is_started(tmp_path: Path) -> None:
    one = small_job(tmp_path, environment="environments_for_tests:BOX")
    with pytest.raises(UserError, match="discrete actions, which BOX does not have"):
        ppo_and_qr_dqn.optimise([one], Silent(environments_for_tests.BOX))


@pytest.mark.usefixtures("no_process")
def test_missing_libraries_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    missing = {"torch", "sb3_contrib"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find(name))
    one = small_job(tmp_path, environment="environments_for_tests:DISCRETE")
    with pytest.raises(NotInstalledError, match=r"QR-DQN needs libraries that are not installed: torch, sb3-contrib$"):
        ppo_and_qr_dqn.optimise([one], Silent(environments_for_tests.DISCRETE))


@pytest.mark.usefixtures("no_process")
def test_what_no_other_process_could_load_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    one = replace(small_job(tmp_path, environment="DISCRETE"), environment="")
    with pytest.raises(UserError, match=r"cannot load DISCRETE.*my_env\.py:ENVIRONMENT"):
        ppo_and_qr_dqn.optimise([one], Silent(environments_for_tests.DISCRETE))


@pytest.mark.parametrize(
    "address", ["environments_for_tests:DISCRETE", f"{HERE / 'environments_for_tests.py'}:DISCRETE"]
)
def test_anybodys_environment_is_learned_in_by_processes(tmp_path: Path, address: str) -> None:
    pytest.importorskip("sb3_contrib", reason="requirements-optimizers.txt is not installed")
    jobs = [small_job(tmp_path, environment=address, steps=200, max_steps=8)]
    optimise_all(jobs)
    for one in jobs:
        agent, results = load_agent(one), load_results(one.rewards)
        assert agent is not None
        assert agent.curve.steps == list(range(8, 201, 8))
        assert all(proxy == pytest.approx(true + 8) for proxy, true in zip(
            agent.curve.proxy_returns, agent.curve.true_returns, strict=True))  # fmt: skip
        assert results.environment == "DISCRETE"
        assert one.exported.exists()
