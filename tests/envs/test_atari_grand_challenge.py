from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import gymnasium
import numpy as np
import numpy.typing as npt
import pytest

import quantilizer
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.demonstrations.frame_stacks import write_frames
from quantilizers.envs.registry import load_environment
from quantilizers.envs.video_pinball import atari_grand_challenge
from quantilizers.envs.video_pinball.environment import game_actions, scores
from quantilizers.errors import UserError
from recordings import record_game, screen_path, trajectory_path, write_plain, write_rows, write_screen

ENVIRONMENT = load_environment("VideoPinballNoFrameskip-v4")

SEED = 3


def load(folder: Path, cache: Path | None = None) -> Episodes:
    assert ENVIRONMENT.recordings.load_folder is not None
    return ENVIRONMENT.recordings.load_folder(folder, folder.parent / "cache" if cache is None else cache)


def observations_of(demonstrations: Episodes, episode: int = 0) -> npt.NDArray[np.uint8]:
    """All observations of an episode, (T, 4, 84, 84)."""
    steps = np.arange(demonstrations.lengths[episode])
    made: npt.NDArray[np.uint8] = demonstrations.observations[np.full(len(steps), episode), steps]
    return made


def newest(demonstrations: Episodes, episode: int = 0) -> list[int]:
    """The grey of each newest frame of screens of one colour."""
    frames = observations_of(demonstrations, episode)[:, -1]
    assert (frames == frames[:, :1, :1]).all()
    return [int(frame[0, 0]) for frame in frames]


@pytest.fixture(scope="module")
def game(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int], list[int]]:
    """A real game, recorded frame by frame: the folder, each step's action of `ale_py`'s 18, each frame's points."""
    folder = tmp_path_factory.mktemp("recorded") / "game"
    generator = np.random.default_rng(0)
    launch = [5] * 12 + [13] * 4
    actions = [0] * environment_s_game([])[0] + launch + generator.integers(18, size=110).tolist()
    return folder, actions, record_game(folder, 5, np.repeat(actions, 4).tolist())


def environment_s_game(actions: Sequence[int]) -> tuple[int, npt.NDArray[np.uint8], list[float]]:
    """Return the number of no-ops at the start, the observation before each further action, and its reward."""
    games = gymnasium.make_vec(ENVIRONMENT.gymnasium_id, num_envs=1)
    seen, paid = [games.reset(seed=SEED)[0][0]], []
    waits = int(games.unwrapped.no_op_steps[0])  # type: ignore[attr-defined]
    for action in actions[waits:]:
        observation, score, *_ = games.step(game_actions([action]))
        seen.append(observation[0])
        paid.append(float(score[0]))
    games.close()
    return waits, np.array(seen[:-1]), paid


def test_a_recorded_game_is_what_the_environment_shows_and_pays(game: tuple[Path, list[int], list[int]]) -> None:
    """Bit for bit, all four frames of every stack, from pictures in colour."""
    folder, actions, _ = game
    loaded = load(folder)
    waits, seen, paid = environment_s_game(actions)
    assert len(seen) == len(actions) - waits
    assert loaded.number == 1
    assert loaded.lengths.tolist() == [len(actions)]
    assert loaded.extras["trajectory"].tolist() == [5]
    assert loaded.actions[0, :, 0].tolist() == game_actions(actions).tolist()
    np.testing.assert_array_equal(observations_of(loaded)[waits:], seen)
    assert scores(loaded)[0, waits:].tolist() == paid
    assert sum(paid) > 0
    assert len(np.unique(seen[:, -1].reshape(len(seen), -1), axis=0)) > 60, "the ball moves"


def test_an_episode_begins_with_the_first_screen_alone(game: tuple[Path, list[int], list[int]]) -> None:
    first = observations_of(load(game[0]))[0]
    assert not first[:-1].any()
    grey = cv2.cvtColor(cv2.imread(str(screen_path(game[0], 5, 0))), cv2.COLOR_BGR2GRAY)
    difference = cv2.resize(grey, (84, 84), interpolation=cv2.INTER_AREA).astype(int) - first[-1]
    assert np.abs(difference).max() <= 1, "OpenCV's own grey rounds otherwise"


