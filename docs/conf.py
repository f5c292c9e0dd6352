"""How the documentation is built (`make docs`): without a network, as are its pages."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import mresklearn

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

project = "mresklearn"
author = "the mresklearn developers"
release = version = mresklearn.__version__
html_title = "mresklearn"
language = "en"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.bibtex",
    # our own, in _extensions/
    "mathml",
    "public_members",
    "stored_results",
]
exclude_patterns = ["_build", "_extensions", "_templates", "gallery/**/*.ipynb"]
templates_path = ["_templates"]

# Pages in Markdown
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

# Reference
autosummary_generate = True
autodoc_typehints = "none"  # numpydoc says the types
autodoc_member_order = "groupwise"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
default_role = "literal"
nitpicky = True
# without a network only our own names can be resolved; those must be
nitpick_ignore_regex = [("py:.*", r"(?!mresklearn)[a-z_0-9]+(\..*)?|[A-Z][a-z]+(Error|Warning)")]
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"
bibtex_reference_style = "author_year"

# Gallery. Examples on real data are in files named real_*.
REAL_DATA = bool(os.environ.get("MRESKLEARN_DATA"))
if not REAL_DATA:
    exclude_patterns.append("gallery/*/real_*")  # of an earlier build
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/(plot_|real_)",
    "ignore_pattern": r"^demo\.py" if REAL_DATA else r"^(demo\.py|real_)",
    "image_scrapers": ("gallery_style.scrape", "matplotlib"),
    "image_srcset": ["2x"],
    "reset_modules": ("gallery_style.reset",),
    "subsection_order": "gallery_style.topic_order",
    "within_subsection_order": "FileNameSortKey",
    "default_thumb_file": None,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 0,
    "write_computation_times": False,
    "plot_gallery": "True",
}
REAL_DATA_NOTE = (
    "This build ran the examples on real data, too."
    if REAL_DATA
    else "This build was made without real data: the examples named ``real_*`` were left out."
)
rst_epilog = f"\n.. |real_data_note| replace:: {REAL_DATA_NOTE}\n"
print(REAL_DATA_NOTE)

# Site
html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "mresklearn"},
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 6,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "back_to_top_button": False,
}
html_sidebars = {"index": [], "replicate": [], "references": []}
copyright = "the mresklearn developers; BSD-3-Clause. For research, not for diagnosis"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
