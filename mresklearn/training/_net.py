"""The private skorch net that trains a network on views of people."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.exceptions import DeviceWarning as SkorchDeviceWarning
from skorch.helper import predefined_split
from torch.utils.data import DataLoader

from ._batches import EvenBatches
from ._callbacks import EarlyStop
from ._dataset import Batch, PeopleDataset, keep_batch
from ._device import warn_of_device
from ._schedule import SCHEDULES


class TrainingNet(NeuralNet):
    """skorch's loop over batches that carry site, with views drawn on the device.

    Parameters
    ----------
    module, **kwargs
        As for :class:`skorch.NeuralNet`; the module is built from plain numbers.
    views : callable
        (n, ...) -> (n, views, ...), random.
    objective : Objective
        Embeddings, y, site -> scalar.
    """

    device: Any

    def __init__(self, module: Any, *, views: Any, objective: Any, **kwargs: Any) -> None:
        self.views = views
        self.objective = objective
        super().__init__(module, criterion=torch.nn.Identity, verbose=0, **kwargs)

    def train(
        self,
        people: PeopleDataset,
        validation: PeopleDataset | None,
        epochs: int,
        schedule: str = "constant",
    ) -> TrainingNet:
        """Train `epochs` more epochs on `people`, watching `validation` where there is one.

        `schedule` names the course of the learning rate over these epochs.
        """
        self.train_split = None if validation is None else predefined_split(validation)
        self._factor = SCHEDULES[schedule]
        self._step, self._n_steps = 0, epochs * len(self.get_iterator(people, training=True))
        self.notify("on_train_begin", X=people, y=None)
        try:
            self.fit_loop(people, None, epochs=epochs)
        except EarlyStop:
            pass
        finally:
            self.notify("on_train_end", X=people, y=None)
            self.train_split = None
        return self

    def embed(self, X: Any) -> np.ndarray:
        """Return what the network gives for each row, without views, as float32."""
        parts = [part.cpu().numpy() for part in self.forward_iter(PeopleDataset(X))]
        return np.concatenate(parts).astype(np.float32, copy=False)

    def infer(self, x: Any, **_: Any) -> torch.Tensor:
        """Pass a batch through the network."""
        samples = x["X"] if isinstance(x, dict) else x
        return self.module_(samples.to(self.device))

    def train_step(self, batch: Batch, **fit_params: Any) -> dict[str, torch.Tensor]:
        """Set the learning rate of this step, then take it."""
        factor = self._factor(self._step / max(1, self._n_steps - 1))
        for group in self.optimizer_.param_groups:
            group["lr"] = self.lr * factor
        self._step += 1
        return super().train_step(batch, **fit_params)

    def train_step_single(self, batch: Batch, **_: Any) -> dict[str, torch.Tensor]:
        """Compute the loss of a batch and its gradient."""
        self._set_training(True)
        loss = self._loss(batch)
        loss.backward()
        return {"loss": loss, "y_pred": loss}

    def validation_step(self, batch: Batch, **_: Any) -> dict[str, torch.Tensor]:
        """Compute the loss of a batch of people held out."""
        self._set_training(False)
        with torch.no_grad():
            loss = self._loss(batch)
        return {"loss": loss, "y_pred": loss}

    def get_iterator(self, dataset: PeopleDataset, training: bool = False) -> DataLoader:
        """Return batches of nearly equal size; shuffled for training."""
        batches = EvenBatches(len(dataset), self.batch_size, shuffle=training)
        # a generator of its own: DataLoader draws a worker seed, by default from the global stream
        return DataLoader(
            dataset, batch_sampler=batches, collate_fn=keep_batch, generator=torch.Generator()
        )

    def _loss(self, batch: Batch) -> torch.Tensor:
        inputs, y = batch
        views = self.views(inputs["X"].to(self.device, non_blocking=True))
        n, n_views = views.shape[:2]
        embeddings = self.module_(views.flatten(0, 1)).view(n, n_views, -1)
        return self.objective(embeddings, y.to(self.device), inputs["site"].to(self.device))

    def __setstate__(self, state: dict[str, Any]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SkorchDeviceWarning)
            trained_on = state["device"]
            super().__setstate__(state)
        self.device = str(self.device)
        if self.device != trained_on:
            warn_of_device(trained_on, self.device)
