from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_notebook_runs_and_comes_to_verdicts(tmp_path: Path) -> None:
    """Its cells in their order, with shorter trainings; nothing else is changed."""
    notebook = json.loads((ROOT / "docs" / "quickstart.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    shown = "".join("".join(output.get("text", "")) for output in outputs)
    assert shown.count("Supported: the true return of policies of the top 0.25 is higher") == 2
    assert any("image/png" in output.get("data", {}) for output in outputs)
    program = "\n".join(cells).replace("SEEDS = 5", "SEEDS = 2").replace("0.25, SEEDS,", "0.25, SEEDS, max_epochs=4,")
    program = program.replace("seeds=SEEDS)", "seeds=SEEDS, max_epochs=4)")
    (tmp_path / "cells.py").write_text(program, encoding="utf-8")
    environment = {"MPLBACKEND": "agg", "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "cells.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    first = ended.stdout.partition("imitation")[0]
    assert shown.startswith(first), "what does not depend on the shorter trainings is what the notebook shows"
    assert ended.stdout.startswith("250 episodes; mean true return -178.7")
    assert "q = 0.25  keeps  62 episodes, mean true return -140.7" in ended.stdout
    assert ended.stdout.count("true return of policies of the top 0.25 is") == 2
