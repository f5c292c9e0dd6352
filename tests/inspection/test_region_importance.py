"""region_importance: the planted region ranks first, with the numbers of a linear model."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from statsmodels.stats.multitest import multipletests

from mresklearn import MapArray, MapLoader, MapMasker, MapScaler, make_mre_cohort
from mresklearn.exceptions import DataError, UnanswerableWarning
from mresklearn.inspection import occlusion_map, region_importance
from mresklearn.inspection._region_importance import draw_donors
from mresklearn.inspection._sign_flips import sign_flip_p
from mresklearn.maps._region_labels import read_labels
from mresklearn.maps._sources import ArraySource
from mresklearn.metrics import sign_flip_test
from mresklearn.metrics._adjusted_p_values import adjust_p_values

SHAPE = (4, 4, 6)
LABELS = np.zeros(SHAPE, int)
LABELS[:2], LABELS[2:, :2], LABELS[2:, 2:] = 1, 2, 3
NAMES = {1: "Frontal", 2: "Thalamus", 3: "Temporal"}


def cohort(n=40, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.uniform(20, 80, n)
    array = rng.normal(3, 0.2, (n, 1, *SHAPE)).astype(np.float32)
    array[:, 0, 2:, :2] -= (age / 100)[:, None, None, None]
    return array, age


@pytest.fixture(scope="module")
def fitted():
    model = make_pipeline(MapScaler(), MapMasker(), Ridge(alpha=10.0)).fit(*cohort())
    return (model, *cohort(seed=1))


def importance(fitted, **options):
    model, maps, age = fitted
    settings = {"regions": LABELS, "region_names": NAMES, "n_resamples": 500, **options}
    return region_importance(model, maps, age, **settings)


@pytest.mark.parametrize("kind", ["occlusion", "permutation"])
def test_the_region_that_carries_age_ranks_first(fitted, kind):
    table = importance(fitted, kind=kind)
    assert table.index[0] == "thalamus"
    first = table.iloc[0]
    assert 0 < first.ci_low < first.importance < first.ci_high
    assert first.p_adjusted < 0.01
    assert table.importance.is_monotonic_decreasing
    assert (table.n_people == 40).all()
    assert dict(table.n_voxels) == {"frontal": 48, "thalamus": 24, "temporal": 24}
    assert table.volume_ml.isna().all()


def test_a_region_planted_in_simulated_maps_ranks_first():
    people = make_mre_cohort(
        60, 2, maps=["stiffness"], voxel_size=8, age_effect=0, site_effect=0, random_state=0
    )
    maps = MapLoader().fit_transform(people.maps)
    age = people.participants.age.to_numpy()
    array = np.asarray(maps)
    planted = people.region_names.index("cortex_insula") + 1
    image = read_labels(people.regions, None, maps).data
    inside = (image == planted) & (array[:, 0] > 0)
    array[:, 0] -= inside * (age / 60)[:, None, None, None]
    maps = MapArray(ArraySource(array), channels=maps.channels, grid=maps.grid)
    train, test = np.arange(0, 60, 2), np.arange(1, 60, 2)
    model = make_pipeline(MapScaler(), MapMasker(), PCA(8), Ridge()).fit(maps[train], age[train])
    names = dict(enumerate(people.region_names, start=1))
    table = region_importance(
        model, maps[test], age[test], regions=people.regions, region_names=names,
        reference=maps[train], n_resamples=2000,
    )  # fmt: skip
    assert table.index[0] == "cortex_insula"
    assert table.p_adjusted.iloc[0] < 0.01
    assert (table.p_adjusted.iloc[1:] > table.p_adjusted.iloc[0]).all()
    assert table.volume_ml["cortex_insula"] == pytest.approx(
        table.n_voxels["cortex_insula"] * 0.512
    )
    result = occlusion_map(model, maps[test], age[test], size=5, reference=maps[train])
    best = result._patches.voxels(int(result.patches["mean"].argmax()))
    assert planted in image.ravel()[best]


def test_occlusion_is_the_mean_effect_of_occlusion_map(fitted):
    model, maps, age = fitted
    table = importance(fitted)
    effects = occlusion_map(model, maps, age, regions=LABELS, region_names=NAMES).patches["mean"]
    np.testing.assert_allclose(table.importance, effects[table.index])


def test_permutation_swaps_the_region_of_a_linear_model_between_people(fitted):
    model, maps, age = fitted
    table = importance(fitted, kind="permutation", n_repeats=3, random_state=4)
    donors = draw_donors(np.arange(40), 3, np.random.RandomState(4))
    weights = model[-1].coef_.reshape(SHAPE) / model[0].scale_[0]
    before = model.predict(maps)
    for label, name in enumerate(["frontal", "thalamus", "temporal"], start=1):
        inside = label == LABELS
        part = (maps[:, 0] * weights)[:, inside].sum(axis=1)
        errors = [np.abs(before - part + part[donor] - age) for donor in donors]
        expected = np.mean(errors) - np.abs(before - age).mean()
        assert table.importance[name] == pytest.approx(expected, abs=1e-3)


def test_permutation_agrees_with_scikit_learn_on_one_voxel_a_region():
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, 60)
    maps = rng.normal(3, 0.3, (60, 1, 3, 1, 1)).astype(np.float32)
    maps[:, 0, 1, 0, 0] -= age / 30
    maps[:, 0, 2, 0, 0] -= age / 90
    model = make_pipeline(MapMasker(), Ridge()).fit(maps, age)
    labels = np.arange(1, 4).reshape(3, 1, 1)
    table = region_importance(
        model, maps, age, regions=labels, kind="permutation", n_repeats=100, n_resamples=100
    )
    oracle = permutation_importance(
        model[-1], maps.reshape(60, 3), age, scoring="neg_mean_absolute_error", n_repeats=100
    ).importances_mean
    found = table.importance[["region1", "region2", "region3"]]
    np.testing.assert_allclose(found, oracle, atol=0.05 * oracle.max())


def test_people_swap_with_other_people_and_never_split():
    person = np.repeat(np.arange(5), [1, 2, 3, 1, 1])
    donors = draw_donors(person, 50, np.random.RandomState(0))
    for repeat in donors:
        giver = {}
        for row, donor in enumerate(repeat):
            giver.setdefault(person[row], set()).add(person[donor])
        assert all(len(givers) == 1 for givers in giver.values())
        assert len({next(iter(givers)) for givers in giver.values()}) == 5


def test_rows_of_one_person_count_once(fitted):
    model, maps, age = fitted
    rows = np.repeat(np.arange(40), 2)
    names = [f"sub-{row:02d}" for row in rows]
    once = importance(fitted, reference=maps)
    twice = importance((model, maps[rows], age[rows]), reference=maps, groups=names)
    columns = ["importance", "ci_low", "ci_high", "p", "n_people"]
    np.testing.assert_allclose(twice[columns], once[columns], rtol=1e-4, atol=1e-6)


def test_people_without_the_region_count_nowhere_in_its_row(fitted):
    model, maps, age = fitted
    cut = maps.copy()
    cut[:15, :, :2] = 0
    table = importance((model, cut, age))
    assert table.n_people["frontal"] == 25
    assert table.n_people["thalamus"] == 40
    assert np.isfinite(table.importance).all()


def test_seed_decides_all_and_batches_nothing(fitted):
    one = importance(fitted, kind="permutation", random_state=3)
    other = importance(fitted, kind="permutation", random_state=3, batch_size=2)
    np.testing.assert_allclose(one, other, atol=1e-4)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    importance(fitted, kind="permutation", random_state=3)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_classes_are_told_by_the_probability_of_the_truth(fitted):
    _, maps, age = fitted
    old = np.where(age > 50, "old", "young")
    model = make_pipeline(MapScaler(), MapMasker(), LogisticRegression(C=0.1)).fit(maps, old)
    table = importance((model, maps, old))
    assert table.index[0] == "thalamus"
    assert 0 < table.importance.iloc[0] < 1


@pytest.mark.parametrize(("correction", "oracle"), [("holm", "holm"), ("fdr_bh", "fdr_bh")])
def test_adjusted_p_are_those_of_statsmodels(correction, oracle):
    p = np.random.default_rng(0).uniform(size=17) ** 3
    np.testing.assert_allclose(adjust_p_values(p, correction), multipletests(p, method=oracle)[1])
    gaps = np.r_[p, np.nan]
    found = adjust_p_values(gaps, correction)
    np.testing.assert_allclose(found[:-1], adjust_p_values(p, correction))
    assert np.isnan(found[-1])


def test_sign_flips_agree_with_the_exact_test():
    values = np.random.default_rng(0).normal([0, 0.4, 1], 1, (12, 3))
    found = sign_flip_p(values, 20_000, np.random.RandomState(0))
    exact = [sign_flip_test(column).p_value for column in values.T]
    np.testing.assert_allclose(found, exact, atol=0.012)


class TestBadInput:
    def test_few_people_cannot_answer(self, fitted):
        model, maps, age = fitted
        with pytest.warns(UnanswerableWarning, match="4 persons cannot give a p below 0.125"):
            importance((model, maps[:4], age[:4]))
        with pytest.raises(ValueError, match="at least 2 persons"):
            importance((model, maps[:2], age[:2]), groups=[0, 0])

    def test_regions_of_another_grid(self, fitted):
        with pytest.raises(DataError, match=r"regions has shape \(9, 9, 9\)"):
            importance(fitted, regions=np.ones((9, 9, 9), int))

    def test_missing_ages(self, fitted):
        model, maps, age = fitted
        with pytest.raises(ValueError, match="give y"):
            importance((model, maps, None))
        with pytest.raises(ValueError, match="missing or infinite in 1 of 40 rows: 3"):
            importance((model, maps, np.where(np.arange(40) == 3, np.nan, age)))

    def test_unfitted_models_and_features(self, fitted):
        _, maps, age = fitted
        with pytest.raises(NotFittedError):
            importance((make_pipeline(MapMasker(), Ridge()), maps, age))
        with pytest.raises(ValueError, match="must hold maps"):
            importance((fitted[0], maps.reshape(40, -1), age))


@pytest.mark.parametrize("n_people", [2, 3, 7])
def test_nobody_gets_voxels_of_their_own(n_people):
    person = np.repeat(np.arange(n_people), 2)
    donors = draw_donors(person, 50, np.random.RandomState(0))
    assert (person[donors] != person).all()
    # everybody gives once
    assert (np.sort(person[donors[:, ::2]], axis=1) == np.arange(n_people)).all()
