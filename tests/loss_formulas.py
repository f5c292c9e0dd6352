"""Contrastive losses in float64 loops, straight from the formulas: the oracle of the tests."""

import math

import numpy as np

METHODS = (
    "simclr",
    "supcon",
    "y_aware",
    "threshold",
    "exponential",
    "dynamic",
    "rank_n_contrast",
)
ORDERS = {"l1": 1, "l2": 2, "linf": np.inf}


def brute_force(
    embeddings,
    y,
    method,
    formula="exact",
    *,
    sigma=2.0,
    temperature=0.1,
    bin_width=2.0,
    n_neighbours=None,
    selection="similarity",
    site=None,
    site_mask="none",
):
    """Loop over anchors, pairs and denominators."""
    n, views, d = embeddings.shape
    z = np.asarray(embeddings, np.float64).reshape(n * views, d)
    if method != "rank_n_contrast":
        z = z / np.linalg.norm(z, axis=1, keepdims=True)
    people = np.repeat(np.arange(n), views)
    age = np.asarray(y, np.float64)[people]
    site = np.zeros(n) if site is None else np.asarray(site)
    site = site[people]
    published = formula == "published"
    weight = weigh(method, age, people, sigma, bin_width)
    similar = [[compare(method, a, b) for b in z] for a in z]
    s = np.array(similar) / temperature
    if published and method in ("exponential", "dynamic"):
        s = s - s.max(axis=1, keepdims=True)
    losses, totals, counted = [], [], []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        repelled = others
        if n_neighbours is not None:
            with_anchor = published and method == "dynamic"
            near = rank_by_nearness(z, similar, i, selection, with_anchor)
            repelled = [t for t in near[: views * n_neighbours] if t != i]
        attracted = others
        if site_mask == "cross_site_positives":
            attracted = [j for j in others if site[j] != site[i]]
        if site_mask == "within_site_negatives":
            repelled = [t for t in repelled if site[t] == site[i]]
        loss, any_pair = 0.0, False
        for j in attracted:
            terms = denominator(method, published, i, j, repelled, s, weight, age)
            if weight[i, j] > 0 and terms:
                loss -= weight[i, j] * (s[i, j] - math.log(sum(terms)))
                any_pair = True
        losses.append(loss)
        totals.append(sum(weight[i, j] for j in attracted))
        counted.append(any_pair)
    if not any(counted):
        return 0.0
    if published and method == "dynamic":
        value = sum(losses) / sum(totals)
    else:
        value = np.mean([losses[i] / totals[i] for i in range(len(z)) if counted[i]])
    return value * temperature / 0.07 if published and method != "rank_n_contrast" else value


def weigh(method, age, people, sigma, bin_width):
    if method == "rank_n_contrast":
        return np.ones((len(age), len(age)))
    if method == "simclr":
        return np.equal.outer(people, people).astype(float)
    if method == "supcon":
        bins = np.floor(age / bin_width) if bin_width else age
        return np.equal.outer(bins, bins).astype(float)
    return np.exp(-(np.subtract.outer(age, age) ** 2) / (2 * sigma**2))


def compare(method, a, b):
    return -np.linalg.norm(a - b) if method == "rank_n_contrast" else float(a @ b)


def rank_by_nearness(z, similar, i, selection, with_anchor):
    if selection == "similarity":
        far = [-value for value in similar[i]]
    else:
        far = [np.linalg.norm(z[i] - other, ord=ORDERS[selection]) for other in z]
    ranked = sorted(range(len(z)), key=lambda t: far[t])
    return ranked if with_anchor else [t for t in ranked if t != i]


def denominator(method, published, i, j, repelled, s, weight, age):
    if method == "threshold" and published:
        count = {t: sum(weight[t, m] < weight[t, i] for m in range(len(age))) for t in repelled}
        return [count[t] * math.exp(s[i, t]) for t in repelled if count[t]]
    if method == "threshold":
        repelled = [t for t in repelled if weight[i, t] < weight[i, j]]
    if method == "rank_n_contrast":
        repelled = [t for t in repelled if abs(age[i] - age[t]) >= abs(age[i] - age[j])]
    damped = method in ("exponential", "dynamic")
    return [math.exp(s[i, t] * (1 - weight[i, t] if damped else 1)) for t in repelled]
