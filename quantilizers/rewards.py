"""Rewards: defined once, computed in one environment, in many side by side, or over recorded episodes.

A reward is a sum of parts of three kinds, which can be added and scaled:

| part | reward |
|---|---|
| `own` | the environment's own reward |
| `each_step(f)` | f of every step |
| `mean_at_end(f)` | at an episode's last step, the mean of f over the episode |

f takes n `Steps` at once and returns (n,) numbers:

>>> lean = each_step(lambda steps: steps.observations[:, 2])
>>> true = own - 10 * mean_at_end(lambda steps: steps.info["cheat"], info=("cheat",))
>>> meter = Meter(lean, number=1)
>>> seen = Steps(np.array([[0.0, 0.0, 0.5, 0.0]]), np.array([1]))
>>> meter.pay(np.array([1.0]), seen, last=np.array([False]))
array([0.5])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from quantilizers.errors import UserError, fault_of, name_of, shown

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

#: Two values of one step that differ by less, relative to the largest value, are rounding.
_ROUNDING = 1e-4


@dataclass(frozen=True, eq=False)
class Steps:
    """n steps of one environment or of several.

    Attributes:
        observations: (n, …), after each step.
        actions: (n, …) in the shape and type of the environment's action space, in play and over recordings alike:
            whole numbers (n,) if it is `Discrete`, otherwise with the shape of an action, (n, …).
        info: further quantities of each step by name, (n,) each.
    """

    observations: npt.NDArray[Any]
    actions: npt.NDArray[Any]
    info: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)


Quantity = Callable[[Steps], npt.ArrayLike]


@dataclass(frozen=True, eq=False, repr=False)
class Part:
    """One part of a reward; the quantity f is None for the environment's own reward."""

    kind: Literal["own", "each_step", "mean_at_end"]
    weight: float = 1.0
    quantity: Quantity | None = None
    info: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return self.kind if self.quantity is None else f"{self.kind}({name_of(self.quantity)})"

    def measure(self, steps: Steps) -> FloatArray:
        """Return f of the steps, (n,); raise a UserError if f fails or does not return one number a step.

        f cannot change the steps: policies and other parts see the same arrays.
        """
        assert self.quantity is not None
        seen = Steps(
            _read_only(steps.observations),
            _read_only(steps.actions),
            {name: _read_only(values) for name, values in steps.info.items()},
        )
        try:
            values = np.asarray(self.quantity(seen), dtype=np.float64)
        except UserError:
            raise
        except (Exception, SystemExit) as error:  # whatever f raises
            raise UserError(f"the reward's function {name_of(self.quantity)} failed: {fault_of(error)}") from error
        if values.shape != (len(steps.observations),):
            raise UserError(
                f"the reward's function {name_of(self.quantity)} returned shape {values.shape} for "
                f"{len(steps.observations)} steps, not one number a step"
            )
        return values

    def measure_recorded(self, steps: Steps) -> FloatArray:
        """Return f of recorded steps, (n,), of which the environment gives f one at a time.

        Raises:
            UserError: f gives the first, middle or last step another value alone than among the others.
        """
        values = self.measure(steps)
        number, largest = len(values), np.abs(values).max(initial=0.0, where=np.isfinite(values))
        for place in {0, number // 2, number - 1} if number else ():
            rows = slice(place, place + 1)
            alone = self.measure(
                Steps(
                    steps.observations[rows],
                    steps.actions[rows],
                    {name: values[rows] for name, values in steps.info.items()},
                )
            )
            if abs(values[place] - alone[0]) > _ROUNDING * largest:
                assert self.quantity is not None
                raise UserError(
                    f"the reward's function {name_of(self.quantity)} gives {values[place]:g} for a step among "
                    f"{number:,} and {alone[0]:g} for it alone; it may neither combine steps nor draw at random"
                )
        return values


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, eq=False, repr=False)
class Reward:
    """A sum of parts; build it from `own`, `each_step` and `mean_at_end` with +, − and multiplication by numbers.

    >>> def lean(steps: Steps) -> FloatArray:
    ...     return steps.observations[:, 2]
    >>> own - 10 * mean_at_end(lean)
    own - 10 * mean_at_end(lean)
    """

    parts: tuple[Part, ...] = ()

    def __repr__(self) -> str:
        written = ""
        for part in self.parts:
            sign = "-" if part.weight < 0 else "+" if written else ""
            factor = "" if abs(part.weight) == 1 else f"{abs(part.weight):g} * "
            written += f" {sign} {factor}{part}" if written else f"{sign}{factor}{part}"
        return written or "Reward()"

    #: NumPy's numbers and arrays leave their arithmetic with rewards to the methods below.
    __array_ufunc__ = None

    def __add__(self, other: Reward) -> Reward:
        return Reward((*self.parts, *_reward(other, "added to").parts))

    def __radd__(self, other: object) -> Reward:
        # `sum` begins with 0.
        return self if isinstance(other, int) and other == 0 else _reward(other, "added to") + self

    def __mul__(self, factor: float) -> Reward:
        return Reward(tuple(replace(part, weight=_factor(factor) * part.weight) for part in self.parts))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Reward:
        return self * (1 / _factor(divisor, "divided by", least=0.0))

    def __neg__(self) -> Reward:
        return self * -1.0

    def __sub__(self, other: Reward) -> Reward:
        return self + -_reward(other, "subtracted from")

    def __rsub__(self, other: object) -> Reward:
        return _reward(other, "subtracted from") - self

    @property
    def info(self) -> tuple[str, ...]:
        """The fields of `Steps.info` that the reward reads, each once."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.info))

    @property
    def own_weight(self) -> float:
        """The weight of the environment's own reward in the sum."""
        return float(sum(part.weight for part in self.parts if part.kind == "own"))

    @property
    def without_own(self) -> Reward:
        """The reward without its parts of the environment's own reward."""
        return Reward(tuple(part for part in self.parts if part.kind != "own"))

    def at_once_and_at_end(self, own: FloatArray, steps: Steps) -> tuple[FloatArray, FloatArray]:
        """Return the rewards of n steps that are given at once, and their share of the mean at the end, (n,) each.

        `own` (n,) are the environment's own rewards.
        """
        at_once, at_end = np.zeros(len(own)), np.zeros(len(own))
        for part in self.parts:
            if part.kind == "mean_at_end":
                at_end += part.weight * part.measure(steps)
            else:
                at_once += part.weight * (own if part.kind == "own" else part.measure(steps))
        return at_once, at_end

    def over_episodes(self, own: npt.NDArray[Any] | None, steps: Steps | None, done: BoolArray) -> FloatArray:
        """Return the rewards of recorded episodes, bit for bit those that a `Meter` gives step by step.

        Args:
            own: (N, T) the environment's own rewards; None if the reward does not contain them, or with weights of 0.
            steps: all real steps, episode after episode; None if the reward is only the environment's own.
            done: (N, T), True on padding.

        Returns:
            (N, T), zero on padding.
        """
        real = ~done
        rows, last = np.arange(len(done)), real.sum(axis=1) - 1
        total = np.zeros(done.shape)
        for part in self.parts:
            if part.kind == "own":
                if own is not None:  # otherwise their weights cancel
                    total += np.where(done, 0.0, part.weight * own)
                continue
            assert steps is not None
            values = np.zeros(done.shape)
            values[real] = part.measure_recorded(steps)
            if part.kind == "each_step":
                total += part.weight * values
            else:
                # Summed in the order of the steps, as in a `Meter`: other orders change the last bits.
                sums = np.cumsum(values, axis=1)[rows, last]
                total[rows, last] += part.weight * (sums / (last + 1))
        return total


