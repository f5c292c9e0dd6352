"""What a fit that goes on from another keeps of it, and what it may not change."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..training._invariance import ADVERSARIAL
from ..training._net import first_domain

__all__ = ["check_resumable", "join_sites"]


def join_sites(
    codes: np.ndarray, names: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return sites with the numbers of earlier fits, new ones after them.

    Parameters
    ----------
    codes : ndarray of shape (n,) or (n, m), int
        Position of each row's site in `names`, other domain variables after it.
    names : ndarray of str
        Sites of these rows.
    known : ndarray of str
        Sites of earlier fits, in the order of their codes.

    Returns
    -------
    codes : ndarray of shape (n,) or (n, m), int
        Position of each row's site in `sites`; other variables as they were.
    sites : ndarray of str
        Known ones, then new ones.
    """
    position = {str(name): code for code, name in enumerate(known)}
    for name in names:
        position.setdefault(str(name), len(position))
    codes = codes.copy()
    first_domain(codes)[:] = np.array([position[str(name)] for name in names])[first_domain(codes)]
    return codes, np.array(list(position))


def check_resumable(estimator: Any, codes: np.ndarray, sites: np.ndarray, y: np.ndarray) -> None:
    """Refuse to train a network on for what it was not built for.

    Parameters
    ----------
    estimator : BaseNetworkEstimator
        Fitted; its parameters may have changed since.
    codes : ndarray of shape (n,) or (n, m), int
        As :func:`join_sites` numbered them.
    sites : ndarray of str
        Their sites.
    y : ndarray of shape (n,)
        Ages of the people to come.

    Raises
    ------
    ValueError
        If the network has another size or head, or an adversary that was not told of a site; the
        message names the parameters, or the sites.
    """
    net = estimator.net_
    changed = {
        "loss" if name == "n_outputs" else name
        for name, value in estimator._module_settings().items()
        if getattr(net, f"module__{name}", value) != value
    }
    built = estimator._adversary
    wanted = estimator._adversary_settings(codes, y)
    if wanted and (built is None or wanted["knows_age"] != built["knows_age"]):
        changed.add("penalty")
    if changed:
        named = ", ".join(f"{name}={getattr(estimator, name)!r}" for name in sorted(changed))
        raise ValueError(
            f"{named} is not what the network was built for in the first fit. Set it back to train "
            "on, or start anew by fit with warm_start=False."
        )
    if not wanted:
        return
    new = sites[np.unique(first_domain(codes)[first_domain(codes) >= built["n_sites"]])]
    if len(new):
        raise ValueError(
            f"penalty={estimator.penalty!r} has an adversary that tells "
            f"{', '.join(sites[: built['n_sites']])} apart, but there are people of site "
            f"{', '.join(new)}. Pass people of all sites to the first fit, or use a penalty "
            f"without an adversary, so none of {', '.join(ADVERSARIAL)}."
        )
