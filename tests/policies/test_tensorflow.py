from __future__ import annotations

import subprocess
import sys

from support import ROOT


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_importing_says_nothing() -> None:
    ended = run("from quantilizers.policies.tensorflow import tf; print(tf.constant(2) + 1)")
    assert ended.returncode == 0
    assert "3" in ended.stdout
    assert ended.stderr == ""


def test_what_is_no_known_note_is_printed() -> None:
    ended = run(
        "import os\n"
        "from quantilizers.policies import tensorflow\n"
        "with tensorflow._without_notes():\n"
        "    os.write(2, b'I0000 00:00 port.cc] oneDNN custom operations are on.\\n')\n"
        "    os.write(2, b'no space left on device\\n')\n"
    )
    assert ended.stderr == "no space left on device\n"
