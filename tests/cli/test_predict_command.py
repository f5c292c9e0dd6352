"""``mresklearn predict``: a derivative that is whole, goes on after a stop, and is right."""

import json
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from mresklearn import load
from mresklearn.metrics import BrainAgeBiasCorrector


@pytest.fixture
def started(predictions, tmp_path):
    """A copy of the predictions, to be damaged."""
    return shutil.copytree(predictions, tmp_path / "predictions")


def read(path):
    return pd.read_csv(path, sep="\t", na_values=["n/a"])


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
