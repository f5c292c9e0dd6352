"""Saved models: the same model on another machine, without pickle, and safe to open."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from mresklearn import ContrastiveEncoder, MapLoader, MapMasker, MapScaler, load, save
from mresklearn.exceptions import DataError, DeviceWarning


@pytest.fixture
def X(people):
    return people[["stiffness", "damping_ratio", "site"]]


@pytest.fixture
def road(people, X):
    encoder = ContrastiveEncoder(max_epochs=2, width=2, random_state=0)
    loader = MapLoader(metadata=["site"], voxel_size=4)
    return make_pipeline(loader, MapScaler(), encoder, Ridge()).fit(X, people.age)


def test_a_whole_pipeline_predicts_for_a_new_person_in_another_process(road, people, X, tmp_path):
    save(road, tmp_path / "brain_age")
    X.iloc[[5]].to_csv(tmp_path / "new_person.csv")
    code = (
        "import sys, pandas as pd; from mresklearn import load; "
        "X = pd.read_csv(sys.argv[2], index_col=0); "
        "print(repr(float(load(sys.argv[1]).predict(X)[0])))"
    )
    command = [sys.executable, "-c", code, tmp_path / "brain_age", tmp_path / "new_person.csv"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(run.stdout) == pytest.approx(road.predict(X.iloc[[5]])[0], rel=1e-5)


def test_the_folder_holds_readable_text_and_tensors_alone(road, tmp_path):
    folder = save(road, tmp_path / "deep" / "brain_age")
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["README.md", "arrays.safetensors", "card.json", "model.json"]
    record = json.loads((folder / "model.json").read_text())
    assert set(record["versions"]) == {"mresklearn", "scikit-learn", "numpy", "pandas", "torch"}
    assert record["format"] == 1


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(), PCA(3), RidgeCV(np.logspace(-2, 2, 5))),
        LogisticRegression(),
        MapMasker(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_other_estimators_come_back_as_they_were(model, tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 5)), rng.integers(0, 2, 40)
    model.fit(X, y)
    opened = load(save(model, tmp_path / "m"))
    assert repr(opened) == repr(model)
    output = "predict" if hasattr(model, "predict") else "transform"
    np.testing.assert_array_equal(getattr(opened, output)(X), getattr(model, output)(X))


def test_maps_maskers_and_quality_tables_come_back(people, X, tmp_path):
    model = make_pipeline(MapLoader(metadata=["site"]), MapScaler(), MapMasker(), Ridge())
    model.fit(X, people.age)
    opened = load(save(model, tmp_path / "m"))
    np.testing.assert_array_equal(opened.predict(X), model.predict(X))
    assert opened[0].grid_ == model[0].grid_
    pd.testing.assert_frame_equal(opened[0].quality_, model[0].quality_, check_dtype=False)


def test_training_goes_on_as_if_it_had_never_stopped(tmp_path):
    rng = np.random.default_rng(0)
    X, age = rng.normal(size=(40, 5)), rng.uniform(20, 80, 40)
    encoder = ContrastiveEncoder(width=2, random_state=0)
    for _ in range(3):
        encoder.partial_fit(X, age)
    opened = load(save(encoder, tmp_path / "m"))
    for model in (encoder, opened):
        model.partial_fit(X, age)
    np.testing.assert_array_equal(opened.transform(X), encoder.transform(X))
    assert opened.n_epochs_ == 4
    assert [e["train_loss"] for e in opened.history_] == [e["train_loss"] for e in encoder.history_]


@pytest.mark.parametrize("loss", ["l1", "soft_label"])
def test_a_supervised_network_predicts_the_same_ages(loss, tmp_path):
    rng = np.random.default_rng(0)
    X, age = rng.normal(size=(40, 5)), rng.uniform(20, 80, 40)
    settings = {"width": 2, "max_epochs": 2, "random_state": 0}
    encoder = ContrastiveEncoder(loss=loss, checkpoint=tmp_path / "unfinished", **settings)
    opened = load(save(encoder.fit(X, age), tmp_path / "m"))
    np.testing.assert_array_equal(opened.predict(X), encoder.predict(X))
    assert opened.checkpoint == str(tmp_path / "unfinished")


def test_opening_leaves_the_global_random_streams_alone(road, tmp_path):
    folder = save(road, tmp_path / "m")
    before = torch.get_rng_state()
    load(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_parameters_changed_after_fit_do_no_harm(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 5))
    encoder = ContrastiveEncoder(width=2, max_epochs=1, random_state=0).fit(X, np.arange(20.0))
    expected = encoder.transform(X)
    encoder.set_params(width=9, embedding_dim=3)
    np.testing.assert_array_equal(load(save(encoder, tmp_path / "m")).transform(X), expected)


def test_a_model_from_a_gpu_opens_without_one_and_says_so(tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 5))
    encoder = ContrastiveEncoder(width=2, max_epochs=1, random_state=0).fit(X, np.arange(20.0))
    encoder.device_ = "cuda:99"
    folder = save(encoder, tmp_path / "m")
    with pytest.warns(DeviceWarning, match="trained on device 'cuda:99'"):
        opened = load(folder)
    assert opened.device_ == "cpu"
    np.testing.assert_array_equal(opened.transform(X), encoder.transform(X))


def test_a_folder_that_exists_is_kept_unless_told(road, tmp_path):
    folder = save(road, tmp_path / "m")
    (folder / "note.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save(road, folder)
    assert (folder / "note.txt").exists()
    save(road, folder, overwrite=True)
    assert not (folder / "note.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["m"]


def test_what_is_no_model_is_never_overwritten(tmp_path):
    model = Ridge().fit([[0.0], [1.0]], [0.0, 1.0])
    study, file, empty = tmp_path / "study", tmp_path / "table.tsv", tmp_path / "empty"
    study.mkdir()
    empty.mkdir()
    for path in (study / "participants.tsv", file):
        path.write_text("mine")
    for place in (study, file):
        with pytest.raises(FileExistsError, match=r"holds no model.* would delete what is there"):
            save(model, place, overwrite=True)
    assert (study / "participants.tsv").read_text() == file.read_text() == "mine"
    assert load(save(model, empty, overwrite=True)).coef_ == model.coef_


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (make_pipeline(FunctionTransformer(np.log1p), Ridge()), "'pipeline.steps.* is a ufunc"),
        (RandomForestRegressor(2), "is a Tree, which cannot be saved without pickle"),
        (ContrastiveEncoder(kernel=lambda d, s: d.abs() < s, max_epochs=1), "is a function"),
    ],
    ids=["function", "forest", "kernel"],
)
def test_what_needs_pickle_is_refused_by_name_and_writes_nothing(model, message, tmp_path):
    X, y = np.random.default_rng(0).uniform(size=(12, 3)), np.arange(12.0)
    model.fit(X, y)
    with pytest.raises(ValueError, match=message):
        save(model, tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_an_unfitted_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not fitted"):
        save(Ridge(), tmp_path / "m")


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "subprocess:Popen",
        "sklearn.utils:Bunch",
        "sklearn.datasets:fetch_openml",
        "mresklearn.datasets:fetch_mre134",
        "sklearnevil:Ridge",
        "builtins:eval",
        "sklearn.linear_model:Ridge.fit",
    ],
)
def test_a_model_that_names_other_classes_is_not_opened(name, tmp_path):
    folder = save(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]), tmp_path / "m")
    text = (folder / "model.json").read_text()
    (folder / "model.json").write_text(text.replace("sklearn.linear_model._ridge:Ridge", name))
    with pytest.raises(ValueError, match="which is no estimator of scikit-learn or mresklearn"):
        load(folder)


def test_damaged_and_foreign_folders_are_named(tmp_path):
    folder = save(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]), tmp_path / "m")
    with pytest.raises(DataError, match="holds no model"):
        load(tmp_path / "nowhere")
    text = (folder / "model.json").read_text()
    (folder / "model.json").write_text(text[:50])
    with pytest.raises(DataError, match="is damaged"):
        load(folder)
    (folder / "model.json").write_text(text.replace('"format": 1', '"format": 99'))
    with pytest.raises(ValueError, match="has format 99"):
        load(folder)


VERSIONS = '"versions": {"mresklearn": "0", "scikit-learn": "1.0"}'


@pytest.mark.filterwarnings("ignore:This model was saved with scikit-learn")
@pytest.mark.parametrize(
    "text",
    [
        "{}", "[]", "3", "null", '{"format": "x", "versions": {}}',
        f'{{"format": "x", {VERSIONS}, "model": 3}}',
        '{"format": 1, "versions": {"mresklearn": 1}, "model": 3}',
        *(
            f'{{"format": 1, {VERSIONS}, "model": {model}}}'
            for model in (
                "3", "{}", '{"array": "nowhere"}', '{"estimator": {}}', '{"estimator": 3}',
                '{"list": [], "tuple": []}', '{"polygon": 1}',
            )
        ),
    ],
)  # fmt: skip
def test_whatever_save_did_not_write_is_called_damaged(text, tmp_path):
    folder = save(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]), tmp_path / "m")
    (folder / "model.json").write_text(text)
    with pytest.raises(DataError, match=r"is damaged|unknown kind"):
        load(folder)


def test_a_file_in_place_of_a_folder_is_no_model(tmp_path):
    folder = save(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]), tmp_path / "m")
    for place in (folder / "model.json", str(folder / "arrays.safetensors")):
        with pytest.raises(DataError, match="holds no model"):
            load(place)
    (folder / "model.json").unlink()
    (folder / "model.json").mkdir()
    with pytest.raises(DataError, match="holds no model"):
        load(folder)


def test_another_version_of_scikit_learn_is_said(tmp_path):
    folder = save(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]), tmp_path / "m")
    record = json.loads((folder / "model.json").read_text())
    record["versions"]["scikit-learn"] = "1.2.0"
    (folder / "model.json").write_text(json.dumps(record))
    with pytest.warns(UserWarning, match=r"saved with scikit-learn 1\.2\.0"):
        load(folder)
