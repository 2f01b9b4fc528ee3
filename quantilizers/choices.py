"""The words that users choose from, where the library takes one of a few; they are read without importing anything."""

from __future__ import annotations

from typing import Literal, get_args

#: Which episodes a quantile keeps.
SelectionName = Literal["top", "random", "bottom"]
SELECTIONS: tuple[SelectionName, ...] = get_args(SelectionName)
#: Which distance from the base distribution makes a rule as strong as a quantile.
Match = Literal["kl", "effective_size"]
MATCHES: tuple[Match, ...] = get_args(Match)
#: What counts alike in cloning: each episode, as in the theory, or each step.
Unit = Literal["steps", "episodes"]
UNITS: tuple[Unit, ...] = get_args(Unit)
#: How long policies are trained: passes over what they learn from, or gradient steps.
Budget = Literal["epochs", "updates"]
BUDGETS: tuple[Budget, ...] = get_args(Budget)
#: How class probabilities become an action.
Acting = Literal["most_probable", "expected_value", "sample"]
PolicyFamilyName = Literal["multilayer_perceptron", "convolutional"]
