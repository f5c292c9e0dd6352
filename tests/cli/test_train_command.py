"""``mresklearn train``: what it writes is what a model of these people and folds is."""

import shutil

import numpy as np
import pandas as pd
import pytest

from mresklearn import LeaveOneSiteOut, load
from mresklearn.persistence import load_card

NAMES = {"stiffness": "stiffness", "damping_ratio": "dampingratio"}


def read(path):
    return pd.read_csv(path, sep="\t", index_col=0)


def map_of(root, person, name="stiffness"):
    return str(root / person / "anat" / f"{person}_desc-{name}_mre.nii.gz")


def paths_of(root, people):
    maps = {kind: [map_of(root, one, name) for one in people.index] for kind, name in NAMES.items()}
    return pd.DataFrame(maps, index=people.index).assign(site=people.site)


def test_the_folder_holds_a_model_that_the_library_opens(model, study):
    people = read(study / "participants.tsv")
    opened = load(model)
    X = pd.DataFrame(
        {
            kind: [
                str(study / one / "anat" / f"{one}_desc-{name}_mre.nii.gz") for one in people.index
            ]
            for kind, name in (("stiffness", "stiffness"), ("damping_ratio", "dampingratio"))
        },
        index=people.index,
    ).assign(site=people.site)
    predicted, interval = opened.predict(X, return_interval=True)
    assert predicted.shape == (20,)
    assert (interval.lower < predicted).all()
    assert np.corrcoef(predicted, people.age)[0, 1] > 0.9, "people of training"


def test_controls_are_predicted_by_models_without_them(model, study):
    controls, people = read(model / "controls.tsv"), read(study / "participants.tsv")
    pd.testing.assert_series_equal(controls.age, people.age)
    assert list(controls.columns) == [
        "age", "sex", "site", "person", "fold", "prediction", "prediction_new_site"
    ]  # fmt: skip
    pipeline = load(model).estimator_
    X = paths_of(study, people)
    for train, test in LeaveOneSiteOut().split(X):
        fitted = pipeline.__sklearn_clone__().fit(X.iloc[train], people.age.iloc[train])
        np.testing.assert_allclose(
            controls.prediction_new_site.iloc[test], fitted.predict(X.iloc[test]), rtol=1e-4
        )


def test_the_card_says_whom_it_learned_from_and_how_good_it_is(model):
    card = load_card(model)
    table = pd.read_csv(model / "cross_validation.tsv", sep="\t")
    assert (card.n_people, set(card.sites)) == (20, {"site-1", "site-2"})
    errors = (table.prediction - table.y).abs().groupby(table.protocol).mean()
    stated = {one.protocol: one.value for one in card.metrics if one.name == "mae"}
    assert stated == pytest.approx(errors.to_dict())


def test_patients_are_no_controls(run_json, work, study, tmp_path):
    table = pd.read_csv(study / "participants.tsv", sep="\t")
    table.loc[:5, "diagnosis"] = "AD"
    root = shutil.copytree(study, tmp_path / "mixed")
    table.to_csv(root / "participants.tsv", sep="\t", index=False)
    options = ("--model", "ridge", "--dry-run")
    assert run_json("train", root, tmp_path / "m", *options)[1]["n_rows"] == 14
    everybody = run_json("train", root, tmp_path / "m", *options, "--controls", "")[1]
    assert everybody["n_rows"] == 20
    code, record = run_json("train", root, tmp_path / "m", *options, "--controls", "healthy")
    assert code == 2
    assert "there is AD, CN" in record["message"]


def test_one_site_is_cross_validated_over_persons(run_json, study, tmp_path):
    table = pd.read_csv(study / "participants.tsv", sep="\t").drop(columns="site")
    table["stiffness"] = [map_of(study, one) for one in table.participant_id]
    table.to_csv(tmp_path / "people.csv", index=False)
    options = ("--model", "ridge", "--folds", 3, "--no-intervals")
    code, record = run_json("train", tmp_path / "people.csv", tmp_path / "model", *options)
    assert (code, list(record["scores"])) == (0, ["within_site"]), record
    assert record["maps"] == ["stiffness"], "the column of paths"
    controls = read(tmp_path / "model" / "controls.tsv")
    assert controls.prediction.notna().all()
    assert set(controls.fold) == {0, 1, 2}
    code, record = run_json("report", tmp_path / "model", "--permutations", 19)
    assert code == 0, record


