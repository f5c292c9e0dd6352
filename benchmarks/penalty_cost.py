"""Time a training step with each invariance penalty against the same step without.

ResNet-10 on simulated maps of four sites, batches of 32 people with two views. Rounds alternate
over the penalties, so that a busy machine slows all; the ratio is the median over rounds.

    python benchmarks/penalty_cost.py [--rounds 5] [--voxel-size 4]
"""

from __future__ import annotations

import argparse
import statistics
import warnings

from _results import store

from mresklearn import ContrastiveEncoder, MapLoader, MapScaler, make_mre_cohort
from mresklearn.exceptions import InertPenaltyWarning
from mresklearn.nn.penalties import PENALTIES

ADVERSARIES = ("adversarial", "conditional_adversarial", "confusion")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--voxel-size", type=float, default=4)
    settings = vars(parser.parse_args())
    cohort = make_mre_cohort(
        settings["people"], 4, voxel_size=settings["voxel_size"], random_state=0
    )
    people = cohort.participants
    maps = MapScaler().fit_transform(MapLoader().fit_transform(cohort.maps))
    seconds: dict[str, list[float]] = {}
    for number in range(settings["rounds"] + 1):
        for penalty in (None, *PENALTIES, *ADVERSARIES):
            encoder = ContrastiveEncoder(
                penalty=penalty, max_epochs=1, batch_size=32, random_state=number, device="cpu"
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", InertPenaltyWarning)  # one epoch is all warm-up
                history = encoder.fit(maps, people.age, site=people.site).history_
            if number:  # the first round warms up
                seconds.setdefault(str(penalty), []).append(history[0]["dur"])
    n_steps = -(-settings["people"] // 32)
    ratios = {
        name: statistics.median(a / b for a, b in zip(times, seconds["None"], strict=True))
        for name, times in seconds.items()
    }
    for name, times in seconds.items():
        step = statistics.median(times) / n_steps
        print(f"{name:24s} {step:.3f} s per step, ratio {ratios[name]:.3f}")
    store("penalty_cost", {"seconds": seconds, "ratios": ratios}, seed=0, settings=settings)


if __name__ == "__main__":
    main()
