from __future__ import annotations

import copy
import operator
import re
import subprocess
import sys
import types
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Discrete

from quantilizers import EnvironmentDefinition, each_step, load_environment, mean_at_end, own
from quantilizers.envs import identity
from quantilizers.envs.identity import SENTENCES, identity_of
from quantilizers.envs.shipped import SHIPPED
from support import ROOT

FILE = """
import gymnasium
import numpy as np
from quantilizers import EnvironmentDefinition, each_step, own

WEIGHT = {weight}
TABLE = np.array([0.0, {table}])

def lean(steps):
    # {comment}
    return WEIGHT * steps.observations[:, 2] * TABLE[1]

def make(render_mode=None):
    return gymnasium.make("CartPole-v1", render_mode=render_mode, sutton_barto_reward={sutton})

ENVIRONMENT = EnvironmentDefinition(make, {proxy}, max_steps=50, true={true})
"""
FIRST = {"weight": "1.0", "table": "2.0", "comment": "a", "sutton": "False", "proxy": "each_step(lean)", "true": "own"}


def definition(folder: Path, name: str, **changed: str) -> EnvironmentDefinition:
    path = folder / name / "leaning.py"
    path.parent.mkdir()
    path.write_text(FILE.format(**{**FIRST, **changed}), encoding="utf-8")
    return load_environment(f"{path}")


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        ("proxy_reward", {"proxy": "-1 * each_step(lean)"}),
        ("proxy_reward", {"proxy": "10 * each_step(lean)"}),
        ("proxy_reward", {"weight": "-1.0"}),
        ("proxy_reward", {"table": "-2.0"}),
        ("proxy_reward", {"proxy": "each_step(lean) + own"}),
        ("true_reward", {"true": "-1 * own"}),
        ("making", {"sutton": "True"}),
        ("source", {"comment": "b"}),
    ],
)
def test_the_part_that_an_edit_changes_is_named(tmp_path: Path, part: str, changed: dict[str, str]) -> None:
    """A proxy whose sign was turned once kept its finished policies, studies and agents."""
    before, after = identity_of(definition(tmp_path, "a")), identity_of(definition(tmp_path, "b", **changed))
    assert next(name for name in SENTENCES if before[name] != after[name]) == part


def test_a_folder_named_like_the_package_is_the_user_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths were compared as text: code in `quantilizers_of_mine/`, beside the package, counted as the project's."""
    monkeypatch.setattr(identity, "_PROJECT", tmp_path / "package")
    one, other = (definition(tmp_path, name, weight=w) for name, w in (("package_a", "1.0"), ("package_b", "2.0")))
    assert identity_of(one)["source"] != identity_of(other)["source"]
    assert identity_of(one)["proxy_reward"] != identity_of(other)["proxy_reward"]


def test_an_edit_during_a_run_does_not_relabel_what_the_loaded_code_makes(tmp_path: Path) -> None:
    environment = definition(tmp_path, "a")
    before = identity_of(environment)
    (tmp_path / "a" / "leaning.py").write_text("", encoding="utf-8")
    assert identity_of(environment) == before


def test_the_same_file_elsewhere_is_the_same_environment(tmp_path: Path) -> None:
    one, other = (identity_of(definition(tmp_path, name)) for name in "ab")
    assert {**one} == {**other}


def test_environments_that_ship_have_no_parts_unless_they_are_changed() -> None:
    for name in SHIPPED:
        environment = load_environment(name)
        assert identity_of(environment) == {}
        assert identity_of(replace(environment, max_steps=5)) == {}
        assert identity_of(replace(environment, proxy=2 * own))
        assert identity_of(replace(environment, options={"price": 2.0}))
        assert identity_of(replace(environment, prepare_pictures=print))


def in_memory(proxy: Any, true: Any = own) -> EnvironmentDefinition:
    return EnvironmentDefinition("CartPole-v1", proxy, max_steps=50, true=true)


