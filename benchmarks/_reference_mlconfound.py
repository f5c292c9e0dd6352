"""The partial confounder test of mlconfound beside ours; for the benchmark of references.

mlconfound is GPL and needs an old NumPy: it answers from an interpreter of its own, as a black box.
Where its answers differ:

- its p has no + 1, so it can be 0;
- its statistic, R2 of prediction and confounder, falls where the confounder acts against its own
  association with age: such an effect is never found. R2 also holds the variance that age makes;
  ours is of what age leaves;
- its site given age is a logistic regression on a line of age whose optimiser may stop early, ours
  one on a spline with a small ridge;
- its confounder may be a number, which is one direction. Ours has groups: all directions between
  them. For a number there is `redundancy`.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import numpy as np
from scipy import stats
from tqdm import tqdm

from mresklearn.confounds import site_effect_test
from mresklearn.confounds._age_spline import age_spline
from mresklearn.confounds._conditional_permutation import permute_given, site_log_probability
from mresklearn.confounds._effect import permutation_p
from mresklearn.confounds._redundancy import redundancy

__all__ = ["compare_mlconfound"]

# notebooks/quickstart.ipynb of mlconfound, by the weight of the confounder in the prediction
PUBLISHED = {0.0: {"p": 0.76, "r2": 0.031732}, 0.1: {"p": 0.027, "r2": 0.067903}}
WEIGHTS = (0.0, 0.1, 0.3, -0.3)
N_PEOPLE, N_SITES, ETA, OFFSET = 300, 6, 0.4, 0.35
ALPHA = 0.05
ASK = """
import json, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
from mlconfound.simulate import simulate_y_c_yhat
from mlconfound.stats import partial_confound_test

question = json.load(sys.stdin)

def answer(y, prediction, confounder, categorical):
    found = partial_confound_test(
        np.array(y), np.array(prediction), np.array(confounder), cat_c=categorical,
        num_perms=question["permutations"], random_state=42, return_null_dist=True,
        progress=False, n_jobs=1,
    )
    null = found.null_distribution
    return {"p": found.p, "r2": found.r2_yhat_c, "null mean": null.mean(), "null SD": null.std()}

examples = []
for weight in question["weights"]:
    for binary in (False, True):
        y, c, prediction = simulate_y_c_yhat(
            w_yc=0.5, w_yyhat=0.5, w_cyhat=weight, n=1000, bin_c=binary, random_state=42
        )
        data = {"y": y.tolist(), "c": c.tolist(), "prediction": prediction.tolist()}
        theirs = answer(y, prediction, c, binary)
        examples.append({"weight": weight, "binary": binary, "data": data, "theirs": theirs})
