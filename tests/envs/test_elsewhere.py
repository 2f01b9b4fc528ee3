from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from quantilizers.envs.elsewhere import address_of, environment_at
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError


def test_an_environment_of_one_s_own_is_found_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only by the address that was typed, wherever they work, and only where it is the same file."""
    file = tmp_path / "my_car.py"
    file.write_text(
        "from quantilizers.envs.registry import load_environment\n"
        "from dataclasses import replace\n"
        "ENVIRONMENT = replace(load_environment('MountainCar-v0'), name='MyCar-v0', address='')\n"
    )
    monkeypatch.chdir(tmp_path)
    address = address_of(load_environment("my_car.py"))
    assert address.text == f"{file}:ENVIRONMENT"
    assert environment_at(address).name == "MyCar-v0"
    file.write_text(file.read_text() + "# other\n")
    with pytest.raises(UserError, match="the worker finds another file; every worker needs the same file"):
        environment_at(address)
    file.unlink()
    with pytest.raises(UserError, match="the worker finds no file"):
        environment_at(address)
    assert address_of(load_environment("MountainCar-v0")).text == "MountainCar-v0"


def test_what_was_defined_in_memory_is_nowhere_else() -> None:
    with pytest.raises(UserError, match=r"other processes cannot load MountainCar-v0.*my_env\.py:ENVIRONMENT"):
        address_of(replace(load_environment("MountainCar-v0"), address=""))
