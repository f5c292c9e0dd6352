"""Write the stored comparisons of losses into docs/losses.md.

python benchmarks/update_losses_docs.py [--check]
"""

from __future__ import annotations

from collections.abc import Callable

from _pages import main, stored
from update_readme import table

SIMULATED = "losses_simulated_"


def of(name: str) -> Callable[[], str]:
    """Return a maker of the table of a benchmark."""
    return lambda: "\n".join(table(stored(name)["table"]))


TABLES: dict[str, Callable[[], str]] = {
    "oasis1": of("losses_oasis1"),
    "stiffness": of(f"{SIMULATED}stiffness"),
    "damping ratio": of(f"{SIMULATED}damping_ratio"),
    "both": of(f"{SIMULATED}stiffness_damping_ratio"),
    "T1": of(f"{SIMULATED}t1"),
}


if __name__ == "__main__":
    main("losses.md", TABLES, __doc__)