def test_four_rows_are_a_step(tmp_path: Path) -> None:
    """Its action is the first's, its reward their sum, its frame the brighter of the two before it began."""
    rows = [(row, 10**row, 0, 0, action) for row, action in enumerate([3, 1, 1, 1, 17, 2, 2, 2])]
    folder = tmp_path / "game"
    write_plain(folder, 0, [0] * 8)
    write_rows(folder, 0, rows)
    write_screen(folder, 0, 3, np.full((210, 160, 3), 200, dtype=np.uint8))
    loaded = load(folder)
    assert loaded.actions[0, :, 0].tolist() == [3, 1]
    assert loaded.true_rewards.tolist() == [[1111, 11110000]]
    assert newest(loaded) == [1, 200]
    assert observations_of(loaded)[1, :, 0, 0].tolist() == [0, 0, 1, 200]


@pytest.mark.parametrize(
    ("rows", "ends", "steps", "total"),
    [
        (8, [], 2, 8),
        (11, [], 2, 8),
        (11, [10], 3, 11),
        (9, [8], 3, 9),
        (8, [7], 2, 8),
        (12, [5], 2, 6),
        (12, [5, 6, 11], 2, 6),
        (3, [2], 1, 3),
    ],
)
def test_an_unfinished_step_counts_where_the_game_ended(
    tmp_path: Path, rows: int, ends: list[int], steps: int, total: int
) -> None:
    folder = tmp_path / "game"
    write_plain(folder, 0, [0] * rows)
    write_rows(folder, 0, [(row, 1, row + 1, int(row in ends), 0) for row in range(rows)])
    loaded = load(folder)
    assert loaded.lengths.tolist() == [steps]
    assert loaded.true_returns.tolist() == [total]


def test_only_screens_that_are_needed_are_looked_at(tmp_path: Path) -> None:
    folder = tmp_path / "game"
    write_plain(folder, 0, [0] * 20, ends=False)
    expected = newest(load(folder, tmp_path / "one"))
    for row in range(20):
        if row % 4 in (1, 2) or row == 19:
            screen_path(folder, 0, row).unlink()
    assert newest(load(folder, tmp_path / "two")) == expected == [1, 5, 9, 13, 17]


