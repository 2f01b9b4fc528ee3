"""Ranking within groups: an answer to a hard question competes with other answers to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from quantilizers import Demonstrations, EnvironmentDefinition, Episodes, Recordings, UserError
from quantilizers.datasets.summary import summarise
from quantilizers.demonstrations.episodes import concatenate
from quantilizers.figures.tables import summary_tables
from quantilizers.policies.selection_settings import SelectionSettings
from quantilizers.quantilize import density_ratio, share_between
from quantilizers.rewards import own

QUESTIONS, ANSWERS = 6, 8
EASE = 10.0 * np.arange(QUESTIONS)  # of a question: what any answer to it scores
BANDIT = EnvironmentDefinition(
    "CartPole-v1",
    own,
    max_steps=1,
    name="bandit",
    recordings=Recordings(group=lambda episodes: episodes.observations[:, 0]),
)


def answers(sizes: Any = (ANSWERS,) * QUESTIONS, **extras: Any) -> Demonstrations:
    """Answers of one step; the question is the first observation, and an answer's quality adds 0 to 1 to its score."""
    question = np.repeat(np.arange(len(sizes)), sizes)
    question = np.random.default_rng(1).permutation(question)
    quality = np.random.default_rng(2).random(len(question))
    observations = np.zeros((len(question), 1, 4))
    observations[:, 0, 0] = question
    actions = np.zeros((len(question), 1, 1))
    rewards = (EASE[question] + quality)[:, None]
    done = np.zeros((len(question), 1), dtype=np.bool_)
    return Demonstrations(Episodes(observations, actions, rewards, done, extras), BANDIT)


def questions_of(demonstrations: Demonstrations) -> Any:
    return demonstrations.episodes.observations[:, 0, 0].astype(int)


def test_the_best_answers_to_each_question_are_kept() -> None:
    data = answers()
    kept = data.top(0.25, within="group")
    assert np.bincount(questions_of(kept)).tolist() == [2] * QUESTIONS
    for question in range(QUESTIONS):
        of_question = np.sort(data.true_returns[questions_of(data) == question])[::-1]
        assert np.sort(kept.true_returns[questions_of(kept) == question])[::-1].tolist() == of_question[:2].tolist()
    assert set(questions_of(data.top(0.25))) == {4, 5}  # ranked together, only easy questions are kept


@pytest.mark.parametrize("select", ["top", "random", "bottom"])
def test_a_small_group_keeps_one_and_each_group_keeps_its_share(select: Any) -> None:
    sizes = [1, 2, 3, 10, 24]
    data = answers(sizes)
    selection = SelectionSettings(select=select, within="group").choose(data, 0.25)
    kept = questions_of(selection.demonstrations)
    assert np.bincount(kept).tolist() == [1, 1, 1, 2, 6]  # max(1, floor(m/4))
    shares = np.bincount(kept, weights=selection.weights)
    assert shares == pytest.approx(np.array(sizes) / sum(sizes))
    assert selection.weights.sum() == pytest.approx(1.0)


def test_equal_groups_have_equal_weights() -> None:
    selection = SelectionSettings(within="group").choose(answers(), 0.25)
    assert density_ratio(np.append(selection.weights, np.zeros(36))) == pytest.approx(4.0)
    assert selection.step_weights is None


@pytest.mark.parametrize("method", ["best_of_n", "exponential"])
def test_softer_rules_weight_within_groups(method: str) -> None:
    data = answers([8, 16])
    selection = SelectionSettings(method=method, within="group").choose(data, 0.25)
    asked = questions_of(selection.demonstrations)
    assert np.bincount(asked, weights=selection.weights) == pytest.approx([1 / 3, 2 / 3])
    for question, size in enumerate((8, 16)):
        alone = data.select(np.flatnonzero(questions_of(data) == question))
        of_alone = SelectionSettings(method=method).choose(alone, 0.25)
        assert selection.weights[asked == question] == pytest.approx(of_alone.weights * size / 24)


def test_random_subsets_differ_between_groups_and_repeat() -> None:
    data = answers()
    settings = SelectionSettings(select="random", within="group")
    first, again = (settings.choose(data, 0.25).demonstrations for _ in range(2))
    assert np.array_equal(first.true_returns, again.true_returns)
    places = [
        np.flatnonzero(np.isin(data.true_returns[questions_of(data) == question], first.true_returns)).tolist()
        for question in range(QUESTIONS)
    ]
    assert len(set(map(tuple, places))) > 1


def test_the_recordings_array_and_the_definitions_array_name_groups() -> None:
    labels = np.array(["hard", "easy"] * 24)
    plain = replace(BANDIT, recordings=Recordings())
    recorded = Demonstrations(answers(group=labels).episodes, plain)
    assert recorded.known_groups is not None
    assert recorded.known_groups.tolist() == [0, 1] * 24
    named = Demonstrations(answers(prompt=labels).episodes, replace(BANDIT, recordings=Recordings(group="prompt")))
    assert np.array_equal(named.known_groups, recorded.known_groups)
    assert Demonstrations(answers().episodes, plain).known_groups is None


