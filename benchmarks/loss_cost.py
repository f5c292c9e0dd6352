"""Time every contrastive loss, forward and backward, beside plain O(n^3) forms of its formula.

n counts anchors: n / 2 people with two views. The plain forms compute the same value (checked):

- "cube": the denominators of all pairs at once, from a mask of n^3 triples (anchor, pair, term);
  the fastest that plain tensor code gets, with O(n^3) memory;
- "loop": a Python loop over anchors, each with its n^2 mask; O(n^2) memory. The public code of
  Rank-N-Contrast is a loop of this kind;
- "public": the threshold loss as publicly coded, whose O(n^3) comparison of weights is a tensor of
  floats; beside ``formula="published"``.

Fastest of --repeats calls after a warm-up, on one thread, so that a busy machine disturbs little:
float32, embeddings of 64 dimensions, whole ages.

    python benchmarks/loss_cost.py [--sizes 32 128 256 512 2048] [--cube 256] [--repeats 9]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from _results import store
from torch import Tensor
from torch.nn.functional import normalize

from mresklearn.nn import contrastive_loss
from mresklearn.nn.kernels import pairwise_weights
from mresklearn.nn.losses import METHODS

Loss = Callable[[Tensor, Tensor], Tensor]
SIGMA, TEMPERATURE, BIN_WIDTH, NEIGHBOURS = 2.0, 0.1, 2.0, 14


def ours(method: str, formula: str = "exact") -> Loss:
    n_neighbours = NEIGHBOURS if method == "dynamic" else None
    return lambda z, y: contrastive_loss(
        z, y, method=method, formula=formula, n_neighbours=n_neighbours,
        sigma=SIGMA, temperature=TEMPERATURE, bin_width=BIN_WIDTH,
    )  # fmt: skip


def ingredients(method: str, z: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """Return similarities, weights, label distances and who repels, each (n, n)."""
    points, age = z.flatten(0, 1), y.repeat_interleave(2)
    others = ~torch.eye(len(points), dtype=torch.bool)
    if method == "rank_n_contrast":
        exactly = "donot_use_mm_for_euclid_dist"
        s = -torch.cdist(points, points, compute_mode=exactly) / TEMPERATURE
    else:
        points = normalize(points, dim=1)
        s = points @ points.T / TEMPERATURE
    label = {
        "simclr": torch.arange(len(y)).repeat_interleave(2),
        "supcon": torch.floor(age / BIN_WIDTH),
        "rank_n_contrast": torch.zeros(len(age)),
    }.get(method)
    w = pairwise_weights(age, "rbf", SIGMA)
    if label is not None:
        w = (label[:, None] == label).float()
    repels = others
    if method == "dynamic":
        near = s.detach().masked_fill(~others, -torch.inf).topk(2 * NEIGHBOURS, dim=1).indices
        repels = torch.zeros_like(others).scatter(1, near, True)
    return s, w * others, (age[:, None] - age).abs(), repels


def log_denominators(method: str, s: Tensor, w: Tensor, d: Tensor, repels: Tensor) -> Tensor:
    """Return (rows, n) from rows of each, by a mask of rows n^2 triples."""
    inside = repels[:, None, :].expand(-1, s.shape[1], -1)
    if method == "threshold":
        inside = inside & (d[:, None, :] > d[:, :, None])
    if method == "rank_n_contrast":
        inside = inside & (d[:, None, :] >= d[:, :, None])
    exponent = s * (1 - w) if method in ("exponential", "dynamic") else s
    return exponent[:, None, :].masked_fill(~inside, -1e4).logsumexp(dim=2)


def weighted(s: Tensor, w: Tensor, logs: Tensor) -> Tensor:
    present = (w > 0) & (logs > -5e3)
    anchors = torch.where(present, w * (logs - s), 0.0).sum(1) / w.sum(1).clamp_min(1e-30)
    return anchors.sum() / present.any(1).sum().clamp_min(1)


def cube(method: str) -> Loss:
    def loss(z: Tensor, y: Tensor) -> Tensor:
        s, w, d, repels = ingredients(method, z, y)
        return weighted(s, w, log_denominators(method, s, w, d, repels))

    return loss


def loop(method: str) -> Loss:
    def loss(z: Tensor, y: Tensor) -> Tensor:
        parts = ingredients(method, z, y)
        rows = [log_denominators(method, *(p[i : i + 1] for p in parts)) for i in range(2 * len(y))]
        return weighted(parts[0], parts[1], torch.cat(rows))

    return loss


def public_threshold(z: Tensor, y: Tensor) -> Tensor:
    s, w, _, repels = ingredients("threshold", z, y)
    full = w + torch.eye(len(w))
    lighter = (full[:, None, :] < full[:, :, None]).float()  # [t, i, m]: w_tm < w_ti
    shifted = s - s.detach().amax(1, keepdim=True)
    terms = (shifted.exp() * repels).T[:, :, None] * lighter  # [t, i, m]
    logs = terms.sum(2).sum(0)[:, None].log()
    return ((logs - shifted) * w).sum(1).div(w.sum(1)).mean() * TEMPERATURE / 0.07


def measure(loss: Loss, n: int, seed: int, repeats: int) -> tuple[dict[str, float], float]:
    """Return the fastest milliseconds forward and backward, and the value."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n // 2, 2, 64, generator=generator)
    y = torch.randint(20, 80, (n // 2,), generator=generator).float()
    forward, backward = [], []
    for _ in range(repeats + 1):
        leaf = z.clone().requires_grad_()
        start = time.perf_counter()
        value = loss(leaf, y)
        middle = time.perf_counter()
        value.backward()
        forward.append(1e3 * (middle - start))
        backward.append(1e3 * (time.perf_counter() - middle))
    times = {"forward": forward, "backward": backward}
    return {name: min(ms[1:]) for name, ms in times.items()}, value.item()


def show(name: str, cost: dict[int, dict[str, float]]) -> None:
    cells = [f"{ms['forward']:8.1f} + {ms['backward']:7.1f}" for ms in cost.values()]
    print(f"{name:26s}" + "".join(f"{cell:>20s}" for cell in cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 128, 256, 512, 2048])
    parser.add_argument("--cube", type=int, default=256, help="largest n of the O(n^3) forms")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    settings = vars(parser.parse_args())
    torch.set_num_threads(settings["threads"])
    forms = {method: {"ours": ours(method), "cube": cube(method)} for method in METHODS}
    for method in ("threshold", "rank_n_contrast"):
        forms[method]["loop"] = loop(method)
    forms["threshold, published"] = {
        "ours": ours("threshold", "published"),
        "public": public_threshold,
    }
    print(
        f"ms forward + backward{'':5s}" + "".join(f"{f'n = {n}':>20s}" for n in settings["sizes"])
    )
    results: dict[str, dict] = {}
    for method, losses in forms.items():
        values: dict[int, float] = {}
        for form, loss in losses.items():
            cost = {}
            for n in settings["sizes"]:
                if form != "ours" and n > settings["cube"]:
                    continue
                cost[n], value = measure(loss, n, 0, settings["repeats"])
                expected = values.setdefault(n, value)
                assert abs(value - expected) < 1e-3 * abs(expected), (method, form, n)
            show(method if form == "ours" else f"  {form}", cost)
            results.setdefault(method, {})[form] = cost
    ratios = {
        f"{method}, {form}": sum(cost[n].values()) / sum(results[method]["ours"][n].values())
        for method in ("threshold", "rank_n_contrast", "threshold, published")
        for form, cost in results[method].items()
        for n in [max(cost)]
        if form != "ours"
    }
    print(f"\ntimes the cost of ours at the largest n of each form (up to {settings['cube']}):")
    for name, ratio in ratios.items():
        print(f"  {name:32s}{ratio:8.1f}")
    store("loss_cost", {"ms": results, "ratios": ratios}, seed=0, settings=settings)


if __name__ == "__main__":
    main()
