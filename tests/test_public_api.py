from __future__ import annotations

import pytest

import quantilizers


def test_every_public_name_is_there() -> None:
    for name in quantilizers.__all__:
        assert getattr(quantilizers, name) is not None
    assert set(quantilizers.__all__) <= set(dir(quantilizers))


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'quantiliser'"):
        _ = quantilizers.quantiliser
