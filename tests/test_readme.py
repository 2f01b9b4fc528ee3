"""The README's commands, in their order, verbatim, in a clean clone.

Every block that is marked as `sh` is run, all of them in one shell. A block that needs a person, names what the reader
is to fill in, or takes hours is not run; a line before it says why: `<!-- not run in tests: … -->`.

Nothing of the commands is changed. To keep them short, `quantilizer.py` is given one seed and two test episodes, by a
`sitecustomize` that Python imports when it starts; everything else is as it stands there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from support import ROOT

BLOCK = re.compile(r"(?:<!-- not run in tests: (?P<reason>.+?) -->\n+)?```sh\n(?P<commands>.*?)```", re.DOTALL)
SHORTER = """
import sys

if sys.argv[0].endswith("quantilizer.py") and "--seed" not in sys.argv:
    sys.argv += ["--seed_nb", "1", "--number_trajectories", "2"]
"""
PAGES = ["README.md", *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("docs/*.md")))]


class Block(NamedTuple):
    commands: str
    reason: str | None


def blocks_of(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [Block(match["commands"], match["reason"]) for match in BLOCK.finditer(text)]


def test_the_first_command_is_run() -> None:
    assert blocks_of("README.md")[0].reason is None


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_are_those_of_a_shell(page: str) -> None:
    """And what they run is there."""
    for block in blocks_of(page):
        checked = subprocess.run(["sh", "-n"], input=block.commands, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        for named in re.findall(r"(?:python|sh) ((?:\w+/)*\w+\.(?:py|sh))", block.commands):
            assert any((ROOT / folder / named).is_file() for folder in ("", "scripts")), named


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_commands_work_in_their_order_in_a_clean_clone(tmp_path: Path) -> None:
    clone = tmp_path / "quantilizers"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    (tmp_path / "start").mkdir()
    (tmp_path / "start" / "sitecustomize.py").write_text(SHORTER)
    chosen = [block.commands for block in blocks_of("README.md") if block.reason is None]
    # As after activating what the first command makes: the README's `python` is that of .venv once it is there.
    environment = {
        "PATH": os.pathsep.join([str(clone / ".venv" / "bin"), os.environ["PATH"]]),
        "HOME": os.environ.get("HOME", str(tmp_path)),
        "PYTHONPATH": str(tmp_path / "start"),
        "PYTHON": sys.executable,
        "SDL_VIDEODRIVER": "dummy",
    }
    script = "set -e\n" + "".join(f"echo '--- block {number}'\n{block}" for number, block in enumerate(chosen, 1))
    with (tmp_path / "output").open("w+") as output:
        ended = subprocess.run(
            ["sh"],
            input=script.encode(),
            cwd=clone,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output.seek(0)
        said = output.read()
    assert ended.returncode == 0, said[-3000:]
    assert list((clone / "log" / "fig").glob("*.png")), "there is a figure"
