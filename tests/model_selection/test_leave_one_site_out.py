import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mresklearn.exceptions import MissingMetadataError
from mresklearn.model_selection import LeaveOneSiteOut, StratifiedSiteKFold

SITES = np.repeat(["Mayo", "Delaware", "Utah"], [7, 5, 8])


class Rows:
    """Map-like rows: sliced without being read, with a table beside them."""

    def __init__(self, values, metadata):
        self.values, self.metadata = values, metadata
        self.shape = values.shape

    def __len__(self):
        return len(self.values)

    def __getitem__(self, rows):
        return Rows(self.values[rows], self.metadata.iloc[rows])

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("a splitter must not read the maps")


class GroupsRecorder(RegressorMixin, BaseEstimator):
    """Remembers the groups that reached fit."""

    __metadata_request__fit = {"groups": True}

    def fit(self, X, y, groups=None):
        self.groups_ = groups
        return self

    def predict(self, X):
        return np.zeros(len(X))


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 3))
    return X, 50 + 10 * X[:, 0]


@pytest.fixture(params=[False, True], ids=["routing off", "routing on"])
def routing(request):
    with sklearn.config_context(enable_metadata_routing=request.param):
        yield request.param


def held_out(folds, sites=SITES):
    return [sorted(set(sites[test])) for _, test in folds]


def test_each_fold_holds_out_one_whole_site_in_sorted_order(table):
    folds = list(LeaveOneSiteOut().split(table[0], groups=SITES))
    assert held_out(folds) == [["Delaware"], ["Mayo"], ["Utah"]]
    for train, test in folds:
        assert not set(SITES[train]) & set(SITES[test])
        assert sorted([*train, *test]) == list(range(20))
    assert LeaveOneSiteOut().get_n_splits(table[0], groups=SITES) == 3
    assert LeaveOneSiteOut().get_n_splits(groups=SITES) == 3


def test_order_of_folds_does_not_depend_on_order_of_rows(table):
    shuffled = np.random.default_rng(1).permutation(SITES)
    folds = LeaveOneSiteOut().split(table[0], groups=shuffled)
    assert held_out(folds, shuffled) == [["Delaware"], ["Mayo"], ["Utah"]]


@pytest.mark.parametrize(
    "groups",
    [
        list(SITES),
        pd.Series(SITES, index=np.arange(20)[::-1]),
        pd.Series(SITES, dtype="category").cat.add_categories("closed"),
        pd.Series(SITES, dtype="string"),
        np.array([f"{site} " if i % 2 else site for i, site in enumerate(SITES)]),
    ],
    ids=["list", "series, by position", "unused category", "string", "trailing blanks"],
)
def test_sites_of_any_array_type(table, groups):
    assert held_out(LeaveOneSiteOut().split(table[0], groups=groups)) == [
        ["Delaware"],
        ["Mayo"],
        ["Utah"],
    ]


def test_numbered_sites_sort_as_text():
    sites = np.array([10, 9, 2, 10, 9, 2])
    folds = LeaveOneSiteOut().split(np.zeros((6, 1)), groups=sites)
    assert held_out(folds, sites) == [[10], [2], [9]]


def test_sites_travel_in_a_frame_or_beside_the_maps(table):
    frame = pd.DataFrame({"stiffness": list("abcdefghijklmnopqrst"), "site": SITES})
    maps = Rows(table[0], frame)
    for X in (frame, maps):
        assert held_out(LeaveOneSiteOut().split(X)) == [["Delaware"], ["Mayo"], ["Utah"]]
    renamed = frame.rename(columns={"site": "scanner"})
    assert LeaveOneSiteOut(site_column="scanner").get_n_splits(renamed) == 3


def test_groups_win_over_the_sites_of_the_rows():
    frame = pd.DataFrame({"site": SITES})
    assert LeaveOneSiteOut().get_n_splits(frame, groups=np.arange(20) % 2) == 2


