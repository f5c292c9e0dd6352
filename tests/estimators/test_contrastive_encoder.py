"""ContrastiveEncoder: it learns age, resumes bit for bit, and says what is wrong with its input."""

import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mresklearn import ContrastiveEncoder, MapArray, MapLoader, save
from mresklearn.exceptions import DeviceWarning, UnpairedWarning
from mresklearn.training._objective import ContrastiveObjective
from mresklearn.training._schedule import find_schedule, one_cycle


@pytest.fixture(scope="module")
def regions():
    """Regional features of 80 people: a curved age signal among noise."""
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, 80)
    X = rng.normal(size=(80, 10))
    X[:, 0] += age / 10
    X[:, 1] += np.maximum(0, age - 50) / 5
    return StandardScaler().fit_transform(X), age


def small(**parameters):
    return ContrastiveEncoder(**{"width": 4, "max_epochs": 4, "random_state": 0, **parameters})


def steady(**parameters):
    """A level learning rate, so that epochs are alike whoever counts them."""
    return small(lr_schedule="constant", **parameters)


@pytest.mark.parametrize("loss", ["exponential", "y_aware"])
def test_ridge_on_the_embedding_reads_age_of_new_people(regions, loss):
    X, age = regions
    model = make_pipeline(ContrastiveEncoder(loss=loss, random_state=0), Ridge())
    predicted = cross_val_predict(model, X, age, cv=KFold(4, shuffle=True, random_state=0))
    baseline = np.abs(age - age.mean()).mean()
    assert np.abs(predicted - age).mean() < 0.6 * baseline


def test_training_lowers_the_loss_and_history_says_so(regions):
    encoder = small(max_epochs=10).fit(*regions)
    losses = [epoch["train_loss"] for epoch in encoder.history_]
    assert losses[-1] < losses[0]
    assert [epoch["epoch"] for epoch in encoder.history_] == list(range(1, 11))
    assert encoder.n_epochs_ == 10
    assert all(epoch["dur"] > 0 for epoch in encoder.history_)


def test_embedding_is_unit_vectors_of_the_dimension_asked_for(regions):
    X, age = regions
    embedding = small(embedding_dim=7).fit(X, age).transform(X)
    assert embedding.shape == (80, 7)
    assert embedding.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-5)


def test_columns_have_names_and_pandas_output_works(regions):
    X, age = regions
    frame = small(embedding_dim=2).set_output(transform="pandas").fit_transform(X, age)
    assert list(frame.columns) == ["contrastiveencoder0", "contrastiveencoder1"]


def weights(encoder):
    return torch.cat([value.flatten() for value in encoder.net_.module_.state_dict().values()])


def test_seeds_decide_and_differ(regions):
    assert torch.equal(weights(small().fit(*regions)), weights(small().fit(*regions)))
    other = small(random_state=1).fit(*regions)
    assert not torch.equal(weights(small().fit(*regions)), weights(other))


def test_a_random_state_instance_is_used_and_moves_on(regions):
    stream = np.random.RandomState(0)
    first = small(random_state=stream).fit(*regions)
    second = small(random_state=stream).fit(*regions)
    assert not torch.equal(weights(first), weights(second))


def test_warm_start_partial_fit_and_one_long_fit_agree_bit_for_bit(regions):
    long = steady(max_epochs=6).fit(*regions)
    warm = steady(max_epochs=3, warm_start=True).fit(*regions).fit(*regions)
    parts = steady()
    for _ in range(6):
        parts.partial_fit(*regions)
    assert torch.equal(weights(long), weights(warm))
    assert torch.equal(weights(long), weights(parts))
    assert [e["train_loss"] for e in long.history_] == [e["train_loss"] for e in parts.history_]


@pytest.mark.parametrize("through", [pickle, joblib])
def test_a_pickled_encoder_trains_on_as_if_it_had_never_stopped(regions, through, tmp_path):
    long = steady(max_epochs=6).fit(*regions)
    half = steady(max_epochs=3, warm_start=True).fit(*regions)
    with open(tmp_path / "encoder", "wb") as handle:
        through.dump(half, handle)
    with open(tmp_path / "encoder", "rb") as handle:
        resumed = through.load(handle).fit(*regions)
    assert torch.equal(weights(long), weights(resumed))


