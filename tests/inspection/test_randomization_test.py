"""randomization_test: what a network learned does not survive the loss of its weights."""

from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from mresklearn import ContrastiveEncoder, MapMasker, MapScaler
from mresklearn.inspection import occlusion_map, randomization_test
from mresklearn.inspection._randomization_test import rank_correlation, with_random_weights

SHAPE = (8, 8, 8)


@pytest.fixture(scope="module")
def cohort():
    """Maps with a planted cube that carries age."""
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, 48)
    maps = rng.normal(3, 0.3, (48, 1, *SHAPE)).astype(np.float32)
    maps[:, 0, 4:, 4:, 4:] -= ((age - 50) / 20)[:, None, None, None]
    return maps, age


def network(random_state):
    """A small 3-D network with a readout."""
    encoder = ContrastiveEncoder(
        network="sfcn", width=2, embedding_dim=4, max_epochs=12, batch_size=12, lr=1e-2, shift=0,
        flip=0.0, cutout=0.0, random_state=random_state,
    )  # fmt: skip
    return make_pipeline(MapScaler(), encoder, Ridge())


@pytest.fixture(scope="module")
def trained(cohort):
    """The network fitted on 36 people, and 12 others."""
    maps, age = cohort
    return network(random_state=0).fit(maps[:36], age[:36]), maps[36:], age[36:]


def test_the_map_of_the_trained_network_lies_where_the_signal_was_planted(trained):
    model, maps, age = trained
    result = occlusion_map(model, maps, age, size=4)
    centre = result.patches[["x", "y", "z"]].iloc[result.patches["mean"].argmax()]
    assert (centre == 5.5).all()


def test_random_weights_destroy_it(trained):
    model, maps, _ = trained
    explain = partial(occlusion_map, size=2, score="change")
    result = randomization_test(model, maps, explain=explain, n_repeats=3)
    assert result.subject_correlations.shape == (3, 12)
    assert abs(result.correlation) < 0.4
    assert result.group_correlations.shape == (3,)
    assert (result.group_correlations < 0.8).all()
    same = explain(model, maps)
    assert rank_correlation(same.subject_map(0), same.subject_map(0)) == pytest.approx(1)


@pytest.mark.parametrize("method", ["integrated_gradients", "saliency"])
def test_gradients_too(trained, method):
    model, maps, _ = trained
    result = randomization_test(model, maps[:4], explain=method, n_repeats=2)
    assert abs(result.correlation) < 0.5
    assert np.isfinite(result.subject_absolute_correlations).all()


def test_the_planted_cube_stands_out_for_every_trained_network_and_for_no_random_one(
    trained, cohort
):
    model, maps, _ = trained
    again = network(random_state=5).fit(cohort[0][:36], cohort[1][:36])
    planted = np.zeros(SHAPE, bool)
    planted[4:, 4:, 4:] = True

    def contrast(fitted):
        size = occlusion_map(fitted, maps, size=2).group_map
        return size[planted].mean() / size[~planted].mean()

    # above 1 for random weights too: maps differ more between people there
    random = max(contrast(with_random_weights(model, seed)) for seed in range(2))
    assert min(contrast(model), contrast(again)) > 1.5 * random


def test_the_model_is_left_as_it_was_and_the_seed_decides(trained):
    model, maps, _ = trained
    before = model.predict(maps)
    one, again, other = (
        randomization_test(model, maps[:3], explain="saliency", n_repeats=1, random_state=seed)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(model.predict(maps), before)
    np.testing.assert_array_equal(one.subject_correlations, again.subject_correlations)
    assert not np.array_equal(one.subject_correlations, other.subject_correlations)


def test_random_weights_are_those_of_the_start_of_a_fit(trained):
    model, maps, _ = trained
    random = with_random_weights(model, 3)
    parts = [dict(m[1].net_.module_.named_parameters()) for m in (model, random)]
    assert parts[0].keys() == parts[1].keys()
    name = "projection.weight"
    assert not np.allclose(parts[0][name].detach(), parts[1][name].detach())
    assert np.isfinite(random.predict(maps)).all()


def test_maps_that_are_the_same_everywhere_have_no_correlation():
    assert np.isnan(rank_correlation(np.ones(9), np.arange(9.0)))
    gaps = np.r_[np.nan, np.arange(8.0)]
    assert rank_correlation(gaps, -np.arange(9.0)) == pytest.approx(-1)


def test_models_without_a_network_have_no_weights_to_draw():
    rng = np.random.default_rng(0)
    maps = rng.normal(3, 1, (8, 1, 3, 3, 3))
    model = make_pipeline(MapMasker(), Ridge()).fit(maps, np.arange(8.0))
    with pytest.raises(ValueError, match="no weights to draw again"):
        randomization_test(model, maps)
