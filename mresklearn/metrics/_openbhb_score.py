"""The score of the OpenBHB challenge."""

from __future__ import annotations

from numbers import Real

from sklearn.utils._param_validation import Interval, validate_params

__all__ = ["openbhb_score"]


@validate_params(
    {
        "site_balanced_accuracy": [Interval(Real, 0, 1, closed="both")],
        "external_mae": [Interval(Real, 0, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def openbhb_score(site_balanced_accuracy: float, external_mae: float) -> float:
    r"""Combine how well site is read from an embedding with the error of age at unseen sites.

    Lower is better. The score serves to compare with published results; it should not choose a
    model, see Notes.

    Parameters
    ----------
    site_balanced_accuracy : float
        Balanced accuracy of a linear site probe on the embedding, as a fraction in [0, 1].
    external_mae : float
        Mean absolute error of the predicted age at sites not seen in training, in years.

    Returns
    -------
    score : float
        At least 0. Only its order means something.

    Raises
    ------
    ValueError
        If the balanced accuracy is not a fraction, or the error is negative.

    Notes
    -----
    The score of the OpenBHB challenge [1]_ is

    .. math:: \mathrm{BA}^{0.3} \cdot \mathrm{MAE}.

    Halving the balanced accuracy lowers it by 19 % only. It takes no account of what age says of
    the site: where ages differ by site, a balanced accuracy of chance means that age was lost (see
    :func:`mresklearn.confounds.site_predictability`).

    References
    ----------
    .. [1] Dufumier, B., Grigis, A., Victor, J., Ambroise, C., Frouin, V., Duchesnay, E. (2022).
       OpenBHB: a large-scale multi-site brain MRI data-set for age prediction and debiasing.
       NeuroImage 263, 119637.

    Examples
    --------
    >>> from mresklearn.metrics import openbhb_score
    >>> round(openbhb_score(0.051, 3.761), 2)
    1.54
    """
    return float(site_balanced_accuracy**0.3 * external_mae)
