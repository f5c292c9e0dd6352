"""Whether an invariance penalty had any say in the training, and if not, why."""

from __future__ import annotations

import warnings
from typing import Any

from ..exceptions import InertPenaltyWarning, SingleSiteWarning

__all__ = ["warn_of_inert_penalty", "warn_of_one_site"]

SMALLEST_SHARE = 0.01
SURE = 0.05


def warn_of_one_site(settings: dict[str, Any]) -> None:
    """Warn that settings against site do nothing, because there is one."""
    named = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    warnings.warn(
        f"There is one site, so that {named} does nothing. Pass site= to fit, or let it travel "
        "with the rows: MapLoader(metadata=['site']).",
        SingleSiteWarning,
        stacklevel=4,
    )


def warn_of_inert_penalty(penalty: Any, history: list[dict[str, Any]]) -> None:
    """Warn where a penalty did nothing, and name the cause.

    Parameters
    ----------
    penalty : str or callable
        Which one.
    history : list of dict
        Epochs, with ``penalty`` and ``penalty_gradient``, the length of its gradient over that of
        the loss, at the embedding.
    """
    shares = [epoch["penalty_gradient"] for epoch in history if "penalty_gradient" in epoch]
    values = [epoch["penalty"] for epoch in history if "penalty" in epoch]
    if not shares:
        return
    name = f"penalty={penalty!r}" if isinstance(penalty, str) else "The penalty"
    largest = max(shares)
    if largest == 0 and any(values):
        cause = "it has no gradient. A value that was turned into a number teaches nothing"
    elif largest == 0:
        cause = (
            "no batch held two sites to compare at similar ages. Give balance='site', a larger "
            "batch_size or a larger age_bandwidth"
        )
    elif largest < SMALLEST_SHARE:
        cause = (
            f"its gradient never exceeded {largest:.1%} of that of the loss. Raise penalty_weight"
        )
    elif penalty in ("adversarial", "conditional_adversarial", "confusion") and values[-1] < SURE:
        cause = (
            "the adversary is right nearly always, so that its gradient has vanished. Lower lr, or "
            "use a kernel penalty such as 'conditional_mmd'"
        )
    else:
        return
    warnings.warn(f"{name} is inert: {cause}.", InertPenaltyWarning, stacklevel=4)
