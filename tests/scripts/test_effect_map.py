from __future__ import annotations

import json

import numpy as np

from effect_map import EffectPanel, draw_effect_map, panel_numbers


def panel(title: str, estimates: list[list[float]], significant: list[list[bool]]) -> EffectPanel:
    values = np.array(estimates)
    return EffectPanel(title, np.stack([values, values - 1, values + 1]), np.array(significant))


def test_each_cell_holds_its_number_and_a_star_where_it_is_significant() -> None:
    correlation = panel("correlation", [[0.5, np.nan], [-0.25, 1.0]], [[True, False], [False, False]])
    kept = [panel(f"kept {q}", [[1.0, 2.0], [3.0, 4.0]], [[False] * 2] * 2) for q in (0.5, 0.25)]
    policies = [panel(f"policies {q}", [[-12.4, 0.0], [7.6, 30.0]], [[True, False], [False] * 2]) for q in (0.5, 0.25)]
    figure = draw_effect_map(correlation, kept, policies, ["low", "high"], [30, 1000], "title")
    by_title = {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
    assert list(by_title) == ["correlation", "kept 0.5", "kept 0.25", "policies 0.5", "policies 0.25"]
    assert [text.get_text() for text in by_title["correlation"].texts] == ["0.50*", "–", "−0.25", "1.00"]
    assert [text.get_text() for text in by_title["policies 0.5"].texts] == ["−12*", "0", "+8", "+30"]
    assert [label.get_text() for label in by_title["correlation"].get_yticklabels()] == ["low", "high"]
    assert [label.get_text() for label in by_title["correlation"].get_xticklabels()] == ["30", "1,000"]
    # All panels of one kind have one scale, which has 0 in its middle.
    scales = {by_title[f"policies {q}"].images[0].get_clim() for q in (0.5, 0.25)}
    assert scales == {(-30.0, 30.0)}
    figure.draw_without_rendering()


def test_numbers_are_json() -> None:
    numbers = panel_numbers(panel("one", [[1.0, np.nan]], [[True, False]]))
    assert numbers == {
        "title": "one", "values": [[1.0, None]], "lows": [[0.0, None]], "highs": [[2.0, None]],
        "significant": [[True, False]],
    }  # fmt: skip
    json.dumps(numbers, allow_nan=False)
