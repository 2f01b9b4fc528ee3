"""The cards of the data that ship, against the files."""

from __future__ import annotations

from pathlib import Path

import pytest

import data_cards
from quantilizers.files import sha256_of
from support import ROOT, shipped_files


def test_every_data_set_that_ships_has_a_card() -> None:
    shipped = set(shipped_files())
    # The files in `base` hold returns of further episodes of the same players; their card is the data set's.
    data_sets = {path for path in shipped if path.suffix == ".npz" and path.parent.name != "base"}
    assert data_sets == set(data_cards.shipped())
    for path in shipped - data_sets:
        if path.parent.name == "base":
            dataset, _, environment = path.stem.partition("_")
            assert str(path) in (data_cards.CARDS / environment / f"{dataset}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("data_set", data_cards.shipped(), ids=str)
def test_a_card_says_what_its_file_is(data_set: Path) -> None:
    present, wanted = data_cards.card_of(data_set)
    assert present == wanted, "run: python scripts/data_cards.py"
    assert sha256_of(ROOT / "log" / data_set) in present
    about = present.partition(data_cards.HEADING)[0]
    assert ("**Simulated." in about) != ("**Human." in about)
    for row in ("| origin |", "| made again by |", "| players |", "| licence |"):
        assert row in about


def test_people_s_play_carries_its_notice() -> None:
    notice = (ROOT / "log" / "MountainCar-v0" / "lets-do-irl.LICENSE.txt").read_text(encoding="utf-8")
    assert "Copyright (c) 2021 Reinforcement Learning KR" in notice
    assert "The above copyright notice and this permission notice shall be included" in notice


def test_a_card_that_is_out_of_date_is_refused_and_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = tmp_path / "MountainCar-v0" / "lets-do-irl.md"
    card.parent.mkdir()
    card.write_text("# About\n\n## Measured\n\nnothing\n", encoding="utf-8")
    monkeypatch.setattr(data_cards, "CARDS", tmp_path)
    assert data_cards.main(["--check"]) == 2
    assert "out of date; run: python scripts/data_cards.py" in capsys.readouterr().err
    assert "nothing" in card.read_text(encoding="utf-8")
    assert data_cards.main([]) == 0
    assert card.read_text(encoding="utf-8").startswith("# About\n\n## Measured\n\n|")
    assert data_cards.main(["--check"]) == 0
