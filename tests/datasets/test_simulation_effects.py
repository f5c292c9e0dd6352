"""What was put into simulated maps can be read out of them again, and its size is the published."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from mresklearn.datasets import make_mre_cohort
from mresklearn.datasets._simulation.maps import ageing_years
from mresklearn.datasets._simulation.parameters import (
    REGIONS,
    parameter,
    person_correlation,
    regional,
)

MRE = ("stiffness", "damping_ratio")


def read(cohort, kind):
    return np.stack([nib.load(path).get_fdata(dtype=np.float32) for path in cohort.maps[kind]])


def regional_mean(cohort, kind, region):
    """Mean of every scan over the covered voxels of a region."""
    labels = np.asarray(nib.load(cohort.regions).dataobj)
    values = read(cohort, kind)[:, labels == REGIONS.index(region) + 1]
    return values.sum(axis=1) / (values > 0).sum(axis=1)


def regress(y, *columns):
    """Coefficients and standard errors, the intercept first."""
    design = np.column_stack([np.ones(len(y)), *columns]).astype(float)
    coefficients, (residual,), *_ = np.linalg.lstsq(design, y, rcond=None)
    variance = residual / (len(y) - design.shape[1]) * np.linalg.inv(design.T @ design)
    return coefficients, np.sqrt(np.diag(variance))


def correlation_ratio_squared(values, groups):
    values = pd.Series(np.asarray(values, dtype=float))
    means = values.groupby(np.asarray(groups)).transform("mean")
    return means.var() / values.var()


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Many people with patients; coarse, because regional means do not depend on voxels."""
    return make_mre_cohort(
        n_subjects=500,
        n_sites=4,
        maps=["stiffness", "damping_ratio", "t1"],
        voxel_size=8,
        diagnoses={"AD": 0.1, "MCI": 0.1},
        folder=tmp_path_factory.mktemp("many"),
        random_state=2,
    )


@pytest.fixture(scope="module")
def covariates(many):
    """Ageing as the model counts it, its linear and quadratic parts, male, MCI and AD."""
    table, truth = many.participants, many.truth
    shift = table["diagnosis"].map({"CN": 0, "MCI": 5, "AD": 10})
    ageing = truth["brain_age"] - shift
    return pd.DataFrame(
        {
            "years": ageing - parameter("age_reference"),
            "late": np.maximum(ageing - 60, 0) ** 2,
            "male": table["sex"] == "M",
            "MCI": table["diagnosis"] == "MCI",
            "AD": table["diagnosis"] == "AD",
        }
    ).astype(float)


# what the maps show is what the truth says


@pytest.mark.parametrize(("kind", "tolerance"), [("stiffness", 0.06), ("damping_ratio", 0.008)])
@pytest.mark.parametrize("region", ["cortex_insula", "putamen", "hippocampus"])
def test_observed_regional_means_are_the_sum_of_the_true_parts(tmp_path, kind, tolerance, region):
    cohort = make_mre_cohort(6, 2, folder=tmp_path / "x", maps=[kind], random_state=0)
    parts = [cohort.truth[f"{kind}_{region}{part}"] for part in ("", "_site", "_error")]
    # rounding, limits of values and voxels out of view
    np.testing.assert_allclose(regional_mean(cohort, kind, region), sum(parts), atol=tolerance)


# age


@pytest.mark.parametrize("region", ["cerebral_wm", "cortex_frontal", "putamen", "hippocampus"])
def test_the_age_slope_and_its_acceleration_are_recovered(many, covariates, region):
    values, errors = regress(many.truth[f"stiffness_{region}"], *covariates.to_numpy().T)
    expected = parameter("mean", "stiffness", region) * parameter("age_slope", "stiffness", region)
    late = expected * parameter("age_acceleration", "stiffness")
    assert values[1] == pytest.approx(expected, abs=3 * errors[1])
    assert values[2] == pytest.approx(late, abs=3 * errors[2])


