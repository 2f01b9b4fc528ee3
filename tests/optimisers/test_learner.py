"""Algorithms and the environments that they suit, and the running and reporting of seeds."""

from __future__ import annotations

import importlib.util
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import environments_for_tests
import pytest
from jobs_for_tests import job, optimise_all, small_job

from quantilizers.envs.registry import load_environment
from quantilizers.errors import NotInstalledError, UserError
from quantilizers.evaluation.results import load_results
from quantilizers.event_files import event_writer
from quantilizers.execution.executor import Send, UnfinishedError
from quantilizers.execution.worker_processes import WorkerProcesses
from quantilizers.optimisers import learner
from quantilizers.optimisers.agents import Agent, LearningCurve, Progress, load_agent, save_agent
from quantilizers.optimisers.learner import TrainingReport, check_suitable, optimise
from support import curves_of

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("name", "suited"),
    [
        ("DISCRETE", "sarsa q_learning ppo qr_dqn"),
        ("DISCRETE_FROM_TWO", "sarsa q_learning ppo qr_dqn"),
        ("MULTI_DISCRETE", "ppo"),
        ("MULTI_BINARY", "ppo"),
        ("BOX", "ppo"),
        ("ENDLESS_BOX", ""),
        ("TUPLE", ""),
        ("ENDLESS_OBSERVATIONS", "ppo qr_dqn"),
        ("WIDEST_OBSERVATIONS", "ppo qr_dqn"),
        ("MATRICES", "ppo qr_dqn"),
        ("NUMBERS", "ppo qr_dqn"),
        ("PICTURES", "ppo qr_dqn"),
        ("GREY_PICTURES", "ppo qr_dqn"),
    ],
)
def test_every_kind_of_space_is_taken_or_refused_in_one_line(name: str, suited: str) -> None:
    environment = getattr(environments_for_tests, name)
    kinds = {"sarsa_greedy": "sarsa", "q_learning_greedy": "q_learning", "ppo_long": "ppo", "random": "ppo"}
    for algorithm in ("sarsa", "q_learning", "ppo", "qr_dqn", *kinds):
        if kinds.get(algorithm, algorithm) in suited.split():
            check_suitable(algorithm, environment)
        else:
            with pytest.raises(UserError, match=name) as caught:
                check_suitable(algorithm, environment)
            assert "\n" not in str(caught.value)
            assert "--" not in str(caught.value), "which flag it was is the program's to say"


@pytest.mark.parametrize(
    ("algorithm", "name", "words"),
    [
        ("qr_dqn", "BOX", "QR-DQN needs discrete actions, which BOX does not have"),
        ("sarsa", "PICTURES", "SARSA needs discrete actions and bounded vectors as observations, which PICTURES"),
        ("ppo", "ENDLESS_BOX", "PPO needs bounded actions, which ENDLESS_BOX does not have"),
    ],
)
def test_what_is_needed_is_said(algorithm: str, name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_suitable(algorithm, getattr(environments_for_tests, name))


@pytest.mark.parametrize(
    ("name", "suited"),
    [
        ("MountainCar-v0", ["sarsa", "q_learning", "ppo", "qr_dqn"]),
        ("Hopper-v2", ["ppo"]),
        ("VideoPinballNoFrameskip-v4", ["ppo", "qr_dqn"]),
    ],
)
def test_what_suits_the_environments_that_ship(name: str, suited: list[str]) -> None:
    environment = load_environment(name)
    for algorithm in suited:
        check_suitable(algorithm, environment)
    assert set(environment.experiment.optimisers) <= set(suited)


def refuse(*arguments: Any) -> None:
    raise AssertionError("a process was started")


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WorkerProcesses, "map", refuse)


@pytest.mark.usefixtures("no_process")
def test_what_does_not_suit_is_refused_before_a_process_is_started(tmp_path: Path) -> None:
    one = small_job(tmp_path, environment="environments_for_tests:BOX")
    with pytest.raises(UserError, match="discrete actions, which BOX does not have"):
        optimise([one], environments_for_tests.BOX, [tmp_path])


