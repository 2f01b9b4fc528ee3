"""play/replay.py --algorithm: optimisers, as videos."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scripted_player import Outcome

import quantilizer
from quantilizers.evaluation.results import load_results

Run = Callable[..., tuple[int, str, str]]
CAR, PINBALL = "MountainCar-v0", "VideoPinballNoFrameskip-v4"
NUMBER = ("--number_trajectories", "3")
deep = pytest.mark.skipif(
    importlib.util.find_spec("sb3_contrib") is None, reason="requirements-optimizers.txt is not installed"
)


@pytest.mark.parametrize(
    ("algorithm", "words", "label"),
    [
        ("sarsa_greedy", ("--optimiser_steps", "1000"), "SARSA, greedy, trained for 1,000 steps"),
        ("planner_true", ("--effort", "3", "--max_steps", "30"), "planner on the true reward, effort 3"),
        pytest.param(
            "ppo", ("--optimiser_steps", "100", "--max_steps", "30"), "PPO, trained for 100 steps", marks=deep
        ),
    ],
)
def test_an_optimiser_plays_the_episodes_that_it_was_measured_in(
    run: Run,
    show: Callable[..., Outcome],
    log: Path,
    tmp_path: Path,
    algorithm: str,
    words: tuple[str, ...],
    label: str,
) -> None:
    named = ("--algorithm", algorithm)
    code, _, err = run("--do", "optimize", *named, *words, "--seed_min", "2", "--seed_nb", "1", *NUMBER)
    assert code == 0, err
    (path,) = (log / "rewards").glob(f"optimiser_*{CAR}_2.npz")
    results = load_results(path)
    best = int(np.argmax(results.proxy_returns[0]))
    # Each needs a process and what it imports.
    for wanted, episode in (("best", best), ("3", 2))[: 1 if algorithm == "ppo" else 2]:
        video = tmp_path / "car.gif"
        code, out, err = show(*named, "--seed", "2", "--episode", wanted, "--output", str(video))
        assert (code, err) == (0, "")
        assert out.startswith(f"optimiser {label}, seed 2, episode {episode + 1}: {results.lengths[0, episode]} steps")
        true, proxy = results.true_returns[0, episode], results.proxy_returns[0, episode]
        assert f"true return {true:.6g}, proxy return {proxy:.6g}; started by its seed; exactly as played" in out
        assert video.read_bytes().startswith(b"GIF8")


def test_random_play_and_pictures_are_shown(run: Run, show: Callable[..., Outcome], tmp_path: Path) -> None:
    words = ("--seed_nb", "1", "--max_steps", "12", "--number_trajectories", "1", "--algorithm", "random")
    assert run("--do", "optimize", "--env_name", PINBALL, *words)[0] == 0
    code, out, _ = show("--env_id", PINBALL, "--algorithm", "random", "--output", str(tmp_path / "pinball.mp4"))
    assert code == 0
    assert out.startswith("optimiser random, seed 0, episode 1: 12 steps")


@pytest.fixture(scope="module")
def optimised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log folder with a planner, an agent, one that has another's name, and random play that was not measured."""
    log = tmp_path_factory.mktemp("optimised") / "log"
    small = ("--seed_nb", "1", "--number_trajectories", "2", "--log_dir", str(log))
    for words in (
        ("planner_true", "--effort", "2", "--max_steps", "9"),
        ("sarsa", "--optimiser_steps", "400"),
        ("random", "--max_steps", "9"),
    ):
        assert quantilizer.main(["--do", "optimize", "--algorithm", *words, *small]) == 0
    (log / "rewards" / f"optimiser_random_{CAR}_0.npz").unlink()
    models = log / "models"
    shutil.copy(models / f"optimiser_sarsa_{CAR}_0.npz", models / f"optimiser_q_learning_{CAR}_0.npz")
    return log


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (
            ("--algorithm", "planner"),
            ("is missing", "--do optimize", "--algorithm planner", "--seed_min 0 --seed_nb 1"),
        ),
        (("--algorithm", "planer"), ("did you mean planner?", "qr_dqn")),
        (("--algorithm", "ppo", "--quantile", "0.5"), ("give one of them",)),
        (("--algorithm", "random", "--episode", "0"), ("neither a number",)),
        (("--algorithm", "random", "--episode", "best"), ("nothing was tested yet", "--do optimize")),
        (("--algorithm", "sarsa", "--episode", "best"), ("measured while it learns", "by its number")),
        (("--algorithm", "planner_true", "--episode", "3"), ("plans for 2 episodes", "not for episode 3")),
        (("--algorithm", "q_learning"), ("holds another agent",)),
        (
            ("--algorithm", "planner_true", "--episode", "best", "--max_steps", "5"),
            ("was measured with max_steps 9, not 5", "by its number"),
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    optimised: Path, show: Callable[..., Outcome], tmp_path: Path, words: tuple[str, ...], named: tuple[str, ...]
) -> None:
    shutil.copytree(optimised, tmp_path / "log")
    code, out, err = show(*words, "--output", str(tmp_path / "no.gif"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    for word in named:
        assert word in err
    assert not (tmp_path / "no.gif").exists()


def test_episodes_are_not_ranked_by_measurements_of_another_agent(
    optimised: Path, show: Callable[..., Outcome], tmp_path: Path
) -> None:
    shutil.copytree(optimised, tmp_path / "log")
    agent = tmp_path / "log" / "models" / f"optimiser_planner_true_{CAR}_0.npz"
    with np.load(agent) as file:
        arrays = dict(file)
    np.savez(agent, **arrays, more=np.zeros(1))
    words = ("--algorithm", "planner_true", "--output", str(tmp_path / "no.gif"), "--episode")
    code, out, err = show(*words, "best")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "was measured with another agent than the one that is there now; choose the episode by its number" in err
    assert show(*words, "1")[0] == 0
