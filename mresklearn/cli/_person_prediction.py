"""Prediction of one person: numbers, warnings, map and page, by calls of the library."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any

from .. import __version__
from ._derivative import COLUMNS, PersonFiles, write_table
from ._files import write_atomically, write_json
from ._model_folder import TrainedModel

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PersonPredictor"]

SAME_AGE = 0.01  # years
SEEN = (
    "Somebody of this id, age and site was among the training people, whom the model predicts too "
    "well; controls.tsv of the model holds their prediction by a model without them."
)
SITE_UNKNOWN = "site not known: judged as a new site"


@dataclass
class PersonPredictor:
    """Predicts people one by one, so that one bad file is the problem of one person.

    Parameters
    ----------
    model : TrainedModel
        What `mresklearn train` wrote.
    saliency : bool
        Whether to map what a prediction rests on.
    page : bool
        Whether to write a page.
    """

    model: TrainedModel
    saliency: bool
    page: bool
    _control_gaps: dict[bool, Any] = field(default_factory=dict, repr=False)

    def write(self, files: PersonFiles, X: pd.DataFrame, person: pd.Series) -> dict[str, Any]:
        """Predict a person and write all files; the sidecar, which marks them as whole, last.

        What was there of this person before goes first, as a page or a map of another run would
        pass for one of this.

        Parameters
        ----------
        files : PersonFiles
            Where to.
        X : DataFrame
            One row, as the model takes it.
        person : Series
            What is known of them, with their age.

        Returns
        -------
        row : dict
            The row of the table.
        """
        import pandas as pd

        row, reasons, quality = self._predict(files, X, person)
        salient = self._map(X) if self.saliency else None
        page = self._page(files, row, reasons, quality, salient)
        row["n_warnings"] = len(page.warnings)
        files.remove()
        if salient is not None:
            write_atomically(files.saliency, lambda beside: salient.to_nifti(beside, 0))
        if self.page:
            write_atomically(files.page, page.to_html)
        row = {name: row[name] for name in COLUMNS if name in row}
        write_table(pd.DataFrame([row]), files.table)
        write_json(files.sidecar, self._sidecar(row, page.warnings, quality, X, salient))
        return row

    def _predict(
        self, files: PersonFiles, X: pd.DataFrame, person: pd.Series
    ) -> tuple[dict[str, Any], list[str], dict[str, Any]]:
        """Predict; return the row, why the model may not hold, and what the images are like."""
        from ..reporting import place_gap

        model = self.model
        row = {
            "participant_id": f"sub-{files.subject}",
            **({"session_id": f"ses-{files.session}"} if files.session else {}),
            "original_id": X.index[0],
        }
        row |= {
            name: person[name] for name in ("age", "sex", "site", "diagnosis") if name in person
        }
        if model.has_intervals:
            predicted, interval = model.estimator.predict(X, return_interval=True)
            ends = interval.iloc[0]
            row |= {"lower": float(ends["lower"]), "upper": float(ends["upper"])}
            row["interval_basis"] = ends["basis"]
        else:
            predicted = model.estimator.predict(X)
        age = float(row["age"])
        row["predicted_age"] = float(predicted[0])
        row["gap"] = row["predicted_age"] - age
        new_site = self._is_new_site(row.get("site"))
        row["corrected_gap"] = float(self._corrector(new_site).gap(predicted[:1], [age])[0])
        placed = place_gap(
            row["corrected_gap"], age,
            control_gaps=self._gaps(new_site), control_ages=model.controls["age"].to_numpy(),
        )  # fmt: skip
        row["percentile"] = placed.percentile
        row["in_training"] = int(self._was_trained_on(row))
        quality = model.loader.quality_report(X).iloc[0].to_dict()
        return row, self._reasons(row), quality

    def _reasons(self, row: dict[str, Any]) -> list[str]:
        """Say why the model may not hold for this person."""
        known = {
            name: [row[name]]
            for name in ("age", "site", "sex")
            if name in row and row[name] == row[name] and row[name] is not None
        }
        if "site" not in self.model.controls:
            known.pop("site", None)  # no site was known in training, so none is new
        reasons = list(self.model.card.out_of_range(**known)[0])
        if "site" in self.model.controls and "site" not in known:
            reasons.append(SITE_UNKNOWN)
        return [*reasons, SEEN] if row["in_training"] else reasons

    def _was_trained_on(self, row: dict[str, Any]) -> bool:
        controls = self.model.controls
        if row["original_id"] not in controls.index:
            return False
        seen = controls.loc[row["original_id"]]
        return abs(float(seen["age"]) - row["age"]) < SAME_AGE and seen.get("site") == row.get(
            "site"
        )

    def _is_new_site(self, site: Any) -> bool:
        controls = self.model.controls
        return "site" in controls and site not in set(controls["site"])

    @cached_property
    def _correctors(self) -> dict[bool, Any]:
        return {new: self.model.corrector(new_site=new) for new in (False, True)}

    def _corrector(self, new_site: bool) -> Any:
        return self._correctors[new_site]

    def _gaps(self, new_site: bool) -> Any:
        """Corrected gaps of the controls, predicted the same way."""
        controls = self.model.controls
        unseen = new_site and "prediction_new_site" in controls
        column = controls["prediction_new_site" if unseen else "prediction"]
        return self._corrector(new_site).gap(column.to_numpy(), controls["age"].to_numpy())

    def _map(self, X: pd.DataFrame) -> Any:
        """Map how the prediction changes where the brain is replaced by that of the controls."""
        from ..inspection import occlusion_map

        return occlusion_map(self.model.pipeline, X, reference=self.model.mean_maps, score="change")

    def _page(
        self, files: PersonFiles, row: dict[str, Any], reasons: list[str],
        quality: dict[str, Any], salient: Any,
    ) -> Any:  # fmt: skip
        new_site = self._is_new_site(row.get("site"))
        ends = (row["lower"], row["upper"]) if "lower" in row else None
        return _draw_page(
            salient if self.page else None,
            participant=files.name,
            age=float(row["age"]),
            predicted=row["predicted_age"],
            interval=ends,
            confidence=getattr(self.model.estimator, "coverage", 0.9),
            interval_basis=row.get("interval_basis", ""),
            corrected_gap=row["corrected_gap"],
            control_gaps=self._gaps(new_site),
            control_ages=self.model.controls["age"].to_numpy(),
            out_of_range=reasons,
            quality=quality,
            quality_reference=self.model.loader.quality_,
            model=self.model.in_words(),
            details={
                name: row[name] for name in ("sex", "site", "diagnosis", "original_id")
                if isinstance(row.get(name), str)
            },
        )  # fmt: skip

    def _sidecar(
        self, row: dict[str, Any], warnings: Any, quality: dict[str, Any], X: pd.DataFrame,
        salient: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Describe the columns, and where the numbers come from."""
        kinds = [kind for kind in X if kind in self.model.loader.feature_names_in_]
        record: dict[str, Any] = {name: COLUMNS[name] for name in row}
        record["Sources"] = [str(X[kind].iloc[0]) for kind in kinds if kind != "site"]
        record["GeneratedBy"] = [{"Name": "mresklearn", "Version": __version__}]
        record["Model"] = str(self.model.folder.absolute())
        record["ModelFingerprint"] = self.model.fingerprint
        record["Warnings"] = list(warnings)
        record["Quality"] = {name: _for_json(value) for name, value in quality.items()}
        if salient is not None:
            record["Saliency"] = {"Description": salient.unit, "Units": "year"}
        return record


def _draw_page(salient: Any, **content: Any) -> Any:
    """Make the page, with the map on the MNI152 template or, lying elsewhere, on an outline."""
    import numpy as np

    from ..exceptions import DataError
    from ..reporting import person_report

    if salient is None or not np.nan_to_num(salient.subject_map(0)).any():
        return person_report(**content)
    try:
        return person_report(saliency=salient, **content)
    except DataError:  # maps of a space of their own have no template to lie on
        return person_report(saliency=salient, anatomy=None, **content)


def _for_json(value: Any) -> Any:
    """Return text or a number; JSON knows no NaN."""
    if isinstance(value, str):
        return value
    return float(value) if isfinite(value) else None
