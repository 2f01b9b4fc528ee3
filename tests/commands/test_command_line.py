from __future__ import annotations

import re
from pathlib import Path

import pytest

import quantilizer
from quantilizers.commands.command_line import FIRST_FLAGS, build_parser, help_text, parse, words_in
from quantilizers.errors import UserError
from quantilizers.stages.running import STAGES
from support import ROOT

#: Every flag of version 0.2.0, with values of the kind that it takes.
ALL_FLAGS = """
--env_name MountainCar-v0
--env_id MountainCar-v0
--dataset_name demo
--do train test
--seed_min 1
--seed_nb 2
--seed 3
--number_trajectories 4
--quantiles 1.0 0.5
--render
--render True
--plotstyle median_seeds
--format svg
--analysis smooth scatter
--subsets 5
--implicit_loss 0.5
--resample players
--resamples 6
--players_from other
--methods quantile best_of_n
--path run_1/
--force
--log_dir folder
--max_steps 7
--env_option lamb=1 wind=2
--lamb 1
--algorithm sarsa
--optimisers random ppo
--optimizers random
--optimiser_steps 8
--optimizer_steps 8
--effort 8
--print_config
--workers 2
--scheduler tcp://host:8786
--select random
--subset 1
--budget updates
--method exponential
--match effective_size
--weight episodes
--acting sample
--hidden_units 64 32
--hidden_units
--learning_rate 0.1
--first_moment_decay 0.1
--second_moment_decay 0.1
--epsilon 0.1
--batch_size 9
--l2 0.1
--max_epochs 9
--tolerance 0.1
--patience 9
--updates 9
--history 9
--weight_decay 0.1
--training_steps 9
--validation_fraction 0.1
--validation_interval 9
--validation_rows 9
--checkpoint_interval 9
"""
FLAGS = ("seed_nb", "quantiles", "path", "do", "env_option", "hidden_units")


def words_of(folder: Path, text: str) -> list[str]:
    path = folder / "run.yaml"
    path.write_text(text)
    return words_in(path, FLAGS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("# nothing\n", []),
        ("seed_nb: 3", ["--seed_nb=3"]),
        ("quantiles: [1.0, 0.5]\ndo:\n- train\n- test", ["--quantiles", "1.0", "0.5", "--do", "train", "test"]),
        ("env_option: {wind: 2, name: a b}", ["--env_option", "wind=2", "name=a b"]),
        ("env_option: [wind=2]", ["--env_option", "wind=2"]),
        ("env_option: {}", []),
        ("hidden_units: []", ["--hidden_units"]),
        # Words that YAML would read as numbers, dates and booleans stay as they are written.
        ("path: 0123", ["--path=0123"]),
        ("path: 2024-01-01", ["--path=2024-01-01"]),
        ("path: on", ["--path=on"]),
        ("path: -x", ["--path=-x"]),
        ("path: ''", ["--path="]),
    ],
)
def test_a_file_stands_for_words(tmp_path: Path, text: str, words: list[str]) -> None:
    assert words_of(tmp_path, text) == words


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("seed_bn: 3", "'seed_bn' is not a flag; did you mean seed_nb?"),
        ("config: other.yaml", "'config' is not a flag"),
        ("--seed_nb: 3", "did you mean seed_nb"),
        ("seed_nb: 3\nseed_nb: 4", "seed_nb is there twice"),
        ("- seed_nb", "not a mapping"),
        ("seed_nb", "not a mapping"),
        ("seed_nb: {a: 1}", "neither a word nor a number"),
        ("quantiles: [[1]]", "neither a word nor a number"),
        ("[1]: 2", "neither a word nor a number"),
        ("do: [train, --seed_nb, 5]", "'--seed_nb' among its values"),
        ("quantiles: &a [*a]", "neither a word nor a number"),
        ("seed_nb: 3\n---\nseed_nb: 4", "not YAML"),
        ("seed_nb: [", "not YAML"),
        ("path: \t\x07", "not YAML"),
        ("[" * 50_000, "not YAML"),
        ("#" * (2**16 + 1), "longer than 65,536 bytes"),
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(UserError) as raised:
        words_of(tmp_path, text)
    assert named in str(raised.value)
    assert "run.yaml" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    target = tmp_path / "created"
    words = words_of(tmp_path, f"path: !!python/object/apply:pathlib.Path.touch [{target}]")
    assert words == ["--path", str(target)]
    assert not target.exists()


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*none\.yaml"):
        words_in(tmp_path / "none.yaml", FLAGS)
    (tmp_path / "latin.yaml").write_bytes(b"path: \xe9")
    with pytest.raises(UserError, match="not YAML"):
        words_in(tmp_path / "latin.yaml", FLAGS)


