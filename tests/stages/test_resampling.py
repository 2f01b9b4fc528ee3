from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.stages import resampling
from quantilizers.stages.settings import Settings
from quantilizers.studies.players import PlayersDraw
from support import files_of

Run = Callable[..., tuple[int, str, str]]
WORDS = (
    "--do", "study", "--dataset_name", "small", "--quantiles", "1.0", "0.5", "--seed_nb", "2", "--subsets", "2",
    "--number_trajectories", "3", "--max_epochs", "2", "--max_steps", "40", "--hidden_units",
    "--resample", "players", "--resamples", "2",
)  # fmt: skip


def with_players(demonstrations: Demonstrations, number: int) -> Demonstrations:
    players = np.array([f"simulated player {episode % number}" for episode in range(demonstrations.number)])
    return replace(demonstrations, episodes=replace(demonstrations.episodes, extras={"player": players}))


def test_both_intervals_stand_side_by_side(run: Run, log: Path, car_demonstrations: Demonstrations) -> None:
    with_players(car_demonstrations, 4).episodes.save(log / "MountainCar-v0" / "small.npz")
    code, out, _ = run(*WORDS)
    assert code == 0
    for said in ("these demonstrations", "one run on other players", "2 runs with players drawn with replacement"):
        assert said in out
    written = json.loads((log / "study" / "small_MountainCar-v0_players.json").read_text())
    study = json.loads((log / "study" / "small_MountainCar-v0.json").read_text())
    assert (written["settings"]["resamples"], written["settings"]["players_from"]) == (2, None)
    assert [effect["question"] for effect in written["effects"]] == ["imitation", "selection", "kept"]
    (imitation,) = (
        verdict for verdict in study["verdicts"] if verdict["budget"] == "epochs" and "imitation" in verdict["claim"]
    )
    assert written["effects"][0]["these_demonstrations"] == [imitation["estimate"], *imitation["interval_95"]]
    assert run(*WORDS)[1] == out, "nothing is done twice, and nothing comes out otherwise"


def test_players_may_come_from_a_larger_data_set(run: Run, log: Path, car_demonstrations: Demonstrations) -> None:
    folder = log / "MountainCar-v0"
    with_players(car_demonstrations, 4).episodes.save(folder / "small.npz")
    with_players(car_demonstrations, 12).episodes.save(folder / "many.npz")
    code, out, _ = run(*WORDS, "--players_from", "many")
    assert code == 0
    assert "from data set many" in out
    assert "mean over the runs" in run(*WORDS, "--players_from", "many", "--wide")[1]
    written = json.loads((log / "study" / "small_MountainCar-v0_players.json").read_text())
    assert written["settings"]["players_from"] == "many"


def without_warnings(err: str) -> list[str]:
    """The lines but that on demonstrations longer than test episodes, which these small runs have."""
    return [line for line in err.splitlines() if not line.startswith("warning: demonstrations have up to")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "does not name two players or more"),
        (("--resample", "episodes"), "--resample is 'episodes'"),
        (("--resamples", "1"), "--resamples is 1; give a whole number from 2"),
        (("--resample", "nothing", "--players_from", "many"), "--players_from needs --resample players"),
        (("--players_from", "none"), "--players_from names the data set"),
    ],
)
def test_what_is_impossible_is_known_before_the_study(run: Run, log: Path, words: tuple[str, ...], said: str) -> None:
    code, _, err = run(*WORDS, *words)
    assert code == 2
    assert said in err
    assert [line.startswith("quantilizer.py: ") for line in without_warnings(err)] == [True]
    assert not (log / "study").exists()


def test_runs_of_other_settings_or_players_are_refused_with_what_differs(
    run: Run, log: Path, car_demonstrations: Demonstrations
) -> None:
    three_runs = (*WORDS, "--resamples", "3")
    folder, study = log / "MountainCar-v0", log / "study"
    with_players(car_demonstrations, 4).episodes.save(folder / "small.npz")
    with_players(car_demonstrations, 12).episodes.save(folder / "many.npz")
    assert run(*three_runs, "--players_from", "many")[0] == 0
    before = files_of(study)
    path = study / "small_MountainCar-v0_players.json"

    def refused(said: str, *words: str) -> None:
        code, _, err = run(*three_runs, *words)
        assert code == 2
        assert said in err
        assert "keep it and give this run another --path, or replace it with --force" in err
        assert len(without_warnings(err)) == 1
        assert files_of(study) == before

    refused("was made with --players_from many, and this run is without --players_from; keep")
    refused("was made with 3 runs, of which 2 are asked for", "--players_from", "many", "--resamples", "2")
    refused("was made with max_steps 40, not 41", "--players_from", "many", "--max_steps", "41")
    with_players(car_demonstrations, 6).episodes.save(folder / "many.npz")
    refused("was made of other players than data set many holds now", "--players_from", "many")
    # If the stage stopped before the results were written, the cached runs identify their players.
    path.unlink()
    before = files_of(study)
    refused("was made of other demonstrations; keep it", "--players_from", "many")
    assert run(*three_runs, "--players_from", "many", "--force")[0] == 0
    assert json.loads(path.read_text())["settings"]["resamples"] == 3


@pytest.mark.parametrize("more", [(), ("--workers", "1")])
def test_a_stopped_study_draws_each_run_once(
    run: Run,
    log: Path,
    car_demonstrations: Demonstrations,
    more: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_players(car_demonstrations, 4).episodes.save(log / "MountainCar-v0" / "small.npz")
    assert run(*WORDS, *more)[0] == 0
    path = log / "study" / "small_MountainCar-v0_players.json"
    undisturbed = json.loads(path.read_text())["effects"]
    # Stopped in its last run.
    path.unlink()
    for arm in (path.with_suffix("") / "run1").iterdir():
        arm.unlink()
    draw_of, drawn = resampling.draw_of, []

    def noting(settings: Settings, demonstrations: Demonstrations) -> PlayersDraw:
        draw = draw_of(settings, demonstrations)

        def note(number: int) -> Demonstrations:
            drawn.append(number)
            return draw(number)

        return note

    monkeypatch.setattr(resampling, "draw_of", noting)
    assert run(*WORDS, *more)[0] == 0
    assert drawn == [0, 1]
    assert json.loads(path.read_text())["effects"] == undisturbed


def test_more_runs_go_on_with_those_there_are(run: Run, log: Path, car_demonstrations: Demonstrations) -> None:
    with_players(car_demonstrations, 4).episodes.save(log / "MountainCar-v0" / "small.npz")
    assert run(*WORDS)[0] == 0
    runs = log / "study" / "small_MountainCar-v0_players"
    kept = {path: path.stat().st_mtime_ns for path in runs.rglob("*.npz")}
    assert run(*WORDS, "--resamples", "3")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(list(runs.rglob("*.npz"))) == 3 * len(kept) // 2


def test_runs_of_these_players_are_no_runs_of_a_larger_data_set(
    run: Run, log: Path, car_demonstrations: Demonstrations
) -> None:
    for name, number in (("small", 4), ("many", 12)):
        with_players(car_demonstrations, number).episodes.save(log / "MountainCar-v0" / f"{name}.npz")
    assert run(*WORDS)[0] == 0
    code, _, err = run(*WORDS, "--players_from", "many")
    assert code == 2
    assert "was made without --players_from, and this run is with --players_from many; keep it" in err
