"""The command line, as its users type it."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import quantilizer
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.evaluation.results import load_results
from support import ROOT, files_of

Run = Callable[..., tuple[int, str, str]]
SMALL = (
    "--dataset_name", "small", "--quantiles", "1.0", "0.5", "--seed_nb", "2", "--number_trajectories", "3",
    "--max_epochs", "5",
)  # fmt: skip


def python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_train_test_plot_from_demonstrations_to_figure(run: Run, log: Path) -> None:
    code, out, err = run(*SMALL)
    assert code == 0, err
    assert "imitation" in out
    assert out.count("[") == 5, "a mean and interval for each of two returns and quantiles, and the header's"
    files = files_of(log)
    for quantile in ("1.0", "0.5"):
        for seed in (0, 1):
            assert f"models/small_MountainCar-v0_{quantile}_{seed}.keras" in files
            assert any(name.startswith(f"train/small_MountainCar-v0_{quantile}_{seed}/events") for name in files)
    assert {"rewards/small_MountainCar-v0_0.npz", "rewards/small_MountainCar-v0_1.npz"} <= files.keys()
    assert files["fig/small_MountainCar-v0_mean_seeds.png"].startswith(b"\x89PNG")
    record = json.loads(files["fig/small_MountainCar-v0_mean_seeds.json"])
    assert record["command"] == ["python", "quantilizer.py", "--log_dir", str(log), *SMALL]
    assert not any(name.rpartition("/")[2].startswith(".") for name in files), "no temporary file is left"


def test_stages_run_alone_and_tests_repeat_bit_for_bit(run: Run, log: Path) -> None:
    assert run("--do", "train", *SMALL)[0] == 0
    tables = []
    for _ in range(2):
        out = run("--do", "test", "--force", *SMALL)[1]
        tables.append([line for line in out.splitlines() if not line.startswith("--force deletes rewards in ")])
    assert tables[0] == tables[1]
    first = files_of(log / "rewards")
    assert run("--do", "test", "--force", *SMALL)[0] == 0
    assert files_of(log / "rewards") == first
    assert run("--do", "plot", *SMALL, "--plotstyle", "median_seeds")[0] == 0


def test_training_twice_gives_the_same_policies(run: Run, log: Path) -> None:
    results = []
    for path in ("one", "two"):
        assert run("--do", "train", "test", *SMALL, "--path", path)[0] == 0
        results.append(files_of(log / "rewards" / path))
    assert results[0] == results[1]


def test_a_path_keeps_runs_apart_and_its_slash_does_not_matter(run: Run, log: Path) -> None:
    assert run("--do", "train", *SMALL, "--path", "run_1/")[0] == 0
    assert run("--do", "test", "plot", *SMALL, "--path", "run_1")[0] == 0
    assert (log / "fig" / "run_1" / "small_MountainCar-v0_mean_seeds.png").exists()
    assert run("--do", "test", *SMALL)[0] == 2, "without the path there is nothing trained"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--env_name", "MountainCart-v0"), ("MountainCart-v0", "MountainCar-v0", "Hopper-v2")),
        (("--do", "tran"), ("tran", "train", "test", "plot")),
        (("--plotstyle", "means"), ("means", "mean_seeds", "median_seeds", "distribution")),
        (("--plotstyle", "lambda"), ("no λ", "--plotstyle")),
        (("--dataset_name", "ryann"), ("ryann", "small", "gather_data.py", "load_data.sh")),
        (("--dataset_name", "../small"), ("data set name", "'../small'")),
        (("--quantiles", "0"), ("quantile 0",)),
        (("--quantiles", "1.5"), ("1.5",)),
        (("--quantiles", "nan"), ("nan",)),
        (("--quantiles", "0.5", "0.5"), ("once",)),
        (("--quantiles", "half"), ("half",)),
        (("--seed_nb", "0"), ("--seed_nb",)),
        (("--seed_min", "-1"), ("--seed_min",)),
        (("--number_trajectories", "0"), ("--number_trajectories",)),
        (("--max_steps", "0"), ("--max_steps",)),
        (("--path", "../../elsewhere"), ("path '../../elsewhere'", "leaves")),
        (("--render", "perhaps"), ("perhaps", "True", "False")),
        (("--sed_nb", "3"), ("--sed_nb", "--help")),
        (("--do", "test"), ("--do train", "models")),
        (("--do", "plot"), ("--do train test",)),
        (("--do", "optimize", "plot"), ("--do train test",)),
        (("--do", "train", "plot"), ("test",)),
        (("--do", "plot", "--plotstyle", "distribution"), ("--do train test",)),
        (("--do", "trian"), ("did you mean train?",)),
        (("--env_id", "Hoper-v2"), ("did you mean Hopper-v2?",)),
        (("--dataset_name", "smal"), ("did you mean small?",)),
        (("--plotstyle", "mean_seed"), ("did you mean mean_seeds?",)),
        (("--algorithm", "q-learning"), ("did you mean q_learning?",)),
        (("--algorithm", "PPO"), ("did you mean ppo?",)),
        (("--quantile", "0.5"), ("did you mean --quantiles?",)),
        (("--quantiles", "0.5,0.25"), ("'0.5,0.25' is not a number; separate several by spaces",)),
        (("--seed_nb", "1.5"), ("'1.5' is not a whole number",)),
        (("--train",), ("stages follow --do, such as --do train",)),
        (("--seed", "1", "--seed_nb", "2"), ("--seed is one seed",)),
        (("--seed", "-1"), ("--seed is -1; give a whole number from 0",)),
        (("--max_epochs", "0"), ("max_epochs is 0",)),
        (("--hidden_units", "20", "-3"), ("hidden_units",)),
        (("--learning_rate", "fast"), ("--learning_rate", "fast")),
        (("--weight_decay", "0.1"), ("weight_decay", "multilayer perceptron")),
        (("--training_steps", "5"), ("steps", "multilayer perceptron")),
        (("--env_name", "VideoPinballNoFrameskip-v4", "--max_epochs", "3"), ("max_epochs", "convolutional")),
        (("--acting", "boldly"), ("boldly", "most_probable", "expected_value", "sample")),
        (("--acting", "expected_value"), ("expected_value", "Box")),
        (("--env_option", "wind"), ("'wind'", "NAME=VALUE")),
        (("--env_option", "wind=3"), ("'wind'", "no options")),
    ],
)
def test_bad_input_gets_exit_code_2_one_line_and_writes_nothing(
    run: Run, log: Path, words: tuple[str, ...], named: tuple[str, ...]
) -> None:
    before = files_of(log.parent)
    code, out, err = run(*([] if "--dataset_name" in words else SMALL[:2]), *words)
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    for word in named:
        assert word in err
    assert files_of(log.parent) == before


def test_the_command_that_a_message_names_works(run: Run) -> None:
    """Follow the messages from `--do plot` to a figure; each names all stages that are missing."""
    run_of = "--env_name MountainCar-v0 --dataset_name small --quantiles 1.0 0.5"
    for stage, missing in (("plot", "train test"), ("test", "train")):
        code, _, err = run(*SMALL, "--do", stage)
        assert code == 2
        assert f"--do {missing} {run_of}" in err
    assert run(*SMALL, "--do", "train")[0] == 0
    assert f"--do test {run_of}" in run(*SMALL, "--do", "plot")[2]
    for stage in ("test", "plot"):
        assert run(*SMALL, "--do", stage)[0] == 0


def test_unusable_data_write_nothing(run: Run, log: Path, car_demonstrations: Demonstrations) -> None:
    path = log / "MountainCar-v0" / "small.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    before = files_of(log)
    code, out, err = run(*SMALL)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "small.npz" in err
    assert files_of(log) == before


def test_a_recording_of_another_environment_is_named_as_such(
    run: Run, log: Path, car_demonstrations: Demonstrations
) -> None:
    (log / "Hopper-v2").mkdir()
    (log / "MountainCar-v0" / "small.npz").rename(log / "Hopper-v2" / "small.npz")
    code, out, err = run("--env_name", "Hopper-v2", "--dataset_name", "small")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "is a recording of MountainCar-v0; --env_name and --dataset_name must go together" in err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--lamb", "1"), "MountainCar-v0 has no option 'lamb'"),
        (("--env_name", "VideoPinballNoFrameskip-v4", "--lamb", "-1"), "λ is -1"),
        (("--env_name", "VideoPinballNoFrameskip-v4", "--lamb", "nan"), "λ is nan"),
        (("--env_name", "VideoPinballNoFrameskip-v4", "--env_option", "lamb=-1"), "λ is -1"),
        (("--env_name", "VideoPinballNoFrameskip-v4", "--lamb", "much"), "lamb takes a float, not 'much'"),
    ],
)
def test_an_environment_s_own_flag_is_checked(run: Run, words: tuple[str, ...], problem: str) -> None:
    code, out, err = run(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert problem in err


def test_render_false_is_false_and_true_needs_a_display(run: Run, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the reference implementation every word counted as True."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    before = files_of(log)
    code, out, err = run(*SMALL, "--render", "True")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "display" in err
    assert files_of(log) == before
    assert run(*SMALL, "--render", "False")[0] == 0


def test_render_shows_the_first_episode_of_each_policy(run: Run, log: Path) -> None:
    words = ("--dataset_name", "small", "--quantiles", "1.0", "0.5", "--seed_nb", "1", "--number_trajectories", "2")
    words += ("--max_steps", "20", "--max_epochs", "1")
    assert run("--do", "train", "test", *words)[0] == 0
    unseen = files_of(log / "rewards")
    code, out, err = run("--do", "test", *words, "--render", "True")
    assert code == 0, err
    shown = [line for line in out.splitlines() if line.endswith("exactly as played")]
    assert [line.split(": ")[0] for line in shown] == [
        f"policy small, quantile {quantile}, seed 0, episode 1" for quantile in ("1", "0.5")
    ]
    assert files_of(log / "rewards") == unseen


def test_a_quantile_that_keeps_few_episodes_warns(run: Run) -> None:
    code, _, err = run(
        "--do", "train", "--dataset_name", "small", "--quantiles", "0.1", "--seed_nb", "1", "--hidden_units"
    )
    assert code == 0
    assert "warning: q = 0.1 keeps 1 of 12 episodes" in err


def test_interrupting_exits_with_130_and_no_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib, "import_module", interrupt)
    assert run(*SMALL)[0] == 130


def test_help_explains_every_flag_without_the_heavy_libraries() -> None:
    ended = python(
        "import sys, quantilizer\n"
        "try: quantilizer.main(['--help', 'all'])\n"
        "except SystemExit as ended: assert ended.code == 0\n"
        "heavy = {'tensorflow', 'keras', 'matplotlib', 'scipy', 'mujoco', 'ale_py', 'pygame'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    assert ended.returncode == 0, ended.stderr
    flags = "dataset_name env_name env_id do seed seed_min seed_nb version number_trajectories quantiles "
    flags += "render plotstyle path max_steps log_dir env_option lamb config print_config "
    flags += "acting hidden_units max_epochs batch_size training_steps"
    for flag in flags.split():
        assert f"--{flag}" in ended.stdout
    assert "default" in ended.stdout
    assert not re.search(r"\[[\'\"0-9]|Namespace|None", ended.stdout), "no Python in the help"


def test_one_seed_is_a_flag_of_its_own(run: Run, log: Path) -> None:
    assert "seed_min: 3\nseed_nb: 1\n" in run("--seed", "3", "--print_config")[1]
    words = "--do train --dataset_name small --quantiles 1.0 --seed 3 --max_epochs 2 --hidden_units"
    code, _, err = run(*words.split())
    assert code == 0, err
    assert [path.name for path in (log / "models").iterdir()] == ["small_MountainCar-v0_1.0_3.keras"]


@pytest.mark.parametrize("name", environment_names())
def test_each_default_quantile_keeps_five_episodes_of_what_ships(name: str) -> None:
    demonstrations = Demonstrations.load("demo", name)
    quantiles = load_environment(name).experiment.quantiles
    assert quantiles[0] == 1, "imitation"
    assert min(demonstrations.top(quantile).number for quantile in quantiles) >= 5


def test_hyper_parameters_are_in_force_in_all_stages_and_stand_beside_the_figure(run: Run, log: Path) -> None:
    words = (*SMALL, "--hidden_units", "8", "--max_epochs", "3", "--acting", "sample")
    code, _, err = run(*words)
    assert code == 0, err
    record = json.loads((log / "fig" / "small_MountainCar-v0_mean_seeds.json").read_text())["settings"]
    assert (record["training"]["hidden_units"], record["training"]["max_epochs"]) == ([8], 3)
    assert record["acting"] == "sample"
    assert run("--do", "plot", *words)[0] == 0
    for stage, command in (("test", "--do train"), ("plot", "--do train test")):
        code, out, err = run("--do", stage, *SMALL)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert command in err


def test_an_environment_s_option_may_be_given_in_three_ways(run: Run, tmp_path: Path) -> None:
    pinball = ("--env_name", "VideoPinballNoFrameskip-v4", "--print_config")
    (tmp_path / "run.yaml").write_text("env_option: {lamb: 7}\n")
    for words in (("--lamb", "7"), ("--env_option", "lamb=7"), ("--config", str(tmp_path / "run.yaml"))):
        assert "env_option: {lamb: 7.0}" in run(*pinball, *words)[1]
    assert "env_option: {lamb: 8.0}" in run(*pinball, *words, "--lamb", "8")[1]


def test_a_printed_configuration_makes_the_run_again(run: Run, log: Path, tmp_path: Path) -> None:
    words = ("--do", "train", "test", *SMALL, "--max_epochs", "3", "--hidden_units", "6", "5", "--max_steps", "50")
    words += ("--acting", "sample", "--path", "again")
    code, text, _ = run(*words, "--print_config")
    assert code == 0
    assert not (log / "models").exists()
    assert run(*words)[0] == 0
    first = files_of(log / "rewards")
    (tmp_path / "run.yaml").write_text(text)
    for name in first:
        (log / "rewards" / name).unlink()
    assert quantilizer.main(["--config", str(tmp_path / "run.yaml")]) == 0
    assert files_of(log / "rewards") == first
    assert run("--config", str(tmp_path / "run.yaml"), "--print_config")[1].endswith(text)


def test_the_command_line_wins_over_the_configuration(run: Run, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("seed_nb: 7\nquantiles: [1.0, 0.5]\nmax_epochs: 3\nrender: no\n")
    out = run("--config", str(tmp_path / "run.yaml"), "--print_config", "--quantiles", "0.25", "--seed_nb", "2")[1]
    for line in ("seed_nb: 2", "quantiles: [0.25]", "max_epochs: 3", "render: false"):
        assert f"{line}\n" in out


def test_neither_plotting_nor_a_finished_run_imports_tensorflow(run: Run, log: Path) -> None:
    assert run("--do", "train", "test", *SMALL)[0] == 0
    ended = python(
        "import sys, quantilizer\n"
        "assert quantilizer.main(sys.argv[1:]) == 0\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)",
        "--log_dir",
        str(log),
        *SMALL,
    )
    assert ended.returncode == 0, ended.stderr
    assert "all 4 policies are already trained" in ended.stdout


def test_other_settings_are_refused_before_any_work_and_replaced_by_force(run: Run, log: Path) -> None:
    words = (*SMALL, "--max_epochs", "2")
    assert run("--do", "train", "test", *words)[0] == 0
    before = files_of(log)
    code, out, err = run("--do", "inspect", "train", "test", *words, "--learning_rate", "0.01")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "_1.0_0.keras was trained with learning_rate 0.001, not 0.01; " in err
    assert "another --path, or replace it with --force" in err
    assert files_of(log) == before
    code, out, err = run("--do", "train", "test", *words, "--learning_rate", "0.01", "--force")
    assert code == 0, err
    assert "already" not in out
    assert "all 4 policies are already tested" in run("--do", "test", *words, "--learning_rate", "0.01")[1]


def test_force_keeps_what_is_not_asked_for_and_names_what_goes(run: Run, log: Path) -> None:
    words = (*SMALL, "--max_epochs", "2", "--max_steps", "20", "--number_trajectories", "2")
    half = ("--quantiles", "0.5")
    assert run("--do", "train", "test", *words)[0] == 0
    before = files_of(log)
    # Measurements under other conditions cannot stand beside those of the other quantile.
    code, out, err = run("--do", "test", *words, *half, "--acting", "sample", "--force")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--force would delete" in err
    assert "which also has q = 1; give this run another --path, or name all of them" in err
    assert files_of(log) == before
    # Under the same ones they can.
    code, out, err = run("--do", "train", "test", *words, *half, "--seed_nb", "1", "--force")
    assert code == 0, err
    assert f"--force deletes policies in {log / 'models'}: small_MountainCar-v0_0.5_0.keras\n" in out
    assert f"--force deletes the rewards of q = 0.5 in {log / 'rewards' / 'small_MountainCar-v0_0.npz'}\n" in out
    after = files_of(log)
    kept = [
        name
        for name in before
        if name.startswith(("models", "rewards")) and not name.endswith(("_0.5_0.keras", "_0.npz"))
    ]
    assert len(kept) == 4
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    of_seed = "rewards/small_MountainCar-v0_0.npz"
    now = load_results(log / of_seed).of([1.0])
    (log / of_seed).write_bytes(before[of_seed])
    then = load_results(log / of_seed).of([1.0])
    (log / of_seed).write_bytes(after[of_seed])
    np.testing.assert_array_equal(now.true_rewards, then.true_rewards)
    assert now.policies == then.policies
    assert "all 4 policies are already tested" in run("--do", "test", *words)[1]


def test_the_whole_pipeline_runs_on_people_s_play(run: Run, log: Path, human: Demonstrations) -> None:
    human.episodes.save(log / "MountainCar-v0" / "human.npz")
    code, out, err = run("--dataset_name", "human", "--quantiles", "1.0", "0.25", "--seed_nb", "2")
    assert code == 0, err
    rows = [line for line in out.splitlines() if line.startswith("| 1 ")]
    assert len(rows) == 1
    with np.load(log / "rewards" / "human_MountainCar-v0_0.npz") as results:
        # Policies that imitate a player who always reaches the flag mostly reach it; random play never does.
        assert results["true_returns"][0].mean() > -195
