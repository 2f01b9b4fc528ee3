from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from quantilizers.demonstrations.episodes import load_episodes

WORDS = ("--do", "imitators", "--dataset_name", "small", "--batch_size", "50", "--max_epochs", "3")
Run = Callable[..., tuple[int, str, str]]


def test_imitators_are_compared_and_one_is_chosen(run: Run, log: Path) -> None:
    words = (*WORDS, "--try_history", "0", "1", "--try_hidden_units", "4", "--try_max_epochs", "2")
    code, out, _ = run(*words)
    assert code == 0
    for said in (
        "over 12 episodes", "history 0, units 20 20, 3 epochs", "history 1, units 4 4, 2 epochs",
        "control: own frequencies", "chosen: history", "--acting sample", "log-likelihood |",
    ):  # fmt: skip
        assert said in out
    assert out.count("(chosen)") == 1
    written = json.loads((log / "study" / "small_MountainCar-v0_imitators.json").read_text())
    assert len(written["imitators"]) == 3
    assert len(written["controls"]) == 3
    assert len(written["imitators"][1]["of_players"]) == 12
    assert written["imitators"][0]["less_own"]["estimate"] == 0
    assert written["chosen"]["numbers_learned"] > 0
    assert written["data_sha256"]
    assert run(*words)[1] == out, "nothing is done twice, and nothing comes out otherwise"
    code, _, err = run(*words, "--learning_rate", "0.01")
    assert code == 2
    assert "_imitators.json was made with learning_rate 0.001, not 0.01; keep it and give" in err
    for more, said in (
        (["--try_history", "2"], "_imitators.json was made with try_history 0 1, not 2; keep it and give"),
        (["--try_history", "-1"], "--try_history is [-1]; give at most 100 whole numbers from 0"),
    ):  # fmt: skip
        code, _, err = run(*words, *more)
        assert code == 2
        assert said in err


def test_a_convolutional_network_is_refused_in_one_line(run: Run) -> None:
    code, _, err = run("--do", "imitators", "--env_name", "VideoPinballNoFrameskip-v4")
    assert code == 2
    assert "a convolutional network has no history" in err
    assert err.count("\n") == 1


def test_one_episode_is_refused_before_other_stages_have_written(run: Run, log: Path) -> None:
    path = log / "MountainCar-v0" / "small.npz"
    load_episodes(path).select(slice(1)).save(path)
    code, _, err = run("--do", "train", "imitators", "--dataset_name", "small", "--seed_nb", "1", "--max_epochs", "1")
    assert code == 2
    assert "one episode cannot be held out and learned from" in err
    assert not (log / "models").exists()
