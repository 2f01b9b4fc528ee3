from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers.commands.command_line import parse
from quantilizers.commands.command_line import settings_of as settings_of_words
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.errors import MissingError, UserError
from quantilizers.evaluation.pressure import Pressures
from quantilizers.evaluation.results import Provenance, SeedResults, load_results
from quantilizers.layout import Layout
from quantilizers.optimisers.paths import OptimisationPath, PathPoint
from quantilizers.policies.selection_settings import REFERENCE, SelectionSettings
from quantilizers.stages.plotting import check, draw_style, run
from quantilizers.stages.run import Run
from quantilizers.stages.run import Tested as OfPolicies
from quantilizers.stages.running import _check
from quantilizers.stages.settings import Settings
from quantilizers.stages.study_files import softer_arms
from quantilizers.studies.base_distribution import BaseDistribution

CAR = load_environment("MountainCar-v0")
QUANTILES = (1.0, 0.25)


def settings_of(log: Path, **changes: Any) -> Settings:
    return replace(Settings(CAR, Layout(log, CAR.name, "small"), QUANTILES, range(3), 4, 200), **changes)


def save_results(log: Path, of_seeds: dict[int, Provenance | None], **options: float) -> np.ndarray:
    """Save invented true returns (3 seeds, 2 quantiles, 4 episodes) as results; the proxy's are half as large."""
    returns = -np.random.default_rng(3).integers(100, 200, size=(3, 2, 4)).astype(float)
    lengths = np.ones((2, 4), dtype=int)
    for seed, true in enumerate(returns):
        paid = true[..., None].astype(np.float32)
        SeedResults(
            CAR.name, 200, options, np.array(QUANTILES), true, true / 2, lengths, paid, paid / 2, of_seeds.get(seed)
        ).save(Layout(log, CAR.name, "small").rewards(seed))
    return returns


def provenance_of(settings: Settings) -> Provenance:
    in_force = settings.record()["settings"]
    kept = list(REFERENCE.choose_all(Demonstrations.find(settings.layout, CAR), QUANTILES, observations=False).values())
    data = tuple(of_quantile.data for of_quantile in kept)
    return Provenance(in_force["family"], in_force["training"], in_force["acting"], data)


@pytest.mark.parametrize("style", ["mean_seeds", "median_seeds", "distribution", "boxplot", "frontier"])
def test_each_style_is_drawn_with_its_numbers(log: Path, style: str, capsys: pytest.CaptureFixture[str]) -> None:
    returns = save_results(log, {})
    settings = settings_of(log, plotstyle=style)
    run(Run(settings))
    path = settings.layout.figure(style)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert str(path) in capsys.readouterr().out
    record = json.loads(path.with_suffix(".json").read_text())
    if style == "distribution":
        np.testing.assert_allclose(record["numbers"]["true"][0]["seeds"], returns[:, 0])
    elif style == "boxplot":
        medians = [box["median"] for box in record["numbers"]["true"]["policies"]]
        np.testing.assert_allclose(medians, [np.median(returns[:, index]) for index in range(2)])
    elif style == "frontier":
        imitation, quarter, *others = record["numbers"]["agents"]
        assert (imitation["label"], imitation["quantile"], quarter["quantile"]) == ("cloned", 1.0, 0.25)
        # Nobody measured its KL.
        assert (quarter["pressure"], quarter["reference"]) == (None, pytest.approx(np.sqrt(np.log(4))))
        assert imitation["true"]["estimate"] == pytest.approx(returns[:, 0].mean())
        assert not others, "no optimiser was measured"
        assert record["numbers"]["frontier"]["episodes"] == 12
    else:
        aggregate = np.median if style == "median_seeds" else np.mean
        np.testing.assert_allclose(record["numbers"]["true"]["bars"], aggregate(returns.mean(axis=2), axis=0))