def test_the_learning_rate_goes_up_and_down_again():
    factors = [one_cycle(step / 99) for step in range(100)]
    assert factors[0] == pytest.approx(1 / 25)
    assert max(factors) == pytest.approx(1, abs=0.01)
    assert np.argmax(factors) == pytest.approx(30, abs=1)
    assert factors[-1] == pytest.approx(1e-5)
    assert (np.diff(factors[:30]) > 0).all()
    assert (np.diff(factors[31:]) < 0).all()


def test_a_fit_ends_at_the_end_of_its_schedule(regions):
    encoder = small().fit(*regions)
    assert encoder.net_.optimizer_.param_groups[0]["lr"] == pytest.approx(1e-3 * 1e-5)
    encoder.partial_fit(*regions)
    assert encoder.net_.optimizer_.param_groups[0]["lr"] == pytest.approx(1e-3)


def test_a_second_fit_without_warm_start_begins_anew(regions):
    encoder = small().fit(*regions)
    before = weights(encoder)
    assert torch.equal(weights(encoder.fit(*regions)), before)
    assert encoder.n_epochs_ == 4


def test_changing_parameters_after_fit_changes_no_output(regions):
    X, age = regions
    encoder = small().fit(X, age)
    before = encoder.transform(X)
    encoder.set_params(width=16, embedding_dim=3, network="resnet10")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(encoder)).transform(X), before)


def test_early_stopping_stops_and_keeps_the_best_weights(regions):
    encoder = steady(
        max_epochs=200, early_stopping=True, patience=3, validation_fraction=0.3, lr=0.01
    ).fit(*regions)
    losses = [epoch["valid_loss"] for epoch in encoder.history_]
    best = int(np.argmin(losses))
    assert encoder.n_epochs_ == best + 1 + 3 < 200
    to_the_best = steady(
        max_epochs=best + 1, early_stopping=True, patience=300, validation_fraction=0.3, lr=0.01
    ).fit(*regions)
    assert torch.equal(weights(encoder), weights(to_the_best))


def test_early_stopping_holds_out_whole_persons(regions, monkeypatch):
    X, age = regions
    person = np.repeat(np.arange(40), 2)
    encoder = small(early_stopping=True, validation_fraction=0.25)
    held = {}
    keep = ContrastiveEncoder._hold_out

    def spy(self, people, groups):
        train, validation = keep(self, people, groups)
        held["train"], held["validation"] = train.X[:, 0], validation.X[:, 0]
        return train, validation

    monkeypatch.setattr(ContrastiveEncoder, "_hold_out", spy)
    encoder.fit(X, age, groups=person)
    train = set(person[np.isin(X[:, 0], held["train"])])
    validation = set(person[np.isin(X[:, 0], held["validation"])])
    assert len(validation) == 10
    assert not train & validation


def test_site_is_routed_by_pipeline_without_a_request(regions):
    X, age = regions
    site = np.array(["Mayo", "Delaware"] * 40)
    with sklearn.config_context(enable_metadata_routing=True):
        model = make_pipeline(StandardScaler(), small()).fit(X, age, site=site)
    assert list(model[-1].sites_) == ["Delaware", "Mayo"]
    model = make_pipeline(StandardScaler(), small())
    model.fit(X, age, contrastiveencoder__site=site)
    assert list(model[-1].sites_) == ["Delaware", "Mayo"]


def test_progress_is_silent_by_default_then_a_bar_then_lines(regions, capsys):
    small().fit(*regions)
    assert capsys.readouterr() == ("", "")
    small(verbose=1).fit(*regions)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "ContrastiveEncoder" in shown.err
    small(verbose=2).fit(*regions)
    shown = capsys.readouterr()
    assert (shown.out + shown.err).count("epoch 3, train_loss") == 1


