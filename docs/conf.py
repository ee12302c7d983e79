"""How Sphinx builds these pages: `make docs`. Everything that a page loads lies beside it."""

from __future__ import annotations

import importlib.metadata

project = "niwaki"
version = release = importlib.metadata.version("niwaki")
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["conf.py", "generate.py"]
templates_path: list[str] = []
html_theme = "furo"
html_title = "niwaki"
html_copy_source = False
html_show_copyright = False
html_show_search_summary = False  # summaries are fetched, which a page opened from disk may not

myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]
default_role = "code"  # of `names` in docstrings
python_maximum_signature_line_length = 80
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
add_module_names = False
smartquotes = False  # options begin with two hyphens
suppress_warnings = ["ref.python"]  # of the type `bytes`, which is also the name of fields
