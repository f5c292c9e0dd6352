"""RegionAverager against brute force, nilearn and the published regional means."""

import json
import pickle

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.maskers import NiftiLabelsMasker
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch

from mresklearn import MapArray, MapLoader, MapMasker, RegionAverager
from mresklearn.exceptions import DataError, MissingMetadataError
from mresklearn.maps import FREESURFER_STRUCTURES
from mresklearn.maps._grid import Grid
from mresklearn.maps._region_labels import nearest_labels
from mresklearn.maps._sources import ArraySource

SHAPE = (9, 10, 8)
GRID = Grid.from_arrays(SHAPE, [[2, 0, 0, -8], [0, 2, 0, -10], [0, 0, 2, -6], [0, 0, 0, 1]])
NAMES = {3: "Left-Thalamus", 7: "Right-Thalamus", 20: "Brain Stem"}


def label_data(seed=0):
    """Three regions in blocks of their own, with ragged edges."""
    data = np.zeros(SHAPE, np.int16)
    data[1:4, 1:9, 1:7], data[5:8, 1:9, 1:7], data[4, 2:8, 1:5] = 3, 7, 20
    return data * (np.random.default_rng(seed).random(SHAPE) < 0.9)


def image(data, affine=GRID.matrix):
    return nib.Nifti1Image(np.asarray(data), affine)


def cohort(n=8, seed=0, *, missing=0.2):
    """Two channels; every person lacks voxels of their own."""
    rng = np.random.default_rng(seed)
    maps = rng.uniform([[[[2.0]]], [[[0.1]]]], [[[[4.0]]], [[[0.3]]]], (n, 2, *SHAPE))
    return (maps * (rng.random((n, 1, *SHAPE)) >= missing)).astype(np.float32)


def as_maps(array, grid=GRID, **kwargs):
    return MapArray(
        ArraySource(array), channels=("stiffness", "damping_ratio"), grid=grid, **kwargs
    )


def brute_force(maps, mask, statistic):
    """One value per person and channel, in float64, by boolean indexing."""
    function = {"mean": np.mean, "median": np.median, "std": np.std}[statistic]
    return np.array(
        [
            [
                function(channel[mask & (person != 0).any(axis=0)].astype(float))
                for channel in person
            ]
            for person in maps
        ]
    )


def test_every_statistic_is_that_of_the_region_in_the_brain():
    maps, labels = cohort(), label_data()
    averager = RegionAverager(
        labels=image(labels), names=NAMES, statistics=("std", "coverage", "mean", "median")
    )
    table = averager.fit_transform(as_maps(maps))
    assert table.dtype == np.float32
    columns = dict(zip(averager.get_feature_names_out(), table.T, strict=True))
    assert len(columns) == table.shape[1] == 2 * 3 * 3 + 3
    for label, region in zip((3, 7, 20), averager.regions_, strict=True):
        for statistic in ("mean", "median", "std"):
            expected = brute_force(maps, labels == label, statistic)
            for channel, name in enumerate(("stiffness", "damping_ratio")):
                actual = columns[f"{name}_{region}_{statistic}"]
                np.testing.assert_allclose(actual, expected[:, channel], rtol=1e-5)
        covered = (maps[:, 0] != 0)[:, labels == label].mean(axis=1)
        np.testing.assert_allclose(columns[f"{region}_coverage"], covered, rtol=1e-6)
    np.testing.assert_array_equal(averager.n_voxels_, [(labels == k).sum() for k in (3, 7, 20)])


def test_the_mean_is_that_of_nilearn_where_the_brain_is_whole():
    maps, labels = cohort(4, missing=0), label_data()
    series = nib.Nifti1Image(np.moveaxis(maps[:, 0], 0, -1), GRID.matrix)
    masker = NiftiLabelsMasker(labels_img=image(labels), standardize=None)
    expected = masker.fit_transform(series)
    table = RegionAverager(labels=image(labels)).fit_transform(as_maps(maps))
    np.testing.assert_allclose(table[:, :3], expected, rtol=1e-5)


