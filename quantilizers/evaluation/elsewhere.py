"""Measuring policies in other processes, with the bits of this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from quantilizers.choices import Acting
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import Address, address_of, environment_at
from quantilizers.evaluation.measuring import NotFiniteError, measure_policies
from quantilizers.evaluation.results import SeedResults
from quantilizers.execution.units import Executor, Send, WorkUnit
from quantilizers.policies.policy import Policies, TrainedPolicy, family_of

#: What measuring a seed gives: its results, None where there are none; and what was paid that is no number, in words.
Measured = tuple[SeedResults | None, str]


def measure_elsewhere(
    executor: Executor,
    environment: EnvironmentDefinition,
    load: Callable[[float, int], TrainedPolicy],
    wanted: Mapping[int, Sequence[float]],
    acting: Acting,
    episodes: int,
    max_steps: int,
    options: Mapping[str, Any],
) -> Iterator[tuple[int, SeedResults | None, str]]:
    """Measure policies as `measure_policies` does, those of a seed in one unit of work.

    Args:
        executor: which does the work.
        environment: where they act.
        load: gives the policy of a quantile and seed, when somebody can begin with it.
        wanted: of each seed the quantiles.
        acting: how they choose their actions.
        episodes: of each policy.
        max_steps: episodes are cut after so many steps.
        options: the environment's own.

    Yields:
        Each seed, what was measured of it, and what was paid that is no number, in words.

    Raises:
        UnfinishedError: some seeds came to nothing. The others were given before.
    """
    address, seeds = address_of(environment), list(wanted)

    def units() -> Iterator[WorkUnit]:
        for seed in seeds:
            policies = [load(quantile, seed) for quantile in wanted[seed]]
            arguments = (address, policies, acting, seed, episodes, max_steps, dict(options))
            yield WorkUnit(f"testing seed {seed}", measure_unit, arguments)

    for number, (results, paid) in executor.run(units()):
        yield seeds[number], results, paid


def measure_unit(
    address: Address,
    policies: Sequence[TrainedPolicy],
    acting: Acting,
    seed: int,
    episodes: int,
    max_steps: int,
    options: Mapping[str, Any],
    send: Send,
) -> Measured:
    """Do a unit of work: measure the policies of a seed, in whatever process.

    Args:
        address: of the environment.
        policies: one of each quantile.
        acting: how they choose their actions.
        seed: theirs.
        episodes: of each policy.
        max_steps: episodes are cut after so many steps.
        options: the environment's own.
        send: is told nothing.
    """
    environment = environment_at(address)
    of_quantile = {policy.quantile: policy for policy in policies}

    def stack(some: Sequence[tuple[float, int]]) -> Policies:
        return family_of(environment).stack(environment, [of_quantile[quantile] for quantile, _ in some], acting)

    try:
        (results,) = measure_policies(environment, stack, list(of_quantile), [seed], episodes, max_steps, options)
    except NotFiniteError as error:
        return error.results[0], str(error)
    return results, ""
