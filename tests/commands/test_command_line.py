from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

import quantilizer
from quantilizer import main
from quantilizers.choices import settings_in
from quantilizers.commands.command_line import FIRST_FLAGS, build_parser, entries_in, help_text, parse, unread
from quantilizers.errors import UserError
from quantilizers.layout import Layout
from quantilizers.policies.selection_settings import SelectionSettings
from quantilizers.stages.running import STAGES
from quantilizers.stages.settings import Settings
from support import ROOT

#: Every flag of version 0.2.0, with values of the kind that it takes.
ALL_FLAGS = """
--env_name MountainCar-v0
--env_id MountainCar-v0
--dataset_name demo
--data elsewhere/file.hdf5
--true_reward rewards
--reward own
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
--try_history 0 1
--try_hidden_units 20 64
--try_max_epochs 10
--budgets epochs
--controls top_players
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
--rollouts 500
--top_k 50
--beta 0.5
--print_config
--wide
--final_observation drop
--workers 2
--scheduler tcp://host:8786
--select random
--subset 1
--budget updates
--method exponential
--match effective_size
--weight episodes
--within group
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
    return [word for entry in entries_in(path, FLAGS).values() for word in entry.words]


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
        ("wide: true", "'wide' is not a flag of configuration files; give it on the command line"),
        ("--seed_nb: 3", "did you mean seed_nb"),
        ("seed_nb: 3\nseed_nb: 4", "run.yaml:2: seed_nb is there twice, first in line 1"),
        ("- seed_nb", "run.yaml:1: not a mapping"),
        ("seed_nb", "not a mapping"),
        ("seed_nb: {a: 1}", "neither a word nor a number"),
        ("quantiles: [[1]]", "neither a word nor a number"),
        ("[1]: 2", "neither a word nor a number"),
        ("do: [train, --seed_nb, 5]", "'--seed_nb' among its values"),
        ("quantiles: &a [*a]", "neither a word nor a number"),
        ("seed_nb: 3\n---\nseed_nb: 4", "run.yaml:2: not YAML of flags, because --- begins a second document"),
        ("path: a\nseed_nb: [", "run.yaml:2: not YAML: 'seed_nb: [' cannot be read; give lines such as seed_nb: 3"),
        ("path: a\nseed_nb: 3: 4", "run.yaml:2: not YAML: 'seed_nb: 3: 4' cannot be read; give lines such as"),
        ("path: a\n\tseed_nb: 3", "run.yaml:2: not YAML, because a tab indents 'seed_nb: 3'; use spaces"),
        ("seed_nb: 3\npath: \x07", "run.yaml:2: not YAML, because it has the control character '\\x07'; remove it"),
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
        entries_in(tmp_path / "none.yaml", FLAGS)
    (tmp_path / "latin.yaml").write_bytes(b"path: \xe9")
    with pytest.raises(UserError, match="not YAML"):
        entries_in(tmp_path / "latin.yaml", FLAGS)


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
    assert ("--quantiles" in text) == (stage not in ("optimize", "optimise", "efforts", "imitators"))
    assert ("--resamples" in text) == (stage in ("study", "all"))
    assert ("--hidden_units" in text) == (stage in ("train", "test", "pressure", "study", "imitators", "all"))


@pytest.mark.parametrize(
    ("words", "stages", "sentence"),
    [
        ("--plotstyle frontier", "train", "--do train does not read --plotstyle, which is for plot"),
        ("--quantiles 0.5", "optimize efforts", "does not read --quantiles, which is for inspect, train, test, "),
        ("--seed 3", "inspect", "does not read --seed, which is for train, test, optimize"),
        ("--top_k=8 --render", "efforts", "does not read --render, which is for test; nor --top_k, which is for opt"),
        ("--max_steps 7 --lamb 1", "imitators", "does not read --max_steps, which is for test, "),
        ("--select random --l2 0.1", "inspect", "does not read --select, which is for train, test; nor --l2, which"),
        ("--select random --l2 0.1 --acting sample --max_steps 7 --lamb 1", "plot", ""),
        ("--config FILE --path run/ --seed_nb 2 --quantiles 1", "report", ""),
        ("--seed_nb 2 --number_trajectories 3 --render True --plotstyle boxplot --quantiles 1", "train test plot", ""),
    ],
)
def test_flags_that_no_stage_reads_are_named(words: str, stages: str, sentence: str) -> None:
    found = unread(words.split(), stages.split())
    assert sentence in found
    assert bool(found) == bool(sentence)


def test_every_flag_that_some_stages_read_is_named_with_the_others() -> None:
    flags = {one.option_strings[0]: {*one.stages} for one in build_parser()._actions if getattr(one, "stages", ())}
    assert len(flags) > 40
    for flag, stages in flags.items():
        for stage in {*STAGES} - stages - {"optimize", "efforts", "pressure", "analyze", "plot", "report", "study"}:
            assert f"does not read {flag}, " in unread([flag, "1"], [stage])


def test_unread_flags_are_one_line_and_the_work_is_done(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--log_dir", str(log), "--dataset_name", "small", "--do", "inspect", "--number_trajectories", "3"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err.count("warning: --do inspect does not read --number_trajectories, which is for test, optimize") == 1
    assert "_inspect.png" in out


def test_help_on_something_else_says_what_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert quantilizer.main(["--help", "trian"]) == 2
    assert "--help is 'trian'; did you mean train?" in capsys.readouterr().err


def test_a_stage_without_do_is_told_where_it_goes(capsys: pytest.CaptureFixture[str]) -> None:
    assert quantilizer.main(["train", "--seed_nb", "2"]) == 2
    assert "stages follow --do, such as --do train" in capsys.readouterr().err


CHOICES = [
    (f"--{flag}", one.metadata["choices"])
    for declaring in (Settings, Layout, SelectionSettings)
    for flag, one in settings_in(declaring).items()
    if "choices" in one.metadata
]


@pytest.mark.parametrize(("flag", "choices"), [*CHOICES, ("--do", tuple(STAGES))])
def test_a_typo_in_any_choice_names_the_flag_the_closest_choice_and_all(flag: str, choices: tuple[str, ...]) -> None:
    wrong = f"{choices[0]}x"
    message = f"{flag} is '{wrong}'; did you mean {choices[0]}? it is one of {', '.join(choices)}"
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        parse([flag, wrong])


def test_every_flag_with_choices_is_among_them() -> None:
    flags = {
        "reward",
        "acting",
        "select",
        "match",
        "weight",
        "budget",
        "budgets",
        "controls",
        "method",
        "methods",
        "resample",
        "analysis",
        "format",
        "within",
        "final_observation",
    }
    assert {f"--{flag}" for flag in flags | {"plotstyle", "algorithm", "optimisers"}} == {flag for flag, _ in CHOICES}


def test_stages_are_separated_by_blanks() -> None:
    with pytest.raises(UserError, match="--do is 'train,test'; separate several by blanks: train test;"):
        parse(["--do", "train,test"])
    with pytest.raises(UserError, match=r"--do is 'train,tset'; .*it is one of"):
        parse(["--do", "train,tset"])
    # A flag with a single value is not told to take several.
    with pytest.raises(UserError, match=r"--select is 'top,bottom'(?!.*separate)"):
        parse(["--select", "top,bottom"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path: a\nseed_nb: x", "run.yaml:2: seed_nb: argument --seed_nb: 'x' is not a whole number"),
        ("path: a\nseed_nb: 0", "run.yaml:2: seed_nb: --seed_nb is 0; give a whole number from 1"),
        ("acting: sampel", "run.yaml:1: acting: --acting is 'sampel'; did you mean sample?"),
        ("do: [trian]", "run.yaml:1: do: --do is 'trian'; did you mean train?"),
        ("path: a\nbatch_size: 0", "run.yaml: batch_size in line 2: --batch_size is 0;"),
        ("quantiles: [2]", "run.yaml: quantiles in line 1: quantile 2 is impossible"),
        ("path: a\nenv_name: Hoper-v2", "run.yaml: env_name in line 2: unknown environment 'Hoper-v2'; did you mean"),
        ("env_option: {lam: 3}", "run.yaml: env_option in line 1: MountainCar-v0 has no option 'lam'"),
        ("select: random\nmethod: best_of_n", "run.yaml: select in line 1, method in line 2: select random goes with"),
    ],
)
def test_a_value_refused_in_a_file_names_file_and_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    assert main(["--config", str(file), "--log_dir", str(tmp_path)]) == 2
    assert f"{tmp_path}/{message}" in capsys.readouterr().err


def test_a_value_refused_on_the_command_line_does_not_blame_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("batch_size: 3")
    assert main(["--config", str(file), "--batch_size", "0"]) == 2
    assert capsys.readouterr().err == "quantilizer.py: --batch_size is 0; give a whole number from 1\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--env_name Hopper-v2 --training_steps 5", "--training_steps is not a hyper-parameter of a multilayer "
         "perceptron policy, but of a convolutional one; give --updates instead"),
        ("--env_name Hopper-v2 --validation_rows 5", "--validation_rows is not a hyper-parameter of a multilayer "
         "perceptron policy, but of a convolutional one; it has --hidden_units, --learning_rate,"),
        ("--env_name VideoPinballNoFrameskip-v4 --max_epochs 4", "give --training_steps instead"),
        ("--env_name VideoPinballNoFrameskip-v4 --training_steps 0", "--training_steps is 0; give a whole number"),
        ("--scheduler host:8786", "--scheduler: 'host:8786' is no scheduler's address"),
        ("--scheduler tcp://host:99999", "--scheduler: 'tcp://host:99999' is no scheduler's address"),
    ],
)  # fmt: skip
def test_messages_name_the_flag_as_it_was_typed(capsys: pytest.CaptureFixture[str], words: str, message: str) -> None:
    assert main(words.split()) == 2
    assert message in capsys.readouterr().err


def test_a_scheduler_that_nobody_runs_is_refused_before_demonstrations_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("distributed")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
    words = ["--do", "train", "--dataset_name", "missing", "--log_dir", str(tmp_path), "--scheduler", address]
    assert main(words) == 2
    assert f"--scheduler: no Dask scheduler answers at {address}" in capsys.readouterr().err


@pytest.mark.parametrize("own", [True, False])
def test_a_missing_data_set_names_the_commands_for_its_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], own: bool
) -> None:
    file = tmp_path / "leaning.py"
    file.write_text(
        "from quantilizers import EnvironmentDefinition, own\n"
        "ENVIRONMENT = EnvironmentDefinition('CartPole-v1', own, max_steps=9)\n"
    )
    address = f"{file}:ENVIRONMENT" if own else "Hopper-v2"
    assert main(["--env_name", address, "--dataset_name", "mine", "--do", "train", "--log_dir", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"play/gather_data.py --env_name {address} --filename mine --log_dir {tmp_path}" in said
    if own:
        assert f"load_data.sh --env_name {address} --log_dir {tmp_path} --from FILE" in said
    assert ("people's play" in said) == (not own)


def test_an_optimiser_that_a_definition_names_wrongly_is_refused_by_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "leaning.py"
    file.write_text(
        "from quantilizers import EnvironmentDefinition, own\n"
        "ENVIRONMENT = EnvironmentDefinition('CartPole-v1', own, max_steps=9, optimisers=('pppo',))\n"
    )
    assert main(["--env_name", f"{file}", "--do", "train"]) == 2
    assert f"{file}: optimisers is 'pppo'; did you mean ppo? it is one of " in capsys.readouterr().err
