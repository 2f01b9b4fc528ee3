"""The report: one self-contained HTML page, without network or scripts."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from matplotlib.figure import Figure

from quantilizers.errors import NotInstalledError
from quantilizers.figures.style import in_house_style

_TEMPLATE = "page.html"


@dataclass(frozen=True)
class Table:
    """A table of text cells."""

    caption: str  # above it
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Drawing:
    """A figure in the page."""

    caption: str  # below it
    svg: str


@dataclass(frozen=True)
class Film:
    """An animation in the page."""

    label: str
    caption: str  # the outcome of the episode
    gif: bytes

    @property
    def source(self) -> str:
        """Source of an HTML image."""
        return "data:image/gif;base64," + base64.b64encode(self.gif).decode()

    @property
    def width(self) -> int:
        """In pixels."""
        return int.from_bytes(self.gif[6:8], "little")

    @property
    def height(self) -> int:
        """In pixels."""
        return int.from_bytes(self.gif[8:10], "little")


@dataclass(frozen=True)
class Page:
    """The content of a report, from top to bottom."""

    title: str
    question: str
    data: str  # description of the demonstrations
    verdicts: Sequence[Table]  # a table for each question
    notes: Sequence[str]  # sentences under the verdicts
    results: Table  # returns of policies and optimiser
    episodes: str  # name of the file with every episode, beside the page; empty if there is none
    figures: Sequence[Drawing]
    films_note: str  # a sentence above the animations
    films: Sequence[Film]
    command: str  # that makes the page again
    settings: Table
    versions: Table
    results_heading: str = "What the policies earn"
    answers: Sequence[str] = ()  # the verdicts in a few sentences
    next_command: str = ""  # after the notes: the command that answers what is open


def render_page(page: Page) -> str:
    """Return the page as HTML, with all text escaped."""
    try:
        from jinja2 import Environment
    except ModuleNotFoundError:
        raise NotInstalledError("a report needs jinja2, which is not installed", "jinja2") from None

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["typeset"] = _typeset
    template = environment.from_string((files(__package__) / _TEMPLATE).read_text(encoding="utf-8"))
    return template.render(page=page)


def _typeset(text: str) -> str:
    """Return text whose negative numbers have minus signs."""
    return re.sub(r"(?<![\w.-])-(?=\d)", "−", text)


@in_house_style
def as_svg(figure: Figure, name: str) -> str:
    """Return a figure as an HTML element.

    The name is for screen readers, and prefixes the ids inside, which must differ between figures.
    """
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    # Ids that two figures share would point into the wrong one.
    prefix = re.sub(r"\W+", "-", name.lower())
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(name)}"', 1)
