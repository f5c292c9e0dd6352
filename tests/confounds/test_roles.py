import numpy as np
import pandas as pd
import pytest

from mresklearn.confounds._roles import describe_variables


def table(**columns):
    people = pd.DataFrame({"age": [20.0, 30, 40, 50, 60, 70] * 6, "site": list("aabbcc") * 6})
    return people.assign(**columns)


def kind_of(values, **options):
    people = table(column=values)
    roles = {"column": "biological"}
    return describe_variables(people, roles, target="age", site_column="site", **options)["column"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["F", "M"] * 18, "binary"),
        ([0, 1] * 18, "binary"),
        ([True, False, None] * 12, "binary"),
        (["CN", "MCI", "AD"] * 12, "categorical"),
        ([0, 0.5, 1] * 12, "ordinal"),
        (["0", "0.5", "1"] * 12, "ordinal"),
        (np.arange(36), "continuous"),
        (np.linspace(0, 1, 36), "continuous"),
        (list(range(12)) * 3, "continuous"),
        (pd.Categorical(["low", "mid", "high"] * 12), "categorical"),
        (pd.Categorical(["low", "mid", "high"] * 12, ["low", "mid", "high"], True), "ordinal"),
        (pd.date_range("2020-01-01", periods=36), "continuous"),
        (["x"] * 36, "binary"),
    ],
)
def test_kinds_are_read_from_the_values(values, kind):
    assert kind_of(values).kind == kind


def test_declared_kinds_win_and_site_is_always_a_name():
    assert kind_of([1, 2, 3] * 12, kinds={"column": "categorical"}).kind == "categorical"
    people = table(site=[1, 2, 3] * 12)
    site = describe_variables(people, {}, target="age", site_column="site")["site"]
    assert (site.kind, site.role, site.levels) == ("categorical", "technical", ("1", "2", "3"))


def test_ordinal_levels_have_the_order_of_their_categories_or_numbers():
    dose = pd.Categorical(["mid", "low", "high"] * 12, ["low", "mid", "high"], ordered=True)
    np.testing.assert_array_equal(kind_of(dose).values[:3], [1, 0, 2])
    np.testing.assert_array_equal(kind_of([10, 9, 100] * 12).values[:3], [1, 0, 2])


@pytest.mark.parametrize("missing", [None, np.nan, "", "  ", "nan", pd.NA])
def test_missing_values_and_blanks_are_missing(missing):
    variable = kind_of(["F", "M", missing] * 12)
    assert (~variable.present).sum() == 12
    assert (variable.n_levels, variable.min_level_n) == (2, 12)


def test_labels_that_differ_by_blanks_are_one():
    assert kind_of(["F", "F ", " M"] * 12).levels == ("F", "M")


def test_counts_of_the_rarest_level():
    variable = kind_of(["a"] * 30 + ["b"] * 5 + ["c"])
    assert variable.min_level_n == 1
    np.testing.assert_array_equal(variable.counts(), [30, 5, 1])
    assert np.isnan(kind_of(np.arange(36)).min_level_n)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"participants": np.zeros((3, 2))}, "must be a pandas DataFrame"),
        ({"roles": {}}, r"have no role: \['sex'\].*'technical', 'biological' or 'id'"),
        ({"roles": {"sex": "confound"}}, "role of 'sex' must be one of"),
        ({"roles": {"sex": "biological", "dx": "biological"}}, r"does not have: \['dx'\]"),
        ({"roles": {"sex": "biological", "age": "biological"}}, "Exactly one column"),
        ({"roles": {"sex": "target"}}, "Exactly one column"),
        ({"roles": {"sex": "biological", "site": "biological"}}, "must have the role 'technical'"),
        ({"kinds": {"sex": "nominal"}}, "kind of 'sex' must be one of"),
        ({"kinds": {"sex": "continuous"}}, "'sex' must hold numbers, but does not in 36 rows"),
        ({"kinds": {"sex": "ordinal"}}, "text without an order"),
        ({"kinds": {"site": "binary"}}, "declared binary but has 3 levels"),
        ({"target": "years"}, r"does not have: \['years'\]"),
        ({"target": "sex", "roles": {"age": "biological"}}, "must hold numbers"),
        ({"site_column": "study"}, r"does not have: \['study'\]"),
    ],
)
def test_declarations_that_cannot_be_used(changed, message):
    settings = {
        "participants": table(sex=["F", "M"] * 18),
        "roles": {"sex": "biological"},
        "target": "age",
        "site_column": "site",
        **changed,
    }
    with pytest.raises(ValueError, match=message):
        describe_variables(settings.pop("participants"), settings.pop("roles"), **settings)


def test_infinite_and_doubled_columns_are_named():
    with pytest.raises(ValueError, match="infinite in rows 1"):
        kind_of([np.inf if row == 1 else row for row in range(36)])
    people = table()
    people.columns = ["age", "age"]
    with pytest.raises(ValueError, match=r"more than once: \['age'\]"):
        describe_variables(people, {}, target="age")


def test_an_id_is_a_name_even_where_it_is_a_number():
    long = 2**53 + np.arange(36) // 2  # neighbours are one float64
    for values in (long, [str(value) for value in long], list(long)):
        described = describe_variables(
            table(pid=values),
            {"pid": "id"},
            target="age",
            site_column="site",
            kinds={"pid": "continuous"},
        )["pid"]
        assert (described.kind, described.n_levels) == ("categorical", 18)
        assert set(described.levels) == set(map(str, long))


def test_levels_of_whole_floats_are_those_of_whole_numbers():
    gaps = kind_of([1.0, 2.0, None] * 12, kinds={"column": "categorical"})
    mixed = kind_of(pd.Series([1, "2", 2.0] * 12, dtype=object), kinds={"column": "categorical"})
    assert gaps.levels == mixed.levels == ("1", "2")
