from __future__ import annotations

import pytest

import quantilizers


def test_every_public_name_is_there() -> None:
    for name in quantilizers.__all__:
        assert getattr(quantilizers, name) is not None
    assert set(quantilizers.__all__) <= set(dir(quantilizers))


def test_environments_are_made_by_name() -> None:
    game = quantilizers.make_environment("MountainCar-v0", reward="true", max_steps=7)
    assert game.reset(seed=0)[0].shape == (2,)
    assert game.step(1)[1] == -1
    assert quantilizers.make_vector("MountainCar-v0", 3).num_envs == 3
    with pytest.raises(quantilizers.UserError, match="MountainCar-v1"):
        quantilizers.make_environment("MountainCar-v1")


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'quantiliser'"):
        _ = quantilizers.quantiliser


def test_what_is_printed_is_short() -> None:
    def lean(steps: quantilizers.Steps) -> quantilizers.FloatArray:
        return steps.observations[:, 2]

    own, each_step, mean_at_end = quantilizers.own, quantilizers.each_step, quantilizers.mean_at_end
    assert repr(own) == "own"
    assert repr(-own + 0.5 * each_step(lean) - mean_at_end(lean)) == "-own + 0.5 * each_step(lean) - mean_at_end(lean)"
    assert repr(quantilizers.load_environment("MountainCar-v0")) == (
        "EnvironmentDefinition(MountainCar-v0: proxy each_step(position), true own, at most 200 steps)"
    )
    assert "true true_reward(…), at most" in repr(quantilizers.load_environment("VideoPinballNoFrameskip-v4"))
    demonstrations = quantilizers.Demonstrations.load("demo", "MountainCar-v0")
    assert repr(demonstrations) == "Demonstrations(MountainCar-v0: 250 episodes, 44,681 steps)"
