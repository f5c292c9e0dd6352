"""occlusion_map: exact on linear models, whatever the batches, and clear about bad input."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import parallel_config
from matplotlib import pyplot
from matplotlib.figure import Figure
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from mresklearn import ContrastiveEncoder, MapArray, MapLoader, MapMasker, MapScaler
from mresklearn.exceptions import DataError
from mresklearn.inspection import occlusion_map
from mresklearn.inspection._patches import cubes
from mresklearn.maps._grid import Grid
from mresklearn.maps._sources import ArraySource

SHAPE = (6, 7, 5)
GRID = Grid.from_arrays(SHAPE, np.diag([8.0, 8, 8, 1]) + np.eye(4, k=3)[:, :4] * -20)


def cohort(n=24, channels=2, seed=0, grid=None, metadata=None):
    """Maps with brains of different extent, and ages that some voxels carry."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(20, 80, n)
    array = rng.normal(3, 0.3, (n, channels, *SHAPE)).astype(np.float32)
    array[:, 0, 1:3, 1:3, 1:3] -= (age / 40)[:, None, None, None]
    array[:, :, 0] = 0
    array[::3, :, -1] = 0
    names = ("stiffness", "damping_ratio")[:channels]
    ids = pd.Index([f"sub-{row:02d}" for row in range(n)])
    source = ArraySource(array)
    maps = MapArray(source, channels=names, grid=grid, participants=ids, metadata=metadata)
    return maps, age


def linear():
    return make_pipeline(MapScaler(), MapMasker(coverage=0.5), Ridge(alpha=5.0))


def cohort_mean(array):
    brain = (array != 0).any(axis=1, keepdims=True)
    total, count = array.sum(axis=0, dtype=float), brain.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), 0)


def weights_of(model, channels=2):
    """Weight of each voxel of the maps in their own unit, as the whole pipeline has it."""
    scaler, masker, ridge = model[0], model[1], model[-1]
    weights = np.zeros((channels, *SHAPE))
    weights[:, masker.mask_] = ridge.coef_.reshape(channels, -1)
    return weights / scaler.scale_[:, None, None, None]


@pytest.fixture(scope="module")
def fitted():
    maps, age = cohort()
    return linear().fit(maps, age), maps, age


def test_change_of_a_linear_model_is_its_weights_times_the_distance_to_the_mean(fitted):
    model, maps, _ = fitted
    array = np.asarray(maps)
    brain = (array != 0).any(axis=1, keepdims=True)
    moved = weights_of(model) * (cohort_mean(array) - array) * brain
    result = occlusion_map(model, maps, score="change", size=2, stride=1)
    patches = cubes(2, 1, brain.any(axis=(0, 1)), None)
    for patch in range(len(patches)):
        inside = np.zeros(np.prod(SHAPE), bool)
        inside[patches.voxels(patch)] = True
        expected = moved.reshape(len(maps), 2, -1)[:, :, inside].sum(axis=(1, 2))
        touched = brain.reshape(len(maps), -1)[:, inside].any(axis=1)
        found = result.effects[:, patch]
        np.testing.assert_array_equal(np.isnan(found), ~touched)
        np.testing.assert_allclose(found[touched], expected[touched], atol=2e-4)


def test_effects_of_cubes_that_tile_the_brain_add_up_to_replacing_all_of_it(fitted):
    model, maps, _ = fitted
    tiles = occlusion_map(model, maps, score="change", size=3).effects
    whole = occlusion_map(model, maps, score="change", size=7).effects
    assert whole.shape[1] == 1
    np.testing.assert_allclose(np.nansum(tiles, axis=1), whole[:, 0], atol=5e-4)


def test_signed_changes_cancel_over_the_people_whose_mean_fills_and_sizes_do_not(fitted):
    model, maps, _ = fitted
    change = occlusion_map(model, maps, score="change", coverage=0)
    size = occlusion_map(model, maps)
    assert size.score == "absolute_change"
    everywhere = change.n_people_map == len(maps)
    assert np.abs(change.group_map[everywhere]).max() < 1e-3
    assert change.magnitude_map[everywhere].max() > 0.5
    np.testing.assert_allclose(size.effects, np.abs(change.effects))


