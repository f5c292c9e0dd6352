"""A study, and the cells that it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ._describe import describe, digest
from ._tasks import AGE, Task


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a method may know when it is built.

    Parameters
    ----------
    regions : Regions or None
        Label image of the data set; None where rows are features already.
    seed : int
        Of everything random.
    network : mapping
        Settings that all networks of a study share: its budget.
    """

    regions: Any
    seed: int
    network: Mapping[str, Any]


Method = Callable[[Conditions], Any]


@dataclass(frozen=True, kw_only=True)
class Study:
    """A comparison, declared.

    Parameters
    ----------
    name : str
        Of its file and results.
    question : str
        What it asks.
    reading : str
        What its result means, and what it does not; stands under the figure.
    datasets : tuple
        Data sets; those that are not on this machine are left out.
    inputs : mapping of str to tuple of str
        Name -> map kinds. A data set takes part with the inputs that it has.
    methods : mapping of str to callable
        Name -> function of a module that builds an unfitted estimator from :class:`Conditions`.
    protocols : tuple
        :class:`Persons`, :class:`Sites`. Sites need a data set of two or more.
    seeds : tuple of int, default=(0,)
        Methods without a ``random_state`` run once.
    task : Task, default=AGE
        Target and score.
    network : mapping
        Budget of all networks.
    compared : {"inputs", "method"}
        What is tested: inputs within a method, or methods within an input.
    reference : str
        The input or method against which all others are tested.
    pooled : tuple of str, default=()
        Methods whose errors are averaged for the main test of inputs.
    probe_site : bool, default=False
        Read the site from the test rows' embedding, in the folds of persons.
    quick, full : mapping
        Fields that are replaced for a run of a minute, and for one on a machine with a GPU.
    """

    name: str
    question: str
    reading: str
    datasets: tuple[Any, ...]
    inputs: Mapping[str, tuple[str, ...]]
    methods: Mapping[str, Method]
    protocols: tuple[Any, ...]
    seeds: tuple[int, ...] = (0,)
    task: Task = AGE
    network: Mapping[str, Any] = field(default_factory=dict)
    compared: str = "method"
    reference: str = ""
    pooled: tuple[str, ...] = ()
    probe_site: bool = False
    quick: Mapping[str, Any] = field(default_factory=dict)
    full: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = self.inputs if self.compared == "inputs" else self.methods
        if self.reference not in known:
            raise ValueError(
                f"The reference of study {self.name!r} must be one of its {self.compared}: "
                f"{', '.join(known)}; it is {self.reference!r}."
            )
        if unknown := set(self.pooled) - set(self.methods):
            raise ValueError(f"Study {self.name!r} pools methods that it lacks: {sorted(unknown)}.")

    def at_scale(self, scale: str) -> Study:
        """Return the study with the replacements of "quick" or "full", or as it is."""
        return self if scale == "default" else replace(self, **getattr(self, scale))

    def cells(self, store: Path) -> list[Cell]:
        """List all cells, whether they are known or not."""
        return list(self._cells(store))

    def _cells(self, store: Path) -> Iterator[Cell]:
        for dataset in self.datasets:
            if not dataset.available():
                continue
            regions = dataset.regions(store)
            for name, kinds in self.inputs.items():
                if not set(kinds) <= set(dataset.kinds):
                    continue
                for method, build in self.methods.items():
                    for seed in self._seeds_of(build, regions):
                        conditions = Conditions(regions=regions, seed=seed, network=self.network)
                        for protocol in self.protocols:
                            n_folds = protocol.n_folds(dataset)
                            for fold in range(n_folds if n_folds > 1 else 0):
                                yield Cell(
                                    dataset=dataset, inputs=name, kinds=kinds, method=method,
                                    build=build, conditions=conditions, protocol=protocol,
                                    fold=fold, task=self.task, probe_site=self.probe_site,
                                )  # fmt: skip

    def _seeds_of(self, build: Method, regions: Any) -> tuple[int, ...]:
        """Return the seeds, one alone for what does not depend on them."""
        built = [
            describe(build(Conditions(regions=regions, seed=seed, network=self.network)))
            for seed in self.seeds[:2]
        ]
        return self.seeds[:1] if built[0] == built[-1] else self.seeds


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One model, fitted to one fold of one data set and scored there."""

    dataset: Any
    inputs: str
    kinds: tuple[str, ...]
    method: str
    build: Method
    conditions: Conditions
    protocol: Any
    fold: int
    task: Task
    probe_site: bool = False

    @cached_property
    def description(self) -> dict[str, Any]:
        """All that the result depends on; names are not part of it."""
        return {
            "mresklearn": version("mresklearn"),
            "dataset": describe(self.dataset),
            "kinds": list(self.kinds),
            "model": describe(self.build(self.conditions)),
            "protocol": describe(self.protocol),
            "fold": self.fold,
            "seed": self.conditions.seed,
            "task": describe(self.task),
            "probe_site": self.probe_site,
        }

    @cached_property
    def key(self) -> str:
        return digest(self.description)

    def path(self, store: Path) -> Path:
        return store / "cells" / self.key[:2] / f"{self.key}.json"

    def __str__(self) -> str:
        return (
            f"{self.dataset.name}, {self.inputs}, {self.method}, {self.protocol.name} "
            f"{self.fold}, seed {self.conditions.seed}"
        )
