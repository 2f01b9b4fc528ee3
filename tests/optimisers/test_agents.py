from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jobs_for_tests import job

from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.layout import Layout
from quantilizers.optimisers.agents import (
    Agent,
    AgentJob,
    LearningCurve,
    agent_difference,
    load_agent,
    make_jobs,
    save_agent,
)

CAR = load_environment("MountainCar-v0")


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


def test_a_difference_continues_the_sentence_that_it_was_trained(tmp_path: Path) -> None:
    saved(tmp_path)
    assert agent_difference(job(tmp_path, options={"lamb": 2.0})) == ""
    assert agent_difference(job(tmp_path, options={"lamb": 2.0}, steps=2000)) == "with steps 600, not 2000"
    assert agent_difference(job(tmp_path, options={"lamb": 1.0})) == "with lamb 2.0, not 1.0"
    assert agent_difference(job(tmp_path, options={})) == "with lamb 2.0, not without it"


def test_agents_of_the_first_format_are_recognised(tmp_path: Path) -> None:
    one = job(tmp_path, options={"lamb": 2.0})
    saved(tmp_path)
    with np.load(one.agent, allow_pickle=False) as file:
        assert str(file["identity"]) == json.dumps(one.recipe.entries, sort_keys=True)


def jobs(log: Path, algorithm: str = "sarsa") -> list[AgentJob]:
    return make_jobs(CAR, algorithm, range(2, 4), 600, 200, {}, 5, Layout(log, CAR.name, "demo", "run"))


def test_there_is_a_job_for_each_seed(tmp_path: Path) -> None:
    first, second = jobs(tmp_path)
    assert (first.seed, second.seed) == (2, 3)
    assert first.agent == tmp_path / "models" / "run" / "optimiser_sarsa_MountainCar-v0_2.npz"
    assert first.rewards == tmp_path / "rewards" / "run" / "optimiser_MountainCar-v0_2.npz"
    assert first.exported.name == "optimiser_sarsa_MountainCar-v0_2.zip"
    assert jobs(tmp_path, "q_learning")[0].rewards.name == "optimiser_q_learning_MountainCar-v0_2.npz"


def test_an_agent_is_the_wanted_one_by_what_its_training_depends_on(tmp_path: Path) -> None:
    """These words stand in the files of agents; other words would train all of them again."""
    one = jobs(tmp_path)[0]
    assert one.recipe.entries == {
        "environment": "MountainCar-v0",
        "algorithm": "sarsa",
        "seed": 2,
        "steps": 600,
        "max_steps": 200,
        "options": {},
    }
    assert replace(one, number_trajectories=9, agent=tmp_path / "elsewhere").recipe == one.recipe


def test_another_process_understands_a_job(tmp_path: Path) -> None:
    one = jobs(tmp_path)[0]
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301
    assert load_environment(one.environment).name == one.environment_name


def test_an_environment_from_a_file_is_found_by_its_address_and_named_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "my_env.py"
    file.write_text(
        "from quantilizers import EnvironmentDefinition, own\n"
        "ENVIRONMENT = EnvironmentDefinition('CartPole-v1', own, max_steps=50)\n"
    )
    environment = load_environment(f"{file}:ENVIRONMENT")
    layout = Layout(tmp_path, environment.name, "demo")
    (one,) = make_jobs(environment, "ppo", [0], 100, 50, {}, 5, layout)
    assert (one.environment, one.environment_name) == (f"{file}:ENVIRONMENT", "my_env")
    assert one.rewards.name == "optimiser_my_env_0.npz"
