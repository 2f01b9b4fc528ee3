"""The report: one self-contained HTML page, without network or scripts."""

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
    """A table of text cells.

    Attributes:
        caption: above it.
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
        caption: below it.
        svg: the element.
    """

    caption: str
    svg: str


@dataclass(frozen=True)
class Film:
    """An animation in the page.

    Attributes:
        label: the agent.
        caption: the outcome of the episode.
        gif: content of the file.
    """

    label: str
    caption: str
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
    """The content of a report, from top to bottom.

    Attributes:
        title: of the page.
        question: the page's question.
        data: description of the demonstrations.
        verdicts: a table for each question.
        notes: sentences under the verdicts.
        results: returns of policies and optimiser.
        episodes: name of the file with every episode, beside the page.
        figures: in order.
        films_note: a sentence above the animations.
        films: in order.
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
    """Return the page as HTML, with all text escaped.

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
    """Return a figure as an HTML element.

    Args:
        figure: the picture.
        name: for screen readers; also the prefix of ids inside, which must differ between figures.
    """
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    # Ids that two figures share would point into the wrong one.
    prefix = re.sub(r"\W+", "-", name.lower())
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{name}"', 1)
