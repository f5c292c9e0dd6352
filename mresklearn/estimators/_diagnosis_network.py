"""The network of `NeurodegenerationClassifier`: the encoder's training, for a diagnosis."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ..training._objective import DiagnosisObjective
from ._contrastive_encoder import ContrastiveEncoder

__all__ = ["DiagnosisNetwork", "diagnosis_network"]

# diagnoses are numbered 0, 1, ..., so that only the same one counts as similar
WINDOW = 0.3


class DiagnosisNetwork(ContrastiveEncoder):
    """A network whose head tells diagnoses, numbered from 0; made by `diagnosis_network`."""

    _target_is_age = False

    def decision(self, X: Any) -> np.ndarray:
        """Return the logarithm of each diagnosis' probability, up to a constant, (n, classes)."""
        check_is_fitted(self)
        module = self.net_.module_
        scores = self._apply(X, lambda batch: module(batch).scored)
        # what float32 makes of a row depends on the rows beside it, far below the third decimal
        return np.round((scores - scores.mean(axis=1, keepdims=True)).astype(np.float64), 3)

    def _learn_target(self, y: np.ndarray) -> None:
        counts = np.bincount(y.astype(int))
        self._class_weight = tuple((len(y) / (len(counts) * counts)).tolist())

    def _objective(self) -> DiagnosisObjective:
        return DiagnosisObjective(self._class_weight)


def diagnosis_network(
    prototype: ContrastiveEncoder | None, init_from: Any, random_state: Any
) -> DiagnosisNetwork:
    """Return an unfitted network with the settings of an encoder.

    Parameters
    ----------
    prototype : ContrastiveEncoder or None
        Its settings; None takes the default ones.
    init_from : path-like, estimator or None
        Pretrained weights.
    random_state : int, RandomState or None
        Seeds the network where the prototype has no seed.

    Raises
    ------
    ValueError
        If the prototype has settings that compare or mix ages.
    """
    encoder = ContrastiveEncoder() if prototype is None else prototype
    for name in ("cross_site", "site_mixup"):
        if getattr(encoder, name):
            raise ValueError(
                f"encoder has {name}={getattr(encoder, name)!r}, which compares or mixes ages, and "
                f"a diagnosis is none. Give an encoder with {name}=0."
            )
    settings = {
        name: clone(value, safe=False) for name, value in encoder.get_params(deep=False).items()
    }
    settings["age_bandwidth"] = WINDOW
    if settings["random_state"] is None and random_state is not None:
        settings["random_state"] = check_random_state(random_state).randint(2**31 - 1)
    if init_from is not None:
        settings["init_from"] = init_from
    return DiagnosisNetwork(**settings)