def test_maps_take_the_residual_network_and_features_the_perceptron(regions):
    maps = np.random.default_rng(0).normal(size=(6, 1, 9, 9, 9))
    encoder = small(width=2, max_epochs=1).fit(maps, np.arange(6.0))
    assert "ResNet" in type(encoder.net_.module_.trunk).__name__
    assert isinstance(small(max_epochs=1).fit(*regions).net_.module_.trunk, torch.nn.Sequential)
    with pytest.raises(ValueError, match="was fitted on maps"):
        encoder.transform(np.ones((2, 5)))
    with pytest.raises(ValueError, match="needs maps"):
        small(network="resnet10").fit(*regions)


def test_a_model_from_a_gpu_opens_without_one_and_says_so(regions, monkeypatch):
    X, age = regions
    encoder = small(device="cpu").fit(X, age)
    expected = encoder.transform(X)
    encoder.net_.device = encoder.device_ = "cuda"
    stored = pickle.dumps(encoder)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.warns(DeviceWarning, match="trained on device 'cuda'.*now runs on 'cpu'"):
        opened = pickle.loads(stored)
    assert opened.device_ == "cpu"
    np.testing.assert_array_equal(opened.transform(X), expected)


def test_nothing_is_warned_of_in_ordinary_use(regions):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small().fit(*regions)


@pytest.mark.parametrize(
    ("age", "message"),
    [
        (np.full(80, 25.0), r"y is constant \(25 for all 80 people\)"),
        (np.r_[np.nan, np.arange(78.0), np.nan], "NaN in 2 of 80 rows: 0, 79.*Give their age"),
        (None, "requires y to be passed"),
        (np.arange(79.0), "inconsistent numbers of samples"),
        (np.r_[np.inf, np.arange(79.0)], "contains infinity"),
    ],
)
def test_bad_ages_are_refused_with_rows(regions, age, message):
    with pytest.raises(ValueError, match=message):
        small().fit(regions[0], age)


def test_a_missing_age_names_the_participant():
    maps = MapArray.from_array(np.ones((3, 4, 4, 4)), participants=["sub-a", "sub-b", "sub-c"])
    with pytest.raises(ValueError, match="NaN in 1 of 3 rows: sub-b"):
        small().fit(maps, [30.0, np.nan, 50.0])


def test_a_missing_site_names_the_participant():
    metadata = pd.DataFrame({"site": ["A", None, "B"]})
    maps = MapArray.from_array(np.ones((3, 4, 4, 4)), metadata=metadata)
    with pytest.raises(ValueError, match="site is missing in 1 of 3 rows: 1"):
        small().fit(maps, [30.0, 40.0, 50.0])


@pytest.mark.parametrize("batch_size", [0, 1])
def test_a_batch_smaller_than_two_is_refused(regions, batch_size):
    with pytest.raises(ValueError, match=r"'batch_size' parameter .* range \[2, inf\)"):
        small(batch_size=batch_size).fit(*regions)


def test_one_person_cannot_be_compared(regions):
    with pytest.raises(ValueError, match="n_samples=1"):
        small().fit(regions[0][:1], regions[1][:1])


def test_too_few_people_to_hold_out_are_counted(regions):
    with pytest.raises(ValueError, match="leaves 4 of n_samples=5 to train and 1 to validate"):
        small(early_stopping=True).fit(regions[0][:5], regions[1][:5])


