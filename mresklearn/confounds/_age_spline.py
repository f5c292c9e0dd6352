"""A smooth curve of age as columns of a design: what "given age" means in this package."""

import numpy as np
from sklearn.preprocessing import SplineTransformer

__all__ = ["age_spline"]

ROWS_PER_COLUMN = 5


def age_spline(age, *, n_knots=5):
    """Return a design whose span holds every cubic spline of age with knots at its quantiles.

    Linear age is not enough: where age differs by site and acts in a curve, the curve that is left
    over looks like a site effect.

    Parameters
    ----------
    age : ndarray of shape (n_rows,)
        Age in years, finite.
    n_knots : int, default=5
        Knots, the two ends among them; at least 2. Fewer are used where there are fewer than five
        rows a column, so that few people are not fitted one by one, or too few distinct ages.

    Returns
    -------
    design : ndarray of float64 of shape (n_rows, n_columns)
        Ones in the first column, then at most ``n_knots + 1`` columns in [0, 1], linearly
        independent. One distinct age gives the ones alone, two give a second column.
    """
    age = np.asarray(age, dtype=np.float64)
    ones = np.ones((len(age), 1))
    distinct = np.unique(age)
    if len(distinct) < 2:
        return ones
    largest = min(max(2, len(age) // ROWS_PER_COLUMN), len(distinct))
    degree = min(3, largest - 1)
    for wanted in range(max(2, min(n_knots, largest - degree + 1)), 1, -1):
        knots = np.unique(np.quantile(age, np.linspace(0, 1, wanted)))
        if len(knots) < 2:
            continue
        spline = SplineTransformer(knots=knots[:, None], degree=degree, include_bias=False)
        spline.set_output(transform="default")  # whatever frames the user asked for
        design = np.hstack([ones, spline.fit_transform(age[:, None])])
        # heaps of equal ages can leave too few distinct ones between two knots
        if np.linalg.matrix_rank(design) == design.shape[1]:
            return design
    return np.column_stack([ones, (age - distinct[0]) / (distinct[-1] - distinct[0])])
