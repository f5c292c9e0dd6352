"""Training on a GPU, where there is one: same road, same people, near the same embedding."""

import numpy as np
import pytest
import torch

from mresklearn import ContrastiveEncoder
from mresklearn.training._dataset import PeopleDataset
from mresklearn.training._loading import batch_loader, place

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="GPU: this machine has no CUDA device"
)


def maps():
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, 16)
    return (rng.normal(size=(16, 1, 12, 12, 12)) + age[:, None, None, None, None] / 20), age


@needs_gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "auto"])
def test_a_gpu_trains_and_the_cpu_reads_the_model(precision):
    X, age = maps()
    settings = {"width": 4, "max_epochs": 3, "random_state": 0, "precision": precision}
    encoder = ContrastiveEncoder(device="cuda", **settings).fit(X, age)
    assert encoder.device_.startswith("cuda")
    losses = [epoch["train_loss"] for epoch in encoder.history_]
    assert np.isfinite(losses).all()
    module = encoder.net_.module_.cpu()
    with torch.no_grad():
        on_cpu = module.eval().project(torch.from_numpy(X).float()).numpy()
    encoder.net_.module_.cuda()
    np.testing.assert_allclose(encoder.transform(X), on_cpu, atol=1e-3)


@needs_gpu
def test_two_fits_on_a_gpu_draw_the_same_views():
    X, age = maps()
    first, second = (
        ContrastiveEncoder(device="cuda", width=4, max_epochs=2, random_state=0).fit(X, age)
        for _ in range(2)
    )
    np.testing.assert_allclose(first.transform(X), second.transform(X), atol=1e-2)


@needs_gpu
def test_people_who_fit_live_on_the_device():
    X, age = maps()
    people = PeopleDataset(X, age)
    resident = place(people, "cuda")
    assert resident.X.is_cuda
    for rows in ([3, 1], [15]):
        torch.testing.assert_close(resident[rows[0]].X.cpu(), people[rows[0]].X)
        torch.testing.assert_close(
            resident.__getitems__(rows).X.cpu(), people.__getitems__(rows).X.clone()
        )


@needs_gpu
def test_people_who_do_not_fit_are_read_ahead_into_pinned_memory(monkeypatch):
    X, age = maps()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (1000, 1000))
    people = place(PeopleDataset(X, age), "cuda")
    assert isinstance(people.X, np.ndarray)
    loader = batch_loader(people, [[0, 1], [2, 3]], "cuda", n_jobs=None)
    assert loader.num_workers >= 1
    assert all(batch.X.is_pinned() for batch in loader)


def test_on_the_cpu_people_stay_where_they_are():
    people = PeopleDataset(*maps())
    assert place(people, "cpu") is people


def test_resident_people_give_the_same_batches():
    """The device that a cohort lives on may be the CPU itself: the rows are the same."""
    people = PeopleDataset(*maps(), np.arange(16) % 3)
    resident = people.resident("cpu")
    for rows in ([0, 5, 2], [15]):
        ours, theirs = resident.__getitems__(rows), people.__getitems__(rows)
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other)