@pytest.mark.parametrize(
    "text",
    [
        "frame,reward,score,terminal,action\n0,2,2,0,3\n1,0,2,0,3\n2,0,2,0,3\n3,5,7,1,3\n",
        "db traj id : 31\nframe,reward,score,terminal,action\n0,2,2,0,3\n1,0,2,0,3\n2,0,2,0,3\n3,5,7,1,3\n",
        "header\nframe, reward, score, terminal, action\n0, 2, 2, False, 3\n1, 0, 2, False, 3\n"
        "2, 0, 2, False, 3\n3, 5, 7, True, 3",
        "action,terminal,score,reward,frame\r\n3,0,2,2,0\r\n3,0,2,0,1\r\n3,0,2,0,2\r\n3,1,7,5,3\r\n\r\n",
    ],
    ids=["one line", "the release", "words and spaces", "another order"],
)
def test_headers_as_they_occur(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "game"
    write_plain(folder, 0, [0] * 4)
    trajectory_path(folder, 0).write_bytes(text.encode())
    loaded = load(folder)
    assert loaded.actions.tolist() == [[[3]]]
    assert loaded.true_returns.tolist() == [7]


def test_trajectories_come_in_the_order_of_their_numbers_through_a_link(tmp_path: Path) -> None:
    folder = tmp_path / "release"
    for number, length in ((10, 8), (9, 4), (100, 12)):
        write_plain(folder, number, [0] * length, reward=number)
    (folder / "trajectories" / "pinball" / "readme.txt").write_text("not one of them")
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    loaded = load(tmp_path / "link")
    assert loaded.extras["trajectory"].tolist() == [9, 10, 100]
    assert loaded.lengths.tolist() == [1, 2, 3]
    assert loaded.true_returns.tolist() == [36, 80, 1200]
    assert loaded.observations.shape == (3, 3, 4, 84, 84)
    assert newest(loaded, 2) == [1, 5, 9]
    assert newest(loaded.select(np.array([2, 1])), 1) == [1, 5]


class Reading:
    """Counts the screens that are opened, and can interrupt."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: list[tuple[int, int]] = []
        self.stop_at: tuple[int, int] | None = None
        self._read_picture = atari_grand_challenge.read_picture
        monkeypatch.setattr(atari_grand_challenge, "read_picture", self)

    def __call__(self, path: Path) -> Any:
        which = (int(path.parent.name), int(path.stem))
        if which == self.stop_at:
            raise KeyboardInterrupt
        self.read.append(which)
        return self._read_picture(path)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A folder of three trajectories of 40 rows."""
    folder = tmp_path / "game"
    for number in range(3):
        write_plain(folder, number, [number] * 40)
    return folder


def test_the_second_time_no_screen_is_opened(
    three: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reading = Reading(monkeypatch)
    first = load(three)
    assert "decoding screens: 100%" in capsys.readouterr().err
    needed = [row for row in range(39) if row % 4 in (0, 3)]
    assert sorted(reading.read) == [(number, row) for number in range(3) for row in needed]
    reading.read.clear()
    second = load(three)
    assert reading.read == []
    assert capsys.readouterr().err == ""
    for episode in range(3):
        np.testing.assert_array_equal(observations_of(first, episode), observations_of(second, episode))


@pytest.mark.parametrize("change", ["screen", "rows", "actions", "cut cache", "flipped bit", "other cache"])
def test_what_changed_is_made_again_and_nothing_else(
    three: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    load(three)
    cache = three.parent / "cache"
    (old,) = cache.glob("1.*")
    if change == "screen":
        write_screen(three, 1, 8, np.full((210, 160, 3), 250, dtype=np.uint8))
    elif change == "rows":
        write_rows(three, 1, [(row, 0, 0, int(row == 35), 1) for row in range(36)])
    elif change == "actions":
        write_rows(three, 1, [(row, 3, 0, 0, 8) for row in range(40)])
    elif change == "other cache":  # with a right checksum, and a broken screen that the game does not have
        frames = np.zeros((10, 84, 84), dtype=np.uint8)
        write_frames(old, frames.shape, frames, lambda: np.array([10**9]))
    elif change == "cut cache":
        old.write_bytes(old.read_bytes()[:-100])
    else:
        whole = bytearray(old.read_bytes())
        whole[-1000] ^= 1
        old.write_bytes(whole)
    reading = Reading(monkeypatch)
    capsys.readouterr()
    loaded = load(three)
    assert ("is damaged, or of an earlier version" in capsys.readouterr().err) == (
        change in ("cut cache", "flipped bit", "other cache")
    )
    assert {number for number, _ in reading.read} == (set() if change == "actions" else {1})
    assert newest(loaded, 1)[:4] == [1, 5, 250 if change == "screen" else 9, 13]
    assert loaded.true_returns.tolist() == [0, 120 if change == "actions" else 0, 0]
    assert loaded.lengths.tolist() == [10, 9 if change == "rows" else 10, 10]
    assert len(list(cache.iterdir())) == 3, "the frames of before are gone"


def test_an_interrupted_pass_goes_on_at_its_trajectory(three: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load(three, three.parent / "whole")
    reading = Reading(monkeypatch)
    reading.stop_at = (1, 20)
    with pytest.raises(KeyboardInterrupt):
        load(three)
    cache = three.parent / "cache"
    assert [path.name.split(".")[0] for path in cache.iterdir()] == ["0"], "neither half a file nor a temporary one"
    reading.stop_at = None
    reading.read.clear()
    resumed = load(three)
    assert {number for number, _ in reading.read} == {1, 2}
    for episode in range(3):
        np.testing.assert_array_equal(observations_of(resumed, episode), observations_of(expected, episode))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


def swap_for_text(path: Path) -> None:
    path.write_text("<html>404</html>")


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES: list[Callable[[Path], None]] = [Path.unlink, empty, cut, flip, swap_for_text]


@pytest.mark.parametrize("first", ["1e19", "1e300", "-4", "9" * 30])
def test_frames_that_no_game_has_are_refused(tmp_path: Path, first: str) -> None:
    write_rows(tmp_path, 0, [(first, 0, 0, 1, 0)])
    with pytest.raises(UserError, match="missing or broken trajectories: 1 of 1"):
        load(tmp_path)


def test_only_regular_files_of_plain_numbers_are_read(tmp_path: Path) -> None:
    write_plain(tmp_path, 0, [0] * 8)
    place = trajectory_path(tmp_path, 0)
    (place.with_name(f"{'9' * 30}.txt")).write_bytes(place.read_bytes())
    assert load(tmp_path).number == 1
    os.mkfifo(place.with_name("1.txt"))
    place.with_name("2.txt").symlink_to("/dev/zero")
    with pytest.raises(UserError, match="missing or broken trajectories: 2 of 3"):
        load(tmp_path)


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trajectory of 101 steps, of which 201 screens are needed."""
    folder = tmp_path_factory.mktemp("long") / "game"
    write_plain(folder, 4, [0] * 404)
    return folder


@pytest.fixture
def damaged(long_recording: Path, tmp_path: Path) -> Path:
    """A copy whose screens can be damaged."""
    folder = tmp_path / "game"
    (folder / "trajectories").parent.mkdir()
    (folder / "trajectories").symlink_to(long_recording / "trajectories")
    screens = folder / "screens" / "pinball" / "4"
    screens.mkdir(parents=True)
    for path in (long_recording / "screens" / "pinball" / "4").iterdir():
        (screens / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_broken_screen_shows_the_one_before_and_is_named(
    damaged: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    for row in (39, 40):
        damage(screen_path(damaged, 4, row))
    loaded = load(damaged)
    greys = newest(loaded)
    assert greys[9:12] == [37, 37, 45]
    assert greys[8] == 33
    for _ in range(2):
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
        assert len(lines) == 1
        assert "missing or broken screens: 2 of 201 (" in lines[0]
        assert str(screen_path(damaged, 4, 39)) in lines[0]
        load(damaged)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_broken_screens_are_found_before_the_libraries_print_about_them(
    tmp_path: Path, damage: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    write_screen(tmp_path, 0, 0, np.random.default_rng(0).integers(256, size=(210, 160, 3), dtype=np.uint8))
    path = screen_path(tmp_path, 0, 0)
    assert atari_grand_challenge.read_picture(path) is not None
    damage(path)
    assert atari_grand_challenge.read_picture(path) is None
    assert capfd.readouterr() == ("", "")


def test_before_the_first_good_screen_stands_the_first_good_one(damaged: Path) -> None:
    for row in (0, 3):
        cut(screen_path(damaged, 4, row))
    assert newest(load(damaged))[:3] == [5, 5, 9]


@pytest.mark.parametrize("damage", [Path.unlink, flip], ids=["missing", "broken"])
def test_more_broken_screens_than_one_per_cent_are_refused(damaged: Path, damage: Callable[[Path], None]) -> None:
    for row in (39, 40, 80):
        damage(screen_path(damaged, 4, row))
    with pytest.raises(UserError, match=r"missing or broken screens: 3 of 201 .*39\.png.*more than 1%"):
        load(damaged)
    assert not list(damaged.parent.glob("cache/.*")), "no temporary file is left"


def test_more_than_a_few_broken_ones_are_not_all_named(damaged: Path) -> None:
    for row in range(40, 80, 4):
        screen_path(damaged, 4, row).unlink()
    with pytest.raises(UserError, match="10 of 201") as raised:
        load(damaged)
    assert str(raised.value).count(".png") == 3


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred trajectories of one step."""
    folder = tmp_path_factory.mktemp("hundred") / "game"
    for number in range(100):
        write_plain(folder, number, [2] * 4)
    return folder


@pytest.mark.parametrize(
    "text",
    [
        "",
        "db traj id : 31\n",
        "frame,reward,score,terminal,action\n",
        "frame,reward,score,terminal,action\n0,0,0,0,0\n1,0,0\n",
        "frame,reward,score,terminal,action\n0,0,0,0,0\n1,zero,0,0,0\n",
        "frame,reward,score,terminal,action\n0,0,0,0,0\n1,nan,0,0,0\n",
        "frame,reward,score,terminal,action\n0,0,0,0,0\n1,0,0,3,0\n",
        "frame,reward,score,terminal,action\n0,0,0,0,0\n2,0,0,1,0\n",
        "frame,reward,score,terminal,action\n0,0,0,0,0,9\n1,0,0,1,0,9\n",
        "frame,reward,score,terminal,action\n0,0,0,0,0\n1,0,0,0,0\n2,0,0,0,0\n",
    ],
    ids=["empty", "no header yet", "no rows", "cut off", "word", "nan", "terminal", "gap", "wider", "no whole step"],
)
def test_a_broken_trajectory_is_left_out_and_named(
    hundred: Path, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "game"
    (folder / "trajectories" / "pinball").mkdir(parents=True)
    (folder / "screens").symlink_to(hundred / "screens")
    for number in range(100):
        trajectory_path(folder, number).write_bytes(trajectory_path(hundred, number).read_bytes())
    trajectory_path(folder, 41).write_text(text)
    loaded = load(folder, hundred.parent / "cache")
    assert loaded.extras["trajectory"].tolist() == [number for number in range(100) if number != 41]
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert len(warnings) == 1
    assert f"missing or broken trajectories: 1 of 100 ({trajectory_path(folder, 41)} (" in warnings[0]
    trajectory_path(folder, 7).write_text(text)
    with pytest.raises(UserError, match=r"missing or broken trajectories: 2 of 100 .*7\.txt"):
        load(folder, hundred.parent / "cache")


def no_trajectory(folder: Path) -> None:
    for path in (folder / "trajectories" / "pinball").iterdir():
        path.unlink()


def no_screens_of_one(folder: Path) -> None:
    for path in (folder / "screens" / "pinball" / "1").iterdir():
        path.unlink()


def another_size(folder: Path) -> None:
    write_screen(folder, 1, 8, np.zeros((250, 160, 3), dtype=np.uint8))


def another_header(folder: Path) -> None:
    path = trajectory_path(folder, 1)
    path.write_text(path.read_text().replace("terminal", "over"))


def no_header(folder: Path) -> None:
    path = trajectory_path(folder, 1)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[2:]))


def binary(folder: Path) -> None:
    trajectory_path(folder, 1).write_bytes(np.random.default_rng(0).bytes(4096))


def action(value: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        rows = [(row, 0, 0, 0, value if row == 2 else 0) for row in range(40)]
        write_rows(folder, 1, rows)

    return change


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (no_trajectory, ("trajectories/pinball has no trajectory",)),
        (no_screens_of_one, ("screens/pinball/1 has no screens", "trajectory 1")),
        (another_size, ("1/8.png", "160 × 250", "160 × 210")),
        (another_header, ("1.txt", "frame,reward,score,terminal,action")),
        (no_header, ("1.txt", "header")),
        (binary, ("1.txt", "header")),
        (action("18"), ("1.txt", "from 0 to 17")),
        (action("-1"), ("1.txt", "from 0 to 17")),
        (action("2.5"), ("1.txt", "from 0 to 17")),
        (action("1e300"), ("1.txt", "from 0 to 17")),
    ],
)
def test_bad_folders_get_exit_code_2_and_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    named: tuple[str, ...],
) -> None:
    folder = tmp_path / "log" / ENVIRONMENT.name / "people"
    for number in range(3):
        write_plain(folder, number, [number] * 40)
    spoil(folder)
    words = ("--env_name", ENVIRONMENT.name, "--dataset_name", "people", "--do", "train")
    words += ("--log_dir", str(tmp_path / "log"))
    assert quantilizer.main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if line and "decoding screens" not in line]
    assert len(lines) == 1
    assert lines[0].startswith("quantilizer.py: ")
    for word in named:
        assert word in lines[0]
    assert not (tmp_path / "log" / "models").exists()


def test_an_unwritable_cache_is_named(three: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="cannot write"):
        load(three)
