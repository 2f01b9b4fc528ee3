from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from quantilizers.figures.page import Drawing, Film, Page, Table, as_svg, render_page
from quantilizers.figures.style import new_figure

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def svg(name: str) -> str:
    figure = new_figure(10, 3)
    figure.subplots().plot([1, 2], label="a line")
    figure.legend()
    return as_svg(figure, name)


def gif() -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (320, 200), "navy").save(written, "GIF")
    return written.getvalue()


WIDE = Table(
    "A wide table", [f"a long head {number}" for number in range(12)], [["supported", *["1,234.5 [−1, 2]"] * 11]]
)
PAGE = Page(
    title="Does <it> & help?",
    question="Is “this” <script>alert(1)</script> a question?",
    data="x" * 200,
    verdicts=[WIDE],
    notes=["a note"],
    results=replace(WIDE, caption="Results"),
    episodes="episodes.csv",
    figures=[Drawing("One.", svg("mean seeds")), Drawing("Two.", svg("frontier"))],
    films_note="Films.",
    films=[Film("Imitation", "200 steps", gif())] * 3,
    command="python quantilizer.py " + "--do report " * 20,
    settings=Table("Settings", ("setting", "value"), [("data", "0123456789abcdef" * 4), ("decision", "undecided")]),
    versions=Table("Versions", ("library", "version"), [("numpy", "2"), ("decision", "contradicted")]),
)


class Outline(HTMLParser):
    """The tags of a page, the addresses in it, and its names."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "data", "action") and value:
                self.addresses.append(value)
            if name == "id" and value:
                self.names.append(value)


def outline() -> Outline:
    parsed = Outline()
    parsed.feed(render_page(PAGE))
    return parsed


def test_words_are_escaped_and_nothing_runs() -> None:
    text = render_page(PAGE)
    assert "Does &lt;it&gt; &amp; help?" in text
    assert "script" not in outline().tags


def test_the_page_holds_everything_but_the_episodes() -> None:
    for address in outline().addresses:
        assert address.startswith(("#", "data:image/gif;base64,")) or address == "./episodes.csv"
    assert not re.search(r"@import|url\((?!#)", render_page(PAGE))


def test_no_name_stands_twice_and_every_reference_has_one() -> None:
    found = outline()
    assert found.names, "figures have names inside"
    assert [name for name, times in Counter(found.names).items() if times > 1] == []
    assert {address[1:] for address in found.addresses if address.startswith("#")} <= set(found.names)


def test_every_table_has_heads_and_a_caption() -> None:
    tags = Counter(outline().tags)
    assert tags["table"] == tags["caption"] == tags["thead"] == 4
    assert tags["th"] == 12 + 12 + 2 + 2


PROBE = """
<script>
const luminance = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map((v) => { v /= 255;
  return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (!c.endsWith(", 0)")) return c; } return "rgb(255, 255, 255)"; };
let least = 99;
for (const e of document.querySelectorAll("h1, h2, p, a, td, th, caption, figcaption, strong, pre")) {
  const [x, y] = [luminance(getComputedStyle(e).color), luminance(behind(e))];
  least = Math.min(least, (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05)); }
document.title = JSON.stringify({ width: innerWidth, needed: document.documentElement.scrollWidth, contrast: least });
</script></body>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_it_fits_a_phone_and_a_desk_and_can_be_read(tmp_path: Path) -> None:
    # Frames of these widths: a window of Chromium cannot be as narrow as a phone.
    widths = (390, 1280)
    page = render_page(PAGE).replace("</body>", PROBE)
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    frames = [f'<iframe src="page.html" width="{width}" height="900" frameborder="0"></iframe>' for width in widths]
    (tmp_path / "frames.html").write_text(
        "".join(frames) + "<script>onload = () => document.title = JSON.stringify("
        "[...document.querySelectorAll('iframe')].map((f) => JSON.parse(f.contentDocument.title)))</script>"
    )
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--dump-dom",
             "--virtual-time-budget=5000", f"--user-data-dir={tmp_path / 'profile'}"]  # fmt: skip
    ended = subprocess.run(
        [str(CHROMIUM), *words, (tmp_path / "frames.html").as_uri()], capture_output=True, text=True, timeout=120
    )
    found = re.search(r"<title>(.*?)</title>", ended.stdout)
    assert found, ended.stderr[-2000:]
    measured = json.loads(found[1])
    assert [one["width"] for one in measured] == list(widths)
    for one in measured:
        assert one["needed"] <= one["width"]
        assert one["contrast"] >= 4.5
