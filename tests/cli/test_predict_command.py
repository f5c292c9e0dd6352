"""``mresklearn predict``: a derivative that is whole, goes on after a stop, and is right."""

import json
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from mresklearn import load
from mresklearn.cli._derivative import PersonFiles
from mresklearn.metrics import BrainAgeBiasCorrector


@pytest.fixture
def started(predictions, tmp_path):
    """A copy of the predictions, to be damaged."""
    return shutil.copytree(predictions, tmp_path / "predictions")


def read(path):
    return pd.read_csv(path, sep="\t", na_values=["n/a"])


def warnings_of(out, person):
    sidecar = out / person / f"{person}_desc-brainage_predictions.json"
    return json.loads(sidecar.read_text())["Warnings"]


def as_table(root, people, path):
    """Write people and the paths of their maps to a table."""
    for kind, name in (("stiffness", "stiffness"), ("damping_ratio", "dampingratio")):
        people[kind] = [
            f"{root}/{one}/anat/{one}_desc-{name}_mre.nii.gz" for one in people.participant_id
        ]
    people.to_csv(path, index=False)
    return path


def test_every_person_has_table_sidecar_and_page(predictions):
    for number in range(1, 5):
        name = f"sub-{number:04d}"
        table = read(predictions / name / f"{name}_desc-brainage_predictions.tsv")
        sidecar = json.loads(
            (predictions / name / f"{name}_desc-brainage_predictions.json").read_text()
        )
        assert len(table) == 1
        assert set(table.columns) <= set(sidecar), "every column is described"
        page = (predictions / f"{name}.html").read_text()
        assert name in page
        assert "not a medical device" in page
    description = json.loads((predictions / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "mresklearn"


def test_numbers_are_those_of_the_library(predictions, model, newcomers):
    table = read(predictions / "desc-brainage_predictions.tsv").set_index("participant_id")
    people = read(newcomers / "participants.tsv").set_index("participant_id")
    X = pd.DataFrame(index=people.index)
    for kind, name in (("stiffness", "stiffness"), ("damping_ratio", "dampingratio")):
        X[kind] = [
            str(newcomers / one / "anat" / f"{one}_desc-{name}_mre.nii.gz") for one in X.index
        ]
    predicted, interval = load(model).predict(X.assign(site=people.site), return_interval=True)
    np.testing.assert_allclose(table.predicted_age, predicted, atol=1e-3)
    np.testing.assert_allclose(table[["lower", "upper"]], interval[["lower", "upper"]], atol=1e-3)
    np.testing.assert_allclose(table.gap, predicted - people.age, atol=1e-3)
    controls = read(model / "controls.tsv")
    corrector = BrainAgeBiasCorrector(method="de_lange")
    corrector.fit(controls.prediction, controls.age, fold=controls.fold)
    np.testing.assert_allclose(table.corrected_gap, corrector.gap(predicted, people.age), atol=1e-3)


def test_a_new_site_is_compared_with_controls_of_sites_left_out(run, model, newcomers, tmp_path):
    root = shutil.copytree(newcomers, tmp_path / "elsewhere")
    people = read(root / "participants.tsv").assign(site="Lyon")
    people.to_csv(root / "participants.tsv", sep="\t", index=False)
    out = tmp_path / "out"
    assert (
        run("predict", model, root, out, "--no-page", "--participant-label", "0002").exit_code == 0
    )
    table = read(out / "desc-brainage_predictions.tsv").iloc[0]
    controls = read(model / "controls.tsv")
    corrector = BrainAgeBiasCorrector(method="de_lange")
    corrector.fit(controls.prediction_new_site, controls.age, fold=controls.site)
    expected = corrector.gap([table.predicted_age], [table.age])[0]
    assert table.corrected_gap == pytest.approx(expected, abs=1e-3)
    assert "new site" in table.interval_basis
    sidecar = out / "sub-0002" / "sub-0002_desc-brainage_predictions.json"
    assert any("Lyon" in text for text in json.loads(sidecar.read_text())["Warnings"])


def test_training_people_are_warned_of(run, model, study, tmp_path):
    out = tmp_path / "out"
    result = run("predict", model, study, out, "--participant-label", "sub-0001")
    assert result.exit_code == 0
    assert "were among the training people" in result.stderr
    assert read(out / "desc-brainage_predictions.tsv").in_training.tolist() == [1]
    sidecar = json.loads((out / "sub-0001/sub-0001_desc-brainage_predictions.json").read_text())
    assert any("among the training people" in text for text in sidecar["Warnings"])


def test_saliency_lies_on_the_grid_of_the_model(run, model, newcomers, tmp_path):
    out = tmp_path / "out"
    options = ("--saliency", "--participant-label", "0001")
    assert run("predict", model, newcomers, out, *options).exit_code == 0
    image = nib.load(out / "sub-0001" / "sub-0001_desc-brainage_saliency.nii.gz")
    loader = load(model).estimator_[0]
    assert image.shape == tuple(loader.grid_.shape)
    np.testing.assert_allclose(image.affine, loader.grid_.matrix)
    assert np.ptp(image.get_fdata()) > 0


def test_maps_of_another_space_are_drawn_on_an_outline(run, study, newcomers, tmp_path):
    for root, name in ((study, "study"), (newcomers, "newcomers")):
        shutil.copytree(root, tmp_path / name)
        for path in (tmp_path / name).rglob("*desc-stiffness*.nii.gz"):
            image = nib.load(path)
            values, affine = image.get_fdata(dtype=np.float32), image.affine.copy()
            affine[:3, 3] += 300
            nib.Nifti1Image(values, affine).to_filename(path)
    one_map = ("--map", "stiffness=desc-stiffness_*")
    fit = ("--model", "ridge", "--folds", 2, "--no-intervals", *one_map)
    assert run("train", tmp_path / "study", tmp_path / "model", *fit).exit_code == 0
    out = tmp_path / "out"
    asked = ("--saliency", "--participant-label", "0001", *one_map)
    result = run("predict", tmp_path / "model", tmp_path / "newcomers", out, *asked)
    assert result.exit_code == 0, result.output
    assert (out / "sub-0001" / "sub-0001_desc-brainage_saliency.nii.gz").is_file()
    assert "Axial slice" in (out / "sub-0001.html").read_text()


def test_without_a_page_nothing_is_drawn(run, model, newcomers, tmp_path, monkeypatch):
    def draw(*_, **__):
        raise AssertionError("drawn for nobody")

    monkeypatch.setattr("mresklearn.reporting._person_report.draw_slices", draw)
    options = ("--saliency", "--no-page", "--participant-label", "0001")
    result = run("predict", model, newcomers, tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    assert list((tmp_path / "out").rglob("*_desc-brainage_saliency.nii.gz"))


@pytest.mark.parametrize("form", ["bids", "table", "pool"])
def test_an_empty_site_is_judged_as_a_new_one_and_said(run_json, model, newcomers, tmp_path, form):
    root = shutil.copytree(newcomers, tmp_path / "people")
    people = read(root / "participants.tsv")
    people.loc[people.participant_id == "sub-0002", "site"] = None
    people.to_csv(root / "participants.tsv", sep="\t", index=False, na_rep="n/a")
    prefix, source = "sub-", root
    if form == "table":
        source = as_table(root, people, tmp_path / "people.csv")
    if form == "pool":
        prefix, source = "sub-hometown", tmp_path / "pool.toml"
        source.write_text(f"[studies.hometown]\nroot = '{root}'\nlayout = 'bids'\n")
    out = tmp_path / "out"
    code, record = run_json("predict", model, source, out)
    assert (code, len(record["predicted"])) == (0, 4), record
    table = read(out / "desc-brainage_predictions.tsv").set_index("participant_id")
    unknown = next(name for name in table.index if name.endswith("0002"))
    assert table.site.isna().tolist() == [name == unknown for name in table.index]
    assert "new site" in table.interval_basis[unknown]
    for name in table.index:
        said = [text for text in warnings_of(out, name) if "site not known" in text]
        assert said == (["site not known: judged as a new site"] if name == unknown else [])
        assert ("site not known" in (out / f"{name}.html").read_text()) == (name == unknown)
    controls = read(model / "controls.tsv")
    corrector = BrainAgeBiasCorrector(method="de_lange")
    corrector.fit(controls.prediction_new_site, controls.age, fold=controls.site)
    row = table.loc[unknown]
    expected = corrector.gap([row.predicted_age], [row.age])[0]
    assert row.corrected_gap == pytest.approx(expected, abs=1e-3)
    assert prefix in unknown
    code, record = run_json("report", out, "--permutations", 19)
    assert (code, record["n_rows"]) == (0, 4), record


def test_a_table_without_sites_says_so_for_everybody(run, model, newcomers, tmp_path):
    people = read(newcomers / "participants.tsv").drop(columns="site").iloc[:1]
    source, out = as_table(newcomers, people, tmp_path / "people.csv"), tmp_path / "out"
    assert run("predict", model, source, out).exit_code == 0
    assert "site not known: judged as a new site" in warnings_of(out, "sub-0001")
    assert "site not known: judged as a new site" in (out / "sub-0001.html").read_text()


def test_it_goes_on_where_it_was_stopped(run_json, model, newcomers, started, snapshot):
    """Half of the people lost their files, in each of the ways that a kill can leave behind."""
    (started / "sub-0002" / "sub-0002_desc-brainage_predictions.json").unlink()
    shutil.rmtree(started / "sub-0003")
    kept = {path: mark for path, mark in snapshot(started).items() if "sub-0001" in str(path)}
    code, record = run_json("predict", model, newcomers, started)
    assert code == 0
    assert record["predicted"] == ["sub-0002", "sub-0003"]
    assert record["skipped"] == ["sub-0001", "sub-0004"]
    assert snapshot(started).items() >= kept.items(), "finished people are not touched"
    table = read(started / "desc-brainage_predictions.tsv")
    assert table.in_training.tolist() == [0, 0, 0, 0]
    assert not list(started.rglob(".mresklearn-*")), "no half-written file is left"


def test_more_is_added_when_more_is_asked_for(run_json, model, newcomers, started):
    options = ("--saliency", "--participant-label", "0001")
    record = run_json("predict", model, newcomers, started, *options)[1]
    assert record["predicted"] == ["sub-0001"]
    assert run_json("predict", model, newcomers, started, *options)[1]["skipped"] == ["sub-0001"]


def test_force_predicts_everybody_again(run_json, model, newcomers, started):
    options = ("--force", "--no-page", "--participant-label", "0001")
    assert run_json("predict", model, newcomers, started, *options)[1]["predicted"] == ["sub-0001"]


def test_pages_and_maps_of_another_run_go_when_a_person_is_predicted_again(
    run_json, model, newcomers, started, tmp_path
):
    other = shutil.copytree(model, tmp_path / "other")
    (other / "model.json").write_text((other / "model.json").read_text() + "\n")
    saliency = started / "sub-0001" / "sub-0001_desc-brainage_saliency.nii.gz"
    saliency.write_text("of the first model")
    for name in ("sub-0002", "sub-0003", "sub-0004"):
        shutil.rmtree(started / name)
    one = ("--participant-label", "0001")
    code, record = run_json("predict", other, newcomers, started, "--force", "--no-page", *one)
    assert code == 0, record
    assert not saliency.exists()
    assert not (started / "sub-0001.html").exists()
    record = run_json("predict", other, newcomers, started, *one)[1]
    assert record["predicted"] == ["sub-0001"]
    assert str(other) in (started / "sub-0001.html").read_text()


def test_a_session_that_nobody_asked_for_cannot_fail(run_json, model, newcomers, tmp_path):
    people = read(newcomers / "participants.tsv").iloc[:3]
    source = as_table(newcomers, people, tmp_path / "people.csv")
    people["participant_id"] = ["sub-1_ses-1", "sub-1_ses-2", "sub-2_ses-2"]
    people.loc[2, "age"] = None
    people.to_csv(source, index=False)
    options = ("--session", "1", "--no-page", "--dry-run")
    code, record = run_json("predict", model, source, tmp_path / "out", *options)
    assert (code, record["to_do"], record["left_out"]) == (0, ["sub-1_ses-1"], {})
    record = run_json("predict", model, source, tmp_path / "out", "--dry-run")[1]
    assert list(record["left_out"]) == ["sub-2_ses-2"]


def test_predictions_of_two_models_are_not_mixed(run, model, newcomers, started, snapshot):
    path = started / "dataset_description.json"
    path.write_text(path.read_text().replace('ModelFingerprint": "', 'ModelFingerprint": "x'))
    before = snapshot(started)
    result = run("predict", model, newcomers, started)
    assert (result.exit_code, "another model" in result.stderr) == (2, True)
    assert snapshot(started) == before


def test_one_bad_file_is_the_problem_of_one_person(run, run_json, model, newcomers, tmp_path):
    root = shutil.copytree(newcomers, tmp_path / "damaged")
    next((root / "sub-0002").rglob("*stiffness*")).write_bytes(b"no image")
    next((root / "sub-0003").rglob("*stiffness*")).unlink()
    code, record = run_json("predict", model, root, tmp_path / "out", "--no-page")
    assert code == 1
    assert record["status"] == "some failed"
    assert record["predicted"] == ["sub-0001", "sub-0004"]
    assert list(record["failed"]) == ["sub-0002"]
    assert list(record["left_out"]) == ["sub-0003"]
    again = run("predict", model, root, tmp_path / "out", "--no-page")
    assert again.exit_code == 1
    assert "sub-0002" in again.stderr
    assert "sub-0003" in again.stderr


def test_threads_change_nothing(run, model, newcomers, predictions, tmp_path):
    out = tmp_path / "out"
    assert run("predict", model, newcomers, out, "--n-jobs", 2).exit_code == 0
    name = "desc-brainage_predictions.tsv"
    assert (out / name).read_text() == (predictions / name).read_text()


def test_ids_of_a_table_become_bids_labels(run, model, newcomers, tmp_path):
    people = read(newcomers / "participants.tsv")
    for kind, name in (("stiffness", "stiffness"), ("damping_ratio", "dampingratio")):
        people[kind] = [
            f"{newcomers}/{one}/anat/{one}_desc-{name}_mre.nii.gz" for one in people.participant_id
        ]
    people["participant_id"] = ["OAS1_0001_MR1", "P-2_ses-10", "3", "4"]
    people.to_csv(tmp_path / "people.csv", index=False)
    out = tmp_path / "out"
    assert run("predict", model, tmp_path / "people.csv", out, "--no-page").exit_code == 0
    table = read(out / "desc-brainage_predictions.tsv").set_index("original_id")
    assert table.participant_id["OAS1_0001_MR1"] == "sub-OAS10001MR1"
    assert (out / "sub-P2" / "ses-10" / "sub-P2_ses-10_desc-brainage_predictions.tsv").is_file()
    people["participant_id"] = ["A-1", "A_1", "3", "4"]
    people.to_csv(tmp_path / "people.csv", index=False)
    clash = run("predict", model, tmp_path / "people.csv", tmp_path / "other", "--no-page")
    assert (clash.exit_code, "sub-A1" in clash.stderr) == (3, True)


def test_ids_without_letters_and_digits_of_english_have_labels_of_their_own(tmp_path):
    rows = ["患者", "病人", "患者_ses-1", "患者_ses-ñ", "患者_ses-é", "-", "sub-01_ses-ñ", "sub-01"]
    files = [PersonFiles.of(tmp_path, row) for row in rows]
    assert len({one.name for one in files}) == len(rows)
    for one in files:
        assert one.subject.isalnum()
        assert one.subject.isascii()
    assert all(bool(one.session) == ("_ses-" in row) for one, row in zip(files, rows, strict=True))
    assert files[0].subject == files[2].subject == files[3].subject, "sessions of one person"
    assert files[0] == PersonFiles.of(tmp_path, "患者"), "the same in every run"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{study}", "{newcomers}", "{out}"], 3, "holds no model"),
        (["{model}", "{newcomers}", "{newcomers}"], 2, "is the input folder"),
        (["{model}", "{newcomers}", "{study}"], 2, "holds other things"),
        (["{model}", "{newcomers}", "{out}", "--participant-label", "77"], 2, "77"),
        (["{model}", "{out}/none.tsv", "{out}"], 3, "there is no table"),
        (["{model}", "{newcomers}", "{out}", "--map", "stiffness"], 2, "NAME=VALUE"),
        (["{model}", "{newcomers}", "{out}", "--map", "stiffness=desc-stiffness_*"], 3,
         "damping_ratio"),
    ],
)  # fmt: skip
def test_wrong_input_ends_with_one_message(
    run, model, study, newcomers, tmp_path, arguments, code, words
):
    places = {"model": model, "study": study, "newcomers": newcomers, "out": tmp_path / "out"}
    result = run("predict", *(argument.format(**places) for argument in arguments))
    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_debug_shows_where_an_error_arose(run, study, newcomers, tmp_path):
    result = run("predict", study, newcomers, tmp_path / "out", "--debug")
    assert "holds no model" in str(result.exception)
    assert type(result.exception).__name__ == "DataError"
