from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from side_by_side import main


def film(path: Path, colours: list[str], duration: int) -> Path:
    pictures = [Image.new("RGB", (40, 20), colour) for colour in colours]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=duration)
    return path


def test_the_shorter_one_waits_at_its_last_picture(tmp_path: Path) -> None:
    short = film(tmp_path / "short.gif", ["red", "lime"], 200)
    long = film(tmp_path / "long.gif", ["blue", "yellow", "blue", "yellow"], 200)
    words = [str(short), str(long), "--titles", "one", "two", "--width", "80", "--output", str(tmp_path / "all.gif")]
    assert main(words) == 0
    with Image.open(tmp_path / "all.gif") as image:
        assert image.size == (80 + 8 + 80, 26 + 40)
        seen, length = [], 0
        for number in range(image.n_frames):
            image.seek(number)
            length += image.info["duration"]
            shown = np.asarray(image.convert("RGB")).astype(int)
            seen.append((tuple(shown[50, 40] > 128), tuple(shown[50, 130] > 128)))
    assert length == 800
    red, lime, blue, yellow = (True, False, False), (False, True, False), (False, False, True), (True, True, False)
    assert list(dict.fromkeys(seen)) == [(red, blue), (lime, yellow), (lime, blue)]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--titles", "one"], "1 titles do not fit 2 GIFs"),
        (["--titles", "one", "two", "--width", "0"], "--width must be at least 1"),
    ],
)
def test_bad_input_gets_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], named: str
) -> None:
    (tmp_path / "no.gif").write_text("no picture")
    films = [str(film(tmp_path / "one.gif", ["red", "blue"], 100)), str(tmp_path / "no.gif")]
    assert main([*films, *words, "--output", str(tmp_path / "all.gif")]) == 2
    assert named in capsys.readouterr().err
    assert main([*films, "--titles", "a", "b", "--output", str(tmp_path / "all.gif")]) == 2
    assert "no.gif cannot be read as a GIF" in capsys.readouterr().err
    assert not (tmp_path / "all.gif").exists()