def test_columns_are_called_by_channel_region_and_statistic():
    maps, labels = as_maps(cohort()), image(label_data())
    short = RegionAverager(labels=labels, names=NAMES).fit(maps).get_feature_names_out()
    assert list(short[:2]) == ["stiffness_left_thalamus", "stiffness_right_thalamus"]
    assert short[-1] == "damping_ratio_brain_stem"
    two = RegionAverager(labels=labels, statistics=("mean", "std")).fit(maps)
    assert list(two.get_feature_names_out()[:2]) == [
        "stiffness_region3_mean",
        "stiffness_region3_std",
    ]
    framed = RegionAverager(labels=labels).set_output(transform="pandas").fit_transform(maps)
    assert framed.columns[0] == "stiffness_region3"


@pytest.mark.parametrize("order", ["LAS", "PIR", "RSA"])
def test_orientation_on_disk_does_not_matter(order):
    maps, labels = as_maps(cohort()), image(label_data())
    turned = labels.as_reoriented(
        nib.orientations.ornt_transform(
            nib.io_orientation(labels.affine), nib.orientations.axcodes2ornt(order)
        )
    )
    assert nib.aff2axcodes(turned.affine) == tuple(order)
    np.testing.assert_array_equal(
        RegionAverager(labels=turned).fit_transform(maps),
        RegionAverager(labels=labels).fit_transform(maps),
    )


@pytest.mark.parametrize("angle", [0.0, 0.3], ids=["straight", "oblique"])
def test_another_grid_gives_the_label_at_each_voxel_centre(angle):
    rng = np.random.default_rng(0)
    cos, sin = np.cos(angle), np.sin(angle)
    affine = np.diag([1.3, 1.7, 2.9, 1]) @ [
        [cos, -sin, 0, -6], [sin, cos, 0, -5], [0, 0, 1, -1.7], [0, 0, 0, 1],
    ]  # fmt: skip
    labels = rng.integers(0, 50, (12, 13, 5))
    source = Grid.from_arrays(labels.shape, affine)
    actual = nearest_labels(labels, source, GRID)
    outside = 0
    for index in np.ndindex(SHAPE):
        millimetres = GRID.matrix @ [*index, 1]
        nearest = np.rint(np.linalg.solve(affine, millimetres)[:3]).astype(int)
        inside = ((nearest >= 0) & (nearest < labels.shape)).all()
        outside += not inside
        assert actual[index] == (labels[tuple(nearest)] if inside else 0)
    assert 0 < outside < actual.size / 2


def test_an_atlas_of_finer_voxels_gives_the_values_of_the_coarse_one():
    maps, labels = as_maps(cohort()), label_data()
    fine = labels.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    affine = GRID.matrix @ np.diag([0.5, 0.5, 0.5, 1])
    affine[:3, 3] -= 0.5  # centres of the eight small voxels lie around that of the large one
    averager = RegionAverager(labels=image(fine, affine)).fit(maps)
    np.testing.assert_array_equal(averager.labels_, labels)


@pytest.mark.parametrize(
    "regions",
    [
        {"thalamus": [3, 7], "all": [3, 7, 20]},
        {"thalamus": ("Left-Thalamus", "right_thalamus"), "all": [3, 7, "Brain Stem"]},
    ],
    ids=["labels", "names"],
)
def test_regions_merge_and_may_overlap(regions):
    maps, labels = cohort(), label_data()
    averager = RegionAverager(
        labels=image(labels), names=NAMES, regions=regions, statistics=("mean", "median")
    )
    table = averager.fit_transform(as_maps(maps))
    assert averager.regions_ == ["thalamus", "all"]
    for region, members in enumerate(([3, 7], [3, 7, 20])):
        for position, statistic in enumerate(("mean", "median")):
            expected = brute_force(maps, np.isin(labels, members), statistic)[:, 0]
            np.testing.assert_allclose(table[:, 2 * region + position], expected, rtol=1e-5)


def test_a_list_of_names_keeps_those():
    maps, labels = as_maps(cohort()), image(label_data())
    kept = RegionAverager(labels=labels, names=NAMES, regions=["brain_stem"]).fit(maps)
    assert list(kept.get_feature_names_out()) == [
        "stiffness_brain_stem",
        "damping_ratio_brain_stem",
    ]
    with pytest.raises(ValueError, match="no region 'pons'; its regions are Left-Thalamus"):
        RegionAverager(labels=labels, names=NAMES, regions=["pons"]).fit(maps)
    with pytest.raises(ValueError, match=r"\[99\] do not occur"):
        RegionAverager(labels=labels, regions={"pons": [3, 99]}).fit(maps)