def test_error_rises_where_age_is(fitted):
    model, _, _ = fitted
    maps, age = cohort(seed=1)
    result = occlusion_map(model, maps, age, size=2)
    assert result.score == "absolute_error"
    best = np.unravel_index(np.nanargmax(result.group_map), SHAPE)
    assert all(0 <= place <= 3 for place in best)
    row = 4
    before = np.abs(result.responses[row] - age[row])
    changed = np.asarray(maps[[row]])[0]
    fill = cohort_mean(np.asarray(maps))
    cube = np.s_[:, 2:4, 2:4, 2:4]
    changed[cube] = fill[cube]
    after = np.abs(model.predict(changed[None].astype(np.float32))[0] - age[row])
    number = int(np.flatnonzero((result.patches[["x", "y", "z"]] == 2.5).all(axis=1))[0])
    assert result.effects[row, number] == pytest.approx(after - before, abs=1e-4)


def test_a_voxel_gets_the_mean_of_the_cubes_that_cover_it(fitted):
    model, maps, _ = fitted
    result = occlusion_map(model, maps, size=3, stride=2)
    brain = (np.asarray(maps)[1] != 0).any(axis=0)
    patches = result._patches
    expected = np.full(SHAPE, np.nan)
    for place in np.argwhere(brain):
        flat = np.ravel_multi_index(place, SHAPE)
        covering = [k for k in range(len(patches)) if flat in patches.voxels(k)]
        expected[tuple(place)] = result.effects[1, covering].mean()
    np.testing.assert_allclose(result.subject_map(1), expected, rtol=1e-5)
    np.testing.assert_array_equal(result.subject_maps[1], result.subject_map(1))