@pytest.mark.parametrize("X", [np.zeros((4, 2)), pd.DataFrame({"scanner": list("aabb")}), None])
def test_no_sites_names_both_ways(X):
    with pytest.raises(MissingMetadataError, match=r"groups=.*column 'site' of the DataFrame X"):
        LeaveOneSiteOut().get_n_splits(X)


def test_single_site_names_the_way_out(table):
    with pytest.raises(ValueError, match=r"all 20 rows come from site 'Mayo'.*StratifiedSiteKFold"):
        LeaveOneSiteOut().split(table[0], groups=["Mayo"] * 20)


@pytest.mark.parametrize("missing", [np.nan, None, "", " ", pd.NA], ids=repr)
def test_missing_sites_name_the_rows(missing):
    sites = pd.Series(["a", missing, "b", missing], index=["s1", "s2", "s3", "s4"], dtype=object)
    with pytest.raises(ValueError, match=r"missing in 2 of 4 rows: s2, s4\."):
        LeaveOneSiteOut().split(np.zeros((4, 1)), groups=sites)
    with pytest.raises(ValueError, match=r"missing in 2 of 4 rows: 1, 3\."):
        LeaveOneSiteOut().split(np.zeros((4, 1)), groups=list(sites))


def test_nan_that_numpy_turned_into_text_is_missing():
    with pytest.raises(ValueError, match="rows: 1"):
        LeaveOneSiteOut().split(np.zeros((3, 1)), groups=np.array(["a", np.nan, "b"]))


def test_wrong_number_of_sites(table):
    with pytest.raises(ValueError, match=r"one entry for each of the 20 rows of X, got shape \(5,"):
        LeaveOneSiteOut().split(table[0], groups=SITES[:5])


def test_groups_reach_the_splitter_in_scikit_learn_tools(table, routing):
    X, y = table
    model = make_pipeline(StandardScaler(), Ridge())
    named = {"params": {"groups": SITES}} if routing else {"groups": SITES}
    scores = cross_validate(model, X, y, cv=LeaveOneSiteOut(), return_indices=True, **named)
    assert held_out((None, t) for t in scores["indices"]["test"]) == [
        ["Delaware"],
        ["Mayo"],
        ["Utah"],
    ]
    assert cross_val_predict(model, X, y, cv=LeaveOneSiteOut(), **named).shape == (20,)
    search = GridSearchCV(model, {"ridge__alpha": [1, 10]}, cv=LeaveOneSiteOut())
    assert search.fit(X, y, groups=SITES).n_splits_ == 3


@pytest.mark.usefixtures("routing")
def test_sites_of_the_rows_in_scikit_learn_tools(table):
    X = pd.DataFrame(table[0], columns=list("abc")).assign(site=SITES)
    search = GridSearchCV(DummyRegressor(), {"strategy": ["mean", "median"]}, cv=LeaveOneSiteOut())
    nested = cross_validate(
        search, X, table[1], cv=LeaveOneSiteOut(), return_estimator=True, error_score="raise"
    )
    # the inner search leaves out each of the two sites that are left
    assert [fitted.n_splits_ for fitted in nested["estimator"]] == [2, 2, 2]


def test_persons_as_groups_and_sites_under_another_name(table):
    X, y = table
    persons = np.arange(20)
    with sklearn.config_context(enable_metadata_routing=True):
        cv = LeaveOneSiteOut().set_split_request(groups="site")
        scores = cross_validate(
            GroupsRecorder(),
            X,
            y,
            cv=cv,
            params={"groups": persons, "site": SITES},
            return_estimator=True,
            return_indices=True,
        )
    assert held_out((None, t) for t in scores["indices"]["test"]) == [
        ["Delaware"],
        ["Mayo"],
        ["Utah"],
    ]
    for fitted, train in zip(scores["estimator"], scores["indices"]["train"], strict=True):
        np.testing.assert_array_equal(fitted.groups_, persons[train])


def test_repr():
    assert repr(LeaveOneSiteOut()) == "LeaveOneSiteOut(site_column='site')"
    assert "n_splits=3" in repr(StratifiedSiteKFold(3))