@pytest.mark.parametrize("stage", ["plot", "report"])
@pytest.mark.parametrize(
    ("flag", "difference"),
    [
        ("--number_trajectories 3", "with number_trajectories 4, not 3"),
        ("--max_steps 30", "with max_steps 200, not 30"),
        ("--max_steps 200", ""),
        ("--number_trajectories 4", ""),
        ("", ""),
    ],
)
def test_flags_that_say_otherwise_than_was_tested_are_refused(
    stage: str, flag: str, difference: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_results(log, {})
    words = f"--do {stage} --dataset_name small --quantiles 1 0.25 --seed_nb 3 --log_dir {log} {flag}".split()
    settings = settings_of_words(parse(words), words)
    if difference:
        with pytest.raises(
            UserError, match=f"was tested {difference}; leave the flag out to see that, or test again: .*{flag}"
        ):
            _check(Run(settings), [stage])
    else:
        _check(Run(settings), [stage])
    # Another stage may read the flag.
    _check(Run(settings), [stage, "study"])


def test_returns_are_drawn_against_lambda_with_every_optimiser_measured_alike(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    priced = replace(
        CAR, options={"lamb": 1.0}, second_axis=lambda true, proxy, options: (proxy - true) / options["lamb"]
    )
    returns = save_results(log, {}, lamb=2.0)
    settings = settings_of(log, environment=priced, options={"lamb": 2.0}, plotstyle="lambda")
    for algorithm, horizon in (("", 200), ("q_learning", 100)):
        for seed in range(3):
            proxy = np.full((1, 4), 7.0)
            true = proxy - 2.0 * seed
            SeedResults(
                CAR.name, horizon, {"lamb": 2.0}, np.zeros(1), true, proxy, np.ones((1, 4), dtype=int),
                true[..., None].astype(np.float32), proxy[..., None].astype(np.float32),
            ).save(
                settings.layout.optimiser_rewards(seed, algorithm),
                {"algorithm": np.array(algorithm or "sarsa"), "training_steps": np.array(9), "agent": np.array("")},
            )  # fmt: skip
    run(Run(settings))
    out, err = capsys.readouterr()
    assert "left out: Q-learning was measured with other --max_steps" in err
    assert "| q = 0.25 |" in out
    numbers = json.loads(settings.layout.figure("lambda").with_suffix(".json").read_text())["numbers"]
    assert [arm["label"] for arm in numbers["arms"]] == ["imitation", "q = 0.25", "SARSA"]
    penalties = np.array(numbers["lambda"])
    # The proxy return is half the true return, and so is the cost at λ = 2.
    np.testing.assert_allclose(
        numbers["arms"][1]["true_return"], returns[:, 1].mean() / 2 * (1 + penalties / 2), rtol=1e-9
    )
    np.testing.assert_allclose(numbers["arms"][2]["true_return"], 7.0 - penalties)


def test_the_record_beside_the_figure_says_what_it_was_made_from(log: Path) -> None:
    settings = settings_of(log)
    save_results(log, dict.fromkeys(range(3), provenance_of(settings)))
    run(Run(replace(settings, command=["--do", "plot"], max_steps=999)))
    record = json.loads(settings.layout.figure("mean_seeds").with_suffix(".json").read_text())
    data = (log / "MountainCar-v0" / "small.npz").read_bytes()
    assert record["data_sha256"] == hashlib.sha256(data).hexdigest()
    assert record["command"] == ["python", "quantilizer.py", "--do", "plot"]
    assert (record["environment"], record["dataset"]) == ("MountainCar-v0", "small")
    assert {"python", "quantilizers", "numpy", "matplotlib", "gymnasium"} <= record["versions"].keys()
    assert record["settings"]["training"]["hidden_units"] == [20, 20]
    assert record["settings"]["acting"] == "most_probable"
    assert record["settings"]["max_steps"] == 200, "the horizon that was in force when the policies were tested"
    assert record["settings"]["number_trajectories"] == 4
    assert record["settings"]["options"] == {}
    assert str(log) not in json.dumps(record)


def test_of_results_of_the_first_versions_the_record_claims_nothing(log: Path) -> None:
    save_results(log, {})
    run(Run(settings_of(log)))
    record = json.loads(settings_of(log).layout.figure("mean_seeds").with_suffix(".json").read_text())
    assert (record["settings"]["training"], record["settings"]["acting"]) == (None, None)
    assert record["data_sha256"] is None
    assert [row["sha256"] for row in record["numbers"]["demonstrations"]] == [None, None]


def test_the_demonstrations_stand_beside_the_policies(log: Path, car_demonstrations: Demonstrations) -> None:
    settings = settings_of(log)
    returns = save_results(log, dict.fromkeys(range(3), provenance_of(settings)))
    for style in ("mean_seeds", "distribution"):
        run(Run(replace(settings, plotstyle=style)))
        numbers = json.loads(settings.layout.figure(style).with_suffix(".json").read_text())["numbers"]
        for index, (row, quantile) in enumerate(zip(numbers["demonstrations"], QUANTILES, strict=True)):
            top = car_demonstrations.top(quantile)
            assert (row["quantile"], row["episodes"], row["steps"]) == (quantile, top.number, top.lengths.sum())
            assert row["true_return"] == pytest.approx(top.true_returns.mean())
            assert row["cloning_gap"] == pytest.approx(returns[:, index].mean() - top.true_returns.mean())
            assert row["sha256"] == provenance_of(settings).data[index]


def test_demonstrations_that_the_policies_do_not_imitate_are_refused(
    log: Path, car_demonstrations: Demonstrations
) -> None:
    settings = settings_of(log)
    save_results(log, dict.fromkeys(range(3), provenance_of(settings)))
    data = log / "MountainCar-v0" / "small.npz"
    car_demonstrations.select(np.arange(11)).episodes.save(data)
    named = r"_0\.npz.*other demonstrations than q = 1 keeps of data set small.*: python .* --do train test .*0\.25"
    with pytest.raises(UserError, match=named):
        run(Run(settings))
    data.unlink()
    with pytest.raises(MissingError, match="no data set 'small'"):
        run(Run(settings))
    assert not settings.layout.figure("mean_seeds").exists()


def test_the_frontier_draws_whole_players_anew_where_there_are_several(
    log: Path, car_demonstrations: Demonstrations
) -> None:
    episodes = car_demonstrations.episodes
    settings = settings_of(log, plotstyle="frontier")
    for players, number in (
        (["ann", "bob", "eve"] * 4, 3),
        (["ann"] * 12, None),
        (["ann", "bob", ""] * 4, None),
    ):
        extras = {**episodes.extras, "player": np.array(players)}
        replace(episodes, extras=extras).save(log / "MountainCar-v0" / "small.npz")
        save_results(log, dict.fromkeys(range(3), provenance_of(settings)))
        run(Run(settings))
        record = json.loads(settings.layout.figure("frontier").with_suffix(".json").read_text())
        assert record["numbers"]["frontier"]["players"] == number


@pytest.mark.parametrize("acting", ["most_probable", "sample"])
def test_the_frontier_has_policies_at_their_measured_pressure(
    log: Path, acting: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(log, plotstyle="frontier", wanted_acting=acting)
    returns = save_results(
        log, {seed: replace(provenance_of(settings), policies=(f"all {seed}", f"top {seed}")) for seed in range(3)}
    )
    divergences = 4.0 + np.arange(12).reshape(3, 4)
    of_top = [f"top {seed}" for seed in range(3)]

    of_all = [f"all {seed}" for seed in range(3)]

    def write(agents: list[str], imitators: list[str] = of_all, **changes: Any) -> None:
        record = replace(settings, wanted_acting="sample", **changes).record()
        row = Pressures(
            0.25, "", (0, 1, 2), tuple(agents), tuple(imitators), divergences, 0 * divergences - 150, 0 * divergences
        )
        settings.layout.pressure.parent.mkdir(exist_ok=True)
        settings.layout.pressure.write_text(json.dumps({**record, "agents": [row.as_numbers()]}))

    def drawn() -> list[dict[str, Any]]:
        run(Run(settings))
        record = json.loads(settings.layout.figure("frontier").with_suffix(".json").read_text())
        agents: list[dict[str, Any]] = record["numbers"]["agents"]
        return agents

    write(of_top)
    imitation, quarter, *more = drawn()
    assert imitation["pressure"] is None
    assert quarter["true"]["estimate"] == pytest.approx(returns[:, 1].mean())
    at = pytest.approx(np.sqrt(divergences.mean()))
    if acting == "sample":
        assert (quarter["pressure"], more) == (at, [])
    else:
        (other,) = more
        assert quarter["pressure"] is None
        assert (other["label"], other["quantile"], other["pressure"]) == ("cloned, drawing", 0.25, at)
        assert other["true"]["estimate"] == -150
    capsys.readouterr()
    write([*of_top[:2], "another"])
    assert [one["pressure"] for one in drawn()] == [None, None]
    assert "the KL of q = 0.25 is drawn as unknown" in capsys.readouterr().err
    write(of_top, [*of_all[:2], "another"])
    assert [one["pressure"] for one in drawn()] == [None, None]
    assert "the KL of q = 0.25 is drawn as unknown" in capsys.readouterr().err
    write(of_top, max_steps=100)
    assert [one["pressure"] for one in drawn()] == [None, None]
    assert "it was measured with max_steps 100, not 200; run: " in capsys.readouterr().err


def test_the_frontier_compares_paths_at_equal_kl(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = settings_of(log, plotstyle="frontier", wanted_acting="sample")
    seeds, of_all = range(3), tuple(f"all {seed}" for seed in range(3))
    tops = tuple(f"top {seed}" for seed in seeds)
    save_results(
        log,
        {seed: replace(provenance_of(settings), policies=(of_all[seed], tops[seed])) for seed in seeds},
    )
    noise = np.arange(12.0).reshape(3, 4) / 100
    rows = [
        Pressures(q, "", (0, 1, 2), agents, of_all, kl + 0 * noise, -190 + 5 * kl + noise, noise)
        for q, agents, kl in ((1.0, of_all, 0.0), (0.25, tops, 4.0))
    ]
    settings.layout.pressure.parent.mkdir(exist_ok=True)
    settings.layout.pressure.write_text(json.dumps({**settings.record(), "agents": [row.as_numbers() for row in rows]}))
    ours = PathPoint(0.2, -185 + noise[::-1] ** 2, noise, 2 + 0 * noise)  # 2.5 a nat, of half of 5
    path = OptimisationPath("kl_control", "MountainCar-v0", 200, {}, "beta", (0, 1, 2), (ours,), of_all)
    path.save(settings.layout.optimiser_path("kl_control"), settings.record())
    planned = PathPoint(20, noise, 1 + noise)
    path = OptimisationPath("planner", "MountainCar-v0", 200, {}, "steps", (0, 1, 2), (planned,))
    path.save(settings.layout.optimiser_path("planner"), settings.record())
    run(Run(settings))
    out, err = capsys.readouterr()
    assert err == ""
    assert "KL control − cloned" in out
    assert "KL control earns, beside cloned, less at 0.5 to 2 nats" in " ".join(out.split())
    assert "unknown, because the KL is: planner" in " ".join(out.split())
    found = json.loads(settings.layout.figure("frontier").with_suffix(".json").read_text())["numbers"]["equal_kl"]
    assert found["unknown"] == ["planner"]
    (pair,) = found["pairs"]
    assert [one["nats"] for one in pair["levels"]] == [0.5, 1.0, 2.0]
    np.testing.assert_allclose([one["difference"][0] for one in pair["levels"]], [-1.25, -2.5, -5.0], atol=0.1)
    other = replace(path, algorithm="kl_control", points=(ours,), imitators=("another", *of_all[1:]))
    other.save(settings.layout.optimiser_path("kl_control"), settings.record())
    run(Run(settings))
    out, _ = capsys.readouterr()
    assert "made from other imitators" in out
    assert "at equal KL" not in out


def test_the_frontier_is_within_groups_where_episodes_are_ranked_within_them(
    log: Path, car_demonstrations: Demonstrations
) -> None:
    episodes, proxies = car_demonstrations.episodes, car_demonstrations.proxy_returns
    group = np.argsort(np.argsort(proxies)) // 6  # the worse six and the better six
    replace(episodes, extras={**episodes.extras, "group": group}).save(log / "MountainCar-v0" / "small.npz")
    save_results(log, {})
    settings = settings_of(log, plotstyle="frontier", selecting=replace(REFERENCE, within="group"))
    run_demonstrations = Run(settings).demonstrations
    check(Run(settings))
    _, numbers = draw_style(
        settings,
        OfPolicies(
            [load_results(settings.layout.rewards(seed)) for seed in range(3)],
            run_demonstrations,
            list(Run(settings).selections.values()),
            True,
        ),
        "frontier",
    )
    assert numbers["frontier"]["starts"] == 2
    best = [proxies[group == of].max() for of in (0, 1)]
    curve = numbers["curves"][0]
    # The smallest quantile keeps about one episode of each group; pooled it would keep the best two.
    at = int(np.abs(np.array(curve["quantiles"]) - 0.18).argmin())
    assert curve["quantiles"][at] * 6 == pytest.approx(1, abs=0.09)
    assert curve["proxy"]["means"][at] == pytest.approx(np.mean(best), abs=1.0)
    uneven = np.array([0] * 5 + [1] * 7)
    replace(episodes, extras={**episodes.extras, "group": uneven}).save(log / "MountainCar-v0" / "small.npz")
    with pytest.raises(UserError, match="groups have unequal numbers of episodes"):
        check(Run(settings))


def test_softer_arms_of_a_study_within_groups_stand_at_the_pressure_within_groups(
    log: Path, car_demonstrations: Demonstrations
) -> None:
    episodes, proxies = car_demonstrations.episodes, car_demonstrations.proxy_returns
    group = np.argsort(np.argsort(proxies)) // 6
    replace(episodes, extras={**episodes.extras, "group": group}).save(log / "MountainCar-v0" / "small.npz")
    settings = settings_of(log, selecting=replace(REFERENCE, within="group"))
    arm = {"true_return": 1.0, "true_interval_95": [0, 2], "proxy_return": 1.0, "proxy_interval_95": [0, 2]}
    rows = [{"budget": "epochs", "quantile": 0.25, "softer": {"exponential": arm}}]
    settings.layout.study.parent.mkdir(exist_ok=True)
    record = settings.record()
    record["settings"]["treatment"]["match"] = "effective_size"
    settings.layout.study.write_text(json.dumps({**record, "rows": rows}))
    demonstrations = Run(settings).demonstrations
    (agent,) = softer_arms(settings, demonstrations)
    pooled, within = (
        SelectionSettings(method="exponential", match="effective_size", within=one)
        .choose(demonstrations, 0.25)
        .divergence
        for one in ("all", "group")
    )
    assert agent.pressure == pytest.approx(np.sqrt(within))
    assert abs(within - pooled) > 0.01


def test_seeds_with_other_hyper_parameters_are_refused_by_name(log: Path) -> None:
    settings = settings_of(log)
    wanted = provenance_of(settings)
    save_results(log, {0: wanted, 1: wanted, 2: replace(wanted, training={**wanted.training, "max_epochs": 50})})
    with pytest.raises(
        UserError, match=r"_2\.npz was tested with max_epochs 50, not 200, .*run: python .* --do train test"
    ):
        run(Run(settings))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            {"wanted_training": {"max_epochs": 50}},
            r"tested with max_epochs 200, not 50; run: .* --do train test .* --max_epochs 50",
        ),
        (
            {"wanted_acting": "sample"},
            r"tested with acting most_probable, not sample; run: .* --do train test .* --acting sample",
        ),
    ],
)
def test_results_of_other_policies_than_the_wanted_ones_are_refused(
    log: Path, change: dict[str, Any], named: str
) -> None:
    save_results(log, dict.fromkeys(range(3), provenance_of(settings_of(log))))
    run(Run(settings_of(log)))
    with pytest.raises(UserError, match=named):
        run(Run(settings_of(log, **change)))


def test_an_environment_that_nobody_optimised_has_a_figure(log: Path) -> None:
    save_results(log, {})
    settings = settings_of(log, environment=replace(CAR, experiment=replace(CAR.experiment, published_optimiser=None)))
    run(Run(settings))
    record = json.loads(settings.layout.figure("mean_seeds").with_suffix(".json").read_text())
    assert "optimiser" not in record["numbers"]["true"]


def test_the_frontier_is_of_the_base_distribution_where_it_is_known(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_results(log, {})
    settings = settings_of(log, plotstyle="frontier")
    run(Run(settings))
    assert "exact quantilizer (12 demonstrations, pooled over starts)" in capsys.readouterr().out
    demonstrations = Demonstrations.find(settings.layout, CAR)
    generator = np.random.default_rng(0)
    proxy = generator.normal(size=400)
    # It turns: the true return is highest where the proxy is 1.
    BaseDistribution(
        CAR.name, -np.abs(proxy - 1) + 0.1 * generator.normal(size=400), proxy, np.full(400, 200), np.zeros(400, int),
        "simulated players", demonstrations.fingerprint, 0, "a test",
    ).save(settings.layout.base)  # fmt: skip
    run(Run(settings))
    said = capsys.readouterr().out
    named = "exact quantilizer (simulated players, sampled 400 episodes, pooled over starts)"
    assert f"{named}: the true return turns at q = " in " ".join(said.split())
    record = json.loads(settings.layout.figure("frontier").with_suffix(".json").read_text())
    assert record["numbers"]["frontier"]["episodes"] == 400
    assert record["numbers"]["frontier"]["base_distribution"]["made_by"] == "a test"
    assert 0.1 < record["numbers"]["frontier"]["curves"][0]["turning_point"]["quantile"] < 0.5
    assert record["numbers"]["frontier"]["starts"] is None
    # Players are resampled as wholes, and episodes selected within starts, where both are known.
    start = np.repeat(np.arange(4), 100)
    # Each start adds to both returns, so the pooled top is of the best one; there the true return does not turn.
    BaseDistribution(
        CAR.name, -50 - np.abs(proxy - 1) + 9 * start, proxy + 9 * start, np.full(400, 200),
        generator.integers(20, size=400), "simulated players", demonstrations.fingerprint, 0, "a test", start,
    ).save(settings.layout.base)  # fmt: skip
    run(Run(settings))
    said = capsys.readouterr().out
    named = "exact quantilizer (simulated players, sampled 400 episodes from 4 starts, selected within starts)"
    assert f"{named}: the true return turns at q = 0." in " ".join(said.split())
    numbers = json.loads(settings.layout.figure("frontier").with_suffix(".json").read_text())["numbers"]
    assert (numbers["frontier"]["starts"], numbers["frontier"]["players"]) == (4, 20)
    within, pooled = (one["true"]["means"] for one in (numbers["curves"][0], numbers["pooled"]))
    assert within[0] == pytest.approx(pooled[0])
    assert max(within) < -36
    assert max(pooled) > -25
    assert all(of_cost["kept"] for of_cost in numbers["frontier"]["bounds"]["costs"].values())
    # Intervals end at the lowest return of the longest episodes, which are those of the base distribution here.
    BaseDistribution(
        CAR.name, generator.normal(-300, 50, size=400), proxy, np.full(400, 400), np.zeros(400, int),
        "simulated players", demonstrations.fingerprint, 0, "a test",
    ).save(settings.layout.base)  # fmt: skip
    run(Run(settings))
    numbers = json.loads(settings.layout.figure("frontier").with_suffix(".json").read_text())["numbers"]
    true = numbers["curves"][0]["true"]
    assert -400 < true["lows"][0] < true["means"][0] - 4
    # Of other demonstrations it is refused.
    demonstrations.top(0.5).episodes.save(settings.layout.data)
    with pytest.raises(UserError, match="is the base distribution of other demonstrations"):
        run(Run(settings))