def test_two_regions_of_one_name_are_refused():
    same = {3: "Thalamus", 7: "thalamus", 20: "stem"}
    with pytest.raises(ValueError, match="Two regions are called 'thalamus'"):
        RegionAverager(labels=image(label_data()), names=same).fit(as_maps(cohort()))


def test_names_come_from_a_table_a_file_or_the_atlas(tmp_path):
    maps, labels = as_maps(cohort()), label_data()
    table = pd.DataFrame({"index": [0, *NAMES], "name": ["Unknown", *NAMES.values()]})
    table.to_csv(tmp_path / "names.csv", index=False)
    table.to_csv(tmp_path / "names.tsv", index=False, sep="\t")
    compact = np.searchsorted([0, 3, 7, 20], labels).astype(np.int16)
    expected = ["left_thalamus", "right_thalamus", "brain_stem"]
    names = list(NAMES.values())
    for case in (
        {"labels": image(labels), "names": table},
        {"labels": image(labels), "names": str(tmp_path / "names.csv")},
        {"labels": image(labels), "names": tmp_path / "names.tsv"},
        {"labels": Bunch(maps=image(labels), lut=table, labels=["x"])},
        {"labels": Bunch(maps=image(labels), labels=names, indices=["3", "7", "20"])},
        {"labels": Bunch(maps=image(compact), labels=["Background", *names])},
        {"labels": Bunch(maps=image(compact), labels=[name.encode() for name in names])},
    ):
        assert RegionAverager(**case).fit(maps).regions_ == expected
    with pytest.raises(DataError, match="'index' and 'name'"):
        RegionAverager(labels=image(labels), names=table.rename(columns={"name": "n"})).fit(maps)
    with pytest.raises(DataError, match="cannot be read"):
        RegionAverager(labels=image(labels), names=str(tmp_path / "absent.csv")).fit(maps)
    with pytest.raises(ValueError, match="names must be a dict"):
        RegionAverager(labels=image(labels), names=["a"]).fit(maps)


def covered(*shares):
    """One channel, one region of ten voxels, of which each person has a share."""
    labels = np.ones((10, 1, 1), np.int16)
    maps = np.zeros((len(shares), 1, 10, 1, 1), np.float32)
    for number, share in enumerate(shares):
        maps[number, 0, : round(10 * share)] = number + 1
    return maps, image(labels, np.eye(4))


def test_values_count_from_min_coverage_on():
    maps, labels = covered(1.0, 0.5, 0.4, 0.0)
    table = RegionAverager(
        labels=labels, min_coverage=0.5, missing="nan", statistics=("mean", "coverage")
    ).fit_transform(maps)
    np.testing.assert_allclose(table, [[1, 1], [2, 0.5], [np.nan, 0.4], [np.nan, 0]], rtol=1e-6)
    without = RegionAverager(labels=labels, min_coverage=0, missing="nan").fit_transform(maps)
    np.testing.assert_array_equal(without[:, 0], [1, 2, 3, np.nan])


def test_missing_values_get_the_training_mean_and_learn_nothing_at_transform():
    maps, labels = covered(1.0, 1.0, 0.1)
    averager = RegionAverager(labels=labels).fit(maps)
    np.testing.assert_array_equal(averager.fill_, [1.5])
    strangers = np.concatenate([maps[2:], np.full_like(maps[:1], 100)])
    before = pickle.dumps(averager)
    np.testing.assert_array_equal(averager.transform(strangers), [[1.5], [100]])
    np.testing.assert_array_equal(averager.transform(strangers[:1]), [[1.5]])
    assert pickle.dumps(averager) == before
    np.testing.assert_array_equal(averager.fit_transform(maps), averager.transform(maps))


