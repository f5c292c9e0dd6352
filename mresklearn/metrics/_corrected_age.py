"""Predicted ages after bias correction: for looking at people, never for measuring accuracy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

__all__ = ["CorrectedAge", "refuse_corrected"]

REASONS = {
    "cole": (
        "they are the raw predictions on another scale: correlation with age is the same, and "
        "errors are those of the raw predictions divided by the slope"
    ),
    "de_lange": (
        "the age of each person is part of their corrected age, so that even predictions of noise "
        "follow age closely, with r up to 1.0"
    ),
}


@dataclass(frozen=True, eq=False)
class CorrectedAge:
    """Predicted ages after bias correction, which no function takes for predictions by mistake.

    It is not an array: NumPy, and so the scores of this package, of scikit-learn and of SciPy,
    raise with the reason. The numbers are in `years`; what compares groups is the corrected gap.

    Attributes
    ----------
    years : ndarray of shape (n_rows,)
        Corrected predicted age in years.
    method : {"cole", "de_lange"}
        How it was corrected.
    """

    years: np.ndarray = field(repr=False)
    method: str

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.years)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        """Refuse to be taken for raw predictions."""
        raise ValueError(_reason(self))

    def __float__(self) -> NoReturn:
        """Refuse as an entry of a table, where assigning it as a column puts it into every row."""
        raise ValueError(_reason(self))


def refuse_corrected(predicted: Any) -> None:
    """Raise, with the reason, where corrected ages came in the place of raw predictions."""
    if isinstance(predicted, CorrectedAge):
        raise ValueError(_reason(predicted))


def _reason(corrected: CorrectedAge) -> str:
    return (
        f"These ages went through a bias correction (method={corrected.method!r}), and no accuracy "
        f"is computed from them: {REASONS[corrected.method]}. Score the raw predictions. To "
        "compare groups take the corrected gap, from BrainAgeBiasCorrector.gap(...); to show "
        "corrected ages take .years."
    )
