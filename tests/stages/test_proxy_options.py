"""An option of the environment that changes its proxy changes the ranking of demonstrations, too, in every stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quantilizer import main
from quantilizers import Demonstrations, Episodes, Quantilizer, evaluate
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.execution.executor import Executor
from quantilizers.layout import Layout
from quantilizers.policies.keras_files import recipe_of
from quantilizers.policies.policy import SILENT, family_of, training_of
from quantilizers.policies.selection_settings import REFERENCE
from quantilizers.policies.training_jobs import shared_selections, train

FILE = """
from quantilizers import EnvironmentDefinition, each_step


def weighted(weight):
    return weight * each_step(lambda steps: steps.observations[:, 0])


ENVIRONMENT = EnvironmentDefinition("CartPole-v1", weighted, max_steps=5, options={"weight": 2.0}, name="leaning")
"""
NUMBER, STEPS = 8, 5


@pytest.fixture
def address(tmp_path: Path) -> str:
    """The file of an environment; its data set holds episode n at position n, and a weight's sign turns the order."""
    path = tmp_path / "leaning.py"
    path.write_text(FILE, encoding="utf-8")
    seen = np.zeros((NUMBER, STEPS, 4), dtype=np.float32)
    seen[..., 0] = np.arange(NUMBER)[:, None]
    actions = (np.arange(NUMBER * STEPS).reshape(NUMBER, STEPS, 1) % 2).astype(np.float32)
    finals = seen[:, -1]
    Episodes(
        seen, actions, np.ones((NUMBER, STEPS), np.float32), np.zeros((NUMBER, STEPS), bool),
        {"final_observation": finals},
    ).save(Layout(tmp_path / "log", "leaning", "demo").data)  # fmt: skip
    return str(path)


def load(address: str, **options: float) -> Demonstrations:
    data = Layout(Path(address).parent / "log", "leaning", "demo").data
    return Demonstrations.load(data, load_environment(address), options)


def call(address: str, *stages: str, weight: str | None = None) -> int:
    option = [] if weight is None else ["--env_option", f"weight={weight}"]
    return main([
        "--do", *stages, "--env_name", address, "--log_dir", str(Path(address).parent / "log"), "--seed_nb", "1",
        "--quantiles", "1.0", "0.5", "--number_trajectories", "2", "--max_epochs", "1", *option,
    ])  # fmt: skip


def test_demonstrations_are_ranked_under_their_options(address: str) -> None:
    plain, turned = load(address), load(address, weight=-3)
    np.testing.assert_allclose(plain.proxy_returns, 2.0 * STEPS * np.arange(NUMBER))
    np.testing.assert_allclose(turned.proxy_returns, -3.0 * STEPS * np.arange(NUMBER))
    assert turned.top(0.25).episodes.observations[:, 0, 0].tolist() == [0, 1]
    assert plain.top(0.25).episodes.observations[:, 0, 0].tolist() == [7, 6]
    with pytest.raises(UserError, match="no option 'weigth'"):
        load(address, weigth=1.0)


def test_workers_rank_under_the_same_options(address: str, two_processes: Executor) -> None:
    turned = load(address, weight=-3)
    selections = REFERENCE.choose_all(turned, [0.25])
    training = training_of(turned.environment, {"max_epochs": 1})
    batches = family_of(turned.environment).plan(selections, [0], training)
    (policy,) = train(batches, shared_selections(selections, REFERENCE, turned), SILENT, two_processes)
    assert policy.data == turned.top(0.25).fingerprint


def test_inspect_prints_the_proxy_under_the_option(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(address, "inspect", weight="-3") == 0
    turned = capsys.readouterr().out
    assert call(address, "inspect") == 0
    plain = capsys.readouterr().out
    assert "-52.5" in turned  # the mean of -15 n
    assert "-52.5" not in plain
    assert "35.0" in plain  # the mean of 10 n


def test_training_uses_and_records_the_option(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(address, "train", "test", weight="-3") == 0
    layout = Layout(Path(address).parent / "log", "leaning", "demo")
    entries = recipe_of(layout.model(0.5, 0)).entries
    assert entries["ranking"] == {"weight": -3.0}
    assert entries["data"] == load(address, weight=-3).top(0.5).fingerprint
    capsys.readouterr()
    assert call(address, "train") == 2
    assert "with weight -3.0, not 2.0" in capsys.readouterr().err


def test_evaluate_measures_the_proxy_that_ranked(address: str, tmp_path: Path) -> None:
    turned = Quantilizer(quantile=0.5, seeds=1, max_epochs=1).fit(load(address, weight=-3))
    loaded = Quantilizer.load(turned.save(tmp_path / "saved"), address)
    plain = Quantilizer(quantile=0.5, seeds=1, max_epochs=1).fit(load(address))
    for quantilizer in (turned, loaded):
        paid = evaluate(quantilizer, episodes=2).proxy_returns
        np.testing.assert_array_equal(paid, evaluate(quantilizer, episodes=2, weight=-3).proxy_returns)
        with pytest.raises(UserError, match=r"ranked by the proxy with weight -3\.0, not 2\.0"):
            evaluate(quantilizer, weight=2.0)
    with pytest.raises(UserError, match=r"ranked by the proxy with weight 2\.0, not -3\.0"):
        evaluate(plain, weight=-3)
    others = plain.save(tmp_path / "others")
    with pytest.raises(UserError, match="different options; load each kind alone"):
        Quantilizer.load([*others, *turned.save(tmp_path / "saved")], address)
