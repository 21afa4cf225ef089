"""Configuration of the documentation; build it with ``make docs``."""

import re
import sys
from pathlib import Path

import sklearn_mlce

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

from benchmark_pages import write_benchmark_pages  # noqa: E402
from offline_links import write_inventories  # noqa: E402

write_benchmark_pages(
    HERE.parent / "benchmarks" / "results", HERE / "benchmarks"
)

project = "sklearn-mlce"
author = "The sklearn-mlce developers"
copyright = author
release = version = sklearn_mlce.__version__

extensions = [
    "myst_parser",
    "native_math",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "auto_examples/*.ipynb", "auto_examples/*.py"]
templates_path = ["_templates"]
default_role = "code"
smartquotes = False  # tables have code, such as loss="mlce" and --full, that is to be copied

# Links into other projects' manuals come from links.txt, so that a build asks no network.
intersphinx_mapping = write_inventories(
    HERE / "links.txt", HERE / "_build" / "inventories"
)
intersphinx_disabled_reftypes = ["std:doc"]

myst_enable_extensions = ["deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
# A link or a type that leads nowhere is a warning, and a warning ends the build of `make docs`.
nitpicky = True

autosummary_generate = True
autodoc_member_order = "groupwise"
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
# Types in the docstrings become links where links.txt has an entry for them.
numpydoc_xref_param_type = True
numpydoc_xref_aliases = {
    "DataFrame": "pandas.DataFrame",
    "Module": "torch.nn.Module",
    "RandomState": "numpy.random.RandomState",
    "Tensor": "torch.Tensor",
    "ndarray": "numpy.ndarray",
}
numpydoc_xref_ignore = "all"

sphinx_gallery_conf = {
    "examples_dirs": ["../examples"],
    "gallery_dirs": ["auto_examples"],
    "within_subsection_order": "gallery_order.ReadingOrder",
    "filename_pattern": r"[\\/]plot_",
    "ignore_pattern": r"__init__\.py|film_data\.py",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sklearn_mlce",),
    "inspect_global_variables": False,
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 1,
    "abort_on_example_error": True,
    "matplotlib_animations": False,
    "remove_config_comments": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "sklearn-mlce"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_js_files = ["line_breaks.js", "stacked_tables.js"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "sklearn-mlce"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "footer_start": ["version_and_licence"],
    "footer_end": ["theme-version"],
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"index": [], "installation": [], "getting_started": []}


def quote_fitted_names(app, what, name, obj, options, lines):
    """Quote the fitted attributes in a docstring's shapes, such as ``(n_features_in_,)``.

    reStructuredText takes a bare word that ends in an underscore for a link.
    """
    for i, line in enumerate(lines):
        lines[i] = re.sub(r"(?<=\()([a-z]\w*_)(?=,)", r"`\1`", line)


def setup(app):
    """Quote before numpydoc, which has the usual priority 500, takes the docstring apart."""
    app.connect("autodoc-process-docstring", quote_fitted_names, priority=400)