def test_ageing_is_seen_in_the_maps_and_accelerates(many):
    healthy = (many.participants["diagnosis"] == "CN").to_numpy()
    age = many.participants["age"].to_numpy()
    stiffness = regional_mean(many, "stiffness", "cortex_frontal")
    slopes = {}
    for name, group in (("young", age < 55), ("old", age > 65)):
        rows = healthy & group
        slopes[name] = regress(stiffness[rows], age[rows])[0][1]
    assert slopes["young"] < 0
    # 1 + 0.05 * (age - 60): near twice the slope at 78 years
    assert slopes["old"] < 1.3 * slopes["young"]


def test_damping_changes_with_age_in_the_hippocampus_alone(many, covariates):
    for region in ("cerebral_wm", "thalamus"):
        values, errors = regress(many.truth[f"damping_ratio_{region}"], *covariates.to_numpy().T)
        assert abs(values[1]) < 3 * errors[1]
    values, errors = regress(many.truth["damping_ratio_hippocampus"], *covariates.to_numpy().T)
    assert values[1] > 3 * errors[1]


def test_brain_age_is_age_with_a_deviation_and_disease_adds_to_it(many):
    gap = many.truth["brain_age"] - many.participants["age"]
    groups = gap.groupby(many.participants["diagnosis"])
    assert groups.get_group("CN").std() == pytest.approx(parameter("brain_age_sd"), rel=0.15)
    means = groups.mean()
    assert abs(means["CN"]) < 0.5
    for name in ("MCI", "AD"):
        shift = parameter(f"brain_age_shift_{name}")
        assert means[name] == pytest.approx(shift, abs=1.5)


def test_without_age_effect_stiffness_does_not_depend_on_age(tmp_path):
    settings = {"n_subjects": 8, "n_sites": 2, "voxel_size": 8, "random_state": 0}
    with_age, without = (
        make_mre_cohort(**settings, age_effect=size, folder=tmp_path / str(size)) for size in (1, 0)
    )
    change = with_age.truth["stiffness_putamen"] - without.truth["stiffness_putamen"]
    years = ageing_years(with_age.truth["brain_age"], "stiffness")
    assert np.corrcoef(change, years)[0, 1] < -0.9999
    damping = [c.truth["damping_ratio_putamen"] for c in (with_age, without)]
    np.testing.assert_array_equal(*damping)


# sex and disease


def test_sex_differences_are_the_published_ones_within_their_limit(many, covariates):
    limit = parameter("sex_limit") * regional("sd_within_study", "stiffness")
    published = np.clip(regional("male_minus_female", "stiffness"), -limit, limit)
    for region, expected in zip(REGIONS, published, strict=True):
        values, errors = regress(many.truth[f"stiffness_{region}"], *covariates.to_numpy().T)
        assert values[3] == pytest.approx(expected, abs=3.5 * errors[3])


def test_ad_softens_cortex_and_white_matter_and_spares_the_occipital(many, covariates):
    effect, error = {}, {}
    for region in ("cortex_frontal", "cortex_temporal", "cerebral_wm", "cortex_occipital"):
        values, errors = regress(many.truth[f"stiffness_{region}"], *covariates.to_numpy().T)
        effect[region], error[region] = values[5], errors[5]
        expected = parameter("effect_AD", "stiffness", region)
        expected *= parameter("mean", "stiffness", region)
        assert effect[region] == pytest.approx(expected, abs=3 * error[region])
    assert effect["cortex_temporal"] < -4 * error["cortex_temporal"]


def test_ad_softens_the_whole_brain_by_the_published_seven_percent(tmp_path):
    settings = {"n_subjects": 12, "n_sites": 1, "voxel_size": 8, "random_state": 0, "n_jobs": 2}
    settings |= {"age_range": (60, 80), "diagnoses": {"AD": 1.0}, "maps": ["stiffness"]}
    patients, healthy = (
        make_mre_cohort(**settings, disease_effect=size, folder=tmp_path / str(size))
        for size in (1, 0)
    )
    means = [
        read(c, "stiffness").sum() / (read(c, "stiffness") > 0).sum() for c in (patients, healthy)
    ]
    assert means[0] / means[1] - 1 == pytest.approx(-0.07, abs=0.015)