EXPLOSIVE = """
from pathlib import Path
from quantilizers import EnvironmentDefinition, own
Path(__file__).with_suffix(".ran").touch()
ENVIRONMENT = EnvironmentDefinition("CartPole-v1", own, max_steps=9)
"""


def test_code_is_run_only_where_the_command_line_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A configuration file may not name code, yet the output of --print_config repeats the run."""
    code, file = tmp_path / "theirs.py", tmp_path / "run.yaml"
    code.write_text(EXPLOSIVE)
    for key in ("env_name", "env_id"):
        file.write_text(f"{key}: {code}:ENVIRONMENT\n")
        assert quantilizer.main(["--config", str(file), "--print_config"]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert f"--config {file} --env_name {code}:ENVIRONMENT" in err
        assert not code.with_suffix(".ran").exists()
    file.write_text("env_name: os:system\n")
    assert quantilizer.main(["--config", str(file), "--print_config"]) == 2
    assert "whose code would be run" in capsys.readouterr().err

    address = ["--env_name", f"{code}:ENVIRONMENT"]
    assert quantilizer.main([*address, "--print_config", "--seed_nb", "3"]) == 0
    printed = capsys.readouterr().out
    assert code.with_suffix(".ran").exists()
    file.write_text(printed)
    assert quantilizer.main(["--config", str(file), "--print_config"]) == 2
    capsys.readouterr()
    assert quantilizer.main(["--config", str(file), *address, "--print_config"]) == 0
    assert capsys.readouterr().out == printed
    # An environment on the command line overrides the file's, as all flags do.
    assert quantilizer.main(["--config", str(file), "--env_name", "MountainCar-v0", "--print_config"]) == 0


@pytest.mark.parametrize("line", ALL_FLAGS.split("\n")[1:-1])
def test_every_flag_is_taken_on_the_command_line_and_in_files(line: str, tmp_path: Path) -> None:
    flag, *values = line.split()
    given = parse([flag, *values])
    assert len(given) == 1
    (value,) = given.values()
    name = flag.removeprefix("--")
    if values and name != "scheduler":
        file = tmp_path / "run.yaml"
        file.write_text(f"{name}: {values[0] if len(values) == 1 and not isinstance(value, list) else values}\n")
        assert {key: of for key, of in parse(["--config", str(file)]).items() if key != "config"} == given
    assert flag in help_text(build_parser(), "all")


def test_no_flag_is_missing_from_the_list_of_all() -> None:
    here = {word for action in build_parser()._actions for word in action.option_strings}
    assert here - {"-h", "--help", "--version", "--config"} == set(re.findall(r"^--\w+", ALL_FLAGS, re.MULTILINE))


def test_help_is_one_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = help_text(build_parser())
    lines = text.splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 80
    for flag in FIRST_FLAGS:
        assert f"--{flag}" in text
    for stage in STAGES:
        assert f"  {stage} " in text
    assert text.count("  python quantilizer.py --do") == 3
    assert "--help STAGE" in text
    assert "--help all" in text
    assert f"```\n{text}```" in (ROOT / "docs" / "command_line.md").read_text()


@pytest.mark.parametrize("stage", [*STAGES, "optimise", "all"])
def test_help_on_a_stage_shows_its_flags(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = help_text(build_parser(), stage)
    assert max(map(len, text.splitlines())) <= 80
    assert not re.search(r"\[[\'\"0-9]|Namespace|None", text), "no Python in the help"
    assert "--quantiles" in text
    assert ("--resamples" in text) == (stage in ("study", "all"))
    assert ("--hidden_units" in text) == (stage in ("train", "test", "study", "imitators", "all"))


def test_help_on_something_else_says_what_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert quantilizer.main(["--help", "trian"]) == 2
    assert "unknown help topic 'trian'; did you mean train?" in capsys.readouterr().err


def test_a_stage_without_do_is_told_where_it_goes(capsys: pytest.CaptureFixture[str]) -> None:
    assert quantilizer.main(["train", "--seed_nb", "2"]) == 2
    assert "stages follow --do, such as --do train" in capsys.readouterr().err
