"""Time a training step on a GPU: ResNet-18 on maps of 2 mm, batch 32, two views.

Four ways to take the same step: the estimator (bfloat16, channels last, people on the device), a
bare PyTorch loop in bfloat16 and channels last, one in float32 and channels last, and one in
float32 and PyTorch's own layout. Skips, saying so, where there is no GPU.

    python benchmarks/gpu_training_step.py [--people 128] [--batch-size 32] [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from contextlib import nullcontext

import numpy as np
import torch
from _results import store

from mresklearn import ContrastiveEncoder
from mresklearn.nn import GaussianNoise, RandomFlip, RandomShift, RandomViews, contrastive_loss
from mresklearn.nn.networks import ProjectionNetwork

SHAPE = (1, 91, 109, 91)
WAYS = {
    "bare bfloat16, channels last": (True, torch.channels_last_3d),
    "bare float32, channels last": (False, torch.channels_last_3d),
    "bare float32, PyTorch's layout": (False, torch.contiguous_format),
}


def bare_step_seconds(
    maps: torch.Tensor,
    age: torch.Tensor,
    encoder: ContrastiveEncoder,
    half: bool,
    layout: torch.memory_format,
) -> float:
    """Return the seconds of a step of a bare loop, the first epoch left out."""
    model = ProjectionNetwork("resnet18", 1, SHAPE, encoder.width, encoder.embedding_dim)
    model = model.cuda().to(memory_format=layout)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    changes = (RandomShift(encoder.shift), RandomFlip(encoder.flip), GaussianNoise(encoder.noise))
    draw_views = RandomViews(encoder.n_views, changes)
    seconds = []
    for _ in range(encoder.max_epochs):
        batches = torch.randperm(len(maps)).tensor_split(-(-len(maps) // encoder.batch_size))
        start = time.perf_counter()
        for rows in batches:
            with torch.autocast("cuda", torch.bfloat16) if half else nullcontext():
                views = draw_views(maps[rows.cuda()]).flatten(0, 1)
                outputs = model(views.contiguous(memory_format=layout)).embedding
            embeddings = outputs.float().view(len(rows), encoder.n_views, -1)
            loss = contrastive_loss(embeddings, age[rows.cuda()])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        seconds.append((time.perf_counter() - start) / len(batches))
    return min(seconds[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    settings = vars(parser.parse_args())
    if not torch.cuda.is_available():
        sys.exit("There is no GPU here, so there is nothing to time.")
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(settings["people"], *SHAPE)).astype(np.float32)
    age = rng.uniform(18, 90, settings["people"])
    encoder = ContrastiveEncoder(
        network="resnet18", max_epochs=3, batch_size=settings["batch_size"], random_state=0
    )
    on_gpu, ages = torch.from_numpy(maps).cuda(), torch.from_numpy(age).float().cuda()
    n_steps = -(-settings["people"] // settings["batch_size"])
    seconds: dict[str, list[float]] = {"fit": [], **{name: [] for name in WAYS}}
    peak = 0
    for _ in range(settings["rounds"]):
        torch.cuda.reset_peak_memory_stats()
        history = encoder.fit(maps, age).history_
        peak = max(peak, torch.cuda.max_memory_allocated())
        seconds["fit"].append(min(epoch["dur"] for epoch in history[1:]) / n_steps)
        for name, (half, layout) in WAYS.items():
            seconds[name].append(bare_step_seconds(on_gpu, ages, encoder, half, layout))
    step = {name: statistics.median(times) for name, times in seconds.items()}
    results = {
        "s_per_step": step,
        "times_faster_than_plain": step["bare float32, PyTorch's layout"] / step["fit"],
        "ratio_to_bare": step["fit"] / step["bare bfloat16, channels last"],
        "views_per_s": settings["batch_size"] * encoder.n_views / step["fit"],
        "peak_gb": peak / 1e9,
    }
    for name, value in results.items():
        print(name, value)
    store("gpu_training_step", results, seed=0, settings=settings)


if __name__ == "__main__":
    main()