def test_mci_is_in_the_hippocampus_and_severity_is_not_monotonic(many, covariates):
    columns = covariates.to_numpy().T
    softer, error = regress(many.truth["stiffness_hippocampus"], *columns)
    assert softer[4] == pytest.approx(
        -0.12 * parameter("mean", "stiffness", "hippocampus"), abs=3 * error[4]
    )
    damped, error = regress(many.truth["damping_ratio_hippocampus"], *columns)
    assert damped[4] > 3 * error[4]
    # softer in AD, but not in MCI
    cortex, _ = regress(many.truth["stiffness_cortex_temporal"], *columns)
    assert cortex[5] < 0 < cortex[4] + 0.05


# sites


def test_site_shifts_are_recovered_from_the_maps(many, covariates):
    sites = pd.get_dummies(many.participants["site"]).to_numpy()[:, 1:]
    for kind in MRE:
        observed = regional_mean(many, kind, "cerebral_wm")
        values, errors = regress(observed, *covariates.to_numpy().T, *sites.T)
        true = many.truth[f"{kind}_cerebral_wm_site"].groupby(many.participants["site"]).mean()
        expected = true.to_numpy()[1:] - true.iloc[0]
        assert np.all(np.abs(values[6:] - expected) < 4 * errors[6:])


def test_sites_differ_more_in_damping_than_in_stiffness(many, covariates):
    site = many.participants["site"]
    for region in ("cerebral_wm", "putamen", "cortex_insula"):
        share = {}
        for kind in MRE:
            observed = many.truth[f"{kind}_{region}"] + many.truth[f"{kind}_{region}_site"]
            columns = np.column_stack([np.ones(len(site)), covariates])
            left = observed - columns @ np.linalg.lstsq(columns, observed, rcond=None)[0]
            share[kind] = correlation_ratio_squared(left, site)
        # 0.70 and 0.06 in white matter of the public maps
        assert share["damping_ratio"] > 0.35
        assert share["stiffness"] < 0.3


def test_site_effect_scales_the_site_part_alone(tmp_path):
    settings = {"n_subjects": 6, "n_sites": 3, "voxel_size": 8, "random_state": 0}
    none, once, twice = (
        make_mre_cohort(**settings, site_effect=size, folder=tmp_path / str(size))
        for size in (0, 1, 2)
    )
    pd.testing.assert_frame_equal(once.participants, twice.participants)
    sites = once.truth.filter(like="_site")
    np.testing.assert_allclose(2 * sites, twice.truth[sites.columns], rtol=1e-5)
    others = [name for name in once.truth if name.endswith(("putamen", "_error"))]
    pd.testing.assert_frame_equal(once.truth[others], twice.truth[others])
    assert (none.truth.filter(like="_site") == 0).all(axis=None)
    assert none.truth["texture_fwhm"].nunique() == 1


# people and repeated scans


@pytest.mark.parametrize(
    ("kind", "first", "second", "published"),
    [
        ("stiffness", "putamen", "pallidum", 0.93),
        ("stiffness", "thalamus", "caudate", 0.80),
        ("stiffness", "hippocampus", "amygdala", 0.80),
        ("stiffness", "cerebral_wm", "cortex_frontal", 0.86),
        ("stiffness", "cerebellum_gm", "hippocampus", 0.2),
        ("damping_ratio", "putamen", "pallidum", 0.89),
    ],
)
def test_regions_are_correlated_in_blocks(many, covariates, kind, first, second, published):
    factor = person_correlation(kind)
    pair = [REGIONS.index(first), REGIONS.index(second)]
    assert (factor @ factor.T)[tuple(pair)] == pytest.approx(published, abs=0.03)
    columns = np.column_stack([np.ones(len(covariates)), covariates])
    values = many.truth[[f"{kind}_{first}", f"{kind}_{second}"]].to_numpy()
    left = values - columns @ np.linalg.lstsq(columns, values, rcond=None)[0]
    assert np.corrcoef(left.T)[0, 1] == pytest.approx(published, abs=0.1)


