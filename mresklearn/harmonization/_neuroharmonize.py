"""The package neuroHarmonize as second engine of ComBat: same design, same learned values."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["EngineFit", "apply_with_neuroharmonize", "learn_with_neuroharmonize"]


@dataclass(frozen=True, eq=False)
class EngineFit:
    """What neuroHarmonize learned, in the terms of :class:`ComBat`.

    Parameters
    ----------
    centre, deviation : ndarray of shape (n_features,)
        Mean that sites are moved to, and pooled standard deviation.
    coefficients : ndarray of shape (n_covariates, n_features)
        Of the coded covariates.
    shift, ratio : ndarray of shape (n_sites, n_features)
        Site effects.
    priors : ndarray of shape (n_sites, 4)
        Mean and variance of shifts, shape and scale of ratios; NaN where not used.
    """

    centre: np.ndarray
    deviation: np.ndarray
    coefficients: np.ndarray
    shift: np.ndarray
    ratio: np.ndarray
    priors: np.ndarray


def learn_with_neuroharmonize(
    features: np.ndarray,
    codes: np.ndarray,
    design: np.ndarray,
    *,
    eb: bool,
    reference: int | None,
) -> EngineFit:
    """Fit with ``harmonizationLearn``, and keep what `transform` needs: no matrix of people.

    Parameters
    ----------
    features : ndarray of shape (n, n_features)
        Training people, of features that vary within sites.
    codes : ndarray of int of shape (n,)
        Site of each.
    design : ndarray of shape (n, n_covariates)
        Coded covariates.
    eb : bool
        Empirical Bayes.
    reference : int or None
        Code of the reference site.

    Raises
    ------
    ImportError
        If the package is not installed.
    ValueError
        If a site has a single person, or the package cannot do a reference site here.
    """
    learn, _ = _package()
    if np.bincount(codes).min() < 2:
        raise ValueError(
            "neuroHarmonize makes everything NaN where a site has a single person. Leave such "
            "sites out, or use engine='native'."
        )
    people = np.asarray(features, dtype=np.float64)
    try:
        with _quiet():
            model, _ = learn(
                people, _covariates(codes, design), eb=eb, ref_batch=reference, seed=0
            )  # fmt: skip
    except TypeError as error:
        if reference is None:
            raise
        raise ValueError(
            "neuroHarmonize fails with a reference site under this version of NumPy. Use "
            "engine='native'."
        ) from error
    return _in_our_terms(model, reference)


def apply_with_neuroharmonize(
    features: np.ndarray,
    codes: np.ndarray,
    design: np.ndarray,
    *,
    centre: np.ndarray,
    coefficients: np.ndarray,
    deviation: np.ndarray,
    shift: np.ndarray,
    ratio: np.ndarray,
    reference: int | None,
) -> np.ndarray:
    """Harmonise people of known sites with ``harmonizationApply``.

    The package fails unless people of all training sites are there, so one made-up person of each
    is added and dropped.

    Parameters
    ----------
    features, codes, design
        New people, as in :func:`learn_with_neuroharmonize`.
    centre, coefficients, deviation, shift, ratio : ndarray
        As in :class:`EngineFit`.
    reference : int or None
        Code of the reference site.

    Returns
    -------
    harmonised : ndarray of float64 of shape (n, n_features)
        Their features.
    """
    _, apply = _package()
    n_people, n_sites = len(features), len(shift)
    made_up = np.zeros((n_sites, design.shape[1]))
    table = _covariates(np.append(codes, np.arange(n_sites)), np.vstack([design, made_up]))
    model = {
        "SITE_labels": np.arange(n_sites),
        "info_dict": {"ref_level": reference},
        "smooth_model": {"perform_smoothing": False, "smooth_cols": []},
        # its site coefficients are never read
        "B_hat": np.vstack([np.zeros_like(shift), coefficients]),
        "stand_mean": centre[:, None],
        "var_pooled": deviation[:, None] ** 2,
        "gamma_star": shift,
        "delta_star": ratio,
    }
    people = np.vstack([features, np.tile(centre, (n_sites, 1))])
    with _quiet():
        return apply(people, table, model)[:n_people]


def _in_our_terms(model: dict[str, Any], reference: int | None) -> EngineFit:
    """Take the learned values out of the package's model."""
    shift, ratio = np.array(model["gamma_star"]), np.array(model["delta_star"])
    if reference is not None:
        shift[reference], ratio[reference] = 0, 1
    priors = np.full((len(shift), 4), np.nan)
    if model["gamma_bar"] is not None:
        names = ("gamma_bar", "t2", "a_prior", "b_prior")
        priors = np.column_stack([model[name] for name in names])
    return EngineFit(
        centre=np.array(model["stand_mean"][:, 0]),
        deviation=np.sqrt(model["var_pooled"][:, 0]),
        coefficients=np.array(model["B_hat"][len(shift) :]),
        shift=shift,
        ratio=ratio,
        priors=priors,
    )


def _covariates(codes: np.ndarray, design: np.ndarray) -> pd.DataFrame:
    """Return the table that the package takes, always with the same columns in the same order."""
    columns = {f"column{k}": design[:, k] for k in range(design.shape[1])}
    return pd.DataFrame({"SITE": codes, **columns})


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the package, and give back the global random state, which it seeds."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _package() -> tuple[Callable, Callable]:
    """Import the package, or say how to get it."""
    try:
        package = import_module("neuroHarmonize")
    except ImportError as error:
        raise ImportError(
            "engine='neuroharmonize' needs the package neuroHarmonize, and others that it does "
            f"not install by itself ({error}). Install them all with\n"
            "    pip install mresklearn[neuroharmonize]\n"
            "or use engine='native', which needs neither."
        ) from error
    return package.harmonizationLearn, package.harmonizationApply
