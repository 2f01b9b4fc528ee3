"""Long loops from Python: memory stays flat, and neither files nor processes are left."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from support import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc"),
]
#: Repeats work, and prints resident memory in MiB, open files and child processes after each eighth of it.
LOOP = """
import json, multiprocessing, os, sys
import numpy as np
import quantilizers
from quantilizers.evaluation.evaluate import evaluate

work, times = sys.argv[1], int(sys.argv[2])
human = quantilizers.Demonstrations.load("demo", "MountainCar-v0")
quantilizer = quantilizers.Quantilizer(0.5, seeds=2, max_epochs=1)

def fit(number):
    quantilizer.fit(human)

def fit_of_changing_rows(number):
    quantilizer.fit(human.select(np.arange(20 + number)))

def fit_of_changing_settings(number):
    quantilizer.set_params(quantile=0.5 + number / 400, learning_rate=1e-3 * (1 + number), max_epochs=1 + number % 2)
    quantilizer.fit(human)

def fit_of_changing_layers(number):
    quantilizer.set_params(hidden_units=(20 + number,))
    quantilizer.fit(human)

def save(number):
    quantilizer.save(sys.argv[3])

def measure(number):
    evaluate(quantilizer, episodes=2, max_steps=20)

quantilizer.fit(human)
measured = []
for number in range(times):
    globals()[work](number)
    if number % (times // 8) == times // 8 - 1:
        memory = int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
        measured.append([memory, len(os.listdir("/proc/self/fd")), len(multiprocessing.active_children())])
print(json.dumps(measured))
"""


#: Work, and the MiB that memory may grow by in the second half of it. XLA keeps the program of each shape of layers.
LOOPS = {
    "fit": 40,
    "fit_of_changing_rows": 40,
    "fit_of_changing_settings": 40,
    "fit_of_changing_layers": 1000,
    "save": 40,
    "measure": 40,
}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("work", LOOPS)
def test_two_hundred_times_leave_memory_flat(
    work: str, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [sys.executable, "-c", LOOP, work, "200", str(tmp_path_factory.mktemp("saved"))]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "retracing" not in ended.stderr
    memory, files, children = zip(*json.loads(ended.stdout), strict=True)
    with capsys.disabled():
        print(f"\n{work}: {' '.join(f'{one:.0f}' for one in memory)} MiB; {files[-1]} files, {children[-1]} processes")
    assert memory[-1] - memory[3] < LOOPS[work]
    assert files[-1] <= files[0]
    assert children[-1] == 0
