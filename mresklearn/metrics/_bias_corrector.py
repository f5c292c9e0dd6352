"""BrainAgeBiasCorrector: the bias of predicted age with age, learned on controls out of fold."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._metadata import check_labels
from ..exceptions import MissingMetadataError, UnanswerableWarning
from ._bias_lines import common_line, site_lines
from ._checks import check_ages, check_numbers
from ._corrected_age import CorrectedAge
from ._out_of_fold import read_out_of_fold

__all__ = ["BrainAgeBiasCorrector"]

CALLER = 4  # stack level: `fit`, the check of its parameters and this module lie in between


class BrainAgeBiasCorrector(BaseEstimator):
    r"""Take the bias with age out of predicted ages, for looking at gaps; never for accuracy.

    Every predictor with errors makes the young older and the old younger. The bias is a line, which
    is fitted to out-of-fold predictions for training controls, and taken out of the predictions for
    anybody else. What it must not be fitted on is refused: predictions for training people, and
    patients. And what it returns cannot be scored: see Notes.

    Parameters
    ----------
    method : {"cole", "de_lange"}, default="cole"
        With the line :math:`\hat y = \alpha + \beta y`: ``"cole"`` reads it backwards,
        :math:`(\hat y - \alpha) / \beta`, needs no age, and is refused where the slope is not above
        0 beyond doubt. ``"de_lange"``, the method of Beheshti and of de Lange and Cole, adds what
        the line lacks at the age of the person, :math:`\hat y + y - (\alpha + \beta y)`.
    by_site : bool, default=False
        A line for each site with enough people. The line for all others then has the slope within
        sites.
    min_people : int, default=30
        Controls that a site needs for its own line.
    unseen : {"pooled", "raise"}, default="pooled"
        With `by_site`, what a site without training controls gets: the line for all, or an error.
    reference : str, default="CN"
        The diagnosis of controls, where diagnoses are given to `fit`.
    protocol : str, default="within_site"
        Which predictions of a :func:`~mresklearn.model_selection.cross_validate_sites` are learned
        from; take ``"leave_one_site_out"`` to correct predictions at new sites.
    confidence : float, default=0.95
        Coverage of the intervals of slopes.

    Attributes
    ----------
    intercept_, slope_ : float
        The line for all: predicted age at age 0 in years, and years predicted per year of age.
    slope_interval_ : tuple of float
        Interval of the slope, for errors that differ in size and go together within a person.
    lines_ : DataFrame or None
        With `by_site`, one row a site: ``n_people``, ``intercept``, ``slope``, ``slope_low``,
        ``slope_high``, ``weight_of_own_slope`` (the rest is that of the slope for all) and
        ``fallback``, empty or why the site has the line for all.
    fallback_sites_ : dict of str to str
        Sites that have the line for all, with the reason.
    age_range_ : tuple of float
        Ages of the controls; beyond them the line is a guess.
    n_people_ : int
        Number of controls.

    See Also
    --------
    compare_gaps : Groups compared by their gaps, with age as covariate.
    brain_age_gap : The gap without correction.

    Notes
    -----
    Method ``"cole"`` is that of [1]_, ``"de_lange"`` that of [2]_ and [3]_. Their corrected gaps
    are

    .. math::
        g_{cole} = \frac{\hat y - \alpha - \beta y}{\beta}, \quad
        g_{de\,lange} = \hat y - \alpha - \beta y = \beta\, g_{cole} ,

    so they order people alike. A brain that looks k years older moves the prediction by
    :math:`\beta k` only: Cole's gap is in years of age, de Lange's in years of prediction. With age
    as a covariate, tests and standardised differences of groups are the same for both, and for the
    gap without any correction [4]_. With lines by site, this holds if site is a covariate as well
    and the slopes agree.

    **Why accuracy is refused.** Where predictions have correlation r with age, de Lange's corrected
    age has, over the people that the line was fitted on,

    .. math::
        r' = \left(1 + \frac{\mathrm{var}(\hat y)}{\mathrm{var}(y)} (1 - r^2)\right)^{-1/2} .

    For predictions of noise r' goes to 1 as they come close to a constant: the worse the model, the
    better it looks; and since a least-squares model has :math:`\mathrm{var}(\hat y) = r^2
    \mathrm{var}(y)`, its r' is never below 0.89, whatever r is. See [5]_. Cole's corrected age has
    the r of the raw predictions, and errors over :math:`\beta`. So `transform` returns an object
    that NumPy and every score refuse, with this reason; its numbers are in ``.years``.

    The slope by site is drawn towards the common one, by empirical Bayes; its level is that of the
    people of the site. A line removes a bias in a line only.

    References
    ----------
    .. [1] Cole, J. H., et al. (2018). Brain age predicts mortality. Molecular Psychiatry 23,
       1385-1392.
    .. [2] Beheshti, I., Nugent, S., Potvin, O., Duchesne, S. (2019). Bias-adjustment in
       neuroimaging-based brain age frameworks: a robust scheme. NeuroImage: Clinical 24, 102063.
    .. [3] de Lange, A.-M. G., Cole, J. H. (2020). Commentary: Correction procedures in brain-age
       prediction. NeuroImage: Clinical 26, 102229.
    .. [4] Smith, S. M., Vidaurre, D., Alfaro-Almagro, F., Nichols, T. E., Miller, K. L. (2019).
       Estimation of brain age delta from brain imaging. NeuroImage 200, 528-539.
    .. [5] Butler, E. R., et al. (2021). Pitfalls in brain age analyses. Human Brain Mapping 42,
       4092-4101.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from mresklearn.metrics import BrainAgeBiasCorrector, brain_age_scores
    >>> from mresklearn.model_selection import cross_validate_sites
    >>> rng = np.random.default_rng(0)
    >>> site = np.repeat(["Mayo", "Utah"], 60)
    >>> age = rng.uniform(20, 80, 120)
    >>> X = age[:, np.newaxis] + rng.normal(0, 30, (120, 3))
    >>> controls = cross_validate_sites(Ridge(), X, age, site=site)
    >>> corrector = BrainAgeBiasCorrector().fit(controls)
    >>> 0.3 < corrector.slope_ < 0.6
    True

    The gap of a new person of 50 who is predicted at 55:

    >>> corrector.gap([55.0], [50.0]).round(1)
    array([7.2])

    Predictions of noise, after the correction that uses age, follow age perfectly:

    >>> noise = rng.normal(50, 0.5, 120)
    >>> abs(brain_age_scores(age, noise).r) < 0.1
    True
    >>> fold = np.tile([0, 1, 2, 3], 30)
    >>> de_lange = BrainAgeBiasCorrector(method="de_lange").fit(noise, age, fold=fold)
    >>> corrected = de_lange.transform(noise, age)
    >>> np.corrcoef(age, corrected.years)[0, 1].round(3)
    np.float64(1.0)
    >>> brain_age_scores(age, corrected)
    Traceback (most recent call last):
    ...
    ValueError: These ages went through a bias correction (method='de_lange'), and no accuracy ...
    """

    _parameter_constraints: dict = {
        "method": [StrOptions({"cole", "de_lange"})],
        "by_site": ["boolean"],
        "min_people": [Interval(Integral, 10, None, closed="left")],
        "unseen": [StrOptions({"pooled", "raise"})],
        "reference": [str],
        "protocol": [str],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(
        self,
        *,
        method: str = "cole",
        by_site: bool = False,
        min_people: int = 30,
        unseen: str = "pooled",
        reference: str = "CN",
        protocol: str = "within_site",
        confidence: float = 0.95,
    ):
        self.method = method
        self.by_site = by_site
        self.min_people = min_people
        self.unseen = unseen
        self.reference = reference
        self.protocol = protocol
        self.confidence = confidence

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        predicted: Any,
        y: ArrayLike | None = None,
        *,
        fold: ArrayLike | None = None,
        site: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        diagnosis: ArrayLike | None = None,
    ) -> BrainAgeBiasCorrector:
        """Learn the bias with age from out-of-fold predictions for training controls.

        Parameters
        ----------
        predicted : array-like of shape (n_rows,), DataFrame or Bunch
            Predicted ages in years. Or the result of
            :func:`~mresklearn.model_selection.cross_validate_sites` on controls, or its table
            ``predictions``, which has all of the following but `diagnosis`.
        y : array-like of shape (n_rows,), default=None
            Chronological ages in years.
        fold : array-like of shape (n_rows,), default=None
            Number of the test fold in which each row was predicted. Needed with arrays.
        site : array-like of shape (n_rows,), default=None
            Site of each row, needed with ``by_site=True``.
        groups : array-like of shape (n_rows,), default=None
            Person of each row. None: every row is a person.
        diagnosis : array-like of shape (n_rows,), default=None
            Diagnosis of each row (with a result of cross_validate_sites, of each row of its X).
            Given so that a patient among them is found.

        Returns
        -------
        self : BrainAgeBiasCorrector
            Fitted.

        Raises
        ------
        ValueError
            If predictions are not known to be out of fold, a person is in two folds, a row is not
            of a control, there are fewer than 10 people or one age, or ``method="cole"`` and the
            slope is not above 0 beyond doubt.
        MissingMetadataError
            If ``by_site=True`` and there is no site.

        Warns
        -----
        UnanswerableWarning
            If ``method="cole"`` and the slope is so uncertain that its lower bound is under half of
            it: the unit of the gap is then hardly known.
        """
        rows = read_out_of_fold(
            predicted,
            y,
            fold=fold,
            site=site,
            groups=groups,
            diagnosis=diagnosis,
            reference=self.reference,
            protocol=self.protocol,
        )
        names, codes = [], None
        if self.by_site:
            codes, names = check_labels(self._needed(rows.site), len(rows.age), name="site")
        line = common_line(rows.predicted, rows.age, rows.person, codes, self.confidence)
        if self.method == "cole":
            _check_slope(line)
        self.intercept_, self.slope_ = line.intercept, line.slope
        self.slope_interval_ = (line.slope_low, line.slope_high)
        self.lines_ = None
        self.fallback_sites_ = {}
        if codes is not None:
            self.lines_ = site_lines(
                rows,
                names,
                codes,
                line,
                min_people=self.min_people,
                needs_slope=self.method == "cole",
                confidence=self.confidence,
            )
            fallback = self.lines_.fallback
            self.fallback_sites_ = fallback[fallback != ""].to_dict()
        self.age_range_ = (float(rows.age.min()), float(rows.age.max()))
        self.n_people_ = len(np.unique(rows.person))
        return self

    def transform(
        self, predicted: ArrayLike, y: ArrayLike | None = None, *, site: ArrayLike | None = None
    ) -> CorrectedAge:
        """Correct predicted ages, for looking at single people.

        Parameters
        ----------
        predicted : array-like of shape (n_rows,)
            Predicted ages in years, by models that did not see these people.
        y : array-like of shape (n_rows,), default=None
            Chronological ages in years, needed by ``method="de_lange"``.
        site : array-like of shape (n_rows,), default=None
            Site of each row, needed with ``by_site=True``.

        Returns
        -------
        corrected : CorrectedAge
            With the numbers in ``.years``. Anything that takes it for an array raises.

        Raises
        ------
        ValueError
            If an age is missing, or a site is new and ``unseen="raise"``.
        """
        check_is_fitted(self)
        if self.method == "cole":
            raw = check_numbers(predicted, "predicted")
            intercept, slope = self._line_of_rows(site, len(raw))
            return CorrectedAge((raw - intercept) / slope, self.method)
        if y is None:
            raise ValueError(
                'method="de_lange" corrects with the age of each person: pass y. The method that '
                'needs no age is "cole".'
            )
        age, raw = check_ages(y, predicted)
        intercept, slope = self._line_of_rows(site, len(raw))
        return CorrectedAge(raw + (age - (intercept + slope * age)), self.method)

    def gap(
        self, predicted: ArrayLike, y: ArrayLike, *, site: ArrayLike | None = None
    ) -> np.ndarray:
        """Give the corrected gap: above 0, a brain looks older than those of controls of its age.

        Parameters
        ----------
        predicted : array-like of shape (n_rows,)
            Predicted ages in years, by models that did not see these people.
        y : array-like of shape (n_rows,)
            Chronological ages in years.
        site : array-like of shape (n_rows,), default=None
            Site of each row, needed with ``by_site=True``.

        Returns
        -------
        gap : ndarray of shape (n_rows,)
            Corrected predicted age minus chronological age: in years of age for ``"cole"``, in
            years of prediction for ``"de_lange"``.

        Raises
        ------
        ValueError
            If an age is missing, or a site is new and ``unseen="raise"``.
        """
        check_is_fitted(self)
        age, raw = check_ages(y, predicted)
        intercept, slope = self._line_of_rows(site, len(age))
        residual = raw - (intercept + slope * age)
        return residual / slope if self.method == "cole" else residual

    def _line_of_rows(
        self, site: ArrayLike | None, n_rows: int
    ) -> tuple[np.ndarray | float, np.ndarray | float]:
        """Intercept and slope for each row."""
        if self.lines_ is None:
            return self.intercept_, self.slope_
        codes, names = check_labels(self._needed(site), n_rows, name="site")
        new = [name for name in names if name not in self.lines_.index]
        if new and self.unseen == "raise":
            raise ValueError(
                f"Sites {', '.join(new)} had no training controls, so the bias there is not known. "
                'Fit with controls of these sites, or set unseen="pooled" to use the line for all.'
            )
        lines = self.lines_.reindex(names)
        intercept = lines.intercept.fillna(self.intercept_).to_numpy()
        slope = lines.slope.fillna(self.slope_).to_numpy()
        return intercept[codes], slope[codes]

    def _needed(self, site: Any) -> Any:
        if site is None:
            raise MissingMetadataError(
                "by_site=True needs the site of each row: pass site=, to fit, transform and gap "
                "alike. by_site=False has one line for all."
            )
        return site


def _check_slope(line: Any) -> None:
    """Refuse to divide by a slope that may be 0, and warn of one that is hardly known."""
    interval = f"{line.slope:.3g}, interval {line.slope_low:.3g} to {line.slope_high:.3g}"
    if line.slope_low <= 0:
        raise ValueError(
            f'Predictions do not follow age beyond doubt (slope {interval}), and method="cole" '
            "divides by this slope: gaps would be noise of any size. Improve the model, or use "
            'method="de_lange", whose gap is in years of prediction and does not divide.'
        )
    if line.slope_low < line.slope / 2:
        warnings.warn(
            f"The slope of predicted on chronological age is hardly known ({interval}), so gaps in "
            'years of age could as well be half or twice as large. Use method="de_lange", '
            "or fit on more controls. Tests with age as covariate are not touched by this.",
            UnanswerableWarning,
            stacklevel=CALLER,
        )
