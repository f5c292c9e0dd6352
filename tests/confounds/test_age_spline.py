import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mresklearn.confounds._age_spline import age_spline


def unexplained(columns, design):
    """Largest distance of unit columns from the span of the design."""
    basis = np.linalg.qr(design)[0]
    columns = columns / np.linalg.norm(columns, axis=0)
    return np.linalg.norm(columns - basis @ (basis.T @ columns), axis=0).max()


def truncated_powers(age, n_knots):
    """The textbook basis of cubic splines with knots at quantiles."""
    x = (age - age.mean()) / age.std()
    inner = np.quantile(x, np.linspace(0, 1, n_knots))[1:-1]
    return np.column_stack(
        [x**power for power in range(4)] + [np.maximum(x - knot, 0) ** 3 for knot in inner]
    )


@pytest.mark.parametrize("n_knots", [2, 3, 5, 8])
def test_spans_the_cubic_splines_with_knots_at_quantiles(n_knots):
    age = np.random.default_rng(0).uniform(18, 90, 300)
    design = age_spline(age, n_knots=n_knots)
    powers = truncated_powers(age, n_knots)
    assert design.shape == powers.shape == (300, n_knots + 2)
    assert unexplained(powers, design) < 1e-9
    assert unexplained(design, powers) < 1e-9


def test_unit_of_age_does_not_matter():
    age = np.random.default_rng(0).uniform(18, 90, 100)
    np.testing.assert_allclose(age_spline(age), age_spline(365.25 * age + 40), atol=1e-9)


@pytest.mark.parametrize(
    ("age", "n_columns"),
    [
        (np.full(20, 50.0), 1),  # nothing to say of age
        (np.tile([40.0, 50.0], 20), 2),
        (np.tile([40.0, 50.0, 60.0], 20), 3),  # a column for every age: nothing is left of age
        (np.tile(np.arange(60.0, 70.0), 30), 7),  # whole years of a narrow study
        (np.arange(20.0, 28.0), 2),  # few people: a straight line
        (np.arange(20.0, 40.0), 4),  # more: a cubic
    ],
)
def test_few_people_or_ages_get_few_columns(age, n_columns):
    assert age_spline(age).shape == (len(age), n_columns)


@settings(deadline=None)
@given(st.lists(st.integers(18, 95), min_size=1, max_size=80), st.integers(2, 7))
def test_columns_are_independent_and_begin_with_ones(ages, n_knots):
    design = age_spline(np.array(ages, dtype=float), n_knots=n_knots)
    assert np.linalg.matrix_rank(design) == design.shape[1] <= n_knots + 2
    assert (design[:, 0] == 1).all()
    assert np.isfinite(design).all()


def test_heaps_of_one_age_leave_a_usable_design():
    age = np.concatenate([np.full(290, 50.0), np.random.default_rng(0).uniform(20, 90, 10)])
    design = age_spline(age)
    assert np.linalg.matrix_rank(design) == design.shape[1] >= 2
    assert unexplained(age[:, None], design) < 1e-9
