"""What a fitted model tells of its own training, and whether a card claims more."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator

from ..maps._kinds import kind_of
from ._card_records import SiteRecord

__all__ = ["complete", "describe_model"]

# where meta-estimators keep fitted ones under the name of a parameter
_HOLDERS = ("steps", "transformer_list")
OLDEST = 130  # a target beyond is no age in years


def describe_model(model: Any) -> dict[str, Any]:
    """Return the fields of a card that fitted attributes tell.

    Parameters
    ----------
    model : estimator
        Fitted estimator or pipeline.
    """
    while isinstance(model, FrozenEstimator):  # at the top it is the model itself
        model = model.estimator
    described: dict[str, Any] = {"model": _steps(model), "seed": _seeds(model)}
    for estimator, trusted in _walk(model):
        told = _of_maps(estimator)
        told["sites"] = _sites(estimator) if "sites" in trusted else None
        told["age_range"] = _ages(estimator) if "ages" in trusted else None
        for name, value in told.items():
            if value and not described.get(name):
                described[name] = value
    return {name: value for name, value in described.items() if value}


def complete(card: Any, model: Any, versions: dict[str, str]) -> Any:
    """Fill the empty fields of a card from the model, once it claims no more than the model saw.

    Parameters
    ----------
    card : ModelCard
        As stated.
    model : estimator
        Fitted.
    versions : dict of str to str
        Packages at work.

    Raises
    ------
    ValueError
        If the card claims ages or sites that were not in training.
    """
    told = describe_model(model)
    _check_claims(card, told)
    told |= {"versions": versions, "date": date.today().isoformat()}
    return replace(card, **{name: v for name, v in told.items() if not getattr(card, name)})


def _check_claims(card: Any, told: dict[str, Any]) -> None:
    """Refuse a card of other people, which would pass off extrapolation as experience."""
    if card.age_range and told.get("age_range"):
        (low, high), (seen_low, seen_high) = card.age_range, told["age_range"]
        if low < seen_low or high > seen_high:
            raise ValueError(
                f"The card claims ages {low:g} to {high:g}, but the model was fitted on "
                f"{seen_low:g} to {seen_high:g}. Make the card from the rows of its fit, as in "
                "ModelCard.from_cohort(participants.loc[training_ids])."
            )
    unseen = sorted(set(card.sites) - set(told.get("sites", card.sites)))
    if unseen:
        raise ValueError(
            f"The card claims sites {', '.join(unseen)}, but the model was fitted on "
            f"{', '.join(told['sites'])}. Make the card from the rows of its fit, with sites "
            "written as they were there."
        )


def _walk(
    value: Any, trusted: frozenset[str] = frozenset({"ages", "sites"})
) -> Iterator[tuple[BaseEstimator, frozenset[str]]]:
    """Yield fitted estimators from the outside in, and what each knows of the training people.

    Constructor parameters are prototypes, or were trained on other people, and are not entered.
    """
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _walk(item, trusted)
    elif isinstance(value, BaseEstimator):
        yield value, trusted
        frozen = isinstance(value, FrozenEstimator)
        for name, content in vars(value).items():
            holds = name in _HOLDERS or (frozen and name == "estimator")
            if holds or (name.endswith("_") and not name.startswith("_")):
                yield from _walk(content, _trusted_inside(value, trusted))


def _trusted_inside(estimator: BaseEstimator, trusted: frozenset[str]) -> frozenset[str]:
    """Return what a part of an estimator still knows of the people whom the whole was fitted on."""
    if isinstance(estimator, FrozenEstimator):
        return frozenset()  # pretrained, in general on others
    if isinstance(estimator, TransformedTargetRegressor) or hasattr(estimator, "classes_"):
        return trusted - {"ages"}  # another scale; only the healthy, or pretrained
    return trusted


def _steps(model: Any) -> str:
    steps = getattr(model, "steps", None)
    if not isinstance(steps, list):
        return type(model).__name__
    return f"{type(model).__name__}({', '.join(_steps(step) for _, step in steps)})"


def _seeds(model: Any) -> str | None:
    """Return the random states of a model by parameter, where they are numbers."""
    found = {
        name: value
        for name, value in model.get_params(deep=True).items()
        if name.rsplit("__", 1)[-1] == "random_state" and isinstance(value, int | np.integer)
    }
    return ", ".join(f"{name}={value}" for name, value in sorted(found.items())) or None


def _of_maps(estimator: Any) -> dict[str, Any]:
    """Return kinds, units and voxels of a map loader, and how many rows it was fitted on."""
    kinds, grid = (vars(estimator).get(name) for name in ("maps_", "grid_"))
    if not isinstance(kinds, list) or grid is None:
        return {}
    return {
        "maps": {str(kind): kind_of(str(kind)).unit for kind in kinds},
        "voxel_size": tuple(np.round(grid.voxel_size, 3).tolist()),
        "n_rows": len(getattr(estimator, "quality_", ())),
    }


def _sites(estimator: Any) -> dict[str, SiteRecord]:
    """Return the sites of a fit; one site named 0 stands for a fit without sites."""
    sites = vars(estimator).get("sites_")  # a frozen estimator would pass getattr on
    if not isinstance(sites, np.ndarray | list) or np.ndim(sites) != 1:
        return {}
    names = [str(site).strip() for site in sites]
    return {} if names == ["0"] else {name: SiteRecord() for name in names}


def _ages(estimator: Any) -> tuple[float, float] | None:
    """Return the range of ages, rounded outwards; None where the target was on another scale."""
    seen = vars(estimator).get("age_range_")
    if seen is None or seen[0] < 0 or seen[1] > OLDEST:
        return None
    return float(math.floor(seen[0])), float(math.ceil(seen[1]))
