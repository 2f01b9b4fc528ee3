from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.policies.policy import acting_of, family_name, family_of, training_of
from quantilizers.rewards import own
from support import ROOT

ACTION = Discrete(2)
VECTOR = Box(-1.0, 1.0, (3,))
JOINTS = Box(-1.0, 1.0, (2,))


def environment_with(observations: Space = VECTOR, actions: Space = ACTION, **fields: object) -> EnvironmentDefinition:
    return EnvironmentDefinition("Some-v0", own, 10, spaces=(observations, actions), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("observations", "family"),
    [
        (VECTOR, "multilayer_perceptron"),
        (Box(0, 255, (128,), np.uint8), "multilayer_perceptron"),
        (Box(0, 255, (4, 36, 36), np.uint8), "convolutional"),
        (Box(0, 255, (36, 40, 3), np.uint8), "convolutional"),
        (Box(0, 255, (96, 96, 1), np.uint8), "convolutional"),
        (Box(0, 255, (4, 35, 84), np.uint8), "multilayer_perceptron"),
        (Box(0, 255, (84, 35, 3), np.uint8), "multilayer_perceptron"),
        (Box(0, 1, (4, 84, 84), np.float32), "multilayer_perceptron"),
        (Box(0, 255, (84, 84), np.uint8), "multilayer_perceptron"),
    ],
)
def test_pictures_of_bytes_have_a_convolutional_network(observations: Box, family: str) -> None:
    assert family_name(environment_with(observations)) == family


def test_a_declared_family_is_taken_where_it_can_see() -> None:
    pictures = Box(0, 255, (4, 84, 84), np.uint8)
    assert family_name(environment_with(pictures, policy="multilayer_perceptron")) == "multilayer_perceptron"
    with pytest.raises(UserError, match=r"Some-v0: a convolutional policy sees .*not float32 \(3,\)"):
        family_of(environment_with(policy="convolutional"))
    with pytest.raises(UserError, match="policy is 'forest'; it is one of multilayer_perceptron, convolutional"):
        family_of(environment_with(policy="forest"))


@pytest.mark.parametrize(
    ("fields", "wanted", "acting"),
    [
        ({}, None, "most_probable"),
        ({}, "sample", "sample"),
        ({"acting": "sample"}, None, "sample"),
        ({"acting": "sample"}, "most_probable", "most_probable"),
        ({"actions": MultiDiscrete([2, 3])}, None, "most_probable"),
        ({"actions": JOINTS, "classes": 3}, None, "expected_value"),
        ({"actions": JOINTS, "classes": 3}, "sample", "sample"),
        ({"actions": JOINTS}, None, "expected_value"),
        ({"actions": JOINTS}, "most_probable", "most_probable"),
    ],
)
def test_ways_of_acting(fields: dict[str, object], wanted: str | None, acting: str) -> None:
    assert acting_of(environment_with(**fields), wanted) == acting  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "wanted", "message"),
    [
        ({}, "expected_value", "acting by expected_value needs Box actions; those of Some-v0 are Discrete"),
        ({"acting": "expected_value"}, None, "acting by expected_value needs Box actions"),
        (
            {"actions": JOINTS},
            "sample",
            "acting by sample needs actions that are classes; those of Some-v0",
        ),
        ({}, "boldly", "acting is 'boldly'; it is one of most_probable, expected_value, sample"),
    ],
)
def test_impossible_ways_of_acting_are_refused(fields: dict[str, object], wanted: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        acting_of(environment_with(**fields), wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "family", "acting"),
    [
        ("MountainCar-v0", "multilayer_perceptron", "most_probable"),
        ("Hopper-v2", "multilayer_perceptron", "expected_value"),
        ("VideoPinballNoFrameskip-v4", "convolutional", "sample"),
    ],
)
def test_the_environments_of_the_paper(name: str, family: str, acting: str) -> None:
    environment = load_environment(name)
    assert (family_name(environment), acting_of(environment)) == (family, acting)


def test_hyper_parameters_are_those_of_the_environment_s_family() -> None:
    assert training_of(environment_with(), {"max_epochs": 3}).max_epochs == 3  # type: ignore[union-attr]
    with pytest.raises(
        UserError, match=r"steps is not a hyper-parameter of a multilayer perceptron policy, .*; give updates instead"
    ):
        training_of(environment_with(), {"steps": 3})


def test_what_a_policy_is_can_be_asked_without_tensorflow() -> None:
    code = (
        "import sys\n"
        "from quantilizers.envs.registry import load_environment\n"
        "from quantilizers.policies.policy import acting_of, training_of\n"
        "import quantilizers.policies.quantilizer, quantilizers.policies.keras_files\n"
        "environment = load_environment('MountainCar-v0')\n"
        "acting_of(environment), training_of(environment, {'max_epochs': 2})\n"
        "assert not {'tensorflow', 'keras', 'h5py'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize(("name", "without"), [("MountainCar-v0", True), ("VideoPinballNoFrameskip-v4", False)])
def test_a_family_that_says_so_acts_without_tensorflow(name: str, without: bool) -> None:
    code = (
        "import sys\n"
        "import numpy as np\n"
        "from quantilizers.envs.registry import load_environment\n"
        "from quantilizers.policies.policy import TrainedPolicy, acts_without_tensorflow, family_of, training_of\n"
        f"environment = load_environment({name!r})\n"
        "assert acts_without_tensorflow(environment) is "
        f"{without}\n"
        "assert 'tensorflow' not in sys.modules, 'asking imports nothing'\n"
        "family, training = family_of(environment), training_of(environment, {})\n"
        "weights = [np.zeros(shape, np.float32) for shape in family.weight_shapes(environment, training)]\n"
        "policies = family.stack(environment, [TrainedPolicy(1.0, 0, weights, training)], 'most_probable')\n"
        "policies.begin(2)\n"
        "space = environment.observation_space\n"
        "policies.act(np.zeros((1, 2, *space.shape), space.dtype), [], np.ones((1, 2), dtype=bool))\n"
        f"assert ('tensorflow' not in sys.modules) is {without}\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_fingerprint_knows_the_episodes(car_demonstrations: Demonstrations) -> None:
    whole = car_demonstrations.fingerprint
    assert whole == car_demonstrations.select(slice(None)).fingerprint
    assert len(whole) == 64
    changed = car_demonstrations.episodes.observations.copy()
    changed[0, 0, 0] += 1
    others = [
        car_demonstrations.select(slice(1, None)),
        car_demonstrations.select(np.arange(car_demonstrations.number)[::-1]),
        replace(car_demonstrations, episodes=replace(car_demonstrations.episodes, observations=changed)),
    ]
    assert whole not in {other.fingerprint for other in others}
