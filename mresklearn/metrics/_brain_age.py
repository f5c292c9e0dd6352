"""Brain-age gap, and how good predicted ages are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from ._checks import check_ages, check_numbers

__all__ = ["brain_age_gap", "brain_age_scores", "slope"]


def brain_age_gap(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """Subtract the chronological from the predicted age: above 0, a brain looks older than it is.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Chronological ages in years.
    y_pred : array-like of shape (n_rows,)
        Predicted ages in years, of the same rows in the same order.

    Returns
    -------
    gap : ndarray of shape (n_rows,)
        Predicted minus chronological age, in years.

    Raises
    ------
    ValueError
        If an age is missing, the lengths differ, or both are pandas Series with different labels.

    Notes
    -----
    The gap falls with age, because every predictor with errors shrinks towards the mean age. So
    groups that differ in age differ in gap, with the same brains: compare gaps with age as a
    covariate [1]_.

    References
    ----------
    .. [1] Smith, S. M., Vidaurre, D., Alfaro-Almagro, F., Nichols, T. E., Miller, K. L. (2019).
       Estimation of brain age delta from brain imaging. NeuroImage 200, 528-539.

    Examples
    --------
    >>> from mresklearn.metrics import brain_age_gap
    >>> brain_age_gap([60.0, 70.0], [63.5, 66.0])
    array([ 3.5, -4. ])
    """
    age, predicted = check_ages(y_true, y_pred)
    return predicted - age


def brain_age_scores(
    y_true: ArrayLike, y_pred: ArrayLike, *, y_train: ArrayLike | None = None
) -> Bunch:
    r"""Score predicted ages: their error, against what no brain at all would give, and their bias.

    A mean absolute error means little by itself, since it falls with the range of ages. So it comes
    with the error of the best constant, and R2 is measured against the mean of the training ages,
    which a predictor knows, and not of the test ages, which it cannot know.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Chronological ages in years.
    y_pred : array-like of shape (n_rows,)
        Predicted ages in years: out of fold, and not corrected for age bias with the ages of these
        rows. After such a correction every score here is flattered, see Notes.
    y_train : array-like of shape (n_training_rows,), default=None
        Ages that the model was trained on. None: `y_true` stands in, which makes `r2` and
        `relative_mae` look worse than they are where test ages differ from training ages, as at a
        site held out. `reference` says which was used.

    Returns
    -------
    scores : :class:`~sklearn.utils.Bunch`
        With the attributes below; NaN where the rows cannot tell (fewer than 3, or one age only).

        n_rows : int
            Number of rows.
        mae, rmse : float
            Mean absolute and root mean squared error, in years.
        r : float
            Pearson correlation of predicted and chronological age.
        r2 : float
            Share of the squared error of the reference mean that is gone; 1 is perfect, below 0 is
            worse than the mean.
        chance_mae : float
            Mean absolute error of predicting the reference median for everybody, in years.
        relative_mae : float
            `mae` over `chance_mae`; 1 is no better than that constant.
        bias : float
            Mean gap, predicted minus chronological age, in years.
        gap_slope : float
            Slope of the gap on chronological age; below 0 the old are made younger.
        calibration_slope : float
            Slope of chronological on predicted age; 1 is calibrated, below 1 predictions spread too
            far.
        reference : {"train", "test"}
            Whose mean and median `r2` and `chance_mae` refer to.

    Raises
    ------
    ValueError
        If an age is missing, the lengths differ, or both are pandas Series with different labels.

    See Also
    --------
    site_scores : The same by site, with intervals.
    bootstrap_ci : An interval for any of these scores.

    Notes
    -----
    With chronological age y, predicted age ŷ and gap e = ŷ - y,

    .. math::
        R^2 = 1 - \frac{\sum (y - \hat y)^2}{\sum (y - \bar y_{train})^2}, \quad
        \mathrm{MAE}_{relative} = \frac{\sum |y - \hat y|}{\sum |y - \mathrm{med}(y_{train})|},
        \quad
        b_{gap} = \frac{\mathrm{cov}(e, y)}{\mathrm{var}(y)}, \quad
        b_{calibration} = \frac{\mathrm{cov}(y, \hat y)}{\mathrm{var}(\hat y)} .

    The median is the constant with the least absolute error. Errors, r and R2 depend on the range
    of ages, so scores of different cohorts are not comparable [1]_. Predictions corrected with
    ``y_pred + (y_true - (a + b * y_true))`` contain the age of the person; they reach high scores
    from predictors that know nothing [2]_.

    References
    ----------
    .. [1] de Lange, A.-M. G., et al. (2022). Mind the gap: performance metric evaluation in
       brain-age prediction. Human Brain Mapping 43, 3113-3129.
    .. [2] Butler, E. R., et al. (2021). Pitfalls in brain age analyses. Human Brain Mapping 42,
       4092-4101.

    Examples
    --------
    >>> from mresklearn.metrics import brain_age_scores
    >>> scores = brain_age_scores([20, 40, 60, 80], [28, 42, 58, 72], y_train=[20, 50, 80])
    >>> scores.mae, scores.bias, scores.relative_mae
    (5.0, 0.0, 0.25)
    >>> round(scores.gap_slope, 3), round(scores.calibration_slope, 3)
    (-0.26, 1.35)
    """
    age, predicted = check_ages(y_true, y_pred)
    reference = age if y_train is None else check_numbers(y_train, "y_train")
    gap = predicted - age
    absolute_error, squared_error = np.abs(gap).mean(), (gap**2).mean()
    # from the first, so that the mean of equal ages is exactly that age
    reference_mean = reference[0] + (reference - reference[0]).mean()
    chance_mae = np.abs(age - np.median(reference)).mean()
    enough = len(age) >= 3
    return Bunch(
        n_rows=len(age),
        mae=float(absolute_error),
        rmse=float(np.sqrt(squared_error)),
        r=_correlation(age, predicted),
        r2=1 - _ratio(squared_error, ((age - reference_mean) ** 2).mean()) if enough else np.nan,
        chance_mae=float(chance_mae),
        relative_mae=_ratio(absolute_error, chance_mae) if enough else np.nan,
        bias=float(gap.mean()),
        gap_slope=slope(age, gap),
        calibration_slope=slope(predicted, age),
        reference="test" if y_train is None else "train",
    )


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """Slope of `y` on `x`; NaN from two points, which any line fits, and from a constant `x`."""
    if len(x) < 3 or np.ptp(x) == 0:
        return np.nan
    centred = x - x.mean()
    return float(centred @ (y - y.mean()) / (centred @ centred))


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson correlation, NaN where it says nothing."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    return float(np.corrcoef(x, y)[0, 1])


def _ratio(error: float, reference_error: float) -> float:
    """Error against that of the reference, which is 0 where all rows have one age."""
    return float(error / reference_error) if reference_error > 0 else np.nan