cohorts = [answer(c["age"], c["prediction"], c["site"], True) for c in question["cohorts"]]
json.dump({"examples": examples, "cohorts": cohorts}, sys.stdout, default=float)
"""


def compare_mlconfound(python: str, repeats: int, permutations: int, seed: int) -> dict[str, Any]:
    """Run its example and simulated cohorts through both tests.

    Parameters
    ----------
    python : str
        Interpreter that can import mlconfound.
    repeats : int
        Simulated cohorts; site moves the prediction beyond age in every other one.
    permutations : int
        Permutations of each test.
    seed : int
        Seed of the cohorts.

    Returns
    -------
    found : dict
        ``examples`` and ``cohorts``, a dict each, and a ``summary`` of the cohorts.
    """
    cohorts = [simulate(np.random.default_rng((seed, i)), OFFSET * (i % 2)) for i in range(repeats)]
    question = {"permutations": permutations, "weights": WEIGHTS, "cohorts": cohorts}
    answer = subprocess.run(
        [python, "-c", ASK],
        input=json.dumps(question, default=np.ndarray.tolist),
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = json.loads(answer.stdout)
    pairs = zip(cohorts, theirs["cohorts"], strict=True)
    found = [
        {"effect": bool(i % 2), "theirs": answered, **ours(cohort, permutations)}
        for i, (cohort, answered) in enumerate(tqdm(pairs, total=repeats, desc="Ours"))
    ]
    examples = [example_beside_ours(example, permutations) for example in theirs["examples"]]
    return {"examples": examples, "summary": summary(found), "cohorts": found}


def simulate(random: np.random.Generator, offset: float) -> dict[str, np.ndarray]:
    """Return age, site and a prediction that follows age, and site by `offset` SD of the noise."""
    site = np.repeat(np.arange(N_SITES), N_PEOPLE // N_SITES)
    z = ETA * stats.zscore(site) + np.sqrt(1 - ETA**2) * random.normal(size=N_PEOPLE)
    shift = offset * stats.zscore(random.normal(size=N_SITES))[site]
    prediction = 50 + 10 * z - 1.5 * z**2 + 4 * (random.normal(size=N_PEOPLE) + shift)
    return {"age": 50 + 15 * z, "site": site, "prediction": prediction}


def ours(cohort: dict[str, np.ndarray], permutations: int) -> dict[str, Any]:
    """Return the test as published with our permutations, and the tests that we offer."""
    age, site, prediction = cohort["age"], cohort["site"], cohort["prediction"]
    centred, counts = prediction - prediction.mean(), np.bincount(site)

    def r2(codes: np.ndarray) -> float:
        return np.sum(np.bincount(codes, weights=centred) ** 2 / counts) / np.sum(centred**2)

    line = np.column_stack([np.ones(len(age)), age])
    drawn = permute_given(
        site, site_log_probability(line, site), permutations, np.random.RandomState(0)
    )
    null = np.array([r2(codes) for codes in drawn])
    raw = {
        "p": permutation_p(r2(site), null),
        "r2": r2(site),
        "null mean": null.mean(),
        "null SD": null.std(),
    }
    return {"ours, of the prediction": raw, **offered(prediction, site, age, permutations)}


def offered(prediction, site, age, permutations: int) -> dict[str, float]:
    """Return p of the tests that mresklearn offers for a prediction."""
    return {
        f"p, {method}": site_effect_test(
            prediction, site, age, method=method, n_permutations=permutations, random_state=0
        ).p_value
        for method in ("partial_confounder", "nested_f")
    }


def example_beside_ours(example: dict[str, Any], permutations: int) -> dict[str, Any]:
    """Test an example; tests of groups get a confounder that is a number as its fifths."""
    y, c, prediction = (np.array(example["data"][key]) for key in ("y", "c", "prediction"))
    groups = (
        c.astype(int)
        if example["binary"]
        else np.searchsorted(np.quantile(c, [0.2, 0.4, 0.6, 0.8]), c)
    )
    published = {} if example["binary"] else PUBLISHED.get(example["weight"], {})
    added = np.eye(2)[groups] if example["binary"] else c[:, None]
    settings = {"confidence": 0.95, "random_state": np.random.default_rng(0)}
    effect = redundancy(
        prediction[:, None],
        age_spline(y),
        added,
        np.zeros(len(y), int),
        n_permutations=permutations,
        **settings,
    )
    theirs = example["theirs"]
    return {
        "weight of the confounder": example["weight"],
        "confounder": "two groups" if example["binary"] else "a number",
        "p, published": published.get("p", ""),
        "R2, published": published.get("r2", ""),
        "p, theirs": theirs["p"],
        "R2, theirs": theirs["r2"],
        "null mean, theirs": theirs["null mean"],
        "p, redundancy": effect.p,
        **offered(prediction, groups, y, permutations),
    }


def summary(found: list[dict[str, Any]]) -> dict[str, float]:
    """Say how far the same test differs, and how often each test rejects."""
    raw, theirs = (
        {key: np.array([row[side][key] for row in found]) for key in found[0]["theirs"]}
        for side in ("ours, of the prediction", "theirs")
    )
    effect = np.array([row["effect"] for row in found])
    p = {
        "theirs": theirs["p"],
        "ours, of the prediction": raw["p"],
        "ours, partial_confounder": np.array([row["p, partial_confounder"] for row in found]),
        "ours, nested_f": np.array([row["p, nested_f"] for row in found]),
    }
    rejected = {
        f"rejected, {name}, {label}": float(np.mean(values[rows] <= ALPHA))
        for name, values in p.items()
        for label, rows in (("no effect", ~effect), ("effect", effect))
    }
    return {
        "largest difference of R2": np.abs(raw["r2"] - theirs["r2"]).max(),
        "largest difference of the null mean, in null SDs": np.max(
            np.abs(raw["null mean"] - theirs["null mean"]) / theirs["null SD"]
        ),
        "largest difference of p": np.abs(raw["p"] - theirs["p"]).max(),
        "correlation of p": np.corrcoef(raw["p"], theirs["p"])[0, 1],
        "share of equal decisions": np.mean((raw["p"] <= ALPHA) == (theirs["p"] <= ALPHA)),
        **rejected,
    }
