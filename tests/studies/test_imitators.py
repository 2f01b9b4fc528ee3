from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.policies.encoding import LEAST_PROBABILITY
from quantilizers.policies.hyper_parameters import ConvolutionalTraining, PerceptronTraining
from quantilizers.policies.multilayer_perceptron import stack
from quantilizers.studies import imitators
from quantilizers.studies.imitators import (
    HeldOut,
    Players,
    at_the_edge,
    chosen,
    controls,
    cross_validate,
    grid,
    numbers_learned,
    players_of,
)
from training_for_tests import fit

CAR = load_environment("MountainCar-v0")
SHORT = PerceptronTraining((8,), learning_rate=1e-2, batch_size=50, max_epochs=30)


def played(actions: list[list[int]], names: list[str] | None = None) -> Demonstrations:
    """Episodes of given actions on random observations; without names the file has no players."""
    steps = max(map(len, actions))
    done = np.array([[step >= len(of_episode) for step in range(steps)] for of_episode in actions])
    acs = np.array([of_episode + [0] * (steps - len(of_episode)) for of_episode in actions], dtype=float)[..., None]
    seen = np.random.default_rng(0).normal(size=(*done.shape, 2)).astype(np.float32)
    seen[done] = 0
    extras = {} if names is None else {"player": np.array(names)}
    return Demonstrations(Episodes(seen, acs, np.zeros(done.shape), done, extras), CAR)


def found(*values: float) -> HeldOut:
    return HeldOut(np.array(values), "player")


def test_one_s_own_imitator_is_the_first_of_the_grid_and_there_once() -> None:
    reference, strange = PerceptronTraining(), PerceptronTraining((5,), updates=40, learning_rate=0.1)
    for own in (reference, strange, replace(reference, max_epochs=imitators.MAX_EPOCHS[0])):
        compared = grid(own)
        assert compared[0] == own
        assert len(set(compared)) == len(compared) == (46 if own.updates or own == reference else 45)
        assert {one.learning_rate for one in compared} == {own.learning_rate}
        assert not any(one.updates for one in compared[1:])
    with pytest.raises(UserError, match="a convolutional network has no history"):
        grid(ConvolutionalTraining())


def test_whole_players_are_held_out() -> None:
    names = ["ada", "bo", "ada", "cy", "di", "bo", "ed", "flo", "gil"]
    players = players_of(played([[0, 1]] * 9, names), folds=3)
    assert (players.number, players.word) == (7, "player")
    fold_of: dict[str, set[int]] = {}
    for fold in range(3):
        for episode in np.flatnonzero(players.held_out(fold)):
            fold_of.setdefault(names[episode], set()).add(fold)
    assert all(len(folds) == 1 for folds in fold_of.values())
    assert sorted(np.bincount(players.folds).tolist()) == [2, 2, 3]
    again = players_of(played([[0, 1]] * 9, names), folds=3)
    np.testing.assert_array_equal(again.folds, players.folds)


@pytest.mark.parametrize("names", [None, ["one"] * 4, ["one", "one", "one", ""]])
def test_episodes_are_held_out_where_players_are_unknown(names: list[str] | None) -> None:
    players = players_of(played([[0, 1]] * 4, names), folds=10)
    assert (players.number, players.word) == (4, "episode")
    assert sorted(players.folds.tolist()) == [0, 1, 2, 3]


def test_one_episode_is_refused() -> None:
    with pytest.raises(UserError, match="one episode cannot be held out"):
        players_of(played([[0, 1]]))


def test_controls_by_hand() -> None:
    """Ada plays 0 0 2, Bo 2 2; each is held out once, and predicted by the other's action counts plus one."""
    known = controls(played([[0, 0, 2], [2, 2]], ["ada", "bo"]))
    log = np.log
    expected = {
        "frequencies": [(log(1 / 5) * 2 + log(3 / 5)) / 3, log(2 / 6)],
        "own frequencies": [(log(2 / 3) * 2 + log(1 / 3)) / 3, 0.0],
        # Bo began with 2 and pressed 2 after 2; ada began with 0, and pressed 0 and 2 after 0.
        "frequencies after the last action": [(log(1 / 4) + log(1 / 3) * 2) / 3, (log(1 / 4) + log(1 / 3)) / 2],
    }
    assert list(known) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(known[name].log_likelihoods, values, err_msg=name)