def scaled(by: Any) -> Callable[..., Any]:
    return lambda steps: steps.observations[:, 0] * by


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (each_step(scaled(1.0)), each_step(scaled(2.0))),
        (each_step(scaled(np.ones(3))), each_step(scaled(np.array([1.0, 1.0, 1.1])))),
        (each_step(scaled(1.0)), mean_at_end(scaled(1.0))),
        (each_step(lambda steps: steps.observations[:, 0]), each_step(lambda steps: steps.observations[:, 1])),
        (lambda weight=1.0: weight * own, lambda weight=2.0: weight * own),
    ],
)
def test_closures_constants_and_defaults_count(one: Any, other: Any) -> None:
    assert identity_of(in_memory(one))["proxy_reward"] != identity_of(in_memory(other))["proxy_reward"]
    assert identity_of(in_memory(one))["true_reward"] == identity_of(in_memory(other))["true_reward"]


class Slotted:
    __slots__ = ("by",)

    def __init__(self, by: float) -> None:
        self.by = by


def table(name: str, number: float) -> types.ModuleType:
    module = types.ModuleType(name)
    module.NUMBER = number  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Slotted(1.0), Slotted(2.0)),
        (operator.itemgetter(0), operator.itemgetter(1)),
        (slice(0, 1), slice(0, 2)),
        (range(3), range(4)),
        (Fraction(1, 3), Fraction(1, 4)),
        (Decimal(1), Decimal(2)),
        (Path("a"), Path("b")),
        (re.compile("a"), re.compile("b")),
        (timedelta(1), timedelta(2)),
        (bytearray(b"a"), bytearray(b"b")),
        (deque([1]), deque([2])),
    ],
    ids=lambda value: type(value).__name__,
)
def test_objects_of_any_type_count_by_what_they_consist_of(one: Any, other: Any) -> None:
    first, again, second = (identity_of(in_memory(each_step(scaled(by)))) for by in (one, copy.deepcopy(one), other))
    assert first["proxy_reward"] == again["proxy_reward"] != second["proxy_reward"]


def test_generators_count_by_their_type_alone() -> None:
    one, other = (each_step(scaled(np.random.default_rng(seed))) for seed in (1, 2))
    assert identity_of(in_memory(one)) == identity_of(in_memory(other))


def test_what_a_function_reads_of_a_module_counts() -> None:
    def reading(number: float) -> Any:
        names = {"levels": table("levels", number)}
        exec("def f(steps): return steps.observations[:, 0] * levels.NUMBER", names)
        return identity_of(in_memory(each_step(names["f"])))["proxy_reward"]  # type: ignore[arg-type]

    assert reading(1.0) == reading(1.0) != reading(2.0)


def test_a_digest_is_the_same_in_another_process(tmp_path: Path) -> None:
    here = definition(tmp_path, "a", proxy="each_step(__import__('operator').itemgetter({'b', 'a', 3, None}))")
    code = "import sys; from quantilizers import load_environment; from quantilizers.envs.identity import identity_of; "
    words = [
        sys.executable,
        "-c",
        f"{code} print(sorted(identity_of(load_environment(sys.argv[1])).items()))",
        here.address,
    ]
    # Each process has another order of sets.
    told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert told == f"{sorted(identity_of(here).items())}\n"


@pytest.mark.parametrize(
    ("one", "other"), [([1, 2], [1, 3]), ({"a": 1}, {"a": 2}), (np.zeros(2), np.ones(2)), ({1}, {2}), (b"a", b"b")]
)
@pytest.mark.parametrize("inherited", [False, True])
def test_what_a_class_holds_counts_though_its_code_is_the_same(one: Any, other: Any, inherited: bool) -> None:
    """A level that is read from a file, say, when the class is made."""

    def making(level: Any) -> str:
        game = type("Game", (gymnasium.Env,), {"LEVEL": level, "__module__": __name__})
        game = type("Harder", (game,), {"__module__": __name__}) if inherited else game
        return identity_of(EnvironmentDefinition(game, own, 5, spaces=(Discrete(2), Discrete(2))))["making"]

    assert making(one) != making(other)
    assert making(one) == making(one)
