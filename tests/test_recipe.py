from __future__ import annotations

import pickle
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from quantilizers.policies.selection_settings import REFERENCE
from quantilizers.recipe import Recipe

WANTED: dict[str, Any] = {
    "environment": "MountainCar-v0",
    "options": {"lamb": 1.5},
    "training": {"learning_rate": 0.001, "hidden_units": (20, 20)},
    "players_from": None,
    "data": "0" * 64,
    "splits": {"0.5": "a", "1.0": "b"},
    "seed": 3,
    "code": 2,
}
OTHER_DATA = "on other demonstrations than q = 0.5 keeps of data set demo as it is now"


def changed(**entries: object) -> Recipe:
    return Recipe({**WANTED, **entries})


@pytest.mark.parametrize(
    ("entries", "described"),
    [
        ({}, ""),
        ({"training": {"learning_rate": 0.1, "hidden_units": [20, 20]}}, "with learning_rate 0.1, not 0.001"),
        ({"training": {"learning_rate": 0.001, "hidden_units": [8]}}, "with hidden_units 8, not 20 20"),
        ({"options": {"lamb": 2}}, "with lamb 2, not 1.5"),
        ({"environment": "Hopper-v2"}, "on Hopper-v2, not MountainCar-v0"),
        ({"seed": 4}, "for seed 4, not 3"),
        ({"code": 1}, "by version 1 of the training code, not 2"),
        ({"players_from": "big"}, "with --players_from big, and this run is without --players_from"),
        ({"data": "1" * 64}, OTHER_DATA),
        ({"training": "none"}, "without learning_rate, not with learning_rate 0.001"),
        (
            {"training": {"learning_rate": 0.001, "momentum": 0.9, "hidden_units": [20, 20]}},
            "with momentum 0.9, not without it",
        ),
        ({"options": {}}, "without lamb, not with lamb 1.5"),
        ({"splits": {"0.5": "a"}}, "with other splits"),
        ({"more": 3}, "with more 3, not without it"),
        ({"more": {}}, ""),
        ({"more": None}, ""),
        ({"splits": {"0.5": "a", "1.0": "c"}}, "with other splits"),
        ({"seed": "\x1b[2J" + "x" * 999}, f"for seed \\x1b[2J{'x' * 192}…, not 3"),
    ],
)
def test_the_first_difference_is_described(entries: dict[str, object], described: str) -> None:
    wanted = Recipe(WANTED, {"data": OTHER_DATA, "splits": "with other splits"})
    assert Recipe.parse(changed(**entries).text).difference(wanted) == described


def test_a_flag_that_only_this_run_has_is_named() -> None:
    words = "without --players_from, and this run is with --players_from big"
    assert Recipe(WANTED).difference(changed(players_from="big")) == words


def test_what_version_0_2_0_did_not_note_had_the_values_of_the_table() -> None:
    of_0_2_0 = {"quantile": 0.5, "training": {"learning_rate": 0.001}}
    now = {**of_0_2_0, "training": {**of_0_2_0["training"], "history": 0, "updates": 0}, "weights": "", "code": 1}
    now["treatment"] = asdict(REFERENCE)
    assert Recipe(of_0_2_0).difference(Recipe(now)) == ""
    assert Recipe(of_0_2_0).difference(Recipe({**now, "code": 2})) == "by version 1 of the training code, not 2"
    changed = {**now, "treatment": {**now["treatment"], "weight": "episodes"}}
    assert Recipe(of_0_2_0).difference(Recipe(changed)) == "with weight steps, not episodes"
    assert Recipe(changed).difference(Recipe(of_0_2_0)) == "with weight episodes, not steps"


def test_a_definition_that_a_file_does_not_note_is_not_compared() -> None:
    defined = Recipe({"seed": 3, "definition": {"proxy_reward": "a", "source": "b"}}, {"proxy_reward": "with another"})
    assert Recipe({"seed": 3}).difference(defined) == ""
    assert defined.difference(Recipe({"seed": 3})) == "with proxy_reward a, not without it"
    other = Recipe({"seed": 3, "definition": {"proxy_reward": "c", "source": "b"}})
    assert other.difference(defined) == "with another"
    assert Recipe({"options": {}}).difference(Recipe({"options": {"definition": 3}})) != "", (
        "an option may be called so"
    )


def test_a_part_is_compared_alone_if_it_is_named() -> None:
    other = changed(options={"lamb": 2.0}, training={"learning_rate": 0.001, "hidden_units": [8]}, seed=4)
    wanted = Recipe(WANTED)
    assert other.difference(wanted, only=["data", "training.learning_rate"]) == ""
    assert other.difference(wanted, only=["data", "training"]) == "with hidden_units 8, not 20 20"
    assert other.difference(wanted, only=("seed", "options")) == "with lamb 2.0, not 1.5"
    assert Recipe({}).difference(wanted, only=["seed"]) == "without seed, not with seed 3"
    assert other.difference(wanted, only=()) == ""


def test_the_identity_depends_on_values_and_not_on_their_types_or_order() -> None:
    plain = Recipe({"steps": 3, "units": [20, 20], "rate": 0.1, "of": {"a": 1}})
    numpy = Recipe({"of": {"a": 1}, "rate": np.float64(0.1), "units": np.array([20, 20]), "steps": np.int64(3)})
    assert plain == numpy
    assert plain == pickle.loads(pickle.dumps(numpy))  # noqa: S301
    assert plain.identity == numpy.identity == Recipe.parse(plain.text).identity
    assert plain.identity != Recipe({**plain.entries, "steps": 4}).identity


@pytest.mark.parametrize("text", ["", "[1]", "3", "{", "null", "[" * 100_000, '{"a":' * 100_000])
def test_what_is_no_recipe_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Recipe.parse(text)
