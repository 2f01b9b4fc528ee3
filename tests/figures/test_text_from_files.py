"""Text from files on its way to terminals, tables, figures, pages, names and messages."""

from __future__ import annotations

import ast
import io
import warnings
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

import quantilizer
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.errors import MAX_LETTERS, MAX_MESSAGE, UserError, shown
from quantilizers.figures.page import Page, Table, render_page
from quantilizers.figures.style import in_house_style, new_figure
from quantilizers.layout import one_name
from quantilizers.recipe import Recipe
from quantilizers.terminal import format_table, terminal_table
from support import ROOT

#: Names that files have had, or may have.
HOSTILE = (
    "\x1b]0;PWNED\x07\x1b[2J", "anna\nwrote /etc/passwd.npz", "a\rb", "\u202egnp.exe", "a\x00b", "\x9b31m", "a\u2028b",
    "x" * 5000, "\ud800", "\x7f\x08",
)  # fmt: skip
#: Those that can be printed, and mean something to matplotlib or a browser.
MEANING = ("a$x_{$b", "cost $5 and $6", "$$", r"\$a", "javascript:alert(1);", "a#b?c%d", "<script>x</script>", '"a" &b')


def is_plain(text: str) -> bool:
    return text.isprintable() and len(text) <= MAX_LETTERS


@pytest.mark.parametrize("name", [*HOSTILE, *MEANING])
def test_text_is_shown_in_one_plain_line(name: str) -> None:
    assert is_plain(shown(name))
    assert shown(name) == name or name not in MEANING
    assert UserError(f"{name} {name}").args[0].isprintable()
    assert len(str(UserError(name * 1000))) <= MAX_MESSAGE
    difference = Recipe({"options": {name: 1}}).difference(Recipe({"options": {name: 2}}))
    assert difference.isprintable()
    assert len(difference) < 3 * MAX_LETTERS
    for table in (format_table([name, "b"], [[name, "1"]]), terminal_table([name], [[name]])):
        assert len(table.splitlines()) == 3
        assert all(line.isprintable() and len(line) < 2 * MAX_LETTERS + 20 for line in table.splitlines())


def test_the_way_out_of_a_long_message_stays() -> None:
    assert str(UserError(f"{'x' * 3_000_000} is none; give another")).endswith("is none; give another")


@pytest.mark.parametrize("name", HOSTILE)
def test_such_names_are_no_names_of_data_sets(name: str) -> None:
    with pytest.raises(UserError):
        one_name(name, "data set name")


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_names_are_no_mathematics_in_figures(kind: str) -> None:
    with mpl.rc_context({"text.usetex": True}):

        @in_house_style
        def draw(name: str) -> bytes:
            figure = new_figure(3, 2)
            axes = figure.subplots()
            axes.set_title(name)
            axes.set_xlabel(name)
            axes.plot([0, 1], label=name)
            axes.legend()
            figure.text(0.5, 0.5, name)
            written = io.BytesIO()
            figure.savefig(written, format=kind)
            return written.getvalue()

        for name in (*MEANING, "🚗 car", "данные 数据"):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                content = draw(name)
            assert content
            if kind == "svg":
                assert b"<script>x" not in content


def test_every_figure_is_drawn_in_the_house_s_style() -> None:
    """Elsewhere a dollar sign in a name would begin mathematics."""
    makers = {"new_figure", "grid_of_panels"}
    for path in (ROOT / "quantilizers").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for called in ast.walk(tree):
            if isinstance(called, ast.Call) and getattr(called.func, "id", "") == "Figure":
                assert path.name == "style.py", path
        for function in [one for one in tree.body if isinstance(one, ast.FunctionDef)]:
            calls = {getattr(one.func, "id", "") for one in ast.walk(function) if isinstance(one, ast.Call)}
            if calls & makers and function.name not in makers:
                decorators = {getattr(one, "id", "") for one in function.decorator_list}
                assert "in_house_style" in decorators, (path, function.name)


@pytest.mark.parametrize("name", MEANING)
def test_links_lead_to_the_file_beside_the_page(name: str) -> None:
    pytest.importorskip("jinja2")
    table = Table(name, [name], [[name]])
    page = Page(name, name, name, [table], [name], table, name, [], name, [], name, table, table)
    (link,) = [part.partition('"')[0] for part in render_page(page).split('href="')[1:]]
    assert link.startswith("./")
    assert not set(link[2:]) & set('?#<>"&: ')
    assert "<script>x" not in render_page(page)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Data sets whose players and further arrays have hostile names."""
    demonstrations = Demonstrations.load("demo").select(slice(0, 24))
    players = np.array([(*HOSTILE[:8], *MEANING)[episode % 12] for episode in range(24)])
    for name in (MEANING[0], "plain"):
        extras = {"player": players, "recorded_at": players, "a$b_{$": np.arange(24)}
        episodes = replace(demonstrations.episodes, extras=extras)
        episodes.save(tmp_path / "MountainCar-v0" / f"{name}.npz")
    return tmp_path


@pytest.mark.parametrize("name", [MEANING[0], "plain"])
@pytest.mark.parametrize("words", [["inspect"], ["analyze"], ["analyze", "--analysis", "average"]])
def test_the_program_shows_them(log: Path, name: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--env_name", "MountainCar-v0", "--dataset_name", name, "--log_dir", str(log)]
    assert quantilizer.main([*common, "--do", *words]) == 0
    out, err = capsys.readouterr()
    assert all(line.isprintable() for line in (*out.splitlines(), *err.splitlines())), out
    assert not any(line.startswith("wrote /etc") for line in out.splitlines())
    if "average" in words:
        assert "PWNED" in out