def test_a_region_that_nobody_has_cannot_be_imputed():
    maps, labels = covered(0.1, 0.2)
    with pytest.raises(DataError, match=r"region1.*every training person.*missing='nan'"):
        RegionAverager(labels=labels).fit(maps)
    assert np.isnan(RegionAverager(labels=labels, missing="nan").fit_transform(maps)).all()


def test_raise_names_regions_and_participants():
    maps, labels = covered(1.0, 0.1, 0.9, 0.0)
    people = MapArray.from_array(maps, participants=["a", "b", "c", "d"])
    averager = RegionAverager(labels=labels, names={1: "Pons"}, missing="raise")
    with pytest.raises(DataError, match=r"pons lie.*30%.*participant\(s\) b, d\."):
        averager.fit(people)
    averager.fit(people[[0, 2]])
    with pytest.raises(DataError, match=r"participant\(s\) d\."):
        averager.transform(people[[2, 3]])


@pytest.mark.parametrize(
    "make", [lambda **k: RegionAverager(labels=image(label_data()), **k), MapMasker]
)
def test_kept_columns_follow_the_features(make):
    metadata = pd.DataFrame(
        {"age": np.arange(8.0), "site": list("AABBABAB"), "sex": list("FM") * 4}
    )
    ids = [f"sub-{number // 2}" for number in range(8)]  # two sessions each
    maps = as_maps(cohort(), participants=ids, metadata=metadata)
    plain = make().fit_transform(maps)
    transformer = make(keep=["site", "age"]).fit(maps[:6])
    table = transformer.transform(maps[[7, 1]])
    assert list(table.columns) == list(transformer.get_feature_names_out())
    assert list(table.columns[-2:]) == ["site", "age"]
    assert list(table.index) == ["sub-3", "sub-0"]
    assert list(table.site) == ["B", "A"]
    assert list(table.age) == [7.0, 1.0]
    features = table.iloc[:, :-2]
    assert (features.dtypes == np.float32).all()
    if features.shape == plain[[7, 1]].shape:  # the mask of MapMasker may differ
        np.testing.assert_allclose(features, plain[[7, 1]], rtol=1e-5)
    framed = transformer.set_output(transform="pandas").transform(maps)
    assert list(framed.columns) == list(table.columns)


@pytest.mark.parametrize("make", [RegionAverager, MapMasker])
def test_kept_columns_of_a_table_of_features(make):
    table = pd.DataFrame({"a": [1.0, 2], "site": ["x", "y"], "b": [3.0, 4]}, index=["p", "q"])
    kept = make(keep=("site",)).fit_transform(table)
    assert list(kept.columns) == ["a", "b", "site"]
    assert list(kept.index) == ["p", "q"]
    with pytest.raises(MissingMetadataError, match=r"keep names column\(s\) \['site'\]"):
        make(keep=("site",)).fit(table[["a", "b"]])


@pytest.mark.parametrize("make", [RegionAverager, MapMasker])
def test_a_kept_column_that_does_not_ride_along_names_both_ways(make):
    for metadata in (None, pd.DataFrame({"age": np.arange(8)})):
        maps = MapArray.from_array(cohort(), metadata=metadata)
        with pytest.raises(MissingMetadataError) as error:
            make(keep=("site",)).fit(maps)
        assert "MapLoader(metadata=['site'])" in str(error.value)
        assert "from_array" in str(error.value)


def test_from_files_to_a_table_with_site(people, write_map):
    labels = np.zeros((16, 18, 14))
    labels[2:8], labels[8:14] = 1, 2
    path = write_map("labels.nii.gz", labels)
    X = people[["stiffness", "damping_ratio", "site"]]
    model = make_pipeline(
        MapLoader(voxel_size=4, metadata=["site"]),
        RegionAverager(labels=path, regions={"Left": [2], "Right": [1]}, keep=("site",)),
    )
    table = model.fit_transform(X)
    assert list(table.columns) == [
        "stiffness_left", "stiffness_right", "damping_ratio_left", "damping_ratio_right", "site",
    ]  # fmt: skip
    assert table.index.equals(people.index)
    assert (table.site == people.site).all()
    stiffer = np.corrcoef(table.stiffness_left, people.age)[0, 1]
    assert stiffer < -0.95
    regression = make_pipeline(
        MapLoader(voxel_size=4), RegionAverager(labels=path), Ridge(alpha=0.01)
    )
    scores = cross_val_score(regression, X[["stiffness"]], people.age, cv=3, scoring="r2")
    assert scores.min() > 0.9