def test_output_chooses_the_projection_or_the_features_before_it(regions):
    X, age = regions
    encoder = small(embedding_dim=3).fit(X, age)
    projection = encoder.transform(X)
    features = encoder.set_params(output="encoder").transform(X)
    layer = encoder.net_.module_.projection
    expected = features @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert features.shape == (80, 32) == (80, len(encoder.get_feature_names_out()))
    np.testing.assert_allclose(projection, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", ["l1", "mse", "soft_label"])
def test_supervised_losses_predict_age_and_embed(regions, loss):
    X, age = regions
    encoder = small(loss=loss, max_epochs=60, lr=1e-2).fit(X[:60], age[:60])
    baseline = np.abs(age[60:] - age[:60].mean()).mean()
    predicted = encoder.predict(X[60:])
    assert predicted.shape == (20,)
    assert predicted.dtype == np.float32
    assert np.abs(predicted - age[60:]).mean() < 0.8 * baseline
    readout = Ridge(1e-6).fit(encoder.transform(X), encoder.predict(X))
    if loss != "soft_label":  # there the prediction is not linear in the embedding
        np.testing.assert_allclose(
            readout.predict(encoder.transform(X)), encoder.predict(X), atol=0.05
        )


def test_a_contrastive_encoder_has_no_predict(regions):
    assert not hasattr(small().fit(*regions), "predict")


@pytest.mark.parametrize(
    "loss",
    ["simclr", "supcon", "y_aware", "threshold", "exponential", "dynamic", "rank_n_contrast"],
)
def test_every_contrastive_loss_trains(regions, loss):
    encoder = small(loss=loss).fit(*regions)
    losses = [epoch["train_loss"] for epoch in encoder.history_]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_dynamic_differs_from_exponential_once_neighbours_shrink(regions):
    dynamic, exponential = small(loss="dynamic"), small(loss="exponential")
    assert not torch.equal(weights(dynamic.fit(*regions)), weights(exponential.fit(*regions)))


@pytest.mark.parametrize("balance", ["site", "age", "site_and_age"])
def test_balanced_batches_reach_the_loss(regions, balance, monkeypatch):
    X, age = regions
    site = np.where(np.arange(80) < 64, "large", "small")
    seen = []
    ordinary = ContrastiveObjective.__call__

    def record(self, outputs, y, site, moment):
        seen.append((y.numpy(), site.numpy()))
        return ordinary(self, outputs, y, site, moment)

    monkeypatch.setattr(ContrastiveObjective, "__call__", record)
    small(balance=balance, max_epochs=1, batch_size=20).fit(X, age, site=site)
    assert len(seen) == 4
    for ages, codes in seen:
        if balance == "age":
            assert np.histogram(ages, 5, (age.min(), age.max()))[0].tolist() == [4] * 5
        else:
            # both sites give ten, as far as the small one has people of that age
            assert (codes == 1).sum() >= (10 if balance == "site" else 6)


def test_accumulated_batches_make_fewer_steps(regions):
    X, age = regions
    encoder = small(accumulate=3, max_epochs=2, batch_size=10).fit(X, age)
    steps = {int(state["step"]) for state in encoder.net_.optimizer_.state.values()}
    assert steps == {2 * 3}  # eight batches: three, three and two


def test_accumulation_averages_gradients_of_a_mean_loss(regions):
    """A loss that is a mean over people has the same gradient in halves and whole."""
    X, age = regions
    settings = {"loss": "mse", "max_epochs": 1, "n_views": 1, "noise": 0, "lr": 1e-2}
    whole = steady(**settings, batch_size=80).fit(X, age)
    halves = steady(**settings, batch_size=40, accumulate=2).fit(X, age)
    torch.testing.assert_close(weights(whole), weights(halves), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "step", "constant", lambda p: 1 - p])
def test_schedules_set_the_rate_of_the_last_step(regions, schedule):
    encoder = small(lr_schedule=schedule, lr=0.01).fit(*regions)
    rate = encoder.net_.optimizer_.param_groups[0]["lr"]
    assert rate == pytest.approx(0.01 * find_schedule(schedule)(1.0))


def test_bfloat16_trains_to_nearly_the_same_embedding():
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, 16)
    maps = rng.normal(size=(16, 1, 12, 12, 12)) + age[:, None, None, None, None] / 20
    settings = {"max_epochs": 2, "width": 4}
    full = small(**settings).fit(maps, age)
    half = small(precision="bfloat16", **settings).fit(maps, age)
    assert not torch.equal(weights(full), weights(half))
    assert all(weight.dtype == torch.float32 for weight in half.net_.module_.parameters())
    np.testing.assert_allclose(
        [e["train_loss"] for e in half.history_], [e["train_loss"] for e in full.history_], rtol=0.1
    )