def test_people_who_are_stiff_damp_less(many, covariates):
    """In the public maps the two values of a region are correlated by -0.3 within study."""
    columns = np.column_stack([np.ones(len(covariates)), covariates])
    observed = []
    for region in REGIONS:
        values = many.truth[[f"{kind}_{region}" for kind in MRE]].to_numpy()
        left = values - columns @ np.linalg.lstsq(columns, values, rcond=None)[0]
        observed.append(np.corrcoef(left.T)[0, 1])
    assert np.median(observed) == pytest.approx(-0.3, abs=0.08)


def test_regional_means_and_spread_are_the_published_ones(tmp_path):
    young = make_mre_cohort(
        200, 4, voxel_size=10, age_range=(18, 29), random_state=3, folder=tmp_path / "x", n_jobs=2
    )
    for kind in MRE:
        for region in REGIONS:
            value = young.truth[f"{kind}_{region}"] + young.truth[f"{kind}_{region}_error"]
            assert value.mean() == pytest.approx(parameter("mean", kind, region), rel=0.06)
            # three years of brain age add a little to the spread
            assert value.std() == pytest.approx(
                parameter("sd_within_study", kind, region), rel=0.25
            )


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    return make_mre_cohort(
        60, 2, voxel_size=8, repeat_share=1.0, maps=["stiffness", "damping_ratio", "t1"],
        folder=tmp_path_factory.mktemp("repeated"), random_state=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("region", "low", "high"), [("cerebral_wm", 0.013, 0.03), ("putamen", 0.03, 0.07)]
)
def test_repeated_scans_differ_as_published(repeated, region, low, high):
    """Murphy 2011: 1.7 to 3.1 % of the whole brain; Johnson 2016: 3 to 7 % in deep grey matter."""
    values = regional_mean(repeated, "stiffness", region)
    pairs = pd.Series(values).groupby(repeated.participants["person"].to_numpy())
    assert low < np.sqrt((pairs.var() / pairs.mean() ** 2).mean()) < high


def test_whole_brain_stiffness_repeats_within_the_published_range(repeated):
    maps = read(repeated, "stiffness")
    values = pd.Series(maps.sum(axis=(1, 2, 3)) / (maps > 0).sum(axis=(1, 2, 3)))
    pairs = values.groupby(repeated.participants["person"].to_numpy())
    # 1.7 % (Murphy 2011) to 4.3 % (Svensson 2021)
    assert 0.012 < np.sqrt((pairs.var() / pairs.mean() ** 2).mean()) < 0.043


def test_two_scans_of_a_person_are_more_alike_than_those_of_two_people(repeated):
    maps = read(repeated, "stiffness")
    common = maps[:, (maps > 0).all(axis=0)]
    r = np.corrcoef(common - common.mean(axis=0))
    first = np.arange(0, len(r), 2)
    same, others = r[first, first + 1], r[first, np.roll(first, 1)]
    assert same.min() > 0.5 > others.mean() + 0.2


# coverage and texture


@pytest.fixture(scope="module")
def young(tmp_path_factory):
    """Young adults at 4 mm, as in the public maps."""
    return make_mre_cohort(
        40, 5, age_range=(18, 35), folder=tmp_path_factory.mktemp("young"), random_state=0
    )


def test_coverage_is_that_of_the_public_maps(young):
    labels = np.asarray(nib.load(young.regions).dataobj)
    inside = read(young, "stiffness") > 0
    for region, published in (("brainstem", 0.77), ("cerebellum_gm", 0.60), ("putamen", 1.0)):
        covered = inside[:, labels == REGIONS.index(region) + 1].mean(axis=1)
        assert covered.mean() == pytest.approx(published, abs=0.12)
        assert region == "putamen" or covered.std() > 0.1


