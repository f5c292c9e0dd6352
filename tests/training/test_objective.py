"""Objectives: supervised losses against closed forms, and the schedule of neighbours by epoch."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from mresklearn.nn import contrastive_loss, neighbour_count
from mresklearn.training._objective import ContrastiveObjective, Moment, SupervisedObjective

AGES = torch.tensor([20.0, 31.0, 50.0, 80.0], dtype=torch.float64)
NOW = Moment(1, 10)


def supervised(kind, **settings):
    return SupervisedObjective.of_ages(kind, AGES, **{"sigma": 2.0, "bin_width": 1.0, **settings})


@pytest.mark.parametrize(("kind", "power"), [("l1", 1), ("mse", 2)])
def test_regression_losses_are_in_sds_of_the_training_ages(kind, power):
    objective = supervised(kind)
    outputs = torch.randn(4, 2, 1)
    wanted = (AGES.numpy() - AGES.numpy().mean()) / AGES.numpy().std()
    expected = np.abs(outputs.numpy()[..., 0] - wanted[:, None]) ** power
    loss = objective(outputs, AGES.float(), None, NOW)
    assert float(loss) == pytest.approx(expected.mean(), rel=1e-6)


@pytest.mark.parametrize("kind", ["l1", "mse"])
def test_the_prediction_undoes_the_standardisation(kind):
    objective = supervised(kind)
    perfect = ((AGES - AGES.mean()) / AGES.std(correction=0))[:, None]
    torch.testing.assert_close(objective.predict(perfect), AGES.float(), rtol=1e-5, atol=1e-4)


def test_soft_labels_are_the_normal_distribution_over_bins():
    objective = supervised("soft_label")
    labels = objective._soft_labels(AGES).numpy()
    centres = np.array(objective.centres)
    half = (centres[1] - centres[0]) / 2
    for age, label in zip(AGES.numpy(), labels, strict=True):
        expected = norm.cdf(centres + half, age, 2) - norm.cdf(centres - half, age, 2)
        np.testing.assert_allclose(label, expected / expected.sum(), rtol=1e-8, atol=1e-12)


def test_soft_label_loss_is_the_divergence_and_zero_at_the_labels():
    objective = supervised("soft_label")
    labels = objective._soft_labels(AGES)
    outputs = torch.randn(4, 3, objective.n_outputs, dtype=torch.float64)
    log_p = torch.log_softmax(outputs.float(), dim=-1).double()
    divergence = (labels[:, None] * (labels.clamp_min(1e-300).log()[:, None] - log_p)).sum(-1)
    loss = objective(outputs, AGES, None, NOW)
    assert float(loss) == pytest.approx(float(divergence.mean()), rel=1e-5)
    at_labels = labels.clamp_min(1e-30).log()[:, None]
    assert float(objective(at_labels, AGES, None, NOW)) == pytest.approx(0, abs=1e-5)
    predicted = objective.predict(at_labels[:, 0])
    np.testing.assert_allclose(predicted[1:3], AGES[1:3], atol=0.01)


def test_bins_reach_beyond_the_ages_and_have_the_width_asked_for():
    objective = supervised("soft_label", sigma=3.0, bin_width=2.0)
    assert objective.centres[0] < 20 - 2 * 3
    assert objective.centres[-1] > 80 + 2 * 3
    assert np.diff(objective.centres) == pytest.approx(2.0, rel=0.05)
    with pytest.raises(ValueError, match="bin_width > 0"):
        supervised("soft_label", bin_width=0.0)


@pytest.mark.parametrize(("sigma", "width"), [(2.0, 1.0), (0.5, 3.0), (5.0, 40.0)])
def test_ages_up_to_the_ends_of_the_bins_have_soft_labels(sigma, width):
    objective = supervised("soft_label", sigma=sigma, bin_width=width)
    low, high = objective.age_limits
    assert (low, high) == pytest.approx((20 - 3 * sigma, 80 + 3 * sigma))
    labels = objective._soft_labels(torch.tensor([low, high]))
    torch.testing.assert_close(labels.sum(dim=1), torch.ones(2))
    assert labels[0].argmax() == 0
    assert labels[1].argmax() == len(objective.centres) - 1
    assert supervised("l1").age_limits == (-np.inf, np.inf)


@pytest.mark.parametrize("width", [0.3, 1.0, 7.0, 60.0])
def test_bins_are_known_by_their_width(width):
    objective = supervised("soft_label", bin_width=width)
    for other in (0.0, 0.3, 1.0, 1.0001, 7.0, 60.0):
        same = other > 0 and supervised("soft_label", bin_width=other).centres == objective.centres
        assert objective.has_bins_of(other) == same


def of_batch(objective, n, moment):
    generator = torch.Generator().manual_seed(n)
    outputs = torch.randn(n, 2, 5, generator=generator)
    ages = torch.rand(n, generator=generator) * 60
    return objective(outputs, ages, torch.zeros(n), moment), outputs, ages


@pytest.mark.parametrize("n", [32, 20, 9])
@pytest.mark.parametrize("epoch", [1, 13, 30, 45])
def test_dynamic_shrinks_its_neighbours_over_the_epochs_in_every_batch(n, epoch):
    objective = ContrastiveObjective("dynamic", "rbf", 2.0, 0.1)
    loss, outputs, ages = of_batch(objective, n, Moment(epoch, 30))
    count = neighbour_count(min(epoch, 30), 30, batch_size=n)
    assert 1 <= count <= n
    assert float(loss) == float(
        contrastive_loss(outputs, ages, method="dynamic", n_neighbours=count)
    )


def test_dynamic_ends_where_fewer_people_repel_than_in_the_exponential_loss():
    dynamic = ContrastiveObjective("dynamic", "rbf", 2.0, 0.1)
    exponential = ContrastiveObjective("exponential", "rbf", 2.0, 0.1)
    last, *_ = of_batch(dynamic, 32, Moment(30, 30))
    everyone, *_ = of_batch(exponential, 32, Moment(30, 30))
    assert float(last) < float(everyone)


def test_options_reach_the_loss():
    options = {"formula": "published", "selection": "l1", "bin_width": 5.0}
    objective = ContrastiveObjective("supcon", "rbf", 2.0, 0.2, n_neighbours=6, **options)
    loss, outputs, ages = of_batch(objective, 16, NOW)
    expected = contrastive_loss(
        outputs, ages, method="supcon", temperature=0.2, n_neighbours=6, **options
    )
    assert float(loss) == float(expected)
