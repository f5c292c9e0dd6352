"""Which features `NeurodegenerationClassifier` tells a diagnosis from, by its parameters."""

from __future__ import annotations

from os import PathLike
from typing import Any

from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from ..exceptions import MissingMetadataError
from ..persistence import load
from ._diagnosis_features import Deviations, Embedding, Gaps, NetworkScores
from ._diagnosis_network import diagnosis_network
from ._weights import find_preparation

__all__ = ["choose_sources", "need_age", "uses_age"]

# what each kind of feature is made from, by parameter
MADE_FROM = {"gap": "brain_age", "regional_gaps": "regional_brain_age", "deviations": "measures"}
FEATURES = ("embedding", *MADE_FROM)


def choose_sources(classifier: Any, has_age: bool) -> list[Any]:
    """Return what makes the features, unfitted.

    Parameters
    ----------
    classifier : NeurodegenerationClassifier
        Its parameters are read.
    has_age : bool
        Whether there are ages.

    Raises
    ------
    MissingMetadataError
        If something is wanted that needs ages, and there are none.
    ValueError
        If features are unknown, or what they are made from is missing.
    """
    given = {name: getattr(classifier, parameter) for name, parameter in MADE_FROM.items()}
    wanted = classifier.features
    if wanted == "auto":
        wanted = ["embedding", *(name for name in MADE_FROM if given[name] is not None and has_age)]
    if set(wanted) - set(FEATURES) or not wanted:
        raise ValueError(f"features must be among {FEATURES}, got {classifier.features!r}.")
    for name, parameter in MADE_FROM.items():
        if name in wanted and given[name] is None:
            raise ValueError(f"features has {name!r}, which is made from {parameter}=: give one.")
    models = {name: _pretrained(given[name], MADE_FROM[name]) for name in ("gap", "regional_gaps")}
    sources = {
        "embedding": lambda: _embedding(classifier, *models["gap"]),
        "gap": lambda: Gaps(*models["gap"], prefix="gap"),
        "regional_gaps": lambda: Gaps(*models["regional_gaps"], prefix="regional_gap"),
        "deviations": lambda: Deviations(given["deviations"]),
    }
    chosen = [make() for name, make in sources.items() if name in wanted]
    if not has_age:
        need_age(chosen)
    return chosen


def uses_age(sources: list[Any]) -> bool:
    """Whether features are made with ages."""
    return any(isinstance(source, Gaps | Deviations) for source in sources)


def need_age(sources: list[Any]) -> None:
    """Raise where features are made with ages, and there are none."""
    if uses_age(sources):
        raise MissingMetadataError(
            "Brain-age gaps or deviations are among the features, and there are no ages. Pass "
            "age=, or let them travel with the rows: MapLoader(metadata=['age'])."
        )


def _embedding(classifier: Any, model: Any, is_fitted: bool) -> Embedding | NetworkScores:
    """Return what makes the embedding, or the scores of a network."""
    tuning = classifier.tuning or ("frozen" if is_fitted else "scratch")
    if tuning != "scratch" and not is_fitted:
        raise ValueError(
            f"tuning={tuning!r} needs brain_age, fitted on other people and wrapped in "
            "sklearn.frozen.FrozenEstimator, or the folder of a saved model."
        )
    if tuning == "frozen":
        if not hasattr(model, "transform"):
            raise ValueError("brain_age has no transform, so there is no embedding to use.")
        return Embedding(model)
    if tuning == "scratch":
        return NetworkScores(diagnosis_network(classifier.encoder, None, classifier.random_state))
    network = diagnosis_network(classifier.encoder, model, classifier.random_state)
    return NetworkScores(network, find_preparation(model))


def _pretrained(model: Any, name: str) -> tuple[Any, bool]:
    """Return a model, and whether it is fitted: opened where it is a folder.

    Raises
    ------
    ValueError
        If a fitted one is not wrapped, so that a clone would forget what it learnt.
    """
    if isinstance(model, str | PathLike):
        return FrozenEstimator(load(model)), True
    if isinstance(model, FrozenEstimator):
        return model, True
    try:
        check_is_fitted(model)
    except (NotFittedError, TypeError):
        return model, False
    raise ValueError(
        f"{name} is fitted, but scikit-learn clones what is inside an estimator, and a clone has "
        f"forgotten its fit. Give {name}=FrozenEstimator(model), from sklearn.frozen, to use it as "
        "it is, or sklearn.base.clone(model) to have it fitted on the healthy training people."
    )