def _reward(term: object, deed: str) -> Reward:
    """Return a term of a sum of rewards; a `UserError` with the way out if it is no reward."""
    if isinstance(term, Reward):
        return term
    if isinstance(term, Real):
        raise UserError(
            f"the number {term!r} cannot be {deed} a reward, because it is no amount of each step or each episode; "
            f"write each_step(lambda steps: np.full(len(steps.actions), {term!r})), or mean_at_end(…)"
        )
    if callable(term):
        name = name_of(term)
        raise UserError(
            f"the function {name} cannot be {deed} a reward; write each_step({name}) or mean_at_end({name})"
        )
    raise UserError(f"{shown(term)} cannot be {deed} a reward; build rewards from own, each_step and mean_at_end")


def _factor(factor: object, deed: str = "multiplied by", least: float | None = None) -> float:
    """Return a finite number that scales a reward; above 0 in size if `least` is given."""
    value = float(factor) if isinstance(factor, Real) else math.nan
    if not math.isfinite(value) or (least is not None and abs(value) <= least):
        raise UserError(
            f"a reward is {deed} numbers, not by {shown(factor)}; a product of quantities is one function of steps, "
            "each_step(f)"
        )
    return value


#: The environment's own reward.
own = Reward((Part("own"),))


def each_step(quantity: Quantity, *, info: str | Sequence[str] = ()) -> Reward:
    """Return a reward that is a quantity of every step.

    Args:
        quantity: from n `Steps` to (n,) numbers.
        info: the fields of `Steps.info` that it reads; recordings keep them.
    """
    return Reward((_part("each_step", quantity, info),))


