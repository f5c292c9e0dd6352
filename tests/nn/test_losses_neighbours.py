"""Dynamic localised repulsion: its schedule, its choice of neighbours, and what it touches."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mresklearn.nn import contrastive_loss
from mresklearn.nn._neighbours import nearest
from mresklearn.nn.losses import loss_of_similarities, neighbour_count


@pytest.mark.parametrize(
    ("step", "epoch", "expected"),
    [
        (1, 1, 31), (1, 10, 28), (1, 20, 24), (1, 30, 20), (1, 45, 15), (1, 49, 14), (1, 50, 14),
        (25, 1, 32), (25, 24, 32), (25, 25, 14), (25, 50, 14),
        (50, 49, 32), (50, 50, 14),  # the public code divides by zero here
        (51, 50, 32), (0, 50, 32),
    ],
)  # fmt: skip
def test_schedule_of_fifty_epochs(step, epoch, expected):
    assert neighbour_count(epoch, 50, 32, step=step, end=14) == expected


@given(
    max_epochs=st.integers(1, 300),
    batch_size=st.integers(1, 200),
    step=st.integers(0, 320),
    end=st.integers(1, 40),
)
def test_schedule_falls_from_everyone_to_the_end(max_epochs, batch_size, step, end):
    counts = [
        neighbour_count(epoch, max_epochs, batch_size, step=step, end=end)
        for epoch in range(max_epochs + 1)
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == batch_size
    assert min(counts) >= min(end, batch_size)
    if 0 < step <= max_epochs:
        assert counts[-1] == min(end, batch_size)
    if step and max_epochs // step > 1 and batch_size >= end:
        steps = max_epochs // step - 1
        published = [
            max(math.floor(batch_size - (batch_size - end) * (epoch // step) / steps + 1e-9), end)
            for epoch in range(max_epochs + 1)
        ]
        assert counts == published


@pytest.mark.parametrize(
    "change", [{"epoch": -1}, {"max_epochs": 0}, {"batch_size": 0}, {"step": -1}, {"end": 0}]
)
def test_schedule_names_what_is_out_of_range(change):
    arguments = {"epoch": 1, "max_epochs": 10, "batch_size": 8, **change}
    with pytest.raises(ValueError, match=f"{next(iter(change))} must be at least"):
        neighbour_count(**arguments)


@pytest.mark.parametrize(
    ("selection", "expected"), [("l1", [0, 1]), ("l2", [0, 2]), ("linf", [0, 3])]
)
def test_norms_choose_different_neighbours(selection, expected):
    points = torch.tensor([[0.0, 0, 0], [0, 0, 3], [1.8, 1.8, 0], [1.7, 1.7, 1.7]])
    chosen = nearest(points, points @ points.T, 2, selection, include_anchor=True)
    assert chosen[0].nonzero().flatten().tolist() == expected
    chosen = nearest(points, points @ points.T, 1, selection, include_anchor=False)
    assert chosen[0].nonzero().flatten().tolist() == expected[1:]


def test_similarity_and_l2_agree_on_the_sphere():
    z = torch.randn(9, 2, 5, generator=torch.Generator().manual_seed(0)).double()
    y = torch.linspace(20, 60, 9)
    options = {"method": "dynamic", "n_neighbours": 3}
    losses = {
        selection: contrastive_loss(z, y, selection=selection, **options).item()
        for selection in ("similarity", "l1", "l2", "linf")
    }
    assert losses["similarity"] == pytest.approx(losses["l2"], rel=1e-12)
    assert len({round(loss, 9) for loss in losses.values()}) == 3


def test_points_as_near_as_the_last_neighbour_are_kept():
    """Else equal views would be chosen by their place in the batch."""
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [-1.0, 0.0]])
    chosen = nearest(z, z @ z.T, 1, "similarity", include_anchor=False)
    assert chosen[0].tolist() == [False, True, True, False]


def test_repulsion_is_restricted_and_alignment_is_not():
    angle = torch.tensor([0.0, 0.5, 1.0, 0.2, 0.7, 1.2], dtype=torch.float64)
    points = torch.stack([angle.cos(), angle.sin()], dim=1)
    old = torch.tensor([0, 0, 0, 1, 1, 1])  # the nearest to the first point, the fourth, is old
    weights = (old[:, None] == old).double() / 2
    gradient = {}
    for count in (1, 5):
        similarity = (points @ points.T).requires_grad_()
        near = nearest(points, similarity, count, "similarity", include_anchor=False)
        loss_of_similarities(similarity, weights, "dynamic", candidates=near).backward()
        gradient[count] = similarity.grad[0].sign().tolist()
    assert gradient[5][3:] == [1, 1, 1], "everyone of the other age repels"
    assert gradient[1][3:] == [1, 0, 0], "only the neighbour does"
    assert gradient[1][1:3] == [-1, -1], "both of the same age attract"


def test_the_published_anchor_takes_a_place_of_its_own():
    z = torch.randn(6, 2, 5, generator=torch.Generator().manual_seed(2)).double()
    y = torch.linspace(20, 30, 6)
    published = {"method": "dynamic", "formula": "published"}
    one = contrastive_loss(z[:, :1], y, n_neighbours=1, sigma=5.0, **published)
    assert one == 0, "one view: the only neighbour is the anchor, and nobody repels"
    assert contrastive_loss(z, y, n_neighbours=1, sigma=5.0, **published) != 0
