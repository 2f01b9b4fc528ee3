from __future__ import annotations

import pytest

from quantilizers.optimisers import messages
from quantilizers.optimisers.messages import Progress, SendNowAndThen


def test_what_comes_too_soon_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 0.3, 0.6, 0.6, 1.0])
    monkeypatch.setattr(messages.time, "monotonic", lambda: next(clock))
    sent: list[Progress] = []
    send = SendNowAndThen(sent.append)
    for step in range(4):
        send(Progress(step))
    assert [progress.steps for progress in sent] == [0, 2], "at 0, 0.3, 0.6 and 1 seconds"
