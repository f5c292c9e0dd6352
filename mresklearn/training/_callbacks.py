"""What happens between epochs: a progress bar, and stopping early."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from skorch.callbacks import Callback
from tqdm.auto import tqdm


class EarlyStop(Exception):
    """Ends training; apart from KeyboardInterrupt, so that Ctrl-C is never swallowed."""


class ProgressBar(Callback):
    """One bar per fit; with `lines`, a line per epoch as well."""

    def __init__(self, name: str, lines: bool) -> None:
        self.name = name
        self.lines = lines

    def on_train_begin(self, net: Any, **_: Any) -> None:
        self.bar_ = tqdm(total=net.max_epochs, desc=self.name, unit="epoch", leave=self.lines)

    def state(self) -> dict[str, Any]:
        """Return nothing to keep; epochs done are read from the history."""
        return {}

    def resume(self, net: Any, _: dict[str, Any]) -> None:
        """Show the epochs that an earlier process finished."""
        self.bar_.update(len(net.history))

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        epoch = net.history[-1]
        losses = {key: f"{epoch[key]:.4f}" for key in ("train_loss", "valid_loss") if key in epoch}
        self.bar_.set_postfix(losses)
        self.bar_.update()
        if self.lines:
            shown = ", ".join(f"{key} {value}" for key, value in losses.items())
            self.bar_.write(f"{self.name}: epoch {epoch['epoch']}, {shown}, {epoch['dur']:.2f} s")

    def on_train_end(self, net: Any, **_: Any) -> None:
        self.bar_.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "lines": self.lines}


class StopEarly(Callback):
    """Stop when the validation loss stalls for `patience` epochs, and keep the best weights."""

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def on_train_begin(self, net: Any, **_: Any) -> None:
        self.best_loss_ = float("inf")
        self.best_epoch_ = 0
        self.best_weights_ = None

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        epoch, loss = net.history[-1, ("epoch", "valid_loss")]
        if loss < self.best_loss_:
            self.best_loss_, self.best_epoch_ = float(loss), epoch
            self.best_weights_ = deepcopy(net.module_.state_dict())
        elif epoch - self.best_epoch_ >= self.patience:
            raise EarlyStop

    def state(self) -> dict[str, Any]:
        """Return what decides when to stop."""
        return {key: value for key, value in vars(self).items() if key.endswith("_")}

    def resume(self, net: Any, state: dict[str, Any]) -> None:
        """Go on from what an earlier process saw."""
        for name, value in state.items():
            setattr(self, name, value)

    def on_train_end(self, net: Any, **_: Any) -> None:
        if self.best_weights_ is not None:
            net.module_.load_state_dict(self.best_weights_)
            self.best_weights_ = None  # the module holds them; a pickle needs them once
