"""Configuration of the documentation site: `python -m sphinx -W --keep-going docs docs/_build`."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers import Quantilizer
from quantilizers.versions import __version__

project = "Quantilizers"
author = "The Quantilizers developers"
copyright = "The Quantilizers developers, MIT licence"
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "jupyter_execute"]
# Pages are Markdown. Headings can be linked to, and $…$ is mathematics.
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
nb_execution_mode = "off"  # the notebook ships with its outputs
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
# Its constructor's signature has more defaults than its source, which autodoc would read.
Quantilizer.__signature__ = inspect.signature(Quantilizer)
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "Quantilizers"
html_copy_source = False
html_show_sphinx = False
