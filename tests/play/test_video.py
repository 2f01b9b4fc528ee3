from __future__ import annotations

from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from quantilizers.errors import UserError
from quantilizers.play import video


def pictures(number: int) -> list[np.ndarray]:
    """A white bar that moves 4 pixels to the right on each picture of 64 × 96."""
    made = []
    for position in range(number):
        picture = np.zeros((64, 96, 3), dtype=np.uint8)
        picture[:, 4 * position : 4 * position + 4] = 255
        made.append(picture)
    return made


def read_gif(path: Path) -> tuple[list[np.ndarray], list[int]]:
    shown, durations = [], []
    with Image.open(path) as image:
        for frame in range(image.n_frames):
            image.seek(frame)
            shown.append(np.asarray(image.convert("RGB")))
            durations.append(image.info["duration"])
    return shown, durations


def test_a_gif_shows_the_pictures_at_their_speed(tmp_path: Path) -> None:
    video.write_video(tmp_path / "bar.gif", iter(pictures(12)), 30.0)
    shown, durations = read_gif(tmp_path / "bar.gif")
    assert len(shown) == 12
    for picture, wanted in zip(shown, pictures(12), strict=True):
        np.testing.assert_allclose(picture, wanted, atol=8)
    assert set(durations) == {30, 40}
    assert sum(durations) == 400


def test_a_fast_gif_leaves_pictures_out_and_keeps_its_length(tmp_path: Path) -> None:
    video.write_video(tmp_path / "bar.gif", iter(pictures(24)), 60.0)
    shown, durations = read_gif(tmp_path / "bar.gif")
    assert [int(picture[0, :, 0].argmax()) // 4 for picture in shown] == list(range(0, 24, 2))
    assert sum(durations) == 400


def test_an_mp4_shows_the_pictures_at_their_speed(tmp_path: Path) -> None:
    video.write_video(tmp_path / "bar.mp4", iter(pictures(20)), 25.0)
    reader = cv2.VideoCapture(str(tmp_path / "bar.mp4"))
    assert reader.get(cv2.CAP_PROP_FPS) == 25.0
    places = []
    while True:
        there, picture = reader.read()
        if not there:
            break
        assert picture.shape == (64, 96, 3)
        places.append(int(picture[32, :, 1].astype(int).reshape(-1, 4).sum(axis=1).argmax()))
    assert places == list(range(20))


CUT = """#!/bin/sh
for output; do :; done
case "$output" in *.mp4) ;; *) exec {ffmpeg} "$@" ;; esac
{end}
"""


@pytest.mark.parametrize(
    "end",
    [
        # As on a full disk: the file has no index.
        '{ffmpeg} "$@"; truncate -s -500 "$output"; exit 1',
        # Some pictures are lost, behind a whole index.
        '{ffmpeg} "$@"; truncate -s 2000 "$output"',
        # It dies while it is given pictures.
        "head -c 20000 > /dev/null; exit 1",
        "kill -KILL $$",
    ],
)
def test_a_film_that_cannot_be_played_does_not_replace_one_that_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], end: str
) -> None:
    path, ffmpeg = tmp_path / "bar.mp4", tmp_path / "ffmpeg"
    video.write_video(path, iter(pictures(20)), 25.0)
    before = path.read_bytes()
    whole = imageio_ffmpeg.get_ffmpeg_exe()
    ffmpeg.write_text(CUT.format(ffmpeg=whole, end=end.format(ffmpeg=whole)))
    ffmpeg.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(ffmpeg))
    with pytest.raises(UserError, match=r"cannot write .*bar.mp4: ffmpeg wrote \d+ of \d+ pictures") as raised:
        video.write_video(path, iter(pictures(24)), 25.0)
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["bar.mp4", "ffmpeg"]
    assert capfd.readouterr() == ("", "")


def test_an_mp4_of_odd_sides_is_one_that_browsers_play(tmp_path: Path) -> None:
    video.write_video(tmp_path / "bar.mp4", (picture[:-1, :-1] for picture in pictures(3)), 25.0)
    reader = cv2.VideoCapture(str(tmp_path / "bar.mp4"))
    fourcc = int(reader.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little")
    assert fourcc in (b"avc1", b"h264")
    assert (reader.get(cv2.CAP_PROP_FRAME_HEIGHT), reader.get(cv2.CAP_PROP_FRAME_WIDTH)) == (64, 96)


def test_a_gif_too_large_for_a_page_keeps_its_length(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(256, size=(40, 200, 200, 3), dtype=np.uint8)
    video.write_video(tmp_path / "noise.gif", iter(noise), 20.0)
    shown, durations = read_gif(tmp_path / "noise.gif")
    assert len(shown) < 40
    assert sum(durations) == 2000
    assert (tmp_path / "noise.gif").stat().st_size <= video.GIF_MOST_FILE_BYTES


def test_other_formats_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"neither .gif nor .mp4"):
        video.write_video(tmp_path / "bar.avi", iter(pictures(1)), 30.0)
    assert not list(tmp_path.iterdir())


def test_a_gif_that_would_fill_the_memory_leaves_pictures_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "GIF_MOST_BYTES", 64 * 96 * 3 * 5)
    video.write_video(tmp_path / "bar.gif", iter(pictures(20)), 20.0)
    shown, durations = read_gif(tmp_path / "bar.gif")
    assert [int(picture[0, :, 0].argmax()) // 4 for picture in shown] == [0, 4, 8, 12, 16]
    assert sum(durations) == 1000


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        video.write_video(tmp_path / "file" / "bar.mp4", iter(pictures(2)), 30.0)