def mean_at_end(quantity: Quantity, *, info: str | Sequence[str] = ()) -> Reward:
    """Return a reward that is given once, at an episode's last step: the mean of a quantity over the episode.

    Args:
        quantity: from n `Steps` to (n,) numbers.
        info: the fields of `Steps.info` that it reads; recordings keep them.
    """
    return Reward((_part("mean_at_end", quantity, info),))


def _part(kind: Literal["each_step", "mean_at_end"], quantity: Quantity, info: str | Sequence[str]) -> Part:
    """Return a part of a reward; a `UserError` if it is no function, or `info` holds no names."""
    if not callable(quantity):
        raise UserError(f"{kind} takes a function of n Steps that returns (n,) numbers, not {quantity!r}")
    names = (info,) if isinstance(info, str) else tuple(info)
    if not all(isinstance(name, str) for name in names):
        raise UserError(f"info of {kind} is {info!r}; give the names of fields of the info")
    return Part(kind, quantity=quantity, info=names)


class Meter:
    """Pays a reward in n environments while they run."""

    def __init__(self, reward: Reward, number: int) -> None:
        self._parts = reward.parts
        self._sums = np.zeros((len(reward.parts), number))
        self._steps = np.zeros(number, dtype=np.int64)

    def restart(self, environments: npt.NDArray[Any] | slice = slice(None)) -> None:
        """Begin new episodes in some of the environments."""
        self._sums[:, environments] = 0.0
        self._steps[environments] = 0

    def pay(
        self, own: FloatArray, steps: Steps, last: BoolArray, active: BoolArray | Literal[True] = True
    ) -> FloatArray:
        """Return the rewards (n,) of one step of each environment.

        Args:
            own: (n,) the environments' own rewards.
            steps: one step of each environment.
            last: (n,) whether the episode ends with this step.
            active: (n,) whether the environment took the step; the others receive 0.
        """
        self._steps += active
        total: FloatArray | float = 0.0
        for part, sums in zip(self._parts, self._sums, strict=True):
            if part.kind == "own":
                paid = own
            elif part.kind == "each_step":
                paid = part.measure(steps)
            else:
                np.add(sums, part.measure(steps), out=sums, where=active)
                paid = np.divide(sums, self._steps, out=np.zeros(len(sums)), where=last)
            total = total + (paid if part.weight == 1 else part.weight * paid)
        return np.where(active, total, 0.0)