def test_group_maps_are_mean_and_standard_error_over_people(fitted):
    model, maps, age = fitted
    result = occlusion_map(model, maps, age, coverage=0)
    stack = result.subject_maps.astype(float)
    count = (~np.isnan(stack)).sum(axis=0)
    seen = count > 0
    error = np.nanstd(stack[:, seen], axis=0, ddof=1) / np.sqrt(count[seen])
    mean = np.nanmean(stack[:, seen], axis=0)
    np.testing.assert_allclose(result.group_map[seen], mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(result.standard_error_map[seen], error, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(result.t_map[seen], mean / error, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(result.n_people_map, count)
    assert np.isnan(result.group_map[~seen]).all()
    np.testing.assert_allclose(result.patches["mean"], np.nanmean(result.effects, axis=0))


def test_coverage_hides_voxels_that_few_people_have(fitted):
    model, maps, _ = fitted
    result = occlusion_map(model, maps, coverage=0.9)
    rim = result.n_people_map == 16
    assert rim.any()
    assert np.isnan(result.group_map[rim]).all()


def test_rows_of_one_person_count_once(fitted):
    model, maps, age = fitted
    once = occlusion_map(model, maps, age, reference=maps)
    rows = np.repeat(np.arange(len(maps)), 2)
    twice = occlusion_map(model, maps[rows], age[rows], groups=rows, reference=maps)
    np.testing.assert_allclose(twice.group_map, once.group_map, rtol=1e-5)
    np.testing.assert_allclose(twice.standard_error_map, once.standard_error_map, rtol=1e-4)
    np.testing.assert_array_equal(twice.n_people_map, once.n_people_map)
    pairs = twice.patches["standard_error"], once.patches["standard_error"]
    np.testing.assert_allclose(*pairs, rtol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_batches_do_not_change_the_result(fitted, batch_size):
    model, maps, age = fitted
    expected = occlusion_map(model, maps, age, size=4, reference=maps).effects[:5]
    found = occlusion_map(
        model, maps[:5], age[:5], size=4, reference=maps, batch_size=batch_size
    ).effects
    np.testing.assert_allclose(found[:, : expected.shape[1]], expected, atol=1e-4)


def test_jobs_do_not_change_the_result(fitted):
    model, maps, age = fitted
    expected = occlusion_map(model, maps, age, size=4)
    with parallel_config(backend="threading"):
        found = occlusion_map(model, maps, age, size=4, n_jobs=2)
    np.testing.assert_array_equal(found.effects, expected.effects)


def test_zeros_are_voxels_that_the_scan_did_not_cover(fitted):
    model, maps, _ = fitted
    result = occlusion_map(model, maps, fill="zero", score="change", size=7)
    lost = np.full((1, 2, *SHAPE), 0, np.float32)
    np.testing.assert_allclose(
        result.effects[:, 0], model.predict(lost)[0] - model.predict(maps), atol=1e-4
    )


def test_one_channel_alone_can_be_occluded(fitted):
    model, maps, _ = fitted
    one, two, both = (
        occlusion_map(model, maps, score="change", channels=names).effects
        for names in (["stiffness"], ["damping_ratio"], None)
    )
    np.testing.assert_allclose(one + two, both, atol=2e-4)
    assert np.nanmax(np.abs(one)) > np.nanmax(np.abs(two))


def test_regions_of_an_image_on_a_finer_grid_are_those_of_an_array(fitted):
    maps, age = cohort(grid=GRID)
    labels = np.zeros(SHAPE, np.int32)
    labels[1:3], labels[3:] = 4, 9
    fine = np.kron(labels, np.ones((2, 2, 2), np.int32))
    corner = GRID.matrix[:3, 3] - 2
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = corner
    image = nib.Nifti1Image(fine, affine)
    names = {4: "Left", 9: "Right"}
    model = fitted[0]
    by_image = occlusion_map(model, maps, age, regions=image, region_names=names)
    by_array = occlusion_map(model, maps, age, regions=labels, region_names=names)
    np.testing.assert_array_equal(by_image.effects, by_array.effects)
    assert list(by_image.patches.index) == ["left", "right"]
    assert by_image.patches.volume_ml["left"] == pytest.approx(2 * 7 * 5 * 0.512)
    assert by_image.patches.x["left"] == pytest.approx(8 * 1.5 - 20)
    outside = np.isnan(by_image.group_map)
    assert outside[0].all()
    assert not outside[1:5].any()


def small_encoder(**parameters):
    options = {"network": "mlp", "width": 1, "embedding_dim": 3, "max_epochs": 2}
    return ContrastiveEncoder(**options, random_state=0, **parameters)


@pytest.fixture(scope="module")
def encoder():
    maps, age = cohort()
    return make_pipeline(MapScaler(), small_encoder()).fit(maps, age), maps, age


@pytest.mark.parametrize("score", [None, "l2"])
def test_encoders_are_told_by_how_far_the_embedding_moves(encoder, score):
    model, maps, _ = encoder
    result = occlusion_map(model, maps, score=score, size=4, batch_size=5)
    array = np.asarray(maps)
    fill = cohort_mean(array)
    changed = array[2].copy()
    changed[:, :4, :4, :4] = np.where(changed[:, :4, :4, :4] != 0, fill[:, :4, :4, :4], 0)
    before, after = model.transform(np.stack([array[2], changed])).astype(float)
    cosine = 1 - before @ after / np.linalg.norm(before) / np.linalg.norm(after)
    expected = np.linalg.norm(after - before) if score == "l2" else cosine
    assert result.effects[2, 0] == pytest.approx(expected, rel=1e-3, abs=1e-6)
    assert result.score == (score or "cosine")
    assert not result.signed


def test_pipelines_of_an_encoder_and_a_readout_work_and_can_be_asked_for_either(encoder):
    _, maps, age = encoder
    model = make_pipeline(MapScaler(), small_encoder(), Ridge()).fit(maps, age)
    result = occlusion_map(model, maps, age, size=4)
    np.testing.assert_allclose(result.responses, model.predict(maps), rtol=1e-5)
    named = occlusion_map(model[:-1], maps, response="transform", size=4)
    assert named.responses.shape == (24, 3)


def test_paths_are_loaded_by_the_pipeline_itself(people):
    files = people[["stiffness", "damping_ratio"]]
    model = make_pipeline(MapLoader(voxel_size=4), MapScaler(), MapMasker(), PCA(3), Ridge())
    model.fit(files, people.age)
    result = occlusion_map(model, files, people.age)
    maps = model[0].transform(files)
    np.testing.assert_array_equal(result.effects, occlusion_map(model, maps, people.age).effects)
    assert list(result.participants) == list(people.index)
    assert result.grid == maps.grid
    search = GridSearchCV(model, {"ridge__alpha": [1.0]}, cv=2).fit(files, people.age)
    np.testing.assert_allclose(
        occlusion_map(search, files, people.age).effects, result.effects, atol=1e-3
    )


class RemembersRows(TransformerMixin, BaseEstimator):
    """Keeps what came with the rows; a step that needs the site would read it there."""

    def fit(self, X, y=None):
        self.seen_ = []
        return self

    def transform(self, X):
        self.seen_ += list(zip(X.participants, X.metadata.site, strict=True))
        return X


def test_copies_keep_the_metadata_of_their_person():
    metadata = pd.DataFrame({"site": list("ABC") * 4})
    maps, age = cohort(12, metadata=metadata)
    model = make_pipeline(RemembersRows(), MapMasker(), Ridge()).fit(maps, age)
    model[0].seen_.clear()
    occlusion_map(model, maps, size=4, batch_size=3)
    expected = set(zip(maps.participants, metadata.site, strict=True))
    assert set(model[0].seen_) == expected
    assert len(model[0].seen_) > 3 * len(maps)


def test_classifiers_are_asked_for_the_probability_of_the_truth():
    maps, age = cohort()
    names = np.where(age > 60, "AD", np.where(age > 40, "MCI", "CN"))
    model = make_pipeline(MapScaler(), MapMasker(), LogisticRegression(C=0.01))
    three = occlusion_map(model.fit(maps, names), maps, names, size=7)
    row = list(model[-1].classes_).index(names[0])
    before = model.predict_proba(maps)[0, row]
    after = model.predict_proba(cohort_mean(np.asarray(maps))[None].astype(np.float32))[0, row]
    # row 0 lacks one face of the brain, which the masker fills with the mean of others anyway
    assert three.effects[0, 0] == pytest.approx(before - after, abs=1e-3)
    old = (age > 50).astype(int)
    two = occlusion_map(model.fit(maps, old), maps, old, size=7)
    np.testing.assert_allclose(two.responses, model.predict_proba(maps)[:, 1])
    assert (np.abs(two.effects) <= 1).all()


def test_a_score_of_ones_own(fitted):
    model, maps, age = fitted

    def squared(before, after, y):
        return (after - y) ** 2 - (before - y) ** 2

    own = occlusion_map(model, maps, age, size=7, score=squared)
    assert own.score == "squared"
    change = occlusion_map(model, maps, size=7, score="change").effects[:, 0]
    expected = (own.responses + change - age) ** 2 - (own.responses - age) ** 2
    np.testing.assert_allclose(own.effects[:, 0], expected, rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    edges=st.tuples(*[st.integers(1, 7)] * 3),
    size=st.integers(1, 5),
    data=st.data(),
)
def test_every_brain_voxel_lies_in_a_cube_and_no_cube_misses_the_brain(edges, size, data):
    stride = data.draw(st.integers(1, size))
    brain = np.random.default_rng(sum(edges)).random(edges) < 0.4
    brain.flat[0] = True
    patches = cubes(size, stride, brain, None)
    cover = np.zeros(brain.size, int)
    for patch in range(len(patches)):
        voxels = patches.voxels(patch)
        place = np.stack(np.unravel_index(voxels, edges))
        assert (np.ptp(place, axis=1) < size).all()
        assert len(voxels) == np.prod(np.ptp(place, axis=1) + 1)
        assert brain.ravel()[voxels].any()
        cover[voxels] += 1
    assert (cover[brain.ravel()] > 0).all()
    if stride == size:
        assert cover.max() == 1


class TestFiles:
    def test_maps_come_back_from_nifti(self, fitted, tmp_path):
        maps, age = cohort(grid=GRID)
        result = occlusion_map(fitted[0], maps, age)
        for name, what in [("group.nii.gz", "group"), ("t.nii", "t"), ("one.nii.gz", 3)]:
            image = nib.load(result.to_nifti(tmp_path / name, what, outside=np.nan))
            np.testing.assert_array_equal(image.get_fdata(dtype=np.float32), result.volume(what))
            np.testing.assert_allclose(image.affine, GRID.matrix)
        plain = result.to_image().get_fdata()
        assert (plain[np.isnan(result.group_map)] == 0).all()

    def test_files_are_not_replaced_by_accident(self, fitted, tmp_path):
        result = occlusion_map(fitted[0], cohort(grid=GRID)[0], size=7)
        path = result.to_nifti(tmp_path / "map.nii.gz")
        with pytest.raises(FileExistsError, match="overwrite=True"):
            result.to_nifti(path)
        assert result.to_nifti(path, overwrite=True) == path
        with pytest.raises(ValueError, match=r"\.nii or \.nii\.gz"):
            result.to_nifti(tmp_path / "map.png")

    def test_maps_without_a_grid_have_no_image(self, fitted, tmp_path):
        result = occlusion_map(fitted[0], fitted[1], size=7)
        with pytest.raises(ValueError, match="no grid"):
            result.to_nifti(tmp_path / "map.nii")
        with pytest.raises(ValueError, match="no grid"):
            result.plot()
        with pytest.raises(ValueError, match="what must be one of"):
            result.volume("mean")

    @pytest.mark.parametrize(("kind", "what"), [("slices", "group"), ("glass", 0)])
    def test_pictures_are_figures_that_nobody_else_holds(self, fitted, kind, what, tmp_path):
        maps, age = cohort(grid=GRID)
        result = occlusion_map(fitted[0], maps, age)
        figure = result.plot(what, kind=kind, cuts=2)
        assert isinstance(figure, Figure)
        texts = [text.get_text() for text in figure.texts]
        assert any("rise of the absolute error where occluded" in text for text in texts)
        figure.savefig(tmp_path / "figure.png", dpi=30)
        assert not pyplot.get_fignums()

    def test_unknown_kind_of_picture(self, fitted):
        result = occlusion_map(fitted[0], cohort(grid=GRID)[0], size=7)
        with pytest.raises(ValueError, match="'slices' or 'glass'"):
            result.plot(kind="sketch")


class TestBadInput:
    def test_features_are_no_maps(self, fitted):
        table = np.zeros((4, 9))
        with pytest.raises(ValueError, match=r"must hold maps.*\(4, 9\).*permutation_importance"):
            occlusion_map(fitted[0], table)

    def test_unfitted(self):
        with pytest.raises(NotFittedError):
            occlusion_map(linear(), cohort()[0])

    def test_nobody(self, fitted):
        with pytest.raises(ValueError, match="no row"):
            occlusion_map(fitted[0], fitted[1][:0])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"stride": 4, "size": 3}, "voxels between the cubes"),
            ({"score": "absolute_error"}, "give y"),
            ({"score": "cosine"}, "needs an embedding"),
            ({"score": "l1"}, "score"),
            ({"response": "transform"}, "no transform"),
            ({"channels": ["t1"]}, "channels must be some of"),
            ({"channels": ["stiffness"], "fill": "zero"}, "all channels together"),
            ({"regions": np.zeros((2, 2, 2), int)}, "on the grid of the maps"),
            ({"regions": np.ones(SHAPE)}, "whole numbers"),
            ({"regions": np.zeros(SHAPE, int)}, "holds no label"),
            ({"reference": np.ones((2, 1, 3, 3, 3))}, "maps of shape"),
            ({"score": lambda before, after, y: 0.0}, "score returned shape"),
        ],
    )
    def test_options_that_cannot_be(self, fitted, options, message):
        with pytest.raises(ValueError, match=message):
            occlusion_map(fitted[0], fitted[1], **options)

    def test_ages_of_other_people(self, fitted):
        with pytest.raises(ValueError, match="y has 3 entries where 24 are needed"):
            occlusion_map(fitted[0], fitted[1], [30, 40, 50])

    def test_grids_elsewhere(self, fitted):
        maps, _ = cohort(grid=GRID)
        shifted = Grid.from_arrays(SHAPE, GRID.matrix + 500 * np.eye(4, k=3))
        with pytest.raises(DataError, match="reference lies on"):
            occlusion_map(fitted[0], maps, reference=cohort(grid=shifted)[0])
        far = nib.Nifti1Image(np.ones(SHAPE, np.int32), shifted.matrix)
        with pytest.raises(DataError, match="outside their field of view"):
            occlusion_map(fitted[0], maps, regions=far)

    def test_embeddings_have_no_error_and_no_sign(self, encoder):
        model, maps, age = encoder
        with pytest.raises(ValueError, match="compares predictions"):
            occlusion_map(model, maps, age, score="absolute_error")
        with pytest.raises(ValueError, match="one number a person"):
            occlusion_map(model, maps, score="change")

    def test_classes_jump_and_unknown_ones_have_no_probability(self):
        maps, age = cohort()
        model = make_pipeline(MapScaler(), MapMasker(), LogisticRegression(C=0.01))
        model.fit(maps, age > 50)
        with pytest.raises(ValueError, match="classes, which jump"):
            occlusion_map(model, maps, response="predict")
        with pytest.raises(ValueError, match="not fitted on"):
            occlusion_map(model, maps, np.full(24, "CN"))