@pytest.mark.parametrize(
    ("kind", "published", "sd"), [("stiffness", 0.162, 0.47), ("damping_ratio", 0.298, 0.060)]
)
def test_voxels_vary_as_in_the_public_maps(young, kind, published, sd):
    maps = read(young, kind)
    maps = maps[:, (maps > 0).all(axis=0)]
    # sites are drawn anew here: within a quarter
    assert np.median(maps.std(axis=0) / maps.mean(axis=0)) == pytest.approx(published, rel=0.25)
    assert np.median(maps.std(axis=0)) == pytest.approx(sd, rel=0.25)


@pytest.mark.parametrize(
    ("kind", "published"), [("stiffness", (0.895, 0.42)), ("damping_ratio", (0.885, 0.33))]
)
def test_texture_is_smooth_with_a_long_tail(young, kind, published):
    maps = read(young, kind)
    common = (maps > 0).all(axis=0)
    left = np.where(common, maps - maps.mean(axis=0), 0)
    for site in young.participants["site"].unique():
        rows = (young.participants["site"] == site).to_numpy()
        left[rows] -= left[rows].mean(axis=0)
    for lag, expected in zip((1, 4), published, strict=True):
        both = common[lag:] & common[:-lag]
        a, b = left[:, lag:][:, both], left[:, :-lag][:, both]
        assert (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()) == pytest.approx(
            expected, abs=0.08
        )
    standard = left[:, common] / left[:, common].std(axis=0)
    assert 0 < np.mean(standard**3) < 1


# T1


def test_t1_loses_tissue_and_gains_ventricles_with_brain_age(many):
    healthy = (many.participants["diagnosis"] == "CN").to_numpy()
    age = many.truth["brain_age"].to_numpy()
    young, old = healthy & (age < 60), healthy & (age >= 60)
    volume = many.truth["t1_brain_volume"].to_numpy()
    for rows, published in ((young, -0.0014), (old, -0.0043)):
        values, errors = regress(volume[rows] / volume[young].mean(), age[rows])
        # OASIS-1 controls: -0.14 %/year before and -0.43 %/year after 60
        assert values[1] == pytest.approx(published, abs=max(4 * errors[1], 0.001))
    growth, errors = regress(np.log(many.truth["t1_ventricle_volume"][young]), age[young])
    assert growth[1] == pytest.approx(parameter("ventricle_slope", "t1"), abs=3 * errors[1])


def test_t1_ventricles_darken_with_age(many):
    labels = np.asarray(nib.load(many.regions).dataobj)
    t1 = read(many, "t1")
    white = np.median(t1[:, labels == REGIONS.index("cerebral_wm") + 1], axis=1)
    near = t1[:, labels == REGIONS.index("caudate") + 1].mean(axis=1) / white
    healthy = (many.participants["diagnosis"] == "CN").to_numpy()
    assert np.corrcoef(near[healthy], many.participants["age"][healthy])[0, 1] < -0.3


def test_patients_have_less_tissue_than_their_age_explains(many):
    late = np.maximum(many.participants["age"] - 60, 0)
    diagnosis = pd.get_dummies(many.participants["diagnosis"])[["MCI", "AD"]].to_numpy().T
    values, errors = regress(
        many.truth["t1_brain_volume"], many.participants["age"], late, *diagnosis
    )
    assert values[4] < -2 * errors[4]
    assert values[4] < values[3]


def test_t1_tells_the_site_and_not_without_site_effect(tmp_path):
    settings = {"maps": ["t1"], "voxel_size": 8, "random_state": 0, "n_jobs": 2}
    accuracy = {}
    for size in (1, 0):
        cohort = make_mre_cohort(60, 3, **settings, site_effect=size, folder=tmp_path / str(size))
        t1 = read(cohort, "t1")
        table = t1[:, (t1 > 0).all(axis=0)] / t1.mean(axis=(1, 2, 3))[:, None]
        probe = LogisticRegression(max_iter=1000)
        accuracy[size] = cross_val_score(probe, table, cohort.participants["site"], cv=3).mean()
    assert accuracy[1] > 0.8
    assert accuracy[0] < 0.6
