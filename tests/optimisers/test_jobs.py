from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

from quantilizers.envs.registry import load_environment
from quantilizers.layout import Layout
from quantilizers.optimisers.jobs import Job, make_jobs

CAR = load_environment("MountainCar-v0")


def jobs(log: Path, algorithm: str = "sarsa") -> list[Job]:
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
    assert one.identity == {
        "environment": "MountainCar-v0",
        "algorithm": "sarsa",
        "seed": 2,
        "steps": 600,
        "max_steps": 200,
        "options": {},
    }
    assert replace(one, number_trajectories=9, agent=tmp_path / "elsewhere").identity == one.identity


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
