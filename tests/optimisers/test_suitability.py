from __future__ import annotations

import environments_for_tests
import pytest

from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.optimisers.suitability import check_suitable


@pytest.mark.parametrize(
    ("name", "suited"),
    [
        ("DISCRETE", "sarsa q_learning ppo qr_dqn"),
        ("DISCRETE_FROM_TWO", "sarsa q_learning ppo qr_dqn"),
        ("MULTI_DISCRETE", "ppo"),
        ("MULTI_BINARY", "ppo"),
        ("BOX", "ppo"),
        ("ENDLESS_BOX", ""),
        ("TUPLE", ""),
        ("ENDLESS_OBSERVATIONS", "ppo qr_dqn"),
        ("WIDEST_OBSERVATIONS", "ppo qr_dqn"),
        ("MATRICES", "ppo qr_dqn"),
        ("NUMBERS", ""),
        ("PICTURES", "ppo qr_dqn"),
        ("GREY_PICTURES", "ppo qr_dqn"),
    ],
)
def test_every_kind_of_space_is_taken_or_refused_in_one_line(name: str, suited: str) -> None:
    environment = getattr(environments_for_tests, name)
    kinds = {"sarsa_greedy": "sarsa", "q_learning_greedy": "q_learning", "ppo_long": "ppo", "random": "ppo"}
    for algorithm in ("sarsa", "q_learning", "ppo", "qr_dqn", *kinds):
        if kinds.get(algorithm, algorithm) in suited.split():
            check_suitable(algorithm, environment)
        else:
            with pytest.raises(UserError, match=name) as caught:
                check_suitable(algorithm, environment)
            assert "\n" not in str(caught.value)
            assert "--" not in str(caught.value), "which flag it was is the program's to say"


@pytest.mark.parametrize(
    ("algorithm", "name", "words"),
    [
        ("qr_dqn", "BOX", "QR-DQN needs discrete actions, which BOX does not have"),
        ("sarsa", "PICTURES", "SARSA needs discrete actions and bounded vectors as observations, which PICTURES"),
        ("ppo", "ENDLESS_BOX", "PPO needs bounded actions, which ENDLESS_BOX does not have"),
    ],
)
def test_what_is_needed_is_said(algorithm: str, name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_suitable(algorithm, getattr(environments_for_tests, name))


@pytest.mark.parametrize(
    ("name", "suited"),
    [
        ("MountainCar-v0", ["sarsa", "q_learning", "ppo", "qr_dqn"]),
        ("Hopper-v2", ["ppo"]),
        ("VideoPinballNoFrameskip-v4", ["ppo", "qr_dqn"]),
    ],
)
def test_what_suits_the_environments_that_ship(name: str, suited: list[str]) -> None:
    environment = load_environment(name)
    for algorithm in suited:
        check_suitable(algorithm, environment)
    assert set(environment.experiment.optimisers) <= set(suited)
