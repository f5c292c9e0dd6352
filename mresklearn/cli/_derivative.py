"""The BIDS derivative that predictions are written to: names, columns, and what is finished."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ._files import write_atomically, write_json

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "Derivative", "PersonFiles"]

NAME = "mresklearn"
DESCRIPTION = "dataset_description.json"
GROUP_TABLE = "desc-brainage_predictions.tsv"
COLUMNS = {
    "participant_id": {"Description": "Person, as in the names of the files."},
    "session_id": {"Description": "Session."},
    "original_id": {"Description": "Id of the row in the table that was given."},
    "age": {"Description": "Chronological age.", "Units": "year"},
    "sex": {"Description": "Sex.", "Levels": {"F": "female", "M": "male"}},
    "site": {"Description": "Site of the scan."},
    "diagnosis": {"Description": "Diagnosis in the table that was given."},
    "predicted_age": {"Description": "Predicted age, without bias correction.", "Units": "year"},
    "lower": {"Description": "Lower end of the interval of the predicted age.", "Units": "year"},
    "upper": {"Description": "Upper end of the interval of the predicted age.", "Units": "year"},
    "interval_basis": {"Description": "Whose held-out errors the interval was made from."},
    "gap": {"Description": "Predicted minus chronological age.", "Units": "year"},
    "corrected_gap": {
        "Description": "Predicted age minus that of controls of the same age, by a line through "
        "their out-of-fold predictions (de Lange and Cole 2020).",
        "Units": "year",
    },
    "percentile": {
        "Description": "Share of controls of the same age with a smaller corrected gap.",
        "Units": "percent",
    },
    "in_training": {
        "Description": "Whether somebody of this id, age and site was among the training people, "
        "whom the model predicts too well.",
        "Levels": {"0": "no", "1": "yes"},
    },
    "n_warnings": {"Description": "Warnings; the JSON file and the page of the person list them."},
}


@dataclass(frozen=True)
class PersonFiles:
    """Where the files of one person and session lie.

    Parameters
    ----------
    root : Path
        Folder of the derivative.
    subject, session : str
        Labels; the session is ``""`` where there is none.
    """

    root: Path
    subject: str
    session: str

    @classmethod
    def of(cls, root: Path, row: str) -> PersonFiles:
        """Name the files of a row.

        Characters that BIDS labels may not have are left out; a label of which nothing would stay
        is the same hexadecimal digits in every run.
        """
        subject, _, session = row.removeprefix("sub-").partition("_ses-")
        return cls(root, _label(subject), _label(session) if session else "")

    @property
    def name(self) -> str:
        """Name of the person and session."""
        return f"sub-{self.subject}" + (f"_ses-{self.session}" if self.session else "")

    def _file(self, ending: str) -> Path:
        folder = self.root / f"sub-{self.subject}"
        folder = folder / f"ses-{self.session}" if self.session else folder
        return folder / f"{self.name}_desc-brainage_{ending}"

    @property
    def table(self) -> Path:
        """The prediction."""
        return self._file("predictions.tsv")

    @property
    def sidecar(self) -> Path:
        """What its columns are, and where it comes from; written last."""
        return self._file("predictions.json")

    @property
    def saliency(self) -> Path:
        """Map of what the prediction rests on."""
        return self._file("saliency.nii.gz")

    @property
    def page(self) -> Path:
        """Page to read."""
        return self.root / f"{self.name}.html"

    def remove(self) -> None:
        """Remove all files; the sidecar goes first, so that none passes for finished."""
        for path in (self.sidecar, self.table, self.page, self.saliency):
            path.unlink(missing_ok=True)

    def is_finished(self, fingerprint: str, *, saliency: bool, page: bool) -> bool:
        """Tell whether all that is asked for was written with this model."""
        wanted = [self.table, self.sidecar]
        wanted += [self.saliency] if saliency else []
        wanted += [self.page] if page else []
        if not all(path.is_file() for path in wanted):
            return False
        try:
            record = json.loads(self.sidecar.read_text(encoding="utf-8"))
        except ValueError:
            return False
        return record.get("ModelFingerprint") == fingerprint


def _label(name: str) -> str:
    """Make a BIDS label, which holds letters and digits of English only."""
    kept = re.sub(r"[^a-zA-Z0-9]", "", name)
    return kept or hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:12]


@dataclass(frozen=True)
class Derivative:
    """A folder of predictions.

    Parameters
    ----------
    root : Path
        The folder.
    """

    root: Path

    def check(self, fingerprint: str, *, force: bool) -> None:
        """Refuse a folder of other things, and one of another model.

        Parameters
        ----------
        fingerprint : str
            Of the model.
        force : bool
            Whether predictions of another model may be replaced.

        Raises
        ------
        FileExistsError
            If the folder may not be used.
        """
        if not self.root.exists() or self._is_empty():
            return
        made = self._generated_by()
        if made is None:
            raise FileExistsError(
                f"{self.root} holds other things than predictions of {NAME}: give a folder of "
                "its own."
            )
        if made.get("ModelFingerprint") != fingerprint and not force:
            raise FileExistsError(
                f"{self.root} holds predictions of another model ({made.get('Model')}): give "
                "another folder, or replace them with --force."
            )

    def _is_empty(self) -> bool:
        """Tell whether there is nothing but what other runs are writing just now."""
        return self.root.is_dir() and all(path.name.startswith(".") for path in self.root.iterdir())

    def _generated_by(self) -> dict[str, Any] | None:
        """Read what the description says of this package; None if it is not by it."""
        try:
            content = json.loads((self.root / DESCRIPTION).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        made = [one for one in content.get("GeneratedBy", []) if one.get("Name") == NAME]
        return made[0] if made else None

    @property
    def model_folder(self) -> Path | None:
        """Folder of the model that the predictions are from, if it is known."""
        made = self._generated_by()
        return Path(made["Model"]) if made and made.get("Model") else None

    def describe(self, model: Path, fingerprint: str, source: Path) -> None:
        """Write the description that BIDS asks of a derivative.

        Parameters
        ----------
        model : Path
            Folder of the model.
        fingerprint : str
            Of the model.
        source : Path
            Where the people come from.
        """
        content = {
            "Name": "Predicted brain age",
            "BIDSVersion": "1.9.0",
            "DatasetType": "derivative",
            "GeneratedBy": [
                {
                    "Name": NAME,
                    "Version": __version__,
                    "Model": str(model.absolute()),
                    "ModelFingerprint": fingerprint,
                }
            ],
            "SourceDatasets": [{"URL": source.absolute().as_uri()}],
        }
        path = self.root / DESCRIPTION
        if not path.is_file() or json.loads(path.read_text(encoding="utf-8")) != content:
            write_json(path, content)

    def tables(self) -> list[Path]:
        """Tables of all finished people, in the order of their names."""
        found = self.root.glob("sub-*/**/*_desc-brainage_predictions.tsv")
        return sorted(path for path in found if path.with_suffix(".json").is_file())

    def collect(self) -> pd.DataFrame:
        """Read the predictions of all finished people.

        Returns
        -------
        people : DataFrame
            A row a person and session.

        Raises
        ------
        DataError
            If there are none, or they are of several models.
        """
        import pandas as pd

        from ..exceptions import DataError

        paths = self.tables()
        if not paths:
            raise DataError(
                f"{self.root} holds no predictions: run `mresklearn predict`, or the participant "
                "level, first."
            )
        prints = {
            json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["ModelFingerprint"]
            for path in paths
        }
        if len(prints) > 1:
            raise DataError(
                f"{self.root} holds predictions of {len(prints)} models, which cannot be compared. "
                "Predict all people again with one of them, with --force."
            )
        return pd.concat([read_predictions(path) for path in paths], ignore_index=True)

    def write_group_table(self) -> Path:
        """Write one table of all finished people, with its sidecar."""
        people = self.collect()
        columns = [name for name in COLUMNS if name in people]
        path = self.root / GROUP_TABLE
        write_table(people[columns], path)
        write_json(path.with_suffix(".json"), {name: COLUMNS[name] for name in columns})
        return path


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a table of predictions, names as text."""
    import pandas as pd

    text = ("participant_id", "session_id", "original_id", "sex", "site", "diagnosis")
    return pd.read_csv(path, sep="\t", dtype=dict.fromkeys(text, str), na_values=["n/a"])


def write_table(frame: pd.DataFrame, path: Path) -> Path:
    """Write a table as BIDS has them."""
    return write_atomically(
        path,
        lambda beside: frame.to_csv(
            beside, sep="\t", index=False, na_rep="n/a", float_format="%.4f"
        ),
    )
