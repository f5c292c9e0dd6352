"""What was found when studies were pooled, as a table and as text."""

import pandas as pd

__all__ = ["PoolingReport"]

COLUMNS = ["study", "item", "map", "name", "value", "detail"]
# the study of rows that are about all of them
ALL = "all studies"
WARNING = "warning"


class PoolingReport:
    """What :func:`pool_cohorts` found in every study, so that a pool can be trusted or corrected.

    ``print(report)`` is for reading, :meth:`to_frame` for computing, and :attr:`warnings` lists
    what no software can decide: sites with one sex, grids of different spaces, people who may be
    in the pool twice.

    Parameters
    ----------
    rows : sequence of tuple
        (study, item, map, name, value, detail) of every finding, in the order of the text.

    Attributes
    ----------
    warnings : list of str
        What deserves a look, each beginning with its study.

    Examples
    --------
    >>> from mresklearn.datasets import PoolingReport
    >>> report = PoolingReport([
    ...     ("Delaware", "participants", "", "kept", 12, ""),
    ...     ("Delaware", "unit", "stiffness", "Pa", 12, "medians 2410 to 3010"),
    ...     ("Delaware", "warning", "", "", "", "site 'Delaware' has women only (12)"),
    ... ])
    >>> print(report)
    Delaware
      participants    kept 12
      unit, stiffness Pa 12 (medians 2410 to 3010)
    To check
      Delaware: site 'Delaware' has women only (12)
    >>> report.to_frame().query("item == 'unit'").value.tolist()
    [12]
    """

    def __init__(self, rows):
        self._frame = pd.DataFrame(list(rows), columns=COLUMNS).astype(object)

    def to_frame(self):
        """Return the findings as a tidy table.

        Returns
        -------
        frame : DataFrame
            Columns ``study``, ``item`` (``"participants"``, ``"dropped"``, ``"unlisted file"``,
            ``"age"``, ``"sex"``, ``"site"``, ``"diagnosis"``, ``"unit"``, ``"grid"``,
            ``"background"``, ``"orientation"``, ``"brain voxels"``, ``"brain volume (ml)"``,
            ``"duplicate"``, ``"look-alike"``, ``"load with"``, ``"warning"``), ``map`` (the map
            kind, where the finding is about one), ``name`` (what is counted, or the statistic),
            ``value`` and ``detail`` (text). Ages are in years, medians in the unit on disk.
        """
        return self._frame.copy()

    @property
    def warnings(self):
        """What deserves a look, each beginning with its study."""
        rows = self._frame[self._frame["item"] == WARNING]
        return [f"{row.study}: {row.detail}" for row in rows.itertuples()]

    def summary(self):
        """Return the findings as text, study by study, with the warnings at the end.

        Returns
        -------
        text : str
            One line per item.
        """
        lines = []
        findings = self._frame[self._frame["item"] != WARNING]
        for study, rows in findings.groupby("study", sort=False):
            lines.append(str(study))
            for (item, kind), group in rows.groupby(["item", "map"], sort=False):
                title = f"{item}, {kind}" if kind else item
                lines.append(f"  {title:<15} {_one_line(group)}")
        if self.warnings:
            lines += ["To check", *(f"  {warning}" for warning in self.warnings)]
        return "\n".join(lines)

    def __str__(self):
        return self.summary()

    def __repr__(self):
        n_studies = self._frame.loc[self._frame["study"] != ALL, "study"].nunique()
        return f"PoolingReport({n_studies} studies, {len(self.warnings)} warnings)"


def _one_line(group, limit=8):
    parts = []
    for row in group.itertuples():
        text = " ".join(part for part in (str(row.name), _number(row.value)) if part)
        detail = f"({row.detail})" if text and row.detail else row.detail
        parts.append(" ".join(part for part in (text, detail) if part))
    if len(parts) > limit:
        parts = [*parts[:limit], f"and {len(parts) - limit} more"]
    return ", ".join(parts)


def _number(value):
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)
