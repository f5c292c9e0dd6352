"""The reference names what is public, docstrings are whole, the guide runs, so does the gallery.

The build itself (``make docs``) runs the gallery and fails on any warning.
"""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
from numpydoc.validate import validate

import mresklearn

DOCS = Path(__file__).parent.parent / "docs"
EXAMPLES = DOCS.parent / "examples"

# Public without a page, each with its reason.
WITHOUT_PAGE = {
    "mresklearn.cli.app": "the command, which docs/command_line.md explains",
}

# Errors of numpydoc.validate that no public docstring may have.
CHECKS = {
    "GL01": "summary on the line of the quotes",
    "GL03": "no double blank lines",
    "GL05": "no tabs",
    "GL06": "sections that numpydoc knows",
    "GL07": "sections in their order",
    "GL08": "a docstring at all",
    "SS01": "a summary",
    "SS02": "that begins with a capital",
    "SS03": "and ends with a full stop",
    "SS04": "without leading blanks",
    "SS06": "on one line",
    "PR01": "every parameter",
    "PR02": "no parameter that is none",
    "PR03": "in their order",
    "PR04": "with a type",
    "PR05": "that does not end with a full stop",
    "PR07": "and a description",
    "PR10": "with blanks around the colon",
    "RT03": "what is returned",
    "YD01": "what is yielded",
}


def public_modules():
    """Yield every module that says by ``__all__`` and its place what users may import."""
    yield from ("mresklearn.exceptions", "mresklearn.utils.estimator_checks")
    yield "mresklearn.nn.adversary"
    for found in pkgutil.iter_modules(mresklearn.__path__, "mresklearn."):
        if found.ispkg and getattr(importlib.import_module(found.name), "__all__", None):
            yield found.name


def public_names():
    names = {
        f"{module}.{name}"
        for module in public_modules()
        for name in importlib.import_module(module).__all__
    }
    return names - set(WITHOUT_PAGE)


def names_on_pages():
    """Return what the tables of docs/api list, as full names."""
    found = []
    for page in sorted((DOCS / "api").glob("*.rst")):
        module = None
        for line in page.read_text().splitlines():
            if line.startswith(".. currentmodule:: "):
                module = line.split("::")[1].strip()
            elif module and re.fullmatch(r"   [A-Za-z_]\w*", line):
                found.append(f"{module}.{line.strip()}")
    return found


def docstrings_of(name):
    """Yield a public name and the public methods and properties that this package gives it."""
    module, _, last = name.rpartition(".")
    thing = getattr(importlib.import_module(module), last)
    if callable(thing):
        yield name
    for member in dir(thing) if inspect.isclass(thing) else ():
        value = inspect.getattr_static(thing, member)
        function = getattr(value, "fget", None) or getattr(value, "__func__", value)
        ours = inspect.isfunction(function) and function.__module__.startswith("mresklearn")
        if ours and not member.startswith("_"):
            yield f"{name}.{member}"


def is_made_by_a_function(name):
    """Tell whether a class is a result, which users read and never construct."""
    module, _, last = name.rpartition(".")
    thing = getattr(importlib.import_module(module), last, None)
    summary = (inspect.getdoc(thing) or "").partition("\n\n")[0]
    return inspect.isclass(thing) and re.search(
        r"; :func:`[^`]+`( and :func:`[^`]+`)? makes? ", summary
    )


def test_reference_pages_and_public_names_are_the_same_set():
    listed = names_on_pages()
    assert len(listed) == len(set(listed)), "a name is on two pages"
    assert set(listed) == public_names()


def test_every_page_of_the_reference_is_reached():
    index = (DOCS / "api" / "index.rst").read_text()
    pages = {page.stem for page in (DOCS / "api").glob("*.rst")} - {"index"}
    assert pages == set(re.findall(r"^   (\w+)$", index, re.M))


@pytest.mark.parametrize("name", sorted(public_names()))
def test_docstrings_are_valid_numpydoc(name):
    wrong = []
    for documented in docstrings_of(name):
        for code, message in validate(documented)["errors"]:
            if code == "PR01" and is_made_by_a_function(documented):
                continue
            if code in CHECKS:
                wrong.append(f"{documented}: {code} {message}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", sorted(p.stem for p in (DOCS / "guide").glob("*.md")))
def test_the_code_of_the_guide_runs(page):
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "guide" / f"{page}.md").read_text(), re.S)
    assert blocks or page == "index"
    names: dict = {}
    for code in blocks:
        exec(code, names)


def examples():
    return sorted(EXAMPLES.glob("*/*.py"))


def test_the_gallery_has_its_topics_and_enough_examples():
    topics = {path.parent.name for path in examples()}
    assert topics == {
        "maps", "confounds", "harmonisation", "contrastive",
        "invariance", "evaluation", "disease", "inspection",
    }  # fmt: skip
    assert all((EXAMPLES / topic / "GALLERY_HEADER.rst").exists() for topic in topics)
    assert len([path for path in examples() if path.stem.startswith("plot_")]) >= 12
    assert len([path for path in examples() if path.stem.startswith("real_")]) >= 2


@pytest.mark.parametrize("path", examples(), ids=lambda path: path.stem)
def test_examples_state_one_message_and_draw_a_picture(path):
    assert path.stem.startswith(("plot_", "real_")), "the build runs files of these names"
    code = path.read_text()
    title, underline, _, *rest = ast.get_docstring(ast.parse(code)).splitlines()
    assert underline == "=" * len(title)
    message = " ".join(rest)
    assert re.search(r"^\*\*.+?\*\*", message), "the message stands in bold, first"
    assert "plt.show()" in code or "figure = " in code
    if path.stem.startswith("plot_"):
        assert "MRESKLEARN_DATA" not in code, "examples that need data are named real_*"
