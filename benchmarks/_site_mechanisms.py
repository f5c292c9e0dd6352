"""Simulated features of people at sites that differ in one of six ways.

100 features follow age in three directions (a line, a parabola, a curve that saturates), the person
in five, and noise. Age is 50 +- 15 years, of which site explains the share eta squared.

A   every feature has a location and a scale at each site: ComBat's own model;
B   sites shift along three directions that all share and that overlap with those of age;
C   sites shift along a curve, interact with the person, and warp all values;
D   30 features follow age with slopes that differ by site, once with the other sign; shared shifts;
E   sites do not differ;
F   as B, with age in the length of a two-dimensional pattern, of which a line reads little.
"""

from __future__ import annotations

import numpy as np

MECHANISMS = "ABCDEF"
N_PEOPLE, N_SITES, N_FEATURES = 400, 5, 100
Cohort = tuple[np.ndarray, np.ndarray, np.ndarray]


def simulate(mechanism: str, eta: float, seed: int, n_sites: int = N_SITES) -> Cohort:
    """Return features, age and site."""
    random = np.random.default_rng([ord(mechanism), round(10 * eta), n_sites, seed])
    n, p = N_PEOPLE, N_FEATURES
    site = np.sort(np.arange(n) % n_sites)
    level = random.permutation(np.linspace(-1, 1, n_sites))
    level = (level - level[site].mean()) / level[site].std()
    a = eta * level[site] + np.sqrt(1 - eta**2) * random.normal(size=n)
    patterns = directions(random, 8)
    if mechanism == "F":
        angle, radius = random.uniform(0, 2 * np.pi, n), 1.5 * (1 + np.exp(0.35 * a))
        circle = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
        X = 1.6 * circle @ patterns[:2] + 1.5 * np.outer(a, patterns[2])
    else:
        curves = np.column_stack([3.2 * a, 0.92 * (a**2 + a), 1.92 * np.tanh(1.5 * a)])
        X = curves @ patterns[:3]
    person = random.normal(size=(n, 5)) * [3, 2.5, 2, 1.5, 1.5]
    X += person @ patterns[3:] + random.normal(size=(n, p))
    t = random.normal(size=(n_sites, 3))
    shared = directions(random, 3)
    if mechanism in "BDF":
        shared += (0.5 if mechanism == "D" else 0.6) * patterns[:3]
        shared /= np.linalg.norm(shared, axis=1, keepdims=True)
        X += (4 if mechanism == "D" else 5) * t[site] @ shared
    if mechanism == "A":
        X *= np.exp(0.25 * random.normal(size=(n_sites, p)))[site]
        X += 1.2 * random.normal(size=(n_sites, p))[site]
    elif mechanism == "C":
        X += np.column_stack([4 * t[:, 0], 3 * (t[:, 0] ** 2 - 1)])[site] @ shared[:2]
        X += np.outer(person[:, 0] * t[site, 1], shared[2])
        X = np.sign(X) * np.abs(X) ** np.exp(0.15 * t[site, 2])[:, None]
        X += 0.6 * random.normal(size=(n_sites, p))[site]
    elif mechanism == "D":
        sloping = random.choice(p, 30, replace=False)
        slope = random.normal(1, 0.6, n_sites)
        slope[random.integers(n_sites)] *= -1
        X[:, sloping] += 0.45 * np.outer(a * slope[site], random.choice([-1, 1], 30))
    return X, 50 + 15 * a, site.astype(str)


def directions(random: np.random.Generator, number: int) -> np.ndarray:
    return np.linalg.qr(random.normal(size=(N_FEATURES, number)))[0].T