def test_images_and_tables_survive_clone_repr_and_pickle(tmp_path):
    maps, labels = as_maps(cohort()), label_data()
    image(labels).to_filename(tmp_path / "labels.nii.gz")
    on_disk = nib.load(tmp_path / "labels.nii.gz")
    table = pd.DataFrame({"index": list(NAMES), "name": list(NAMES.values())})
    for atlas in (image(labels), on_disk, Bunch(maps=on_disk, lut=table)):
        averager = RegionAverager(labels=atlas, names=table, regions={"thalamus": [3, 7]})
        expected = averager.fit_transform(maps)
        assert averager.get_params()["labels"] is atlas
        assert "RegionAverager(" in repr(averager)
        np.testing.assert_array_equal(clone(averager).fit_transform(maps), expected)
        copy = pickle.loads(pickle.dumps(averager))
        np.testing.assert_array_equal(copy.transform(maps), expected)


def test_regions_lost_on_the_grid_are_named():
    maps, labels = as_maps(cohort()), label_data()
    tiny = labels.repeat(3, axis=0).repeat(3, axis=1).repeat(3, axis=2)
    tiny[0, 0, 0] = 20 + 1  # a third of a voxel, in its corner
    affine = GRID.matrix @ np.diag([1 / 3, 1 / 3, 1 / 3, 1])
    affine[:3, 3] -= 2 / 3
    atlas = image(tiny, affine)
    with pytest.warns(UserWarning, match="no voxel of region21 on the grid.*left out"):
        averager = RegionAverager(labels=atlas).fit(maps)
    assert averager.regions_ == ["region3", "region7", "region20"]
    with pytest.raises(DataError, match="no voxel of speck on the grid"):
        RegionAverager(labels=atlas, regions={"speck": [21]}).fit(maps)
    far = GRID.matrix
    far[:3, 3] += 1000
    with pytest.raises(DataError, match="no voxel of region3, region7, region20"):
        RegionAverager(labels=image(labels, far)).fit(maps)


def test_maps_need_labels():
    with pytest.raises(ValueError, match="give labels="):
        RegionAverager().fit(cohort())


def test_maps_without_a_grid_need_labels_of_their_shape_in_ras_order():
    maps, labels = cohort(), label_data()
    expected = RegionAverager(labels=image(labels)).fit_transform(as_maps(maps))
    np.testing.assert_array_equal(
        RegionAverager(labels=image(labels)).fit_transform(maps), expected
    )
    with pytest.raises(DataError, match=r"\(9, 10, 7\).*\(9, 10, 8\)"):
        RegionAverager(labels=image(labels[..., 1:])).fit(maps)
    mirrored = image(labels, np.diag([-2.0, 2, 2, 1]))
    with pytest.raises(DataError, match="left and right cannot be told"):
        RegionAverager(labels=mirrored).fit(maps)
    RegionAverager(labels=nib.as_closest_canonical(mirrored)).fit(maps)


def test_maps_of_another_grid_are_refused():
    averager = RegionAverager(labels=image(label_data())).fit(as_maps(cohort()))
    shifted = GRID.matrix
    shifted[0, 3] += 2
    with pytest.raises(DataError, match="fitted on maps of"):
        averager.transform(as_maps(cohort(), Grid.from_arrays(SHAPE, shifted)))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("absent.nii.gz", r"\(absent.nii.gz\) cannot be read"),
        (7, "cannot be read"),
        (image(np.full(SHAPE, 0.5)), "not whole numbers"),
        (image(np.full(SHAPE, np.nan)), "not whole numbers"),
        (image(np.zeros(SHAPE, np.int16)), "no label"),
        (image(np.ones((*SHAPE, 3), np.int16)), "one 3-D volume"),
    ],
    ids=["absent", "no image", "fractions", "nan", "empty", "series"],
)
def test_an_unusable_label_image_is_named(labels, message):
    with pytest.raises(DataError, match=message):
        RegionAverager(labels=labels).fit(as_maps(cohort()))