def test_a_network_trains_and_its_model_opens(run, study, tmp_path):
    options = (
        "--epochs",
        1,
        "--folds",
        2,
        "--voxel-size",
        20,
        "--map",
        "stiffness=desc-stiffness_*",
    )
    result = run("train", study, tmp_path / "model", *options)
    assert result.exit_code == 0, result.output
    assert "people of a site never seen" in result.stdout
    steps = [type(step).__name__ for step in load(tmp_path / "model").named_steps.values()]
    assert steps == ["MapLoader", "MapScaler", "DomainInvariantRegressor"]


def test_what_lacks_is_named_and_can_be_dropped(run, run_json, study, tmp_path):
    root = shutil.copytree(study, tmp_path / "holes")
    next((root / "sub-0003").rglob("*stiffness*")).unlink()
    failed = run("train", root, tmp_path / "model", "--model", "ridge")
    assert failed.exit_code == 3
    assert "sub-0003" in failed.stderr
    assert "--drop-missing" in failed.stderr
    assert "Traceback" not in failed.output
    assert failed.stdout == ""
    options = ("--model", "ridge", "--drop-missing", "--dry-run")
    record = run_json("train", root, tmp_path / "model", *options)[1]
    assert (record["n_rows"], record["n_dropped"]) == (19, 1)


def test_a_place_that_cannot_be_written_is_found_before_any_fit(run, study, tmp_path, monkeypatch):
    def fit(*_, **__):
        raise AssertionError("fitted for nothing")

    monkeypatch.setattr("mresklearn.cli._train.predict_controls", fit)
    (tmp_path / "file").touch()
    result = run("train", study, tmp_path / "file" / "model", "--model", "ridge")
    assert (result.exit_code, "fitted" in result.stderr) == (2, False), result.output


def test_who_lacks_a_site_is_no_control(run, run_json, study, tmp_path):
    table = pd.read_csv(study / "participants.tsv", sep="\t")
    table.loc[0, "site"] = None
    table["stiffness"] = [map_of(study, one) for one in table.participant_id]
    table.to_csv(tmp_path / "people.csv", index=False)
    arguments = ("train", tmp_path / "people.csv", tmp_path / "model", "--model", "ridge")
    refused = run(*arguments)
    assert (refused.exit_code, "(site) is empty" in refused.stderr) == (3, True)
    dropping = (*arguments, "--drop-missing", "--dry-run")
    assert run_json(*dropping)[1]["n_dropped"] == 1
    assert "a map, an age or a site: 1." in run(*dropping).stdout


def test_a_model_is_replaced_with_force_only(run, study, model, snapshot):
    before = snapshot(model)
    refused = run("train", study, model, "--model", "ridge")
    assert (refused.exit_code, "--force" in refused.stderr) == (2, True)
    assert snapshot(model) == before


def test_force_does_not_empty_a_folder_of_other_things(run, study, tmp_path):
    (tmp_path / "thesis.txt").write_text("five years of work")
    result = run("train", study, tmp_path, "--model", "ridge", "--force")
    assert result.exit_code == 2
    assert (tmp_path / "thesis.txt").read_text() == "five years of work"


def test_no_age_column_is_wrong_use_and_lists_what_there_is(run, study, tmp_path):
    table = pd.read_csv(study / "participants.tsv", sep="\t").rename(columns={"age": "Alter"})
    table["stiffness"] = [map_of(study, one) for one in table.participant_id]
    table.to_csv(tmp_path / "people.csv", index=False)
    result = run("train", tmp_path / "people.csv", tmp_path / "model", "--model", "ridge")
    assert result.exit_code == 2
    assert "Alter" in result.stderr
