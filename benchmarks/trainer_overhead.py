"""Time an epoch of ContrastiveEncoder.fit against a bare PyTorch loop of the same steps.

Both train the same network on the same simulated maps, batches of the same sizes, views and
optimizer; the bare loop has its standardised maps in one tensor, the estimator reads them through
MapLoader's cache and MapScaler. Rounds alternate, so that a busy machine slows both.

    python benchmarks/trainer_overhead.py [--people 128] [--rounds 5] [--voxel-size 4]
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
    RandomFlip,
    RandomShift,
    RandomViews,
    contrastive_loss,
)
from mresklearn.nn.networks import ProjectionNetwork


def bare_epochs(maps: torch.Tensor, age: torch.Tensor, encoder: ContrastiveEncoder) -> list[float]:
    """Run the epochs of the encoder without it, and return their seconds."""
    model = ProjectionNetwork(
        "resnet10", maps.shape[1], tuple(maps.shape[1:]), encoder.width, encoder.embedding_dim
    )
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=encoder.lr, weight_decay=encoder.weight_decay
    )
    noise = (RandomShift(encoder.shift), RandomFlip(encoder.flip), GaussianNoise(encoder.noise))
    draw_views = RandomViews(encoder.n_views, noise)
    model.train()
    seconds = []
    for _ in range(encoder.max_epochs):
        start = time.perf_counter()
        for rows in torch.randperm(len(maps)).tensor_split(-(-len(maps) // encoder.batch_size)):
            views = draw_views(maps[rows])
            embeddings = model(views.flatten(0, 1)).view(len(rows), encoder.n_views, -1)
            loss = contrastive_loss(embeddings, age[rows], sigma=encoder.sigma)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        seconds.append(time.perf_counter() - start)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--voxel-size", type=int, default=4)
    settings = vars(parser.parse_args())
    cohort = make_mre_cohort(
        settings["people"], 4, voxel_size=settings["voxel_size"], random_state=0
    )
    age = cohort.participants.age.to_numpy()
    encoder = ContrastiveEncoder(max_epochs=settings["epochs"], random_state=0, device="cpu")
    with tempfile.TemporaryDirectory() as cache:
        loaded = MapLoader(cache=cache).fit_transform(cohort.maps)
        maps = MapScaler().fit_transform(loaded)
        tensor, ages = torch.from_numpy(np.asarray(maps)), torch.from_numpy(age.astype("float32"))
        bare_epochs(tensor, ages, encoder.set_params(max_epochs=1))  # warm up
        encoder.set_params(max_epochs=settings["epochs"])
        ours, bare = [], []
        for number in range(settings["rounds"]):
            ours.append([epoch["dur"] for epoch in encoder.fit(maps, age).history_])
            bare.append(bare_epochs(tensor, ages, encoder))
            print(
                f"round {number + 1}: fit {min(ours[-1]):.3f} s, bare {min(bare[-1]):.3f} s per "
                f"epoch, ratio {min(ours[-1]) / min(bare[-1]):.3f}"
            )
    ratios = [min(a) / min(b) for a, b in zip(ours, bare, strict=True)]
    print(f"\nratio of an epoch, median of {len(ratios)} rounds: {statistics.median(ratios):.3f}")
    store(
        "trainer_overhead",
        {"ratio": statistics.median(ratios), "ratios": ratios, "fit_s": ours, "bare_s": bare},
        seed=0,
        settings=settings,
    )


if __name__ == "__main__":
    main()