def test_an_imitator_is_judged_by_whom_it_was_not_trained_on(tmp_path: Path) -> None:
    """The likelihoods are those of policies that are trained, by hand, on the others."""
    generator = np.random.default_rng(3)
    data = played([generator.integers(3, size=30).tolist() for _ in range(6)], ["ada", "ada", "bo", "bo", "cy", "cy"])
    (of_players,) = (found.log_likelihoods for found in cross_validate(data, [SHORT], tmp_path).values())
    players = players_of(data)
    for player in range(3):
        mine = players.of_episodes == player
        others, own = data.select(np.flatnonzero(~mine)), data.select(np.flatnonzero(mine))
        policies = stack(CAR, list(fit({1.0: others}, [0], SHORT)), "sample")
        observations, actions = own.episodes.transitions()
        (probabilities,) = policies.probabilities(observations[None])
        taken = probabilities[0][np.arange(60), actions[:, 0].astype(int)]
        assert of_players[player] == pytest.approx(np.log(taken).mean(), rel=1e-4)
    assert of_players.max() < np.log(1 / 3), "nothing can be learned of these players, and it is not the training loss"


def test_what_is_finished_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = played([[0, 1, 2], [2, 1, 0], [1, 1]])
    quick = replace(SHORT, max_epochs=1)
    first = cross_validate(data, [quick], tmp_path)[quick]
    monkeypatch.setattr(imitators, "hold_out", lambda *_: np.zeros(3))
    np.testing.assert_array_equal(cross_validate(data, [quick], tmp_path)[quick].log_likelihoods, first.log_likelihoods)
    for other in (replace(quick, l2=0.1), quick):
        changed = data if other != quick else played([[0, 1, 2], [2, 1, 0], [1, 2]])
        assert not cross_validate(changed, [other], tmp_path)[other].log_likelihoods.any()
    for file in tmp_path.iterdir():
        file.write_bytes(b"damaged")
    assert not cross_validate(data, [quick], tmp_path)[quick].log_likelihoods.any()


def test_an_action_that_nobody_else_took_is_nearly_impossible() -> None:
    """The likelihood is bounded from below: one action does not decide everything."""
    data = played([[0, 0], [0, 0], [2, 2]])
    (of_episodes,) = (found.log_likelihoods for found in cross_validate(data, [SHORT]).values())
    assert of_episodes[2] == pytest.approx(np.log(LEAST_PROBABILITY))
    assert of_episodes[:2].min() > np.log(0.2)


def test_the_simplest_that_is_not_seen_to_be_worse_is_chosen() -> None:
    data = played([[0, 1]] * 4)
    small, wide, long = (replace(SHORT, hidden_units=(2,)), SHORT, replace(SHORT, max_epochs=50))
    assert numbers_learned(data, small) == 2 * 2 + 2 + 2 * 3 + 3 < numbers_learned(data, wide)
    best = found(-0.5, -1.0, -0.7, -0.8)
    a_little = found(-0.6, -0.9, -0.9, -0.7)
    clearly = found(-0.52, -1.02, -0.72, -0.81)
    assert chosen(data, {wide: best, small: a_little}) == small
    assert chosen(data, {wide: best, small: clearly}) == wide, "its players differ more than it does from the best"
    assert chosen(data, {long: best, wide: best}) == wide
    assert chosen(data, {small: best}) == small


def test_a_choice_at_the_grid_s_edge_is_known_for_one() -> None:
    compared = grid(PerceptronTraining(max_epochs=10))
    assert at_the_edge(compared[0], compared) == []
    widest = PerceptronTraining(imitators.HIDDEN_UNITS[-1], max_epochs=imitators.MAX_EPOCHS[-1], history=2)
    assert at_the_edge(widest, compared) == ["hidden_units", "max_epochs"]
    assert at_the_edge(widest, [widest]) == [], "nothing else was tried"


def test_a_grid_of_one_s_own() -> None:
    own = PerceptronTraining((5,), history=3)
    found = {(one.history, one.hidden_units, one.max_epochs) for one in grid(own, [0, 16], [7], [2])}
    assert found == {(3, (5,), 200), (0, (7, 7), 2), (16, (7, 7), 2)}


def test_players_count_alike_and_differences_are_paired() -> None:
    one, other = found(-0.2, -1.2, -0.7), found(-0.4, -1.4, -0.9)
    assert one.mean.estimate == pytest.approx(-0.7)
    assert one.mean.over == "3 players"
    difference = one.less(other)
    assert (difference.low, difference.high) == pytest.approx((0.2, 0.2))
    assert Players(np.array([0, 0, 1]), np.array([0, 1]), "player").held_out(0).tolist() == [True, True, False]
