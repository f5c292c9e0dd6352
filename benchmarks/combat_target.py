"""Measure what holding the target fixed in ComBat does, where site and target are entangled.

All modes of ``ComBat(target=...)`` are fitted in the training fold, and a ridge model on top. The
same people *without site effects* show what is to be had: a mode that scores less loses signal, a
mode that scores more lets the site back in.

(a) age entangled with site: MAE at known sites, with and without site effects in the features;
(b) a diagnosis that the features say nothing of, with shares of patients from 10 to 90 % by site:
    AUC over all people, and within sites, where it can only be 0.5;
(c) in between: signal from none to strong, few and many features, classes and age;
(d) leaks: whether the output depends on the test people's ages, and site balanced accuracy against
    what age alone says of site;
(e) ``ComBat.adapt`` to a new site from scans alone, where its people differ in age; each of five
    sites of 200 people left out in turn.

    python benchmarks/combat_target.py [--repeats 40] [--seed 0] [--only a b c d e]
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from _results import store
from sklearn.linear_model import RidgeCV
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mresklearn.confounds import site_predictability
from mresklearn.harmonization import ComBat

FIGURE = Path(__file__).parent.parent / "docs" / "images" / "combat_target.png"
ALPHAS = np.logspace(-1, 5, 13)
MODES = ("raw", "ignore", "training", "shrunk", "full")
CLEAN = "no site effect"
N_SITES = 5
ETAS = (0.0, 0.4, 0.8)
SIGNALS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)


# --------------------------------------------------------------------------------------- simulated


def entangled_age(rng: np.random.Generator, n: int, eta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return ages of SD 15 with correlation ratio eta on site, and the sites."""
    site = np.arange(n) % N_SITES
    centres = rng.permutation(np.linspace(-1, 1, N_SITES))
    centres /= centres.std()
    return 50 + 15 * (eta * centres[site] + np.sqrt(1 - eta**2) * rng.standard_normal(n)), site


def brain(rng: np.random.Generator, age: np.ndarray, n_features: int) -> np.ndarray:
    """Return features with three courses of ageing and five directions of persons."""
    a = (age - 50) / 15
    courses = np.column_stack([a, 0.5 * (a**2 - 1), np.tanh(2 * a)])
    persons = rng.standard_normal((len(age), 5))
    directions = rng.standard_normal((8, n_features)) / np.sqrt(8)
    noise = rng.standard_normal((len(age), n_features))
    return np.column_stack([courses, persons]) @ directions + noise


def line(rng: np.random.Generator, target: np.ndarray, n_features: int, signal: float):
    """Return features that follow a target in units of its SD, each with its own slope."""
    noise = rng.standard_normal((len(target), n_features))
    return noise + signal * np.outer(target, rng.standard_normal(n_features))


def with_site(
    rng: np.random.Generator, clean: np.ndarray, site: np.ndarray, size: float
) -> np.ndarray:
    """Shift every feature at every site by about `size`, and scale it, as ComBat takes it."""
    shift = size * rng.standard_normal((N_SITES, clean.shape[1]))
    return clean * np.exp(0.2 * rng.standard_normal(shift.shape))[site] + shift[site]


def split(rng: np.random.Generator, site: np.ndarray, share: float = 0.7) -> tuple:
    """Return training and test rows, each with the same share of every site."""
    drawn = [rng.permutation(np.flatnonzero(site == s)) for s in range(N_SITES)]
    cut = [round(share * len(rows)) for rows in drawn]
    train = np.concatenate([rows[:k] for rows, k in zip(drawn, cut, strict=True)])
    return train, np.setdiff1d(np.arange(len(site)), train)


# --------------------------------------------------------------------------------------- the modes


