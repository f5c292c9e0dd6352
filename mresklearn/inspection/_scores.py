"""How far a response moved when maps were changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._response import Response

__all__ = ["SCORES", "SIGNED", "Score", "check_score", "find_score"]

Score = str | Callable[[np.ndarray, np.ndarray, Any], np.ndarray]

SCORES = ("absolute_error", "absolute_change", "change", "cosine", "l2")
SIGNED = ("absolute_error", "change")


def find_score(score: Score | None, response: Response, y: Any) -> Score:
    """Return the score asked for; None decides by what is known."""
    if score is None:
        if response.method == "transform":
            return "cosine"
        return "absolute_change" if y is None else "absolute_error"
    if score == "absolute_error" and y is None:
        raise ValueError("score='absolute_error' needs the truth: give y.")
    return score


def check_score(score: Score, values: np.ndarray) -> None:
    """Refuse scores that a response has no numbers for."""
    if score in ("change", "absolute_change") and values.ndim > 1:
        raise ValueError(
            f"score='{score}' needs one number a person, but the model gives {values.shape[1]}. "
            "Use score='l2' or 'cosine'."
        )
    if score == "cosine" and values.ndim == 1:
        raise ValueError(
            "score='cosine' needs an embedding, but the model gives one number a person. "
            "Use score='absolute_change', or response='transform'."
        )


def moved(
    score: Score, response: Response, before: np.ndarray, after: np.ndarray, target: Any
) -> np.ndarray:
    """Return the effect of each change, as float64.

    Parameters
    ----------
    score : str or callable
        One of `SCORES`, or a function of `before`, `after` and `target`.
    response : Response
        Knows the error of what it says.
    before, after : ndarray of shape (n,) or (n, d)
        Responses to the maps as they are, and as they were changed.
    target : ndarray of shape (n,) or None
        The truth.
    """
    if callable(score):
        effect = np.asarray(score(before, after, target), dtype=np.float64)
        if effect.shape != (len(before),):
            raise ValueError(
                f"score returned shape {effect.shape} where one number for each of {len(before)} "
                "pairs of responses is needed."
            )
        return effect
    if score == "absolute_error":
        return response.error(after, target) - response.error(before, target)
    if score == "cosine":
        lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        # rounding must not make a distance negative
        return np.maximum(0, 1 - np.einsum("ij,ij->i", before, after) / lengths)
    if score == "l2":
        difference = (after - before).reshape(len(before), -1)
        return np.linalg.norm(difference, axis=1)
    return after - before if score == "change" else np.abs(after - before)
