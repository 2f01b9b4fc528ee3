from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest

import quantilizers
from quantilizers.versions import code_version, versions
from support import ROOT


def test_versions_are_those_that_are_installed() -> None:
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["quantilizers"] == quantilizers.__version__
    assert found["numpy"] == np.__version__
    assert "no-such-library" not in found


def test_the_citation_and_the_release_name_the_version_of_the_code() -> None:
    assert f"\nversion: {quantilizers.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    assert 'grep -qx "__version__ = \\"${GITHUB_REF_NAME#v}\\"" quantilizers/versions.py' in workflow
    code = (ROOT / "quantilizers" / "versions.py").read_text(encoding="utf-8")
    assert f'\n__version__ = "{quantilizers.__version__}"\n' in code


def test_the_commit_is_that_of_the_clone_in_a_hook_of_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = code_version()
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    assert code_version() == here
