from __future__ import annotations

from pathlib import Path

import pytest

import quantilizer
from quantilizers.errors import UserError
from quantilizers.stages.configuration import MAX_BYTES, words_in

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
        # What YAML would take for numbers, dates and booleans stays what it is.
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
        ("seed_nb: &a 3\npath: *a", "anchor"),
        ("quantiles: &a [*a]", "anchor"),
        ("seed_nb: 3\n---\nseed_nb: 4", "not YAML"),
        ("seed_nb: [", "not YAML"),
        ("path: \t\x07", "not YAML"),
        ("[" * 50_000, "not YAML"),
        ("#" * (MAX_BYTES + 1), "longer than 65,536 bytes"),
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
    """A configuration of a stranger names no code; what --print_config prints makes the run again all the same."""
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
    # Another environment of the command line's wins, as all it says does.
    assert quantilizer.main(["--config", str(file), "--env_name", "MountainCar-v0", "--print_config"]) == 0
