"""MapLoader: real conventions in, one grid, one unit and one mask out."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from synthetic import MNI_2MM_MIRRORED, brain

from mresklearn import MapArray, MapLoader, MapMasker, MapScaler
from mresklearn.exceptions import DataError, MissingMetadataError


def maps_of(people, kinds=("stiffness", "damping_ratio"), **parameters):
    return MapLoader(metadata=["site"], maps=list(kinds), **parameters).fit_transform(people)


def test_a_frame_of_paths_becomes_a_lazy_array_with_ids_and_site(people):
    maps = maps_of(people)
    assert isinstance(maps, MapArray)
    assert maps.shape == (24, 2, 16, 18, 14)
    assert maps.channels == ("stiffness", "damping_ratio")
    assert list(maps.participants) == list(people.index)
    assert list(maps[5:9].metadata.site) == list(people.site[5:9])


def test_values_are_those_on_disk_turned_to_ras(people):
    maps = maps_of(people)
    image = nib.load(people.stiffness.iloc[3])
    expected = nib.as_closest_canonical(image).get_fdata(dtype=np.float32)
    np.testing.assert_allclose(maps[3][0], expected, rtol=1e-6)
    np.testing.assert_allclose(maps.grid.matrix, nib.as_closest_canonical(image).affine)


def test_columns_come_in_the_order_asked_for(people):
    swapped = maps_of(people, kinds=("damping_ratio", "stiffness"))
    np.testing.assert_array_equal(swapped[0][::-1], maps_of(people)[0])


@pytest.mark.parametrize("factor", [1.0, 1000.0])
def test_pascal_and_kilopascal_load_the_same(write_map, factor):
    stiffness = np.where(brain(), 2.5, 0.0) * factor
    loader = MapLoader().fit(pd.DataFrame({"stiffness": [write_map("a.nii", stiffness)] * 2}))
    assert loader.units_ == {"stiffness": "Pa" if factor == 1000 else "kPa"}
    maps = loader.transform(pd.DataFrame({"stiffness": [write_map("b.nii", stiffness)]}))
    np.testing.assert_allclose(maps[0][0][brain()], 2.5, rtol=1e-6)


def test_an_unclear_unit_is_refused_and_can_be_stated(write_map):
    path = write_map("odd.nii", np.where(brain(), 30.0, 0.0))
    X = pd.DataFrame({"stiffness": [path]})
    with pytest.raises(DataError, match=r"odd\.nii.*median.* 30, neither.*units="):
        MapLoader().fit(X)
    assert MapLoader(units={"stiffness": "Pa"}).fit_transform(X)[0].max() == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ({"mu": "Pa"}, r"units names \['mu'\], but the maps are"),
        ({"stiffness": "psi"}, "can be 'Pa' or 'kPa'"),
    ],
)
def test_impossible_units_are_refused(people, units, message):
    with pytest.raises(ValueError, match=message):
        MapLoader(units=units, metadata=["site", "age"]).fit(people)


def test_mixed_units_are_refused_with_both_counts_and_can_be_converted(write_map):
    files = [
        write_map(f"{number}.nii", np.where(brain(), 2.5, 0) * (1000 if number == 3 else 1))
        for number in range(5)
    ]
    X = pd.DataFrame({"stiffness": files})
    with pytest.raises(DataError, match=r"mixes units: 1 in Pa, 4 in kPa.*\n- .*3\.nii"):
        MapLoader().fit(X)
    loader = MapLoader(mixed_units="convert").fit(X)
    assert loader.units_ == {"stiffness": "mixed"}
    np.testing.assert_allclose(np.asarray(loader.transform(X))[:, 0, brain()], 2.5, rtol=1e-6)


def test_one_person_loads_the_same_alone_as_in_company(people):
    loader = MapLoader(metadata=["site", "age"], voxel_size=4).fit(people)
    together = loader.transform(people)
    for row in (0, 13):
        np.testing.assert_array_equal(
            loader.transform(people.iloc[[row]])[0], np.asarray(together[row])
        )


@pytest.mark.parametrize("background", [0.0, np.nan, -1.0, np.inf])
def test_background_is_exactly_zero_however_it_was_stored(write_map, background):
    stiffness = np.where(brain(), 2.5, background)
    damping = np.where(brain(), 0.2, 7.0)  # junk outside the brain
    X = pd.DataFrame(
        {
            "stiffness": [write_map("s.nii", stiffness)],
            "damping_ratio": [write_map("d.nii", damping)],
        }
    )
    sample = MapLoader().fit_transform(X)[0]
    for channel, value in zip(sample, (2.5, 0.2), strict=True):
        np.testing.assert_allclose(channel[brain()], value, rtol=1e-6)
        assert (channel[~brain()] == 0).all()


def test_the_stiffness_map_is_the_mask_even_where_it_is_no_channel(write_map):
    X = pd.DataFrame(
        {
            "damping_ratio": [write_map("d.nii", np.full(brain().shape, 0.2))],
            "stiffness": [write_map("s.nii", np.where(brain(), 2500.0, 0))],
        }
    )
    sample = MapLoader(maps=["damping_ratio"]).fit_transform(X)[0]
    assert sample.shape[0] == 1
    np.testing.assert_array_equal(sample[0] > 0, brain())


def test_values_outside_their_physical_range_are_clipped(write_map):
    stiffness, damping = np.where(brain(), 2.5, 0), np.where(brain(), 0.2, 0)
    stiffness[8, 9, 7], damping[8, 9, 7], damping[7, 9, 7] = 50.0, 4.7, -0.1
    X = pd.DataFrame(
        {
            "stiffness": [write_map("s.nii", stiffness)],
            "damping_ratio": [write_map("d.nii", damping)],
        }
    )
    sample = MapLoader().fit_transform(X)[0]
    assert sample[0].max() == 10
    assert sample[1].max() == 1
    assert sample[1].min() == 0


def test_resampling_never_mixes_background_in(write_map):
    stiffness = np.where(brain(), 2.5, 0.0)
    X = pd.DataFrame({"stiffness": [write_map("s.nii", stiffness)]})
    for size in (3.0, 4.0, 1.0):
        sample = MapLoader(voxel_size=size).fit_transform(X)[0]
        np.testing.assert_allclose(sample[sample > 0], 2.5, rtol=1e-5)


def test_another_grid_is_refused_then_resampled_where_the_user_says_how(write_map):
    shape = brain().shape
    coarse = MNI_2MM_MIRRORED @ np.diag([2, 2, 2, 1.0])
    coarse[:3, 3] += MNI_2MM_MIRRORED[:3, :3] @ np.full(3, 0.5)
    fine = write_map("fine.nii", np.where(brain(), 2.5, 0))
    half = brain()[::2, ::2, ::2]
    X = pd.DataFrame({"stiffness": [fine, write_map("coarse.nii", np.where(half, 2.5, 0), coarse)]})
    with pytest.raises(DataError, match=r"coarse\.nii lies on another grid.*voxel_size="):
        MapLoader().fit(X)
    maps = MapLoader(voxel_size=4).fit_transform(X)
    np.testing.assert_array_equal(maps[0] > 0, maps[1] > 0)
    maps = MapLoader(grid=fine).fit_transform(X)
    assert maps.shape[2:] == shape


def test_another_field_of_view_is_refused_unless_the_user_declares_the_space(write_map):
    native = np.diag([1.5, 1.5, 1.5, 1.0])
    mni, other = (
        write_map("mni.nii", np.where(brain(), 2.5, 0)),
        write_map("native.nii", np.where(brain(), 2.5, 0), native),
    )
    X = pd.DataFrame({"stiffness": [mni, other]})
    with pytest.raises(DataError, match=r"native\.nii covers another field of view.*grid=template"):
        MapLoader(voxel_size=4).fit(X)
    assert MapLoader(voxel_size=4, grid=mni).fit_transform(X).shape[0] == 2


def test_all_bad_files_are_listed_at_once(people, write_map, tmp_path):
    whole = tmp_path / "sub-03_mu.nii.gz"
    (tmp_path / "cut.nii.gz").write_bytes(whole.read_bytes()[:2000])
    people.loc["sub-01", "stiffness"] = str(tmp_path / "absent.nii.gz")
    people.loc["sub-03", "stiffness"] = str(tmp_path / "cut.nii.gz")
    people.loc["sub-05", "stiffness"] = write_map("zeros.nii", np.zeros(brain().shape))
    people.loc["sub-07", "stiffness"] = write_map("two.nii", np.ones((*brain().shape, 2)))
    (tmp_path / "text.nii").write_text("not an image")
    people.loc["sub-09", "stiffness"] = str(tmp_path / "text.nii")
    with pytest.raises(DataError) as error:
        maps_of(people)
    text = str(error.value)
    assert "5 of 24 rows cannot be loaded" in text
    assert "There is no file" in text
    assert "absent.nii.gz" in text
    assert "cut.nii.gz is truncated or corrupt" in text
    assert "zeros.nii has no positive voxel" in text
    assert "two.nii has shape (16, 18, 14, 2)" in text
    assert "text.nii cannot be opened as an image" in text


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_a_truncated_gzip_names_its_file(people, tmp_path, share):
    path = tmp_path / "sub-03_mu.nii.gz"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=r"sub-03_mu\.nii\.gz"):
        maps_of(people)


def test_a_value_that_is_no_file_names_its_column_and_row(people):
    with pytest.raises(DataError, match=r"Column 'age', row 'sub-00' holds .*metadata="):
        MapLoader(metadata=["site"]).fit(people)
    people.loc["sub-04", "damping_ratio"] = np.nan
    with pytest.raises(DataError, match="Column 'damping_ratio', row 'sub-04' holds nan"):
        maps_of(people)


def test_missing_columns_are_named(people):
    with pytest.raises(MissingMetadataError, match=r"\['scanner'\] are not in X"):
        MapLoader(metadata=["scanner"]).fit(people)
    with pytest.raises(DataError, match=r"\['t1'\] are not in X"):
        MapLoader(maps=["t1"]).fit(people)
    loader = MapLoader(metadata=["site"], maps=["stiffness"]).fit(people)
    with pytest.raises(MissingMetadataError, match="site"):
        loader.transform(people.drop(columns="site"))


def test_columns_are_matched_by_name_at_transform(people):
    loader = MapLoader(metadata=["site", "age"]).fit(people)
    shuffled = people[["age", "damping_ratio", "site", "stiffness"]]
    np.testing.assert_array_equal(loader.transform(shuffled)[2], loader.transform(people)[2])


def test_forms_of_input_are_equal(people):
    paths = people.stiffness.tolist()
    expected = np.asarray(MapLoader().fit_transform(pd.DataFrame({"stiffness": paths})))
    images = [nib.load(path) for path in paths]
    for form in (people.stiffness, pd.DataFrame({"stiffness": images})):
        np.testing.assert_array_equal(np.asarray(MapLoader().fit_transform(form)), expected)


def test_threads_and_cache_change_nothing(people, tmp_path):
    plain = np.asarray(maps_of(people, cache=None))
    for parameters in ({"n_jobs": 2}, {"cache": tmp_path / "kept"}, {"cache": tmp_path / "kept"}):
        np.testing.assert_array_equal(np.asarray(maps_of(people, **parameters)), plain)


def test_progress_only_when_asked_for(people, capsys):
    maps_of(people)
    assert capsys.readouterr() == ("", "")
    maps_of(people, verbose=1)
    assert "Reading maps" in capsys.readouterr().err


@pytest.mark.real_data
def test_mre134_loads_as_it_lies_on_disk(real_data):
    """Pa, qform only, mirrored x, a blank in a folder name, negative damping ratios."""
    folder = real_data / "mre134"
    stiffness = sorted((folder / "individual_stiffness_files").iterdir())[:12]
    damping = sorted((folder / "individual_damping ratio_files").iterdir())[:12]
    X = pd.DataFrame({"stiffness": stiffness, "damping_ratio": damping})
    loader = MapLoader(voxel_size=4, n_jobs=2)
    maps = loader.fit_transform(X)
    assert loader.units_ == {"stiffness": "Pa"}
    assert maps.shape == (12, 2, 45, 54, 45)
    assert np.diag(maps.grid.matrix)[:3].min() > 0
    values = np.asarray(maps)
    inside = (values != 0).any(axis=1)
    assert 2.3 < values[:, 0][inside].mean() < 3.1
    assert 0.15 < values[:, 1][inside].mean() < 0.3
    assert values.min() >= 0
    # the volume of the brain mask survives the coarser grid (published: 152,000 to 223,000 voxels)
    on_disk = np.array([(np.asarray(nib.load(path).dataobj) > 0).sum() for path in stiffness])
    np.testing.assert_allclose(inside.sum(axis=(1, 2, 3)) * 8, on_disk, rtol=0.03)
    voxels = MapMasker().fit_transform(MapScaler().fit_transform(maps))
    assert np.isfinite(voxels).all()


def turned(path, angle, name):
    """Write the image of a path, turned about z, and return where."""
    image = nib.load(path)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.eye(4)
    turn[:2, :2] = [[cosine, -sine], [sine, cosine]]
    data = image.get_fdata(dtype=np.float32)
    nib.Nifti1Image(data, turn @ image.affine).to_filename(name)
    return str(name)


def test_maps_on_one_oblique_grid_stay_on_it(people, tmp_path):
    straight = people[["stiffness"]][:2]
    oblique = straight.assign(
        stiffness=[
            turned(path, 0.1, tmp_path / f"oblique{number}.nii.gz")
            for number, path in enumerate(straight.stiffness)
        ]
    )
    loader = MapLoader().fit(oblique)
    maps = loader.transform(oblique)
    np.testing.assert_array_equal(np.asarray(maps), np.asarray(MapLoader().fit_transform(straight)))
    disk = nib.as_closest_canonical(nib.load(oblique.stiffness.iloc[0]))
    np.testing.assert_allclose(maps.grid.matrix, disk.affine, atol=1e-5)
    with pytest.raises(DataError, match="another grid"):
        loader.transform(straight)
    assert MapLoader(voxel_size=4).fit_transform(oblique).grid.axis_aligned


@pytest.mark.parametrize("missing", [np.nan, None])
def test_a_person_without_a_map_is_named_in_whatever_row(people, missing):
    for row in (0, 5):
        X = people[["stiffness"]].astype(object)
        X.iloc[row, 0] = missing
        for form in (X, X.stiffness):
            with pytest.raises(DataError, match=f"row '{people.index[row]}' holds"):
                MapLoader().fit(form)
        with pytest.raises(DataError, match=f"row '{row}' holds"):
            MapLoader().fit(list(X.stiffness))


@pytest.mark.parametrize("outliers", ["clip", "keep"])
@pytest.mark.parametrize("voxel_size", [None, 4])
def test_a_brain_voxel_at_zero_stays_a_brain_voxel(write_map, outliers, voxel_size):
    damping = np.where(brain(), 0.2, 0)
    damping[6:10, 6:10, 6:10] = -0.1 if outliers == "clip" else 0.0
    X = pd.DataFrame(
        {
            "stiffness": [write_map("s.nii", np.where(brain(), 2.5, 0))],
            "damping_ratio": [write_map("d.nii", damping)],
        }
    )
    settings = {"outliers": outliers, "voxel_size": voxel_size}
    both = MapLoader(**settings).fit_transform(X)[0]
    alone = MapLoader(maps=["damping_ratio"], **settings).fit_transform(X)[0]
    np.testing.assert_array_equal(alone[0] != 0, (both != 0).any(axis=0))
    np.testing.assert_allclose(alone[0], both[1], atol=1e-30)
    assert alone.min() >= 0


def test_a_table_is_what_is_asked_for_and_maps_stay_maps(people):
    loader = MapLoader(maps=["stiffness", "damping_ratio"]).set_output(transform="pandas")
    assert isinstance(loader.fit_transform(people), MapArray)
    assert list(loader.get_feature_names_out()) == ["stiffness", "damping_ratio"]
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    pd.testing.assert_frame_equal(loader.fit_transform(table), table)


@pytest.mark.parametrize("how", ["everywhere", "pipeline"])
def test_a_pipeline_of_maps_works_where_frames_are_asked_for(people, how):
    loader = MapLoader(maps=["stiffness"], metadata=["site"])
    fitted = make_pipeline(loader, MapScaler(), MapMasker(), Ridge()).fit(people, people.age)
    expected = fitted.predict(people)
    model = clone(fitted)
    if how == "pipeline":
        model.set_output(transform="pandas")
    with config_context(transform_output="pandas" if how == "everywhere" else "default"):
        predicted = model.fit(people, people.age).predict(people)
        voxels = model[:-1].transform(people)
    np.testing.assert_allclose(predicted, expected, rtol=1e-4)
    assert isinstance(voxels, pd.DataFrame)
    assert list(voxels.columns) == list(fitted[:-1].get_feature_names_out())


@pytest.mark.parametrize("nothing", [np.nan, None])
def test_a_loader_of_files_says_so_where_nobody_has_one(people, nothing):
    people = people[["stiffness", "damping_ratio"]]
    loader = MapLoader(cache=None).fit(people)
    with pytest.raises(ValueError, match=r"fitted on files, and X holds no path.*stiffness"):
        loader.transform(people.head(2).assign(stiffness=nothing, damping_ratio=nothing))
    with pytest.raises(ValueError, match="fitted on files"):
        loader.transform(np.zeros((2, 2, 4, 4, 4)))