def harmonised(
    X: np.ndarray, y: np.ndarray, site: np.ndarray, train: np.ndarray, test: np.ndarray
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield each mode with its training and test rows, all fitted to the training rows."""
    for mode in MODES:
        if mode == "raw":
            yield mode, X[train], X[test]
            continue
        combat = ComBat(site_column=None, target=mode)
        given = [{"covariates": pd.DataFrame({"y": y[rows]})} for rows in (train, test)]
        if mode != "full":
            given = [{}, {}]
        combat.fit(X[train], y[train], site=site[train], **given[0])
        yield (
            mode,
            combat.transform(X[train], site=site[train], **given[0]),
            combat.transform(X[test], site=site[test], **given[1]),
        )


def predict(X_train: np.ndarray, y_train: np.ndarray, X_test: np.ndarray) -> np.ndarray:
    """Predict with ridge on scaled features; for classes the sign of what it predicts counts."""
    return make_pipeline(StandardScaler(), RidgeCV(ALPHAS)).fit(X_train, y_train).predict(X_test)


def auc_within(y: np.ndarray, site: np.ndarray, score: np.ndarray) -> float:
    """Return the share of pairs of one site that are in order."""
    total = pairs = 0.0
    for name in np.unique(site):
        rows = site == name
        n = y[rows].sum() * (1 - y[rows]).sum()
        if n:
            total, pairs = total + n * roc_auc_score(y[rows], score[rows]), pairs + n
    return total / pairs


def r_within(y: np.ndarray, site: np.ndarray, score: np.ndarray) -> float:
    """Return the correlation of deviations from the means of each site."""
    centred = [v - np.bincount(site, v)[site] / np.bincount(site)[site] for v in (y, score)]
    size = np.linalg.norm(centred[0]) * np.linalg.norm(centred[1])
    return float(centred[0] @ centred[1] / size) if size > 1e-9 else 0.0


def scores(y: np.ndarray, site: np.ndarray, predicted: np.ndarray, classes: bool) -> dict:
    if classes:
        return {"auc": roc_auc_score(y, predicted), "auc_within": auc_within(y, site, predicted)}
    return {
        "mae": np.abs(predicted - y).mean(),
        "r": np.corrcoef(y, predicted)[0, 1] if np.ptp(predicted) > 1e-9 else 0.0,
        "r_within": r_within(y, site, predicted),
    }


def compare(X, clean, y, site, rng, *, classes: bool) -> dict[str, dict[str, float]]:
    """Score every mode, and the same people without site effects, on one split."""
    train, test = split(rng, site)
    sets = [*harmonised(X, y, site, train, test), (CLEAN, clean[train], clean[test])]
    return {
        mode: scores(y[test], site[test], predict(a, y[train], b), classes) for mode, a, b in sets
    }


def averaged(draws: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return mean and standard error over draws, and the difference from no site effect."""
    result: dict[str, dict[str, float]] = {}
    for mode in draws[0]:
        result[mode] = {}
        for score in draws[0][mode]:
            values = np.array([draw[mode][score] for draw in draws])
            result[mode][score] = float(np.nanmean(values))
            result[mode][f"{score}_se"] = float(np.nanstd(values, ddof=1) / np.sqrt(len(values)))
            if score in draws[0].get(CLEAN, {}):
                apart = values - [draw[CLEAN][score] for draw in draws]
                result[mode][f"{score}_apart"] = float(np.nanmean(apart))
                result[mode][f"{score}_apart_se"] = float(
                    np.nanstd(apart, ddof=1) / np.sqrt(len(values))
                )
    return result


def show(title: str, result: dict[str, dict[str, float]], names: tuple[str, ...]) -> None:
    print(f"\n{title}")
    table = pd.DataFrame({name: {m: r.get(name) for m, r in result.items()} for name in names})
    print(table.to_string(float_format="{:.3f}".format), flush=True)


# ----------------------------------------------------------------------------------- the questions


def seen_sites(repeats: int, seed: int) -> dict:
    """Predict age at known sites (a)."""
    results: dict[str, dict] = {}
    for mechanism in ("shift and scale", CLEAN):
        for eta in ETAS:
            draws = []
            for repeat in range(repeats):
                rng = np.random.default_rng((seed, repeat, int(100 * eta)))
                age, site = entangled_age(rng, 400, eta)
                clean = brain(rng, age, 100)
                X = clean if mechanism == CLEAN else with_site(rng, clean, site, 1.0)
                draws.append(compare(X, clean, age, site, rng, classes=False))
            results.setdefault(mechanism, {})[str(eta)] = averaged(draws)
            title = f"(a) {mechanism}, eta {eta}: MAE (years) at known sites, r over all and within"
            show(title, results[mechanism][str(eta)], ("mae", "mae_se", "r", "r_within"))
    return results


def diagnosis(rng, n: int, n_features: int, signal: float, shares: np.ndarray) -> tuple:
    """Return features with and without site effects, classes and sites."""
    site = np.arange(n) % N_SITES
    y = (rng.random(n) < rng.permutation(shares)[site]).astype(int)
    clean = line(rng, y - 0.5, n_features, signal)
    return with_site(rng, clean, site, 0.5), clean, y, site


VARYING, EQUAL = np.linspace(0.1, 0.9, N_SITES), np.full(N_SITES, 0.5)


def no_signal(repeats: int, seed: int) -> dict:
    """Predict classes from features that say nothing of them (b)."""
    results: dict[str, dict] = {}
    for balance, shares in (("10 to 90 %", VARYING), ("50 %", EQUAL)):
        for n_features in (20, 200, 1000):
            draws = []
            for repeat in range(repeats):
                rng = np.random.default_rng((seed, repeat, n_features))
                draws.append(
                    compare(*diagnosis(rng, 300, n_features, 0.0, shares), rng, classes=True)
                )
            results.setdefault(balance, {})[str(n_features)] = averaged(draws)
            title = f"(b) no signal, {n_features} features, patients by site {balance}"
            show(
                title, results[balance][str(n_features)],
                ("auc", "auc_se", "auc_within", "auc_within_se"),
            )  # fmt: skip
    return results


def in_between(repeats: int, seed: int) -> dict:
    """Predict classes and ages with signal from none to strong (c)."""
    results: dict[str, dict] = {}
    for kind, n_features in (("classes", 20), ("classes", 200), ("age", 20), ("age", 200)):
        for signal in SIGNALS:
            draws = []
            for repeat in range(repeats):
                rng = np.random.default_rng((seed, repeat, int(1000 * signal), n_features))
                if kind == "classes":
                    data = diagnosis(rng, 300, n_features, 2 * signal, VARYING)
                else:
                    y, site = entangled_age(rng, 300, 0.8)
                    clean = line(rng, (y - 50) / 15, n_features, signal)
                    data = with_site(rng, clean, site, 0.5), clean, y, site
                draws.append(compare(*data, rng, classes=kind == "classes"))
            key = f"{kind}, {n_features} features"
            results.setdefault(key, {})[str(signal)] = averaged(draws)
            names = ("auc", "auc_within") if kind == "classes" else ("mae", "r", "r_within")
            show(
                f"(c) {key}, signal {signal}", results[key][str(signal)],
                (*names, f"{names[0]}_apart", f"{names[0]}_apart_se"),
            )  # fmt: skip
    return results


def leaks(repeats: int, seed: int) -> dict:
    """Permute the ages of the test people, and read site from what was harmonised (d).

    Half of 800 people fit, the other half is harmonised and probed. "full, all people" fits to the
    tested people and their ages too, as harmonising before the split does.
    """
    results: dict[str, dict] = {}
    for eta in ETAS:
        draws = []
        for repeat in range(repeats):
            rng = np.random.default_rng((seed, repeat, int(100 * eta)))
            age, site = entangled_age(rng, 800, eta)
            clean = brain(rng, age, 100)
            X = with_site(rng, clean, site, 1.0)
            train, test = split(rng, site, 0.5)
            other = age.copy()
            other[test] = rng.permutation(age[test])
            changed = {m: b for m, _, b in harmonised(X, other, site, train, test)}
            everybody = np.arange(len(age))
            sets = {m: b for m, _, b in harmonised(X, age, site, train, test)}
            before = {m: b for m, _, b in harmonised(X, age, site, everybody, everybody)}
            sets |= {"full, all people": before["full"][test], CLEAN: clean[test]}
            draw = {}
            for mode, values in sets.items():
                found = site_predictability(values, site[test], age=age[test], random_state=0)
                draw[mode] = {"site_ba": found.balanced_accuracy, "age_floor": found.age_floor}
                if mode in changed:
                    draw[mode]["changed"] = float(np.abs(changed[mode] - values).max())
            draws.append(draw)
        results[str(eta)] = averaged(draws)
        show(f"(d) eta {eta}", results[str(eta)], ("site_ba", "site_ba_se", "age_floor", "changed"))
    return results


def new_site(repeats: int, seed: int) -> dict:
    """Predict age at a site that training lacked, adapted on half of its people or not (e)."""
    results: dict[str, dict] = {}
    for mechanism in ("shift and scale", CLEAN):
        for eta in ETAS:
            draws = []
            for repeat in range(repeats):
                rng = np.random.default_rng((seed, repeat, int(100 * eta)))
                age, site = entangled_age(rng, 1000, eta)
                clean = brain(rng, age, 100)
                X = clean if mechanism == CLEAN else with_site(rng, clean, site, 1.0)
                sites = [_left_out(X, age, site, left) for left in range(N_SITES)]
                draws.append(
                    {way: {"mae": np.mean([one[way]["mae"] for one in sites])} for way in sites[0]}
                )
            results.setdefault(mechanism, {})[str(eta)] = averaged(draws)
            title = f"(e) {mechanism}, eta {eta}: MAE (years) at a new site"
            show(title, results[mechanism][str(eta)], ("mae", "mae_se"))
    return results


def _left_out(X, age, site, left: int) -> dict[str, dict[str, float]]:
    """Score one left-out site of 200 people, half of whom are given without their ages."""
    train, new = np.flatnonzero(site != left), np.flatnonzero(site == left)
    given, test = new[::2], new[1::2]
    combat = ComBat(site_column=None, target="training", unseen="passthrough")
    Z = combat.fit_transform(X[train], age[train], site=site[train])
    adapted = combat.adapt(X[given], site=site[given])
    sets = {
        "raw": (X[train], X[test]),
        "ComBat, new site as it is": (Z, combat.transform(X[test], site=site[test])),
        "ComBat, adapted on 100 people": (Z, adapted.transform(X[test], site=site[test])),
    }
    return {
        name: {"mae": float(np.abs(predict(a, age[train], b) - age[test]).mean())}
        for name, (a, b) in sets.items()
    }


# -------------------------------------------------------------------------------------- the figure


def figure(results: dict) -> None:
    """Draw the price of each mode."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colour = dict(zip(MODES, ("0.55", "#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=True))
    shown = ("raw", "ignore", "training", "shrunk")
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    panels, axes = plt.subplots(2, 2, figsize=(9, 7), layout="constrained")
    style = {"marker": "o", "markersize": 4, "capsize": 2, "linewidth": 1.6}

    ax = axes[0, 0]
    ages = results["a"]["shift and scale"]
    etas = [float(eta) for eta in ages]
    for mode in (*shown, CLEAN):
        extra = {"color": "black", "linestyle": ":"} if mode == CLEAN else {"color": colour[mode]}
        ax.errorbar(
            etas, [r[mode]["mae"] for r in ages.values()],
            [r[mode]["mae_se"] for r in ages.values()], label=mode, **style | extra,
        )  # fmt: skip
    ax.set(
        xlabel="correlation ratio of age on site", ylabel="MAE at known sites (years)",
        title="a  Age differs by site, features tell it", xticks=etas,
    )  # fmt: skip
    ax.set_ylim(0)
    ax.legend(frameon=False)

    ax = axes[0, 1]
    null = results["b"]["10 to 90 %"]["200"]
    for place, mode in enumerate((*shown, CLEAN)):
        for score, fill in (("auc", None), ("auc_within", "white")):
            ax.errorbar(
                place, null[mode][score], 2 * null[mode][f"{score}_se"], fmt="o", capsize=2,
                color=colour.get(mode, "black"), markerfacecolor=fill, markersize=7,
            )  # fmt: skip
    ax.axhline(0.5, color="0.8", linewidth=1, zorder=0)
    ax.set(
        title="b  No signal, patients 10 to 90 % by site", ylabel="AUC", ylim=(0.45, 0.85),
        xticks=range(len(shown) + 1), xticklabels=[*shown, "no site\neffect"],
    )  # fmt: skip
    for label, fill in (("all test people", "black"), ("within sites", "white")):
        ax.plot([], [], "o", color="black", markerfacecolor=fill, label=label)
    ax.legend(frameon=False)

    for ax, key, within, score, label, title in (
        (
            axes[1, 0], "classes, 200 features", "auc_within", "auc",
            "AUC above that without site effect", "c  Classes, from no signal to strong",
        ),
        (
            axes[1, 1], "age, 200 features", "r_within", "mae",
            "MAE above that without site effect (years)", "d  Age, from no signal to strong",
        ),
    ):  # fmt: skip
        sweep = list(results["c"][key].values())
        x = [r[CLEAN][within] for r in sweep]
        for mode in shown:
            ax.errorbar(
                x, [r[mode][f"{score}_apart"] for r in sweep],
                [r[mode][f"{score}_apart_se"] for r in sweep], color=colour[mode], **style,
            )  # fmt: skip
        ax.axhline(0, color="black", linewidth=1, linestyle=":")
        name = "AUC" if score == "auc" else "correlation"
        ax.set(xlabel=f"{name} within sites, without site effect", ylabel=label, title=title)
    for ax in axes.flat:
        ax.title.set_fontweight("bold")
        ax.title.set_fontsize(9.5)
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    panels.savefig(FIGURE, dpi=150)
    plt.close(panels)


QUESTIONS = {"a": seen_sites, "b": no_signal, "c": in_between, "d": leaks, "e": new_site}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=list(QUESTIONS))
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of confounded designs, which are the subject
    results = {name: QUESTIONS[name](options.repeats, options.seed) for name in options.only}
    if options.only != list(QUESTIONS):
        return
    figure(results)
    settings = {"repeats": options.repeats}
    store("combat_target", results, seed=options.seed, settings=settings)


if __name__ == "__main__":
    main()
