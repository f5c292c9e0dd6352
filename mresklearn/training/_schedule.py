"""The learning rate over a fit, as a factor of its peak; a function of progress alone."""

from __future__ import annotations

import math
from collections.abc import Callable

_WARM_UP = 0.3
_START = 1 / 25
_END = 1e-5


def constant(progress: float) -> float:
    """Return 1 throughout."""
    return 1.0


def one_cycle(progress: float) -> float:
    """Rise from 1/25 to 1 over the first 30 % of the steps, then fall to 1e-5, both as cosines.

    Smith & Topin (2019), Super-convergence: large rates early regularise, small ones late settle.

    Parameters
    ----------
    progress : float
        Share of the steps done, from 0 to 1.

    Returns
    -------
    factor : float
        Of the peak rate.
    """
    if progress < _WARM_UP:
        return _between(_START, 1.0, progress / _WARM_UP)
    return _between(1.0, _END, (progress - _WARM_UP) / (1 - _WARM_UP))


def cosine(progress: float) -> float:
    """Fall from 1 to 1e-5 along a cosine (Loshchilov & Hutter 2017, SGDR, without restarts)."""
    return _between(1.0, _END, progress)


def step(progress: float) -> float:
    """Divide by ten after one half and after three quarters of the steps (He et al. 2016)."""
    return 0.1 ** ((progress >= 0.5) + (progress >= 0.75))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


Schedule = Callable[[float], float]
SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "one_cycle": one_cycle,
    "cosine": cosine,
    "step": step,
}


def find_schedule(schedule: str | Schedule) -> Schedule:
    """Return a schedule by its name; a function of progress stands for itself."""
    return SCHEDULES[schedule] if isinstance(schedule, str) else schedule
