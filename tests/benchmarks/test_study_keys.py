"""The key of a cell: whatever changes the result changes it, and nothing else does."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.studies import _study
from benchmarks.studies._describe import describe, digest
from benchmarks.studies.declared import declared, names

LONG = np.arange(1.0, 999)


def key(value):
    return digest(describe(value))


def test_defaults_are_written_down():
    assert describe(Ridge())["alpha"] == 1.0
    assert (
        describe(make_pipeline(StandardScaler(), Ridge()))["steps"][1][1]["fit_intercept"] is True
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Ridge(alpha=1.0), Ridge(alpha=2.0)),
        (Ridge(), RidgeCV()),
        (GridSearchCV(Ridge(), {"alpha": [1]}), GridSearchCV(Ridge(), {"alpha": [2]})),
        (KFold(3, shuffle=True, random_state=0), KFold(3, shuffle=True, random_state=1)),
        # alike in the first and last characters of their repr, which is cut
        (RidgeCV(LONG), RidgeCV(np.where(LONG == 500, 7, LONG))),
        (partial(max, 1), partial(max, 2)),
    ],
)  # fmt: skip
def test_what_differs_anywhere_has_another_key(one, other):
    assert key(one) != key(other)


def test_equal_objects_have_one_key():
    assert key(Ridge(alpha=2)) == key(Ridge(alpha=2))


def test_a_path_is_its_file_name_so_that_cells_can_be_moved():
    assert key(Path("/here/atlas.nii.gz")) == key(Path("/there/atlas.nii.gz"))


def test_a_lambda_is_refused():
    with pytest.raises(TypeError, match="no name by which its results"):
        describe(lambda X: X)


def cells_of(study):
    return study.cells(Path("store"))


@pytest.fixture
def study():
    return declared("mre_against_mri").at_scale("quick")


def some_cell(study, method="contrastive + ridge"):
    return next(cell for cell in cells_of(study) if cell.method == method)


@pytest.mark.parametrize(
    "change",
    [
        {"people": 25},
        {"seed": 1},
        {"voxel_size": 9},
        {"settings": (("age_range", (20, 80)),)},
    ],
)
def test_a_changed_data_set_is_another_cell(study, change):
    changed = replace(study, datasets=(replace(study.datasets[0], **change),))
    assert some_cell(study).key != some_cell(changed).key


def test_a_changed_budget_is_another_cell_for_networks_alone(study):
    changed = replace(study, network={**study.network, "max_epochs": 3})
    assert some_cell(study).key != some_cell(changed).key
    assert some_cell(study, "PCA + SVR").key == some_cell(changed, "PCA + SVR").key


def test_a_new_version_of_the_package_is_another_cell(study, monkeypatch):
    before = some_cell(study).key
    monkeypatch.setattr(_study, "version", lambda package: "99.0")
    assert some_cell(study).key != before


def test_other_names_are_the_same_cell(study):
    renamed = {f"my {name}": build for name, build in study.methods.items()}
    changed = replace(study, methods=renamed, pooled=(), question="?")
    assert some_cell(changed, "my contrastive + ridge").key == some_cell(study).key


def test_methods_without_randomness_run_once(study):
    seeded = replace(study, seeds=(0, 1, 2))
    runs = {
        method: {c.conditions.seed for c in cells_of(seeded) if c.method == method}
        for method in ("PCA + SVR", "SFCN")
    }
    assert runs == {"PCA + SVR": {0}, "SFCN": {0, 1, 2}}


@pytest.mark.parametrize("scale", ["default", "quick", "full"])
@pytest.mark.parametrize("name", names())
def test_every_declared_cell_has_a_key_of_its_own(name, scale, monkeypatch):
    monkeypatch.delenv("MRESKLEARN_DATA", raising=False)
    keys = [cell.key for cell in cells_of(declared(name).at_scale(scale))]
    assert len(keys) == len(set(keys)) > 0


def test_conditions_are_matched_between_maps(study):
    """People, folds, seeds and models are the same for every input; only the maps differ."""

    def without_maps(cell):
        rest = {k: v for k, v in cell.description.items() if k != "kinds"}
        return digest(rest)

    by_input = {
        name: {without_maps(cell) for cell in cells_of(study) if cell.inputs == name}
        for name in study.inputs
    }
    assert len(by_input) == 5
    assert len({frozenset(found) for found in by_input.values()}) == 1


def test_a_reference_that_is_not_there_is_refused(study):
    with pytest.raises(ValueError, match="reference of study 'mre_against_mri' must be one of"):
        replace(study, reference="PET")


def test_networks_share_their_budget(study):
    found = {
        str(step[1].get("encoder") or step[1])
        for cell in cells_of(study)
        for step in cell.description["model"].get("steps", [])
        if "max_epochs" in str(step)
    }
    settings = {name: f"'{name}': {value}" for name, value in study.network.items()}
    assert found
    assert all(setting in one for one in found for setting in settings.values())
