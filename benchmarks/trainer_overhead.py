"""Time an epoch of ContrastiveEncoder.fit against a bare PyTorch loop of the same steps.

Both train the same network on the same simulated maps, with batches of the same sizes, views,
optimizer and precision; the bare loop has its standardised maps in one tensor, the estimator reads
them through MapLoader's store and MapScaler. The bare loop runs twice: in the layout of the
estimator (channels last), which is the overhead, and in PyTorch's own layout, which is what a plain
script would do. Rounds alternate, so that a busy machine slows all.

    python benchmarks/trainer_overhead.py [--rounds 5] [--voxel-sizes 4 2]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time

import numpy as np
import torch
from _results import store

from mresklearn import ContrastiveEncoder, MapLoader, MapScaler, make_mre_cohort
from mresklearn.nn import (
    GaussianNoise,
    RandomCutout,
    RandomFlip,
    RandomShift,
    RandomViews,
    contrastive_loss,
)
from mresklearn.nn.networks import ProjectionNetwork

LAYOUTS = {
    "same layout": torch.channels_last_3d,
    "PyTorch's layout": torch.contiguous_format,
}


def bare_epochs(
    maps: torch.Tensor, age: torch.Tensor, encoder: ContrastiveEncoder, layout: torch.memory_format
) -> list[float]:
    """Run the epochs of the encoder without it, and return their seconds."""
    model = ProjectionNetwork(
        "resnet10", maps.shape[1], tuple(maps.shape[1:]), encoder.width, encoder.embedding_dim
    ).to(memory_format=layout)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=encoder.lr, weight_decay=encoder.weight_decay
    )
    changes = (
        RandomShift(encoder.shift),
        RandomFlip(encoder.flip),
        RandomCutout(encoder.cutout),
        GaussianNoise(encoder.noise),
    )
    draw_views = RandomViews(encoder.n_views, changes)
    model.train()
    seconds = []
    for _ in range(encoder.max_epochs):
        start = time.perf_counter()
        for rows in torch.randperm(len(maps)).tensor_split(-(-len(maps) // encoder.batch_size)):
            views = draw_views(maps[rows]).flatten(0, 1).contiguous(memory_format=layout)
            embeddings = model(views).embedding.view(len(rows), encoder.n_views, -1)
            loss = contrastive_loss(
                embeddings, age[rows], sigma=encoder.sigma, temperature=encoder.temperature
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        seconds.append(time.perf_counter() - start)
    return seconds


def measure(voxel_size: int, n_people: int, n_rounds: int, n_epochs: int) -> dict:
    """Return the seconds of every round and the median ratios at one voxel size."""
    cohort = make_mre_cohort(n_people, 4, voxel_size=voxel_size, random_state=0)
    age = cohort.participants.age.to_numpy()
    encoder = ContrastiveEncoder(random_state=0, device="cpu")
    seconds: dict[str, list[float]] = {"fit": [], **{name: [] for name in LAYOUTS}}
    with tempfile.TemporaryDirectory() as cache:
        maps = MapScaler().fit_transform(MapLoader(cache=cache).fit_transform(cohort.maps))
        tensor, ages = torch.from_numpy(np.asarray(maps)), torch.from_numpy(age.astype("float32"))
        encoder.set_params(max_epochs=1)
        for layout in LAYOUTS.values():  # warm up
            bare_epochs(tensor, ages, encoder, layout)
        encoder.set_params(max_epochs=n_epochs)
        for number in range(n_rounds):
            epochs = encoder.fit(maps, age).history_
            seconds["fit"].append(min(epoch["dur"] for epoch in epochs))
            for name, layout in LAYOUTS.items():
                seconds[name].append(min(bare_epochs(tensor, ages, encoder, layout)))
            shown = ", ".join(f"{name} {times[-1]:.3f}" for name, times in seconds.items())
            print(f"{voxel_size} mm, round {number + 1}, s per epoch: {shown}", flush=True)
    ratios = {
        name: statistics.median(a / b for a, b in zip(seconds["fit"], seconds[name], strict=True))
        for name in LAYOUTS
    }
    n_steps = -(-n_people // encoder.batch_size)
    step = statistics.median(seconds["fit"]) / n_steps
    print(f"{voxel_size} mm: {step:.3f} s per step; ratio to a bare loop, median: {ratios}")
    return {"shape": maps.shape[1:], "s_per_step": step, "ratios": ratios, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--voxel-sizes", type=int, nargs="+", default=[4, 2])
    settings = vars(parser.parse_args())
    results = {
        f"{size} mm": measure(size, settings["people"], settings["rounds"], settings["epochs"])
        for size in settings["voxel_sizes"]
    }
    store("trainer_overhead", results, seed=0, settings=settings)


if __name__ == "__main__":
    main()
