"""How much of the features is unique to age, unique to site, and cannot be assigned to either."""

import numpy as np

from ._effect import Effect, not_estimable, permutation_p
from ._intervals import bounded, jackknife_interval
from ._robust_test import robust_test
from ._variance import Design, nothing_left, orthonormal, partial_r2, residuals

__all__ = ["commonality"]

NAMES = ("unique_first", "unique_second", "shared")


def commonality(values, fixed, first, second, strata, *, n_permutations, confidence, random_state):
    r"""Split explained variance into what is unique to either variable and what they share.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_coordinates)
        Features, or their coordinates.
    fixed : ndarray of shape (n_rows, n_columns)
        Design, with a constant, that is taken out beforehand.
    first, second : ndarray of shape (n_rows, n_columns)
        Designs of the two variables, such as age and site.
    strata : ndarray of int of shape (n_rows,)
        Groups that the jackknife keeps, such as sites.
    n_permutations : int
        Permutations of :func:`robust_test`, given the other variable.
    confidence : float
        Level of the intervals.
    random_state : numpy Generator
        Draws permutations and jackknife groups.

    Returns
    -------
    effects : tuple of three Effect
        Unique to the first, unique to the second, shared, with :math:`U_1 = R^2(12) - R^2(2)` and
        :math:`C = R^2(1) + R^2(2) - R^2(12)`, raw and from adjusted :math:`R^2`. The shared part
        belongs to neither; it may be negative, and no test exists for it.

    References
    ----------
    .. [1] Borcard, D., Legendre, P., Drapeau, P. (1992). Partialling out the spatial component of
       ecological variation. Ecology 73, 1045-1055.
    """
    designs = _Designs(fixed, first, second)
    problem = designs.problem or nothing_left(values, designs.both)
    if problem:
        return tuple(not_estimable(name, problem) for name in NAMES)
    raw, adjusted = designs.parts(values)

    def of_rows(rows):
        part = _Designs(fixed[rows], first[rows], second[rows])
        return [np.nan] * 3 if part.problem else part.parts(values[rows])[1]

    low, high = jackknife_interval(of_rows, adjusted, strata, confidence, random_state)
    unique = [
        designs.test_of_unique(values, place, n_permutations, random_state) for place in (0, 1)
    ]
    tests = [*unique, {"null_mean": 0.0, "reason": "No test exists for a shared part."}]
    return tuple(
        Effect(
            name,
            value=float(raw[place]),
            value_adj=float(adjusted[place]),
            interval=bounded((low[place], high[place]), least=-1.0),
            **test,
        )
        for place, (name, test) in enumerate(zip(NAMES, tests, strict=True))
    )


class _Designs:
    """The designs of two variables beyond what is taken out, alone and together."""

    def __init__(self, fixed, first, second):
        self.fixed = orthonormal(fixed)
        self.alone = Design.of(fixed, first), Design.of(fixed, second)
        self.both = Design.of(fixed, np.hstack([first, second]))
        self.given_other = (
            Design.of(np.hstack([fixed, second]), first),
            Design.of(np.hstack([fixed, first]), second),
        )

    @property
    def problem(self):
        """Why the split cannot be made, or None."""
        problems = [design.problem for design in (*self.given_other, self.both)]
        return next((problem for problem in problems if problem), None)

    def parts(self, values):
        """Return the three parts, raw and adjusted."""
        shares = [partial_r2(values, design) for design in (*self.alone, self.both)]
        return tuple(
            np.array([both - second, both - first, first + second - both])
            for first, second, both in zip(*shares, strict=True)
        )

    def test_of_unique(self, values, place, n_permutations, random_state):
        """Test a unique part, which is a partial R2 of what the other variable leaves."""
        design = self.given_other[place]
        left = np.sum(residuals(values, design.reduced) ** 2)
        left /= np.sum(residuals(values, self.fixed) ** 2)
        observed, null = robust_test(values, design, n_permutations, random_state)
        return {
            "null_mean": float(left * design.r2_by_chance),
            "p": permutation_p(observed, null),
            "n_permutations": n_permutations,
        }