@pytest.mark.usefixtures("no_process")
def test_missing_libraries_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    missing = {"torch", "sb3_contrib"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find(name))
    one = small_job(tmp_path, environment="environments_for_tests:DISCRETE")
    with pytest.raises(NotInstalledError, match=r"QR-DQN needs libraries that are not installed: torch, sb3-contrib$"):
        optimise([one], environments_for_tests.DISCRETE, [tmp_path])


@pytest.mark.usefixtures("no_process")
def test_what_no_other_process_could_load_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    one = replace(small_job(tmp_path, environment="DISCRETE"), environment="")
    with pytest.raises(UserError, match=r"cannot load DISCRETE.*my_env\.py:ENVIRONMENT"):
        optimise([one], environments_for_tests.DISCRETE, [tmp_path])


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


class Here:
    """Does jobs in this process, the last one twice, as if its process had died."""

    in_process = False  # it stands for workers

    def map(self, function: Any, jobs: Any, on_message: Any) -> Any:
        self.names = [one.name for one in jobs]
        for one in [*jobs, jobs[-1]]:
            yield one, function(one, lambda message, one=one: on_message(one, message))


class Talking:
    """A learner that only sends messages."""

    @staticmethod
    def train(jobs: Any, environment: Any, send: Any) -> None:
        (one,) = jobs
        for steps in (8, 16):
            send(Progress(one.seed, steps, -1.0 - one.seed, -2.0))
        send(Progress(one.seed, 20))
        send(Progress(one.seed, 20, measured_steps=3))


def test_seeds_are_heard_and_what_is_told_twice_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(learner, "learner_of", lambda algorithm: Talking)
    jobs = [small_job(tmp_path, environment="environments_for_tests:DISCRETE", seed=seed) for seed in (3, 4)]
    here, folders = Here(), [tmp_path / str(one.seed) for one in jobs]
    curves = optimise(jobs, environments_for_tests.DISCRETE, folders, here)
    assert here.names == ["seed 3 of qr_dqn", "seed 4 of qr_dqn"]
    assert [curve.steps for curve in curves] == [[8, 16], [8, 16]]
    assert [curve.proxy_returns[0] for curve in curves] == [-4.0, -5.0]
    assert curves_of(folders[1]) == {"proxy_return": [(8, -5.0), (16, -5.0)], "true_return": [(8, -2.0), (16, -2.0)]}


def kill_itself(job: Any, send: Send) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_seed_whose_process_always_dies_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(learner, "available_cores", lambda: 1)
    monkeypatch.setattr(learner, "train_in_worker", kill_itself)
    one = small_job(tmp_path, environment="environments_for_tests:DISCRETE", seed=7)
    with pytest.raises(UnfinishedError, match="seed 7 of qr_dqn: its worker died 3 times"):
        optimise([one], environments_for_tests.DISCRETE, [tmp_path])


def test_the_bar_shows_steps_returns_and_measuring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [job(tmp_path, seed=seed) for seed in (3, 4)]
    save_agent(jobs[0], Agent(60, LearningCurve([10], [-5.0], [-10.0]), {}))

    def shown(report: TrainingReport) -> str:
        report._bar.refresh()
        return capsys.readouterr().err.rpartition("\r")[2]

    with event_writer(tmp_path / "3") as third, event_writer(tmp_path / "4") as fourth:
        with TrainingReport(jobs, 100, [third, fourth]) as report:
            first = shown(report)
            assert "60.0/200" in first, "an earlier run did those"
            assert "sarsa: " in first
            report.receive(Progress(4, 25))
            report.receive(Progress(3, 70, -4.5, -9.25))
            now = shown(report)
            assert "95.0/200" in now
            assert "seed 3: proxy -4.5, true -9.25" in now
            report.receive(Progress(4, 25, measured_steps=12345))
            now = shown(report)
            assert "seed 4: measuring, 12,345 steps" in now
            assert "95.0/200" in now, "these are not steps of training"
        assert "95.0/95.0" in capsys.readouterr().err, "training may end a little off the requested number"
        assert report.curves[0].steps == [10, 70]
    assert curves_of(tmp_path / "3") == {
        "proxy_return": [(10, -5.0), (70, -4.5)],
        "true_return": [(10, -10.0), (70, -9.25)],
    }
    assert curves_of(tmp_path / "4") == {}
