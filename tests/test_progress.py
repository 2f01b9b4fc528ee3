from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from quantilizers.progress import event_writer


def curve(folder: Path) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, round(event.tensor_proto.float_val[0], 3)) for event in events.Tensors("loss")]


def test_curves_are_what_tensorboard_reads(tmp_path: Path) -> None:
    with event_writer(tmp_path) as writer:
        for step in range(3):
            writer.add_scalar("loss", 1.5 - step, step)
    assert curve(tmp_path) == [(0, 1.5), (1, 0.5), (2, -0.5)]


def test_a_new_run_loses_the_old_curves_and_a_resumed_one_keeps_them(tmp_path: Path) -> None:
    for keep, value in ((False, 1.0), (True, 2.0)):
        with event_writer(tmp_path, keep=keep) as writer:
            writer.add_scalar("loss", value, int(value))
    assert len(list(tmp_path.glob("events*"))) == 2
    with event_writer(tmp_path) as writer:
        writer.add_scalar("loss", 3.0, 3)
    assert curve(tmp_path) == [(3, 3.0)]
