"""The report: one HTML page that holds everything it shows, and needs neither network nor scripts."""

from __future__ import annotations

import base64
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
    """A table of words.

    Attributes:
        caption: what it shows.
        head: of the columns.
        rows: of cells.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Drawing:
    """A figure in the page.

    Attributes:
        caption: what it shows.
        svg: the element.
    """

    caption: str
    svg: str


@dataclass(frozen=True)
class Film:
    """An animation in the page.

    Attributes:
        label: whose episode.
        caption: how it went.
        gif: the file's content.
    """

    label: str
    caption: str
    gif: bytes

    @property
    def source(self) -> str:
        """What an image of HTML takes."""
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
    """What stands in a report, from top to bottom.

    Attributes:
        title: of the page.
        question: that it answers.
        data: what the demonstrations are.
        verdicts: a table for each question.
        notes: sentences under the verdicts.
        results: what policies and optimiser earn.
        episodes: the name of the file of every episode, which lies beside the page.
        figures: in their order.
        films_note: a sentence above the animations.
        films: in their order.
        command: that makes the page again.
        settings: in force.
        versions: of the libraries.
    """

    title: str
    question: str
    data: str
    verdicts: Sequence[Table]
    notes: Sequence[str]
    results: Table
    episodes: str
    figures: Sequence[Drawing]
    films_note: str
    films: Sequence[Film]
    command: str
    settings: Table
    versions: Table


def render_page(page: Page) -> str:
    """Return the page as HTML; all words in it are escaped.

    Raises:
        NotInstalledError: Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment
    except ModuleNotFoundError:
        raise NotInstalledError("a report needs jinja2, which is not installed", "jinja2") from None

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files(__package__) / _TEMPLATE).read_text(encoding="utf-8"))
    return template.render(page=page)


@in_house_style
def as_svg(figure: Figure, name: str) -> str:
    """Return a figure as an element of HTML.

    Args:
        figure: the picture.
        name: told by programs that read pages aloud; also keeps the names inside apart from those of other figures.
    """
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    # Names that two figures share would point into the wrong one.
    prefix = re.sub(r"\W+", "-", name.lower())
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{name}"', 1)