def broken(_: Episodes) -> Any:
    return {}["nothing"]


@pytest.mark.parametrize(
    ("recordings", "extras", "message"),
    [
        (Recordings(), {}, "the recording has no groups to rank within; record an array group"),
        (Recordings(group="level"), {"prompt": np.zeros(48)}, "no array level.*it has: prompt"),
        (Recordings(group=lambda _: np.arange(48)), {}, "each of 48 groups has a single episode"),
        (Recordings(group=lambda _: [1, 2]), {}, r"group of bandit is int64 of shape \(2,\)"),
        (Recordings(group=lambda _: 3), {}, r"group of bandit is int64 of shape \(\)"),
        (Recordings(group=broken), {}, r"group of bandit failed: KeyError: 'nothing' \(test_groups.py"),
        (Recordings(), {"group": np.array(["a", ""] * 24)}, "group is missing in 24 of 48 episodes"),
        (Recordings(), {"group": np.array([np.nan, 1.0] * 24)}, "group is missing in 24 of 48 episodes"),
        (Recordings(), {"group": np.array([-1, 1] * 24)}, "group is missing in 24 of 48 episodes"),
    ],
)
def test_groups_that_are_none_are_refused(recordings: Recordings, extras: dict[str, Any], message: str) -> None:
    data = Demonstrations(answers(**extras).episodes, replace(BANDIT, recordings=recordings))
    with pytest.raises(UserError, match=message):
        data.top(0.5, within="group")


def test_joined_files_of_which_one_has_no_groups_are_refused() -> None:
    joined = concatenate([answers(group=np.array([7] * 48)).episodes, answers().episodes])
    with pytest.raises(UserError, match="group is missing in 48 of 96 episodes, as after joining files"):
        Demonstrations(joined, replace(BANDIT, recordings=Recordings())).top(0.5, within="group")


def test_an_unknown_word_is_refused() -> None:
    with pytest.raises(UserError, match="within is 'groups'; did you mean group"):
        answers().top(0.5, within="groups")  # type: ignore[arg-type]


def test_the_share_of_variance_between_groups() -> None:
    """Of chance alone it is 0 in the mean, although the groups' means differ."""
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), 3)
    assert share_between(generator.normal(size=600), groups) == pytest.approx(0.0, abs=0.1)
    effects = np.repeat(generator.normal(size=200), 3)
    assert share_between(effects + generator.normal(size=600), groups) == pytest.approx(0.5, abs=0.1)
    assert share_between(np.ones(6), np.array([0, 0, 0, 1, 1, 1])) is None
    assert share_between(np.arange(3.0), np.arange(3)) is None
    huge = share_between(1e300 * np.array([1.0, 2.0, 11.0, 12.0]), np.array([0, 0, 1, 1]))
    assert huge == pytest.approx(0.985, abs=1e-3)


def lines(data: Demonstrations, within: Any = "all") -> str:
    # Sentences are broken at the width of the terminal.
    return " ".join(summary_tables("bandit", summarise(data, within), [1.0, 0.25]).split())


def test_the_table_says_how_much_lies_between_groups() -> None:
    text = lines(answers())
    assert "6, of 8 to 8 episodes" in text
    assert "100%" in text
    assert "selects groups more than play; --within group ranks within each." in text
    within = lines(answers(), "group")
    assert "ranked within 6 groups: a quantile keeps max(1, floor(q·m)) of the m episodes of each" in within
    assert "selects groups more than play" not in within


def test_the_table_is_of_what_policies_imitate() -> None:
    data = answers([1, 2, 3, 10, 24])
    selection = SelectionSettings(within="group").choose(data, 0.25)
    row = summarise(data, "group").selection(0.25)
    assert (row.number, row.tied_left_out) == (11, 0)
    assert row.true_return == pytest.approx(selection.true_return)
    assert row.proxy_return == pytest.approx(selection.proxy_return)
    assert row.cut == selection.proxy_returns.min()


def test_first_observations_that_decide_the_proxy_are_noted_where_no_group_is_known() -> None:
    plain = Demonstrations(answers().episodes, replace(BANDIT, recordings=Recordings()))
    assert "between 6 different first observations. If these are different problems" in lines(plain)


@pytest.mark.parametrize("shift", [lambda n: np.arange(n), lambda n: np.zeros(n)], ids=["all differ", "all alike"])
def test_other_data_has_no_such_line(shift: Callable[[int], Any]) -> None:
    data = Demonstrations(answers().episodes, replace(BANDIT, recordings=Recordings()))
    data.episodes.observations[:, 0, 0] = shift(data.number)
    assert "first observations" not in lines(data)
