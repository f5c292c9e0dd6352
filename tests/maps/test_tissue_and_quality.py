"""The robust brain mask, physical limits, derived moduli and interpolation by channel."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import brain

from mresklearn import ContrastiveEncoder, MapLoader, MapScaler
from mresklearn.exceptions import DataError
from mresklearn.maps import _image_files
from mresklearn.maps._moduli import derive, sources_of
from mresklearn.maps._tissue import tissue


def brain_map(seed=0, low=1.0, high=6.0):
    rng = np.random.default_rng(seed)
    return np.where(brain(), rng.uniform(low, high, brain().shape), 0.0)


@settings(deadline=None, max_examples=60)
@given(
    background=st.sampled_from([0.0, 1e-4, 1e-7, -1e-4, -3.0, np.nan, np.inf, -np.inf]),
    unit=st.sampled_from([1.0, 1000.0]),
    seed=st.integers(0, 50),
)
def test_tissue_does_not_depend_on_how_background_was_stored_nor_on_the_unit(
    background, unit, seed
):
    clean = brain_map(seed)
    stored = np.where(brain(), clean * unit, background)
    np.testing.assert_array_equal(tissue(stored), tissue(clean))
    np.testing.assert_array_equal(tissue(clean), brain())


def test_a_volume_without_tissue_has_none():
    assert not tissue(np.zeros((9, 9, 9))).any()
    assert not tissue(np.full((9, 9, 9), np.nan)).any()


@pytest.mark.parametrize("background", [1e-4, 1e-7])
@pytest.mark.parametrize("unit", [1.0, 1000.0])
def test_a_map_with_tiny_background_trains_the_same_network_as_its_clean_twin(
    write_map, background, unit
):
    """End to end: files, mask, scaler, network, embedding."""
    age = np.linspace(20, 80, 8)

    def embed(folder_tag, fill):
        paths = [
            write_map(
                f"{folder_tag}{row}.nii.gz",
                np.where(brain(), brain_map(row) * unit, fill),
            )
            for row in range(8)
        ]
        maps = MapLoader(voxel_size=4).fit_transform(pd.DataFrame({"stiffness": paths}))
        scaled = MapScaler().fit_transform(maps)
        encoder = ContrastiveEncoder(max_epochs=2, width=2, random_state=0)
        return np.asarray(maps), encoder.fit_transform(scaled, age)

    clean, dirty = embed("clean", 0.0), embed("dirty", background)
    np.testing.assert_array_equal(dirty[0], clean[0])
    np.testing.assert_array_equal(dirty[1], clean[1])


@pytest.mark.parametrize(("outliers", "highest"), [("clip", 10.0), ("keep", 50.0)])
def test_values_outside_the_physical_range(write_map, outliers, highest):
    stiffness = brain_map()
    stiffness[5, 5, 5] = 50.0
    X = pd.DataFrame({"stiffness": [write_map("s.nii", stiffness)]})
    loader = MapLoader(outliers=outliers).fit(X)
    assert loader.transform(X)[0].max() == pytest.approx(highest)
    share = 1 / brain().sum()
    assert loader.quality_.outliers_stiffness.iloc[0] == pytest.approx(share)


def test_many_outliers_are_refused_where_asked_for(write_map):
    X = pd.DataFrame({"stiffness": [write_map("s.nii", brain_map(high=12.0))]})
    with pytest.raises(DataError, match=r"s\.nii \('stiffness'\) has 1\d\.\d% of its brain voxels"):
        MapLoader(outliers="refuse").fit(X)
    MapLoader(outliers="refuse", limits={"stiffness": (0.1, 12.0)}).fit(X)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"limits": {"mu": (0, 1)}}, r"limits names \['mu'\]"),
        ({"limits": {"stiffness": (3, 1)}}, r"must be \(lowest, highest\)"),
        ({"interpolation": {"stiffness": "cubic"}}, "must be one of"),
    ],
)
def test_impossible_parameters_are_named(people, parameters, message):
    with pytest.raises(ValueError, match=message):
        MapLoader(maps=["stiffness"], **parameters).fit(people)


def test_the_quality_report_has_volume_outliers_gaps_and_units(people):
    loader = MapLoader(maps=["stiffness", "damping_ratio"]).fit(people.iloc[:10])
    report = loader.quality_report(people)
    assert list(report.index) == list(people.index)
    np.testing.assert_allclose(report.brain_ml, brain().sum() * 8 / 1000)
    assert set(report.unit_stiffness) == {"kPa"}
    assert (report.filter(like="missing_") == 0).all().all()
    pd.testing.assert_frame_equal(loader.quality_, report.iloc[:10])
    pd.testing.assert_frame_equal(
        MapLoader(maps=loader.maps, cache=None).fit(people).quality_, report
    )


def test_brain_voxels_without_a_value_get_the_mean_and_are_counted(write_map):
    damping = np.where(brain(), 0.2, 0.0)
    damping[:8] = np.nan
    damping[8:12] *= 1.5
    X = pd.DataFrame(
        {
            "stiffness": [write_map("s.nii", brain_map())],
            "damping_ratio": [write_map("d.nii", damping)],
        }
    )
    loader = MapLoader().fit(X)
    sample = loader.transform(X)[0]
    known = damping[np.isfinite(damping) & brain()]
    missing = brain() & np.isnan(damping)
    # axes are mirrored on disk, so compare what does not depend on their direction
    assert loader.quality_.missing_damping_ratio.iloc[0] == pytest.approx(
        missing.sum() / brain().sum()
    )
    filled = np.isclose(sample[1], known.mean(), rtol=1e-5).sum()
    assert filled == missing.sum()


def test_nearest_takes_only_values_that_are_there(write_map):
    labels = np.where(brain(), np.random.default_rng(0).integers(1, 5, brain().shape), 0)
    X = pd.DataFrame(
        {"stiffness": [write_map("s.nii", brain_map())], "labels": [write_map("l.nii", labels)]}
    )
    nearest = MapLoader(voxel_size=3, interpolation={"labels": "nearest"}).fit_transform(X)[0][1]
    assert set(np.unique(nearest)) <= {0, 1, 2, 3, 4}
    linear = MapLoader(voxel_size=3).fit_transform(X)[0][1]
    assert len(np.unique(linear)) > 20
    assert ((nearest > 0) == (linear > 0)).all()


KINDS = ("storage_modulus", "loss_modulus", "shear_stiffness", "complex_modulus", "damping_ratio",
         "phase_angle")  # fmt: skip
PAIRS = [
    ("storage_modulus", "loss_modulus"),
    ("shear_stiffness", "damping_ratio"),
    ("complex_modulus", "damping_ratio"),
    ("complex_modulus", "phase_angle"),
]


@settings(deadline=None, max_examples=60)
@given(storage=st.floats(0.5, 8), ratio=st.floats(0.01, 2))
def test_every_pair_of_moduli_gives_the_same_tissue(storage, ratio):
    """The definitions of the notes, from a known complex modulus, and back from every pair."""
    modulus = complex(storage, storage * ratio)
    truth = {
        "storage_modulus": modulus.real,
        "loss_modulus": modulus.imag,
        "complex_modulus": abs(modulus),
        "shear_stiffness": 2 * abs(modulus) ** 2 / (modulus.real + abs(modulus)),
        "damping_ratio": modulus.imag / (2 * modulus.real),
        "phase_angle": np.angle(modulus),
    }
    for pair in PAIRS:
        values = tuple(np.array([truth[kind]]) for kind in pair)
        for kind in KINDS:
            assert derive(kind, pair, values)[0] == pytest.approx(truth[kind], rel=1e-5), pair


def test_mu_exceeds_the_other_stiffnesses_as_documented():
    columns, values = ("storage_modulus", "loss_modulus"), (np.array([1.0]), np.array([0.4]))
    mu = derive("shear_stiffness", columns, values)[0]
    assert mu / derive("complex_modulus", columns, values)[0] == pytest.approx(1.04, abs=0.01)
    assert mu == pytest.approx(1.12, abs=0.01)


def test_a_channel_that_is_no_column_is_derived_before_resampling(write_map):
    storage, ratio = brain_map(), 0.5
    X = pd.DataFrame(
        {
            "storage_modulus": [write_map("r.nii", storage * 1000)],
            "loss_modulus": [write_map("i.nii", storage * 1000 * ratio)],
        }
    )
    sample = MapLoader(maps=["complex_modulus", "xi", "storage_modulus"]).fit_transform(X)[0]
    inside = sample[2] > 0
    np.testing.assert_allclose(sample[0][inside], sample[2][inside] * np.hypot(1, ratio), rtol=1e-5)
    np.testing.assert_allclose(sample[1][inside], ratio / 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (["stiffness", "damping_ratio"], "does not say which stiffness it holds"),
        (["wave_speed"], "holds for tissue without losses only"),
        (["storage_modulus"], "that takes storage_modulus . loss_modulus or"),
    ],
)
def test_what_cannot_be_derived_is_refused_with_the_reason(columns, reason):
    with pytest.raises(DataError, match=reason):
        sources_of("complex_modulus", columns)


def test_moduli_on_different_grids_are_not_combined(write_map):
    X = pd.DataFrame(
        {
            "storage_modulus": [write_map("r.nii", brain_map())],
            "loss_modulus": [write_map("i.nii", brain_map()[:, :, ::2], np.diag([2.0, 2, 4, 1]))],
        }
    )
    loader = MapLoader(maps=["complex_modulus"], grid=X.storage_modulus[0])
    with pytest.raises(DataError, match="lie on different grids"):
        loader.fit(X)


def test_the_fast_and_the_standard_gzip_read_the_same(people, monkeypatch):
    columns = ["stiffness", "damping_ratio"]
    assert _image_files.decompress is not gzip.decompress, "the fast one is installed for tests"
    fast = np.asarray(MapLoader(maps=columns, cache=None).fit_transform(people))
    monkeypatch.setattr(_image_files, "decompress", gzip.decompress)
    standard = np.asarray(MapLoader(maps=columns, cache=None).fit_transform(people))
    np.testing.assert_array_equal(fast, standard)


def test_gzip_files_of_several_members_are_read_whole(people):
    """bgzip and concatenation write several members."""
    path = people.stiffness.iloc[0]
    expected = MapLoader().fit_transform(pd.DataFrame({"stiffness": [path]}))[0]
    with open(path, "rb") as handle:
        content = gzip.decompress(handle.read())
    with open(path, "wb") as handle:
        half = len(content) // 2
        handle.write(gzip.compress(content[:half]) + gzip.compress(content[half:]))
    actual = MapLoader().fit_transform(pd.DataFrame({"stiffness": [path]}))[0]
    np.testing.assert_array_equal(actual, expected)