def pretrained_on_one_channel():
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, 24)
    maps = rng.normal(size=(24, 1, 12, 12, 12)) + age[:, None, None, None, None] / 20
    return small(width=2, max_epochs=2).fit(maps, age), maps, age


def test_init_from_starts_at_the_weights_of_another_encoder(tmp_path):
    source, maps, age = pretrained_on_one_channel()
    both = np.concatenate([maps, maps], axis=1)
    tiny = {"width": 2, "max_epochs": 1, "lr": 1e-9, "random_state": 1}
    same_maps = small(init_from=source, **tiny).fit(maps, age)
    np.testing.assert_allclose(same_maps.transform(maps), source.transform(maps), atol=0.05)

    folder = save(make_pipeline(source, Ridge()).fit(maps, age), tmp_path / "model")
    expected = weights(small(init_from=source, **tiny).fit(both, age))
    for init_from in (FrozenEstimator(source), folder, str(folder)):
        assert torch.equal(weights(small(init_from=init_from, **tiny).fit(both, age)), expected)


def test_a_cloned_source_says_how_to_keep_its_fit():
    source, maps, age = pretrained_on_one_channel()
    encoder = clone(small(width=2, init_from=source))
    with pytest.raises(ValueError, match="FrozenEstimator"):
        encoder.fit(maps, age)


@pytest.mark.parametrize("balance", [None, "age"])
def test_readers_ahead_change_nothing(people, balance):
    maps = MapLoader(voxel_size=8).fit_transform(people[["stiffness", "damping_ratio"]])
    settings = {"width": 2, "max_epochs": 2, "batch_size": 8, "balance": balance}
    alone = small(**settings).fit(maps, people.age)
    ahead = small(n_jobs=1, **settings).fit(maps, people.age)
    assert torch.equal(weights(alone), weights(ahead))


def test_people_who_teach_nothing_are_counted_and_warned_of(regions):
    """With one view, a person alone in their bin of age has no positive."""
    X, age = regions
    encoder = small(loss="supcon", n_views=1, bin_width=0.0, max_epochs=2)
    with pytest.warns(UnpairedWarning, match="160 of 160 times"):
        encoder.fit(X, age)
    assert [epoch["unpaired"] for epoch in encoder.history_] == [80, 80]
    assert [epoch["train_loss"] for epoch in encoder.history_] == [0, 0]

    same_ages = np.repeat([20.0, 50.0], 40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.fit(X, same_ages)
    assert [epoch["unpaired"] for epoch in encoder.history_] == [0, 0]


@pytest.mark.parametrize("output", ["projection", "encoder"])
def test_a_mirrored_brain_has_the_same_embedding_where_sides_do_not_matter(output):
    encoder, maps, _ = pretrained_on_one_channel()
    encoder.set_params(output=output)
    mirrored = np.flip(maps, axis=2)
    np.testing.assert_allclose(encoder.transform(mirrored), encoder.transform(maps), atol=1e-5)
    one_side = encoder.set_params(mirror_average=False).transform(maps)
    assert not np.allclose(encoder.transform(mirrored), one_side, atol=1e-4)


def test_without_flips_in_training_nothing_is_mirrored():
    _, maps, age = pretrained_on_one_channel()
    encoder = small(width=2, flip=0.0).fit(maps, age)
    plain = encoder.transform(maps)
    np.testing.assert_array_equal(encoder.set_params(mirror_average=False).transform(maps), plain)


def test_a_loss_changed_after_the_fit_is_named_where_it_matters(tmp_path):
    age = np.linspace(20, 80, 24)
    encoder = ContrastiveEncoder(max_epochs=1, random_state=0).fit(age[:, None] / 20, age)
    encoder.set_params(loss="l1")
    for use in (lambda: encoder.predict(age[:, None]), lambda: save(encoder, tmp_path / "model")):
        with pytest.raises(ValueError, match="'l1' after a fit with a contrastive loss"):
            use()
