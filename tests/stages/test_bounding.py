from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from quantilizers.stages.bounding import bounds_text
from quantilizers.studies.bound_checks import check_bounds

Run = Callable[..., tuple[int, str, str]]
PROXY = np.linspace(0, 10, 40)
TRUE = PROXY - 0.5


def text(policy_return: float, why_not: str | None = None, implicit_loss: float | None = None) -> str:
    policies = np.full((2, 3), policy_return) + np.array([[0.0], [0.001]])
    checks = check_bounds(TRUE, PROXY, {1.0: policies, 0.25: policies}, why_not, implicit_loss)
    return bounds_text(checks, 40)


def test_what_is_kept_and_what_is_broken_is_said() -> None:
    good, bad = text(9.4), text(-5.0)
    assert good.count("the kept episodes keep it everywhere") == bad.count("the kept episodes keep it everywhere") == 2
    assert " NO |" not in good
    assert "Broken" not in good
    assert bad.count(" NO |") == 3
    assert bad.count("- Broken") == 3
    assert "| 0.25 |    10 |" in good


def test_the_guarantee_names_its_k_and_its_best_q() -> None:
    assert "k = 0.500 (estimated" in text(9.4)
    given = text(9.4, implicit_loss=0.1)
    assert "k = 0.100 (given)" in given
    assert "it is highest at q = 0.25" in given
    assert "nan" not in given
    assert text(9.4, why_not="The guarantee does not apply: feet and pounds.").endswith("feet and pounds.")


@pytest.mark.parametrize("wrong", ["-1", "nan", "inf"])
def test_an_impossible_k_is_refused(run: Run, wrong: str) -> None:
    code, _, err = run("--do", "study", "--implicit_loss", wrong)
    assert code == 2
    assert "--implicit_loss is a mean loss" in err
