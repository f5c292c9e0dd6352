"""regional_report: where in the brain predicted ages follow age, and where patients look older."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from ..metrics._adjusted_p_values import CORRECTIONS, adjust_p_values
from ._regional_people import (
    average_by_person,
    check_order,
    check_people_and_regions,
    covariates_of,
    find_apart,
)
from ._regional_places import place_regions
from ._regional_sensitivity import age_sensitivity
from ._regional_separation import separate_group

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["RegionalReport", "regional_report"]


@dataclass(frozen=True, eq=False)
class RegionalReport:
    """Age sensitivity and separation of diagnoses by region; :func:`regional_report` makes it.

    Attributes
    ----------
    table : DataFrame
        One row a region: by smallest p where there are diagnoses, else by largest correlation with
        age. Columns

        n_voxels : int
            Voxels of the region in the label image; only with one.
        mae, mae_low, mae_high : float
            Mean absolute error of the reference people, in years, and its interval.
        r, r_low, r_high : float
            Correlation of predicted and chronological age of the reference people, and its
            interval; NaN where the predicted ages are all alike.
        r2 : float
            Share of the variance of age of the reference people that the predictions explain, below
            0 where they are worse than the mean age.

        and for each other diagnosis, here AD,

        auc_AD, auc_low_AD, auc_high_AD : float
            Probability that somebody with this diagnosis has a larger gap than a reference person
            of the same age, sex and site, and its interval.
        difference_AD, difference_low_AD, difference_high_AD : float
            Mean gap of this diagnosis minus that of reference people of the same age, sex and site,
            in years, and its interval.
        p_AD, p_corrected_AD : float
            Two-sided p of no difference, by itself and corrected for all regions and diagnoses.
    groups : tuple of str
        The diagnoses compared with the reference.
    n_people : dict of str to int
        Persons by diagnosis; without diagnoses, of ``"everybody"``.
    held_fixed : tuple of str
        Covariates of the separation that varied.
    correction : str or None
        How p was corrected.
    confidence : float
        Coverage of the intervals, each by itself.
    image : nibabel image or None
        In each voxel the row of `table` that its region has, from 1; 0 elsewhere. Of regions that
        overlap, the one further down has the voxel. None without a label image.
    """

    table: pd.DataFrame = field(repr=False)
    groups: tuple[str, ...]
    n_people: dict[str, int]
    held_fixed: tuple[str, ...]
    correction: str | None
    confidence: float
    image: Any = field(repr=False)

    def plot(self, *, background: Any = None, alpha: float = 0.05) -> Figure:
        """Draw the brain by age sensitivity and by separation, and each region with its interval.

        The brain needs a label image; without one there are the intervals alone. Regions whose
        corrected p is below `alpha` are outlined in the brain and filled among the intervals.

        Parameters
        ----------
        background : nibabel image, path or None, default=None
            Anatomy behind the regions, in the space of the label image. None takes the MNI152
            template of nilearn.
        alpha : float, default=0.05
            Largest corrected p that is marked.

        Returns
        -------
        figure : matplotlib Figure
            Save it with ``figure.savefig``.
        """
        from ._regional_plot import draw_report  # matplotlib and nilearn only where it is drawn

        return draw_report(self, background, alpha)


@validate_params(
    {
        "reference": [str],
        "region_names": ["array-like", None],
        "regions": [dict, list, tuple, None],
        "correction": [StrOptions(set(CORRECTIONS)), None],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
        "n_resamples": [Interval(Integral, 100, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def regional_report(
    predicted: ArrayLike,
    age: ArrayLike,
    *,
    diagnosis: ArrayLike | None = None,
    reference: str = "CN",
    sex: ArrayLike | None = None,
    site: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    region_names: Sequence[str] | None = None,
    labels: Any = None,
    names: Any = None,
    regions: Any = None,
    correction: str | None = "holm",
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int | np.random.RandomState | None = 0,
) -> RegionalReport:
    r"""Report by region how well brain age follows age, and how far patients are from controls.

    Parameters
    ----------
    predicted : DataFrame or array-like of shape (n_rows, n_regions)
        Age of each row from each region, in years: out of fold, or of people that the models have
        not seen, and not corrected for age bias. See
        :class:`~mresklearn.estimators.RegionalBrainAge`.
    age : array-like of shape (n_rows,)
        Chronological age in years.
    diagnosis : array-like of shape (n_rows,), default=None
        Diagnosis of each row, one for all rows of a person. None: everybody is a reference person,
        and there is no separation.
    reference : str, default="CN"
        The diagnosis that the others are compared with. Age sensitivity is measured in these people
        alone.
    sex, site : array-like of shape (n_rows,), default=None
        Held fixed in the separation, beside age; None leaves it out. Site matters: scanners shift
        predicted ages.
    groups : array-like of shape (n_rows,), default=None
        Person of each row. None: every row is a person.
    region_names : sequence of str, default=None
        Names of the columns of an array: ``get_feature_names_out()`` of the fitted models. None
        takes those of the DataFrame, else ``region0`` and so on.
    labels : path, nibabel image, nilearn atlas or None, default=None
        Label image that the regions come from, for the picture.
    names : dict, DataFrame, path or None, default=None
        Label -> name, as for RegionalBrainAge.
    regions : dict, list or None, default=None
        What regions are made of, as for RegionalBrainAge; None looks them up by name.
    correction : {"holm", "bonferroni", "fdr_bh", "fdr_by"} or None, default="holm"
        How p is corrected, over regions times diagnoses. Holm and Bonferroni bound the probability
        of any false finding, the others the expected share of false findings: "fdr_bh" for regions
        that go together positively, as they do, "fdr_by" for any.
    confidence : float, default=0.95
        Coverage of each interval by itself.
    n_resamples : int, default=2000
        Bootstrap samples of persons for the intervals of age sensitivity.
    random_state : int, RandomState instance or None, default=0
        Seed of these.

    Returns
    -------
    report : RegionalReport
        With ``table``, ``image`` and ``plot()``.

    Raises
    ------
    ValueError
        If a value is missing, lengths differ, nobody has the reference diagnosis, a diagnosis has
        fewer than 2 persons, a person has two diagnoses, a covariate stands in for a diagnosis
        (such as a site for each), there are too few people, or a region is not in the label image.

    See Also
    --------
    mresklearn.estimators.RegionalBrainAge : The models.
    mresklearn.metrics.bootstrap_ci : The kind of interval of age sensitivity.

    Notes
    -----
    **Separation.** Least squares of the gap, predicted minus chronological age, on diagnoses, age,
    its square, sex and site, in each region. Intervals and p hold where patients vary more than
    controls and are few: HC2 with the degrees of freedom of Bell and McCaffrey [1]_. Level at 0.05
    with 11 patients and 60 controls (1000 draws each): 0.05, with twice the noise in patients 0.06,
    and 0.07 if they are also older than most controls. With controls predicted out of fold and
    patients by the model of all controls, on 1 to 300 simulated features, it is 0.04-0.07 (250
    draws each). Rows of a person are averaged first.

    **Area under the curve**, of the gap less the effects of the covariates, each estimated without
    the person, with an interval that allows for their estimation, as in
    :func:`~mresklearn.metrics.compare_gaps`; without covariates it is DeLong's [2]_. Simulated
    (``benchmarks/gap_comparison_level.py``), 12 to 60 controls and patients who are as old or 10
    years older. The interval of the area covers 0.85-0.97 / 0.90-0.98 / 0.94-0.99 with 3 / 5 / 11
    or 20 patients, and 0.79-0.96 / 0.84-0.95 / 0.87-0.95 with the adjustment taken as known.

    Accuracy and separation are different things. A region that hardly follows age can still
    separate patients, and its difference in years is then small, since its predictions stay near
    the mean age: compare regions by area, not by years.

    Corrected p are of differences, not of which region differs *more* than another.

    References
    ----------
    .. [1] Bell, R. M., McCaffrey, D. F. (2002). Bias reduction in standard errors for linear
       regression with multi-stage samples. Survey Methodology 28, 169-181.
    .. [2] DeLong, E. R., DeLong, D. M., Clarke-Pearson, D. L. (1988). Comparing the areas under two
       or more correlated receiver operating characteristic curves. Biometrics 44, 837-845.

    Examples
    --------
    A thalamus that follows age, and a hippocampus that looks 8 years older in disease:

    >>> import numpy as np
    >>> import pandas as pd
    >>> from mresklearn.evaluation import regional_report
    >>> rng = np.random.default_rng(0)
    >>> diagnosis = np.repeat(["CN", "AD"], [80, 20])
    >>> age = rng.uniform(55, 90, 100)
    >>> predicted = pd.DataFrame(
    ...     {
    ...         "thalamus": age + rng.normal(0, 4, 100),
    ...         "hippocampus": 70 + 8 * (diagnosis == "AD") + rng.normal(0, 5, 100),
    ...     }
    ... )
    >>> report = regional_report(predicted, age, diagnosis=diagnosis)
    >>> report.table[["r", "auc_AD", "difference_AD", "p_corrected_AD"]].round(1)
                   r  auc_AD  difference_AD  p_corrected_AD
    region
    hippocampus -0.1     0.8            6.5             0.0
    thalamus     0.9     0.4           -0.8             0.4
    """
    people = check_people_and_regions(predicted, age, region_names, diagnosis, reference, groups)
    check_order(predicted, sex=sex, site=site)
    own = people.codes == 0
    table = age_sensitivity(
        people.predicted[own],
        people.age[own],
        np.unique(people.person[own], return_inverse=True)[1],
        confidence=confidence,
        n_resamples=n_resamples,
        random=check_random_state(random_state),
    )
    table.index = pd.Index(people.regions, name="region")
    held_fixed: tuple[str, ...] = ()
    order = np.argsort(-table.r.to_numpy(), kind="stable")
    if len(people.names) > 1:
        covariates, held_fixed = covariates_of(people, sex, site)
        table, order = _with_separation(table, people, covariates, site, correction, confidence)
    image = None
    if labels is not None:
        voxels, grid = place_regions(people.regions, labels, names, regions)
        table.insert(0, "n_voxels", [len(found) for found in voxels])
        image = _image([voxels[row] for row in order], grid)
    counts = np.bincount(people.codes[people.first_row], minlength=len(people.names))
    return RegionalReport(
        table=table.iloc[order],
        groups=tuple(people.names[1:]),
        n_people=dict(zip(people.names, counts.tolist(), strict=True)),
        held_fixed=held_fixed,
        correction=correction,
        confidence=confidence,
        image=image,
    )


def _with_separation(
    table: pd.DataFrame,
    people: Bunch,
    covariates: np.ndarray,
    site: Any,
    correction: str | None,
    confidence: float,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Add the columns of each diagnosis, and order regions by the smallest p."""
    gap = average_by_person(people.predicted - people.age[:, None], people.person)
    design = average_by_person(covariates, people.person)
    codes = people.codes[people.first_row]
    if len(gap) <= design.shape[1] + len(people.names) - 1:
        raise ValueError(
            f"{len(gap)} people are too few for {design.shape[1] + len(people.names) - 1} "
            "coefficients of diagnoses and covariates. Leave out site= or sex=, or add people."
        )
    apart = find_apart(people, site)
    parts = []
    for group, name in enumerate(people.names[1:], start=1):
        part = separate_group(gap, design, codes, group, apart=apart, confidence=confidence)
        if part is None:
            raise ValueError(
                f"{name} and {people.names[0]} cannot be told apart from the covariates: nobody, "
                "or a single person, links them at one site, say, so the difference of diagnoses "
                "is that of sites. "
                "Compare with controls of the same sites. With site=None the difference comes out, "
                "with that of the scanners in it."
            )
        parts.append(part)
    p_values = np.column_stack([part.p for part in parts])
    corrected = adjust_p_values(p_values, correction)
    for part, name, p in zip(parts, people.names[1:], corrected.T, strict=True):
        part["p_corrected"] = p
        table = table.join(part.add_suffix(f"_{name}").set_axis(table.index))
    smallest = np.where(np.isnan(p_values), np.inf, p_values).min(axis=1)
    return table, np.argsort(smallest, kind="stable")


def _image(voxels: list[np.ndarray], grid: Any) -> nib.Nifti1Image:
    data = np.zeros(grid.shape, np.int16)
    for row, found in enumerate(voxels, start=1):
        data.flat[found] = row
    return nib.Nifti1Image(data, grid.matrix)
