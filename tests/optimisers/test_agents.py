from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from jobs_for_tests import job

from quantilizers.errors import UserError
from quantilizers.optimisers.agents import Agent, LearningCurve, load_agent, save_agent


def saved(folder: Path) -> Agent:
    curve = LearningCurve()
    curve.append(200, -100.5, -200.0)
    curve.append(388, -90.25, -188.0)
    agent = Agent(388, curve, {"weights": np.arange(6.0).reshape(2, 3), "deep/name": np.array(3)})
    save_agent(job(folder, options={"lamb": 2.0}), agent)
    return agent


def test_an_agent_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    agent = saved(tmp_path)
    loaded = load_agent(job(tmp_path, options={"lamb": 2.0}))
    assert loaded is not None
    assert (loaded.steps, loaded.curve) == (agent.steps, agent.curve)
    assert loaded.arrays.keys() == agent.arrays.keys()
    for name, array in agent.arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], array)


def test_its_file_holds_plain_arrays(tmp_path: Path) -> None:
    saved(tmp_path)
    with np.load(tmp_path / "agent_0.npz", allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "fiU" for name in file.files)


@pytest.mark.parametrize(
    "changes",
    [{"steps": 601}, {"max_steps": 100}, {"algorithm": "q_learning"}, {"options": {"lamb": 1.0}}],
)
def test_an_agent_of_other_settings_is_not_the_wanted_one(tmp_path: Path, changes: dict) -> None:
    saved(tmp_path)
    assert load_agent(job(tmp_path, **{"options": {"lamb": 2.0}, **changes})) is None


def test_no_file_is_no_agent(tmp_path: Path) -> None:
    assert load_agent(job(tmp_path)) is None


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    path = tmp_path / "agent_0.npz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"agent_0\.npz"):
        load_agent(job(tmp_path))
    np.savez(path, identity=np.array("{"), trained_steps=1, episode_steps=[], episode_proxy_returns=[],
             episode_true_returns=[])  # fmt: skip
    with pytest.raises(UserError, match="delete it"):
        load_agent(job(tmp_path))


def test_options_that_json_writes_in_another_way_are_known_again(tmp_path: Path) -> None:
    one = job(tmp_path, options={"sizes": (2, 3), "wind": True})
    save_agent(one, Agent(1, LearningCurve(), {}))
    assert load_agent(one) is not None
    assert load_agent(job(tmp_path, options={"sizes": (2, 4), "wind": True})) is None
