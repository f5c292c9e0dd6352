"""The private training layer: rows keep their metadata, batches their size, streams their state."""

from itertools import chain

import joblib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skorch.callbacks import Callback

from mresklearn import MapArray
from mresklearn.nn.networks import ProjectionNetwork
from mresklearn.nn.views import GaussianNoise, RandomViews
from mresklearn.training._batches import EvenBatches
from mresklearn.training._dataset import PeopleDataset
from mresklearn.training._device import resolve_device
from mresklearn.training._loading import batch_loader
from mresklearn.training._net import TrainingNet
from mresklearn.training._randomness import private_stream


@settings(deadline=None, max_examples=60)
@given(n=st.integers(2, 300), size=st.integers(2, 64), shuffle=st.booleans())
def test_batches_partition_the_rows_evenly(n, size, shuffle):
    batches = EvenBatches(n, size, shuffle=shuffle)
    drawn = list(batches)
    lengths = [len(batch) for batch in drawn]
    assert sorted(chain.from_iterable(drawn)) == list(range(n))
    assert len(batches) == len(drawn)
    assert max(lengths) <= size
    assert max(lengths) - min(lengths) <= 1
    # a batch of one compares nobody; n > size >= 2 always leaves two
    assert min(lengths) >= 2 or size == 2


@pytest.mark.parametrize("lazy", [False, True])
def test_items_carry_their_row(lazy):
    X = np.arange(6 * 8, dtype=np.float64).reshape(6, 1, 2, 2, 2)
    people = PeopleDataset(MapArray.from_array(X) if lazy else X, np.arange(6) * 10.0, np.arange(6))
    batch = people.subset(np.array([5, 3, 1])).__getitems__([2, 0])
    assert batch.X.dtype == torch.float32
    np.testing.assert_array_equal(batch.X, X[[1, 5]])
    assert batch.site.tolist() == [1, 5]
    assert batch.y.tolist() == [10, 50]


class Recorder:
    """An objective that keeps what it saw, and whose loss has a gradient."""

    n_outputs = 0

    def __init__(self):
        self.seen = []

    def count_unpaired(self, y):
        return 0

    def __call__(self, embeddings, y, site, moment):
        self.seen.append((embeddings.shape, y.tolist(), site.tolist()))
        return embeddings.square().sum() * 0 + embeddings[..., 0].mean()


def new_net(objective, n_features, epochs=2, **parameters):
    return TrainingNet(
        ProjectionNetwork,
        module__network="mlp",
        module__in_channels=n_features,
        module__sample_shape=(n_features,),
        module__width=2,
        module__embedding_dim=3,
        views=RandomViews(2, (GaussianNoise(0.1),)),
        objective=objective,
        optimizer=torch.optim.AdamW,
        batch_size=8,
        max_epochs=epochs,
        callbacks__print_log=None,
        train_split=None,
        **parameters,
    )


def test_the_objective_sees_the_site_and_age_of_its_own_batch():
    """Site and age are functions of the row here, so a misaligned batch cannot hide."""
    n = 20
    X = np.arange(n, dtype=np.float32)[:, None]
    recorder = Recorder()
    net = new_net(recorder, 1).initialize()
    net.train(PeopleDataset(X, np.arange(n) * 2.0, np.arange(n) % 7), None, 2)
    net.objective.seen, seen = [], net.objective.seen
    assert len(seen) == 6
    for shape, y, site in seen:
        assert shape[1:] == (2, 3)
        assert shape[0] == len(y) == len(site) in (6, 7)
        assert [int(age / 2) % 7 for age in y] == site
    for epoch in (seen[:3], seen[3:]):
        assert sorted(chain.from_iterable(y for _, y, _ in epoch)) == [
            2.0 * row for row in range(n)
        ]


def test_a_stream_resumes_where_it_stopped_and_leaves_the_global_one_alone():
    torch.manual_seed(123)
    before = torch.get_rng_state()
    with private_stream("cpu", 7) as state:
        first, second = torch.randn(3), torch.randn(3)
    with private_stream("cpu", 7) as state:
        assert torch.equal(torch.randn(3), first)
    with private_stream("cpu", state):
        assert torch.equal(torch.randn(3), second)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_stream_is_restored_when_training_fails():
    torch.manual_seed(123)
    before = torch.get_rng_state()

    def fail():
        with private_stream("cpu", 7):
            torch.randn(3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert torch.equal(torch.get_rng_state(), before)


def test_ctrl_c_is_not_swallowed():
    def interrupt(embeddings, y, site, moment):
        raise KeyboardInterrupt

    net = new_net(interrupt, 1).initialize()
    with pytest.raises(KeyboardInterrupt):
        net.train(PeopleDataset(np.ones((8, 1))), None, 2)


def test_auto_takes_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"


@pytest.mark.parametrize("device", ["abacus", "cuda:77"])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(ValueError, match=f"device='{device}' is not available here"):
        resolve_device(device)


@pytest.mark.parametrize(("n_jobs", "n_readers"), [(None, 0), (0, 0), (2, 2), (-1, -1), (-2, -2)])
def test_readers_are_counted_as_joblib_counts(n_jobs, n_readers):
    batches = EvenBatches(8, 4, shuffle=False)
    loader = batch_loader(PeopleDataset(np.ones((8, 2))), batches, "cpu", n_jobs)
    expected = joblib.effective_n_jobs(n_readers) if n_readers < 0 else n_readers
    assert loader.num_workers == expected


def test_retuning_keeps_the_module_and_the_moments_of_the_optimizer():
    net = new_net(Recorder(), 1, callbacks=[("old", Callback())]).initialize()
    net.train(PeopleDataset(np.ones((8, 1)), np.arange(8.0)), None, 1)
    module, optimizer = net.module_, net.optimizer_
    kept = [callback for name, callback in net.callbacks_ if name != "old"]
    new = Callback()
    net.retune(callbacks=[("new", new)], lr=0.5, optimizer__weight_decay=0.25)
    assert net.module_ is module
    assert net.optimizer_ is optimizer
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.25}
    assert len(optimizer.state) > 0
    assert [callback for _, callback in net.callbacks_] == [*kept, new]
