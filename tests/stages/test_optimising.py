"""The stage `optimize`, as its users type it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from quantilizers.evaluation.results import load_results
from quantilizers.optimisers.paths import load_path_of
from support import ROOT, curves_of, files_of

Run = Callable[..., tuple[int, str, str]]
CAR = ("--seed_nb", "2", "--optimiser_steps", "2000", "--number_trajectories", "4")
SMALL = (
    "--dataset_name", "small", "--quantiles", "1.0", "0.5", "--seed_nb", "2", "--number_trajectories", "3",
    "--max_epochs", "3",
)  # fmt: skip
deep = pytest.mark.skipif(
    importlib.util.find_spec("sb3_contrib") is None, reason="requirements-optimizers.txt is not installed"
)


@pytest.mark.parametrize("spelling", ["optimize", "optimise"])
def test_an_optimiser_is_trained_measured_and_drawn(run: Run, log: Path, spelling: str) -> None:
    code, out, err = run("--do", spelling, *CAR)
    assert code == 0, err
    assert "| SARSA" in out
    files = files_of(log)
    for seed in (0, 1):
        assert {
            f"models/optimiser_sarsa_MountainCar-v0_{seed}.npz",
            f"rewards/optimiser_MountainCar-v0_{seed}.npz",
        } <= files.keys()
        results = load_results(log / "rewards" / f"optimiser_MountainCar-v0_{seed}.npz")
        assert results.true_returns.shape == (1, 4)
        curves = curves_of(log / "train" / f"optimiser_sarsa_MountainCar-v0_{seed}")
        assert len(curves["proxy_return"]) == len(curves["true_return"]) == 10
        proxy = [value for _, value in curves["proxy_return"]]
        np.testing.assert_allclose(proxy[-4:], results.proxy_returns[0], rtol=1e-4)
    record = json.loads(files["fig/optimiser_sarsa_MountainCar-v0_learning.json"])
    assert record["numbers"]["algorithm"] == "sarsa"
    assert files["fig/optimiser_sarsa_MountainCar-v0_learning.png"].startswith(b"\x89PNG")
    assert files["fig/optimiser_sarsa_MountainCar-v0_efforts.png"].startswith(b"\x89PNG")
    path = load_path_of(log / "study" / "optimiser_sarsa_MountainCar-v0_path.json")
    assert path is not None
    assert path.efforts.tolist() == [200.0 * part for part in range(1, 11)]
    ended = [episode for _, episode in curves_of(log / "train" / "optimiser_sarsa_MountainCar-v0_1")["true_return"]]
    np.testing.assert_allclose([point.true_returns[1, 0] for point in path.points], ended)
    assert "in training, whose episodes explore, the true return is" in out
    assert not any(name.rpartition("/")[2].startswith(".") for name in files), "no temporary file is left"


def test_several_optimisers_are_trained_by_one_command(run: Run, log: Path) -> None:
    words = ("--do", "optimize", *CAR[:2], "--number_trajectories", "3", "--algorithm", "random")
    code, out, err = run(*words, "--optimisers", "sarsa", "random")
    assert code == 0, err
    assert out.index("| random ") < out.index("| SARSA ")
    alone = files_of(log / "rewards")
    assert set(alone) == {f"optimiser_{one}MountainCar-v0_{seed}.npz" for one in ("", "random_") for seed in (0, 1)}
    assert load_results(log / "rewards" / "optimiser_MountainCar-v0_0.npz").max_steps == 200
    code, _, err = run(*words, "--optimisers", "sarsa", "--max_steps", "100")
    assert (code, "rewards" in err or "models" in err) == (2, True), "each is checked before the first is trained"
    assert files_of(log / "rewards") == alone


def test_running_it_again_changes_nothing(run: Run, log: Path) -> None:
    outs = []
    for _ in range(2):
        code, out, _ = run("--do", "optimize", *CAR)
        outs.append((code, out, {n: b for n, b in files_of(log).items() if not n.startswith(("train/", "runs/"))}))
    assert outs[0] == outs[1]
    longer = (*CAR[:3], "3000", *CAR[4:])
    code, _, err = run("--do", "optimize", *longer)
    assert code == 2
    assert "_0.npz was trained with steps 2000, not 3000; keep it and give this run another --path" in err
    code, out, _ = run("--do", "optimize", *longer, "--force")
    assert code == 0
    assert "of 3,000 steps" in out
    assert "--force deletes the path in " in out


def test_plot_draws_what_was_measured_and_the_published_value_only_without_it(run: Run, log: Path) -> None:
    path = log / "fig" / "small_MountainCar-v0_mean_seeds.json"
    assert run("--do", "train", "test", "plot", *SMALL)[0] == 0
    assert json.loads(path.read_text())["numbers"]["true"]["optimiser"] == {"published": -180.16}
    code, _, err = run("--do", "optimize", "plot", *SMALL, "--optimiser_steps", "1000", "--algorithm", "q_learning")
    assert code == 0, err
    numbers = json.loads(path.read_text())["numbers"]
    assert numbers["optimiser"] == {"algorithm": "q_learning", "steps": 1000, "seeds": [0, 1]}
    results = [load_results(log / "rewards" / f"optimiser_q_learning_MountainCar-v0_{seed}.npz") for seed in (0, 1)]
    for kind in ("true", "proxy"):
        drawn = numbers[kind]["optimiser"]
        returns = [getattr(one, f"{kind}_returns").mean() for one in results]
        np.testing.assert_allclose(drawn["seed_means"], [returns])
        np.testing.assert_allclose(drawn["bars"], [np.mean(returns)])
    # SARSA was not measured, so the published value is in its place, beside the measured optimisers.
    assert run("--do", "plot", *SMALL)[0] == 0
    numbers = json.loads(path.read_text())["numbers"]
    assert "bars" not in numbers["true"]["optimiser"]
    assert list(numbers["true"]["others"]) == ["q_learning"]


def test_plot_draws_random_play_and_the_optimiser_of_the_greatest_proxy_return(run: Run, log: Path) -> None:
    assert run("--do", "train", "test", *SMALL)[0] == 0
    for words in (("random",), ("sarsa", "--optimiser_steps", "1000"), ("q_learning", "--optimiser_steps", "2000"),
                  ("sarsa_greedy", "--optimiser_steps", "400")):  # fmt: skip
        code, _, err = run("--do", "optimize", *SMALL, "--algorithm", *words)
        assert code == 0, err
    proxy = {
        name: np.mean(
            [load_results(path).proxy_returns.mean() for path in log.glob(f"rewards/optimiser_{mark}_[01].npz")]
        )
        for name, mark in (
            ("sarsa", "MountainCar-v0"),
            ("q_learning", "q_learning_MountainCar-v0"),
            ("sarsa_greedy", "sarsa_greedy_MountainCar-v0"),
        )
    }
    strongest = max(proxy, key=lambda name: float(proxy[name]))
    assert run("--do", "plot", *SMALL)[0] == 0
    numbers = json.loads((log / "fig" / "small_MountainCar-v0_mean_seeds.json").read_text())["numbers"]
    assert numbers["optimiser"]["algorithm"] == "sarsa"
    assert [other["algorithm"] for other in numbers["others"]] == list(dict.fromkeys(["random", strongest]))[
        : 1 + (strongest != "sarsa")
    ]
    np.testing.assert_allclose(numbers["true"]["others"]["random"]["bars"], [-200])
    assert run("--do", "plot", *SMALL, "--optimisers", "q_learning")[0] == 0
    numbers = json.loads((log / "fig" / "small_MountainCar-v0_mean_seeds.json").read_text())["numbers"]
    assert [other["algorithm"] for other in numbers["others"]] == ["q_learning"]
    assert run("--do", "plot", *SMALL, "--plotstyle", "frontier", "--optimisers", "q_learning", "random")[0] == 0
    numbers = json.loads((log / "fig" / "small_MountainCar-v0_frontier.json").read_text())["numbers"]
    assert [agent["label"] for agent in numbers["agents"][-3:]] == ["SARSA", "Q-learning", "random"]
    assert [path["label"] for path in numbers["paths"]] == ["SARSA", "Q-learning"]
    code, _, err = run("--do", "plot", *SMALL, "--optimisers", "ppo")
    assert (code, err.count("\n")) == (2, 1)
    assert "PPO was not measured" in err
    assert "--do optimize" in err
    assert "--algorithm ppo" in err


def test_what_is_not_trained_takes_no_steps(run: Run, log: Path) -> None:
    code, out, err = run("--do", "optimize", "--algorithm", "random", "--seed_nb", "1", "--number_trajectories", "2")
    assert code == 0, err
    assert "| random" in out
    assert "steps" not in out
    assert not list((log / "fig").glob("*")) if (log / "fig").exists() else True
    code, out, err = run("--do", "optimize", "--algorithm", "random", "--optimiser_steps", "5")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "is not trained" in err


def test_an_optimiser_of_another_horizon_is_not_compared(run: Run) -> None:
    assert run("--do", "train", "test", *SMALL)[0] == 0
    assert run("--do", "optimize", *CAR, "--max_steps", "100")[0] == 0
    code, out, err = run("--do", "plot", *SMALL)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--do optimize" in err
    assert "--max_steps 200" in err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--optimisers", "rainbow"), ("rainbow", "--optimisers")),
        (("--algorithm", "rainbow"), ("rainbow", "sarsa", "q_learning", "ppo", "qr_dqn")),
        (("--optimiser_steps", "0"), ("--optimiser_steps",)),
        (("--optimizer_steps", "150"), ("150 training steps", "200 steps")),
        (("--env_name", "Hopper-v2", "--algorithm", "q_learning"), ("discrete actions", "--algorithm")),
        (("--dataset_name", "optimiser_q_learning"), ("data set name", "another")),
        (("--env_name", "VideoPinballNoFrameskip-v4", "--lamb", "0"), ("λ = 0",)),
    ],
)
def test_bad_input_gets_exit_code_2_and_one_line(
    run: Run, log: Path, words: tuple[str, ...], named: tuple[str, ...]
) -> None:
    code, out, err = run("--do", "optimize", *words)
    assert (code, out) == (2, "")
    message = err.splitlines()[-1]
    assert message.startswith("quantilizer.py: ")
    for word in named:
        assert word in message
    assert not (log / "rewards").exists()


@pytest.mark.parametrize("algorithm", ["ppo", "kl_control"])
def test_without_the_libraries_one_line_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "torch" else found(name, *more)
    )
    code, out, err = run("--do", "optimize", "--env_name", "Hopper-v2", "--algorithm", algorithm)
    assert (code, out) == (2, "")
    assert "pip install -r requirements-optimizers.txt" in err.splitlines()[-1]
    assert run("--do", "optimize", *CAR)[0] == 0, "SARSA needs none of them"


@deep
@pytest.mark.parametrize(
    ("environment", "label", "steps"),
    [
        # PPO on Hopper is trained by tests/test_defaults.py, too.
        pytest.param("Hopper-v2", "PPO", 300, marks=pytest.mark.slow),
        ("VideoPinballNoFrameskip-v4", "QR-DQN", 200),
    ],
)
def test_deep_optimisers_are_trained_in_processes(
    run: Run, log: Path, environment: str, label: str, steps: int
) -> None:
    words = ("--env_name", environment, "--seed_nb", "1", "--number_trajectories", "2", "--max_steps", "60")
    code, out, err = run("--do", "optimize", *words, "--optimiser_steps", str(steps))
    assert code == 0, err
    assert f"| {label}" in out
    assert load_results(log / "rewards" / f"optimiser_{environment}_0.npz").true_returns.shape == (1, 2)
    (path,) = (log / "models").glob(f"optimiser_*_{environment}_0.npz")
    with np.load(path, allow_pickle=False) as agent:
        assert int(agent["trained_steps"]) >= steps
        assert any(name.startswith("learned/optimizer/") for name in agent.files)


def test_the_learning_curve_s_module_needs_no_tensorflow(log: Path) -> None:
    """Seconds of importing would be most of what SARSA takes."""
    code = (
        "import pathlib, sys, quantilizers.stages.optimising, quantilizers.optimisers.sarsa_and_q_learning\n"
        "from quantilizers.event_files import event_writer\n"
        "with event_writer(pathlib.Path(sys.argv[1])): pass\n"
        "from tensorboard.compat import tf\n"
        "tf.io; assert not {'tensorflow', 'torch'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(log / "train")], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("algorithm", ["sampling_quantilizer", "kl_control"])
def test_what_starts_from_an_imitator_needs_it(run: Callable[..., tuple[int, str, str]], algorithm: str) -> None:
    words = ["--do", "optimize", "--dataset_name", "small", "--algorithm", algorithm, "--seed_nb", "1"]
    code, _, error = run(*words)
    assert code == 2
    assert "small_MountainCar-v0_1.0_0.keras is missing; train it first" in error
    assert "--do train" in error
    assert "--quantiles 1.0" in error


def test_impossible_efforts_are_refused(run: Callable[..., tuple[int, str, str]]) -> None:
    words = ["--do", "optimize", "--dataset_name", "small", "--algorithm", "sampling_quantilizer", "--seed_nb", "1"]
    for more, named in (
        (["--rollouts", "8", "--top_k", "9"], "--top_k 9 of --rollouts 8 are impossible"),
        (["--algorithm", "kl_control", "--beta", "0"], "--beta is 0; give a finite number above 0"),
        (["--algorithm", "sarsa", "--beta", "3"], "--beta is for --algorithm kl_control, not for sarsa"),
        (["--algorithm", "sarsa", "--top_k", "3"], "--top_k is for --algorithm sampling_quantilizer, not for sarsa"),
    ):
        code, _, error = run(*words, *more)
        assert (code, error.count("\n")) == (2, 1)
        assert named in error
