"""Regional report: closed forms and references for each number, levels, and the picture."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from matplotlib.figure import Figure
from scipy import stats
from sklearn.model_selection import KFold, cross_val_predict
from statsmodels.stats.multitest import multipletests

from mresklearn.estimators import RegionalBrainAge
from mresklearn.evaluation import regional_report
from mresklearn.evaluation._regional_plot import _cuts
from mresklearn.evaluation._regional_separation import separate_group
from mresklearn.exceptions import DataError
from mresklearn.maps import MapArray
from mresklearn.metrics import brain_age_scores, compare_gaps, delong_ci
from mresklearn.metrics._adjusted_p_values import adjust_p_values

REGIONS = ["thalamus", "putamen", "hippocampus"]
NAMES = {10: "Thalamus", 49: "Thalamus", 12: "Putamen", 17: "Hippocampus"}


@pytest.fixture(scope="module")
def people():
    """60 controls, 15 AD and 12 MCI of two sites; the hippocampus looks 8 years older in AD."""
    rng = np.random.default_rng(0)
    diagnosis = np.repeat(["CN", "AD", "MCI"], [60, 15, 12])
    age = rng.uniform(50, 90, 87)
    table = pd.DataFrame(
        {"diagnosis": diagnosis, "age": age}, index=[f"sub-{k}" for k in range(87)]
    )
    table["sex"] = rng.choice(["F", "M"], 87)
    table["site"] = rng.choice(["Mayo", "Utah"], 87)
    noise = rng.normal(0, 1, (87, 3)) * [3, 12, 5]
    predicted = pd.DataFrame(70 + 0.8 * (age - 70)[:, None] + noise, table.index, REGIONS)
    predicted["hippocampus"] += 8 * (diagnosis == "AD")
    return predicted, table


@pytest.fixture(scope="module")
def atlas():
    data = np.zeros((20, 24, 20), np.int16)
    data[4:8, 8:14, 8:12], data[12:16, 8:14, 8:12] = 10, 49
    data[4:8, 16:20, 8:12], data[4:8, 4:8, 3:6] = 12, 17
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = -38, -60, -40
    return nib.Nifti1Image(data, affine)


def report_of(people, *covariates, **parameters):
    predicted, table = people
    held = {name: table[name] for name in covariates}
    parameters = {"diagnosis": table.diagnosis, "n_resamples": 200, **held, **parameters}
    return regional_report(predicted, table.age, **parameters)


# age sensitivity ------------------------------------------------------------------------------


def test_age_sensitivity_is_that_of_reference_people(people):
    predicted, table = people
    controls = table.diagnosis == "CN"
    report = report_of(people)
    for region in REGIONS:
        scores = brain_age_scores(table.age[controls], predicted.loc[controls, region])
        row = report.table.loc[region]
        assert [row.mae, row.r, row.r2] == pytest.approx([scores.mae, scores.r, scores.r2])
        assert row.mae_low < row.mae < row.mae_high
        assert row.r_low < row.r < row.r_high
    assert report.n_people == {"CN": 60, "AD": 15, "MCI": 12}


def test_intervals_of_age_sensitivity_are_those_of_theory():
    rng = np.random.default_rng(0)
    age = rng.normal(70, 10, 400)
    predicted = age[:, None] + rng.normal(0, 5, (400, 1))
    row = regional_report(predicted, age).table.iloc[0]
    error = np.abs(predicted[:, 0] - age)
    margin = 1.96 * error.std() / 20
    assert [row.mae_low, row.mae_high] == pytest.approx(
        [error.mean() - margin, error.mean() + margin], rel=0.02
    )
    fisher = np.tanh(np.arctanh(row.r) + np.array([-1, 1]) * 1.96 / np.sqrt(397))
    assert [row.r_low, row.r_high] == pytest.approx(fisher, abs=0.008)


def test_a_person_scanned_twice_gives_no_more_certainty(people):
    predicted, table = people
    twice = pd.concat([predicted, predicted]), pd.concat([table, table])
    once = report_of(people, "sex")
    with_persons = report_of(twice, "sex", groups=[f"{k:02d}" for k in [*range(87)] * 2])
    pd.testing.assert_frame_equal(with_persons.table, once.table)
    assert with_persons.n_people == once.n_people
    naive = report_of(twice, "sex")
    assert naive.table.p_AD["putamen"] < once.table.p_AD["putamen"]


def test_without_diagnoses_regions_are_ordered_by_correlation(people):
    predicted, table = people
    report = regional_report(predicted, table.age, n_resamples=100)
    assert report.table.index[0] == "thalamus"
    assert report.table.r.is_monotonic_decreasing
    assert report.groups == ()
    assert not report.table.filter(like="auc").size


# separation -----------------------------------------------------------------------------------


def test_difference_is_least_squares_with_hc2_errors(people):
    predicted, table = people
    report = report_of(people, "sex", "site")
    design = pd.get_dummies(table[["sex", "site"]], drop_first=True).astype(float)
    design["age"], design["age2"] = table.age - 70, (table.age - 70) ** 2
    for group in ("AD", "MCI"):
        design[group] = (table.diagnosis == group).astype(float)
    for region in REGIONS:
        gap = predicted[region] - table.age
        fit = sm.OLS(gap, sm.add_constant(design)).fit(cov_type="HC2")
        for group in ("AD", "MCI"):
            row = report.table.loc[region].filter(regex=f"_{group}$")
            assert row[f"difference_{group}"] == pytest.approx(fit.params[group])
            half = (row[f"difference_high_{group}"] - row[f"difference_low_{group}"]) / 2
            t = half / fit.bse[group]  # of the t interval, whose degrees of freedom are fewer
            assert stats.t.ppf(0.975, 80) < t < stats.t.ppf(0.975, 8)
            df = next(df for df in np.arange(5, 90, 0.01) if stats.t.ppf(0.975, df) <= t)
            p = 2 * stats.t.sf(abs(fit.params[group] / fit.bse[group]), df)
            assert row[f"p_{group}"] == pytest.approx(p, rel=1e-2)
    assert report.held_fixed == ("age", "sex", "site")


def test_without_covariates_it_is_welch_and_delong(people):
    predicted, table = people
    two = (table.diagnosis != "MCI").to_numpy()
    gap = (predicted - table.age.to_numpy()[:, None])[two].to_numpy()
    codes = (table.diagnosis[two] == "AD").to_numpy().astype(int)
    nobody = np.zeros(len(gap), bool)
    found = separate_group(gap, np.ones((len(gap), 1)), codes, 1, apart=nobody, confidence=0.95)
    for region in range(3):
        welch = stats.ttest_ind(gap[codes == 1, region], gap[codes == 0, region], equal_var=False)
        delong = delong_ci(codes, gap[:, region])
        row = found.iloc[region]
        assert row.difference == pytest.approx(
            np.diff([gap[codes == c, region].mean() for c in (0, 1)])[0]
        )
        assert row.p == pytest.approx(welch.pvalue, rel=0.05)
        assert [row.auc, row.auc_low, row.auc_high] == pytest.approx(
            [delong.auc, delong.low, delong.high]
        )


def test_interval_of_the_area_allows_for_the_adjustment():
    """Patients older than most controls: with the adjustment as known, coverage is 0.87."""
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1], [60, 11])
    covered, naive = [], []
    for _ in range(30):
        age = np.r_[rng.uniform(20, 80, 60), rng.normal(76, 5, 11)]
        z = (age - age.mean()) / age.std()
        covariates = np.column_stack([np.ones(71), z, z**2 - 1])
        gap = -0.5 * z[:, None] + rng.normal(size=(71, 10))
        nobody = np.zeros(71, bool)
        found = separate_group(gap, covariates, codes, 1, apart=nobody, confidence=0.95)
        covered += list((found.auc_low <= 0.5) & (found.auc_high >= 0.5))
        effects = np.linalg.lstsq(np.column_stack([covariates, codes]), gap, rcond=None)[0]
        for column in (gap - covariates @ effects[:3]).T:
            known = delong_ci(codes, column)
            naive.append(known.low <= 0.5 <= known.high)
    assert 0.92 <= np.mean(covered) <= 0.98
    assert np.mean(naive) < 0.91


def test_both_reports_of_a_region_agree(people):
    """One region in regional_report and in compare_gaps: the same people, the same numbers."""
    predicted, table = people
    held = {"age": table.age, "sex": table.sex, "site": table.site}
    report = report_of(people, "sex", "site").table
    names = {"difference": "difference", "low": "difference_low", "high": "difference_high"}
    names |= {"p_value": "p", "auc": "auc", "auc_low": "auc_low", "auc_high": "auc_high"}
    for region in REGIONS:
        gaps = compare_gaps(predicted[region] - table.age, table.diagnosis, **held).table
        for group in ("AD", "MCI"):
            found = report.loc[region, [f"{name}_{group}" for name in names.values()]]
            wanted = gaps.loc[f"{group} - CN", list(names)]
            np.testing.assert_allclose(found.to_numpy(float), wanted.to_numpy(float))


def test_a_site_of_one_person_says_nothing_of_the_area(people):
    predicted, table = people
    alone = table.assign(site=np.where(np.arange(87) == 3, "Delaware", table.site))
    with_them = report_of((predicted, alone), "site").table
    without = report_of(
        (predicted.drop(index="sub-3"), table.drop(index="sub-3")), "site"
    ).table.loc[with_them.index]
    area = [f"{name}_AD" for name in ("auc", "difference", "p")]
    # age is scaled over one person more
    np.testing.assert_allclose(with_them[area], without[area])


def test_no_effect_is_found_at_the_level_that_holm_promises():
    """Six regions that go together, two diagnoses with more noise and other ages, no effect."""
    rng = np.random.default_rng(0)
    diagnosis = np.repeat(["CN", "AD", "MCI"], [40, 12, 15])
    scale = np.repeat([4.0, 7.0, 5.0], [40, 12, 15])[:, None]
    found, uncorrected = 0, 0
    for _ in range(120):
        age = rng.normal(np.repeat([62, 75, 72], [40, 12, 15]), 8)
        noise = scale * (rng.normal(size=(67, 1)) + rng.normal(size=(67, 6)))
        predicted = 65 + 0.6 * (age - 65)[:, None] + noise
        report = regional_report(predicted, age, diagnosis=diagnosis, n_resamples=100)
        p_values = report.table[["p_AD", "p_MCI"]]
        found += report.table.filter(like="p_corrected").to_numpy().min() < 0.05
        uncorrected += p_values.to_numpy().min() < 0.05
    assert found / 120 < 0.10  # 0.05 and two standard errors and a half
    assert uncorrected / 120 > 0.15


@pytest.mark.parametrize("correction", ["holm", "bonferroni", "fdr_bh", "fdr_by"])
def test_corrections_agree_with_statsmodels_over_regions_and_diagnoses(people, correction):
    report = report_of(people, correction=correction)
    raw = report.table[["p_AD", "p_MCI"]].to_numpy()
    corrected = report.table[["p_corrected_AD", "p_corrected_MCI"]].to_numpy()
    np.testing.assert_allclose(corrected.ravel(), multipletests(raw.ravel(), method=correction)[1])
    assert np.array_equal(adjust_p_values(raw, None), raw)


def test_tests_that_were_not_made_do_not_count():
    p = np.array([0.01, np.nan, 0.04])
    np.testing.assert_allclose(adjust_p_values(p, "holm"), [0.02, np.nan, 0.04])


def test_the_region_that_separates_comes_first(people):
    table = report_of(people, "sex", "site").table
    assert table.index[0] == "hippocampus"
    assert table.auc_AD["hippocampus"] > 0.8
    assert table.p_corrected_AD["hippocampus"] < 0.01
    assert table.difference_low_AD["hippocampus"] < 8 < table.difference_high_AD["hippocampus"]
    assert (table.p_corrected_MCI > 0.05).all()


def test_older_patients_are_no_finding():
    """The raw gap falls with age; held fixed, patients who are only older do not differ."""
    rng = np.random.default_rng(0)
    diagnosis = np.repeat(["CN", "AD"], [200, 60])
    age = rng.normal(np.where(diagnosis == "AD", 75, 60), 6)
    predicted = 65 + 0.3 * (age - 65)[:, None] + rng.normal(0, 3, (260, 1))
    gap = predicted[:, 0] - age
    patients = diagnosis == "AD"
    assert stats.ttest_ind(gap[patients], gap[~patients]).pvalue < 1e-6
    row = regional_report(predicted, age, diagnosis=diagnosis, n_resamples=100).table.iloc[0]
    assert row.p_AD > 0.05
    assert row.auc_low_AD < 0.5 < row.auc_high_AD


def test_site_is_held_fixed_where_it_shifts_the_gap():
    rng = np.random.default_rng(0)
    diagnosis = np.repeat(["CN", "AD"], [80, 40])
    site = np.where(rng.uniform(size=120) < np.where(diagnosis == "AD", 0.8, 0.2), "Utah", "Mayo")
    age = rng.uniform(50, 90, 120)
    predicted = (age + 10 * (site == "Utah") + rng.normal(0, 3, 120))[:, None]
    free, held = (
        regional_report(predicted, age, diagnosis=diagnosis, site=given, n_resamples=100)
        for given in (None, site)
    )
    assert free.table.p_AD.iloc[0] < 1e-4
    assert held.table.p_AD.iloc[0] > 0.05


def test_a_region_that_predicts_one_age_for_all_tells_nothing(people):
    predicted, table = people
    constant = predicted.assign(putamen=65.0)
    row = report_of((constant, table)).table.loc["putamen"]
    assert row.filter(regex="^(r|r_low|r_high|auc_.*|p_.*)$").isna().all()
    assert np.isfinite(row.mae)


def test_results_do_not_depend_on_the_order_of_rows_and_repeat(people):
    predicted, table = people
    order = np.random.default_rng(1).permutation(87)
    first, again = report_of(people, "site"), report_of(people, "site")
    pd.testing.assert_frame_equal(first.table, again.table)
    shuffled = report_of((predicted.iloc[order], table.iloc[order]), "site").table
    exact = [name for name in shuffled if not name.startswith(("mae_", "r_"))]
    pd.testing.assert_frame_equal(shuffled[exact], first.table[exact])


# the whole chain ------------------------------------------------------------------------------


def test_a_region_that_disease_softens_ranks_first(atlas):
    """All regions follow age; disease acts on the hippocampus as ten more years would."""
    rng = np.random.default_rng(0)
    diagnosis = np.repeat(["CN", "AD"], [45, 15])
    age = rng.uniform(55, 90, 60)
    labels = np.asarray(atlas.dataobj)
    maps = rng.normal(0, 0.2, (60, *labels.shape)).astype(np.float32)
    looks = age[:, None] + rng.normal(0, 4, (60, 3))
    looks[diagnosis == "AD", 2] += 10
    for column, members in enumerate(([10, 49], [12], [17])):
        inside = np.isin(labels, members)
        maps[:, inside] += (4 - looks[:, column] / 50)[:, None]
    maps = MapArray.from_array(maps * (labels > 0))
    controls = np.flatnonzero(diagnosis == "CN")
    model = RegionalBrainAge(
        labels=atlas, regions={"thalamus": [10, 49], "putamen": [12], "hippocampus": [17]}
    )
    predicted = np.empty((60, 3))
    predicted[:45] = cross_val_predict(model, maps[controls], age[:45], cv=KFold(5))
    predicted[45:] = model.fit(maps[controls], age[:45]).predict(maps[45:])
    names = model.get_feature_names_out()
    report = regional_report(
        predicted, age, diagnosis=diagnosis, region_names=names, n_resamples=100
    )
    assert report.table.index[0] == "hippocampus"
    assert (report.table.r > 0.6).all()
    assert list(report.table.index[report.table.p_corrected_AD < 0.05]) == ["hippocampus"]


# the picture ----------------------------------------------------------------------------------


def test_image_numbers_the_rows_of_the_table(people, atlas):
    report = report_of(people, labels=atlas, names=NAMES)
    data = np.asarray(report.image.dataobj)
    for row, name in enumerate(report.table.index, start=1):
        members = [label for label, known in NAMES.items() if known.lower() == name]
        np.testing.assert_array_equal(data == row, np.isin(np.asarray(atlas.dataobj), members))
        assert report.table.n_voxels[name] == (data == row).sum()
    np.testing.assert_allclose(report.image.affine, atlas.affine)


def test_image_has_merged_regions_in_any_orientation(people, atlas):
    predicted, table = people
    flipped = nib.Nifti1Image(
        np.asarray(atlas.dataobj)[::-1], atlas.affine @ np.diag([-1, 1, 1, 1]) + np.eye(4, k=3) * 76
    )
    deep = {"Deep grey": [10, 49, 12], "hippocampus": [17]}
    pair = predicted[["thalamus", "hippocampus"]].set_axis(["deep_grey", "hippocampus"], axis=1)
    one, other = (
        regional_report(pair, table.age, labels=image, regions=deep, n_resamples=100)
        for image in (atlas, flipped)
    )
    np.testing.assert_array_equal(np.asarray(one.image.dataobj), np.asarray(other.image.dataobj))
    np.testing.assert_allclose(one.image.affine, other.image.affine)
    assert one.table.n_voxels["deep_grey"] == 192 + 64


def test_plot_with_brains(people, atlas):
    report = report_of(people, labels=atlas, names=NAMES)
    background = nib.Nifti1Image(np.ones(atlas.shape, np.float32), atlas.affine)
    figure = report.plot(background=background)
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    texts = [text.get_text() for text in figure.texts]
    assert [text.split(":")[0] for text in texts] == ["age sensitivity", "AD", "MCI"]
    ticks = [label.get_text() for ax in figure.axes for label in ax.get_yticklabels()]
    assert "hippocampus" in ticks


def test_plot_without_labels_has_the_intervals_alone(people):
    report = report_of(people)
    figure = report.plot()
    assert len(figure.axes) == 2
    correlation, area = figure.axes
    names = [label.get_text() for label in correlation.get_yticklabels()]
    assert names == list(report.table.index)
    filled = [
        (line.get_xdata(), line.get_markerfacecolor())
        for line in area.lines
        if line.get_marker() == "o" and len(line.get_xdata())
    ]
    significant = {x for xs, face in filled if face != "white" for x in xs}
    expected = set(report.table.auc_AD[report.table.p_corrected_AD < 0.05])
    assert significant == expected
    assert len(regional_report(*people_alone(people)).plot().axes) == 1


def people_alone(people):
    return people[0], people[1].age


def test_slices_show_every_region(people, atlas):
    image = report_of(people, labels=atlas, names=NAMES).image
    heights = _cuts(image)
    indices = np.round((np.array(heights) - image.affine[2, 3]) / image.affine[2, 2]).astype(int)
    shown = np.unique(np.asarray(image.dataobj)[:, :, indices])
    assert set(shown) == {0, 1, 2, 3}


# bad input ------------------------------------------------------------------------------------


def test_missing_values_are_named(people):
    predicted, table = people
    gap = predicted.copy()
    gap.loc["sub-3", "putamen"] = np.nan
    with pytest.raises(ValueError, match=r"region 'putamen' is missing.*sub-3"):
        report_of((gap, table))
    diagnosis = table.diagnosis.astype(object)
    diagnosis["sub-7"] = None
    with pytest.raises(ValueError, match=r"diagnosis is missing.*sub-7"):
        report_of(people, diagnosis=diagnosis)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": "healthy"}, "Nobody has the reference diagnosis 'healthy'"),
        ({"region_names": ["a", "b"]}, "each of the 3 columns"),
        ({"region_names": ["a", "b", "b"]}, "each of the 3 columns"),
        ({"diagnosis": ["CN"] * 86 + ["AD"]}, r"Only 1 person\(s\) are 'AD'"),
        ({"groups": [0] * 87}, "more than one diagnosis"),
        ({"site": np.repeat(["a", "b"], [60, 27])}, "cannot be told apart"),
        ({"site": np.arange(87)}, "too few"),
    ],
)
def test_people_who_cannot_be_compared(people, change, message):
    with pytest.raises(ValueError, match=message):
        report_of(people, **change)


def test_rows_in_another_order_are_refused(people):
    predicted, table = people
    with pytest.raises(ValueError, match="predicted and age have different row labels"):
        regional_report(predicted, table.age.iloc[::-1])


def test_one_column_of_ages_is_refused(people):
    with pytest.raises(ValueError, match="a column a region"):
        regional_report(people[1].age, people[1].age)


def test_regions_that_the_labels_lack(people, atlas):
    with pytest.raises(ValueError, match="has no region 'hippocampus'"):
        report_of(people, labels=atlas, names={10: "thalamus", 12: "putamen"})
    with pytest.raises(DataError, match="cannot be read"):
        report_of(people, labels="nowhere.nii.gz", names=NAMES)


@pytest.mark.parametrize("name", ["sex", "site", "age", "diagnosis"])
def test_columns_in_another_order_are_refused(people, name):
    predicted, table = people
    columns = {column: table[column] for column in ("age", "diagnosis", "sex", "site")}
    columns[name] = columns[name].sample(frac=1, random_state=0)
    with pytest.raises(ValueError, match=f"predicted and {name} have different row labels"):
        regional_report(predicted, columns.pop("age"), **columns)
