"""What ``mresklearn train`` writes, and ``predict`` and ``report`` read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._titles import PROTOCOLS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["CONTROLS", "CROSS_VALIDATION", "MEAN_MAPS", "MODEL_SIGN", "TrainedModel", "brain_mean"]

MODEL_SIGN = "model.json"
CONTROLS = "controls.tsv"
CROSS_VALIDATION = "cross_validation.tsv"
MEAN_MAPS = "mean_maps.npy"


@dataclass(frozen=True)
class TrainedModel:
    """A folder that ``mresklearn train`` wrote, opened piece by piece.

    Parameters
    ----------
    folder : Path
        The folder.
    """

    folder: Path

    @cached_property
    def estimator(self) -> Any:
        """The fitted model; with intervals if it was trained with them."""
        from ..persistence import load

        return load(self.folder)

    @property
    def pipeline(self) -> Any:
        """The pipeline that makes the point predictions."""
        return getattr(self.estimator, "estimator_", self.estimator)

    @property
    def loader(self) -> Any:
        """Its first step, which reads maps."""
        return self.pipeline[0]

    @property
    def has_intervals(self) -> bool:
        """Whether it says how far a prediction may be off."""
        return hasattr(self.estimator, "calibration_")

    @cached_property
    def card(self) -> Any:
        """The model card."""
        from ..persistence import load_card

        return load_card(self.folder)

    @cached_property
    def controls(self) -> pd.DataFrame:
        """Controls with their out-of-fold predictions."""
        return _read_tsv(self.folder / CONTROLS).set_index("participant_id")

    @cached_property
    def cross_validation(self) -> pd.DataFrame:
        """All out-of-fold predictions."""
        return _read_tsv(self.folder / CROSS_VALIDATION)

    @cached_property
    def mean_maps(self) -> np.ndarray:
        """Mean map of the training people, which stands in occluded places."""
        import numpy as np

        return np.load(self.folder / MEAN_MAPS, allow_pickle=False)[np.newaxis]

    @cached_property
    def fingerprint(self) -> str:
        """Short hash of the model, so that predictions of two are never mixed."""
        return hashlib.sha256((self.folder / MODEL_SIGN).read_bytes()).hexdigest()[:16]

    def corrector(self, *, new_site: bool) -> Any:
        """Fit the bias of predictions with age on controls who were predicted the same way.

        Parameters
        ----------
        new_site : bool
            Whether for people of a site that the model has not seen.

        Returns
        -------
        corrector : BrainAgeBiasCorrector
            Its gap is measured from what controls of the same age get.
        """
        from ..metrics import BrainAgeBiasCorrector

        controls = self.controls
        unseen = new_site and "prediction_new_site" in controls
        return BrainAgeBiasCorrector(method="de_lange").fit(
            controls["prediction_new_site" if unseen else "prediction"],
            controls["age"],
            fold=controls["site" if unseen else "fold"],
            groups=controls.get("person"),
        )

    def in_words(self) -> dict[str, Any]:
        """Say in words where the model comes from, for pages."""
        card = self.card
        words = {
            "name": card.title,
            "pipeline": card.model,
            "folder": str(self.folder.absolute()),
            "fingerprint": self.fingerprint,
            "training people": card.n_people,
            "training sites": ", ".join(card.sites) if "site" in self.controls else "not known",
            "trained": card.date,
        }
        if card.age_range is not None:
            words["training ages"] = "{:g} to {:g} years".format(*card.age_range)
        errors = {
            f"mean absolute error, {PROTOCOLS.get(one.protocol, one.protocol)}": (
                f"{one.value:.1f} years"
            )
            for one in card.metrics
            if one.name == "mae"
        }
        return {**words, "errors": errors} if errors else words


def brain_mean(maps: Any) -> np.ndarray:
    """Average the maps of the training people, voxel by voxel over those who have it."""
    from ..inspection._fill import cohort_fill

    return cohort_fill(maps)


def _read_tsv(path: Path) -> pd.DataFrame:
    """Read a table that train wrote, ids as text."""
    import pandas as pd

    from ..exceptions import DataError

    text = {name: str for name in ("participant_id", "person", "site", "sex")}
    try:
        return pd.read_csv(path, sep="\t", dtype=text, na_values=["n/a"])
    except FileNotFoundError as error:
        raise DataError(
            f"{path.parent} has no {path.name}, so it was not written by mresklearn train: train "
            "the model with it, which keeps the predictions of controls."
        ) from error