@pytest.mark.parametrize("statistics", [(), ("mode",), ("mean", "mean")], ids=str)
def test_statistics_are_checked(statistics):
    with pytest.raises(ValueError, match="statistics must name some of"):
        RegionAverager(statistics=statistics).fit(np.ones((3, 2)))


@pytest.fixture(scope="module")
def mre134(real_data):
    """Every ninth person, so that the studies mix: twelve people at 2 mm."""
    folder = real_data / "mre134"
    files = sorted((folder / "individual_stiffness_files").glob("*.nii.gz"))[::9]
    people = [path.name.split("Stiff")[0] for path in files]
    damping = [folder / "individual_damping ratio_files" / f"{p}DR_warped.nii.gz" for p in people]
    X = pd.DataFrame({"stiffness": files, "damping_ratio": damping}, index=people)
    return X, MapLoader(cache=None).fit_transform(X)


@pytest.mark.real_data
def test_published_regional_means_on_real_maps(real_data, mre134):
    atlas = real_data / "atlases" / "dk_aparc+aseg_MNI152_2mm.nii.gz"
    regions = json.loads((real_data / "atlases" / "roi_dk.json").read_text())
    files, maps = mre134
    averager = RegionAverager(labels=atlas, regions=regions).fit(maps)
    table = pd.DataFrame(
        averager.transform(maps), index=files.index, columns=averager.get_feature_names_out()
    )
    published = pd.read_csv(real_data / "mre_published_effects.csv")
    published = published[(published.statistic == "mean") & (published.n.astype(str) == "134")]
    published = published.set_index(["structure", "quantity"])
    errors = {}
    for kind, quantity in (
        ("stiffness", "shear_stiffness_mu"),
        ("damping_ratio", "damping_ratio_xi"),
    ):
        for region in regions:
            row = published.loc[(region, quantity)]
            # the mean of a sample of the 134 people, in standard errors
            error = table[f"{kind}_{region}"].mean() - float(row.value)
            errors[kind, region] = error / (float(row.sd) / np.sqrt(len(table)))
    assert len(errors) == 38
    assert max(map(abs, errors.values())) < 2.5, errors
    assert table.stiffness_thalamus.mean() == pytest.approx(3.37, abs=0.2)


@pytest.mark.real_data
def test_real_maps_equal_brute_force_on_the_files(real_data, mre134):
    atlas = real_data / "atlases" / "dk_aparc+aseg_MNI152_2mm.nii.gz"
    labels = np.asarray(nib.load(atlas).dataobj)
    files, maps = mre134
    regions = {**FREESURFER_STRUCTURES, "left_thalamus": [10], "right_thalamus": [49]}
    table = RegionAverager(labels=atlas, regions=regions).fit_transform(maps[:2])
    for row, path, loaded in zip(table, files.stiffness[:2], maps, strict=False):
        raw = np.asarray(nib.load(path).dataobj, np.float64) / 1000
        for value, members in zip(row, regions.values(), strict=False):
            region = np.isin(labels, members)
            # x runs to the left on disk, to the right after loading
            voxels = loaded[0][::-1][region & (loaded[0][::-1] > 0)]
            assert value == pytest.approx(voxels.mean(dtype=float), rel=1e-6)
            # MapLoader clips the few voxels outside of the physical range
            assert value == pytest.approx(raw[region & (raw > 0)].mean(), rel=1e-2)


@pytest.mark.real_data
def test_the_named_structures_are_those_of_the_atlas(real_data, mre134):
    folder = real_data / "atlases"
    names = pd.read_csv(folder / "dk_labels.csv").set_index("index").name
    for structure, members in FREESURFER_STRUCTURES.items():
        for label in members:
            squeezed = names[label].lower().replace("-", "").replace("_", "")
            assert structure.replace("_", "") in squeezed
    whole = RegionAverager(
        labels=folder / "dk_aparc+aseg_MNI152_2mm.nii.gz",
        names=folder / "dk_labels.csv",
        missing="nan",
    ).fit(mre134[1][:1])
    assert len(whole.regions_) == 112
    assert "stiffness_left_thalamus_proper" in whole.get_feature_names_out()
