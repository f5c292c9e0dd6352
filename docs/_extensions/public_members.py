"""Reference pages show what this package says of its names; links find where these are public."""

from __future__ import annotations

from typing import Any

from sphinx.util.nodes import make_refnode


def home(member: Any) -> str:
    """Return the module that a method, property or class method was written in."""
    function = getattr(member, "fget", None) or getattr(member, "__func__", member)
    return getattr(function, "__module__", None) or ""


def skip_foreign(
    app: Any, what: str, name: str, member: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out what a class has from scikit-learn: it is alike for all of them."""
    if what == "class" and not home(member).startswith("mresklearn"):
        return True
    return None


def find_public(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Resolve a name by its last part: docstrings may name a private module, or none."""
    if node.get("refdomain") != "py":
        return None
    last = node["reftarget"].rpartition(".")[2]
    found = {
        name: entry
        for name, entry in env.get_domain("py").objects.items()
        if name.rpartition(".")[2] == last and entry.objtype != "method" and not entry.aliased
    }
    if len(found) != 1:
        return None
    name, entry = found.popitem()
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, name)


def setup(app: Any) -> dict:
    """Ask to be called."""
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("missing-reference", find_public)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
