"""The private skorch net that trains a network on views of people."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.exceptions import DeviceWarning as SkorchDeviceWarning
from skorch.helper import predefined_split
from skorch.history import History
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from ..nn.networks import Outputs
from ._batches import BalancedBatches, EvenBatches, strata_of
from ._callbacks import EarlyStop
from ._checkpoint import Checkpoint
from ._dataset import Batch, PeopleDataset
from ._device import warn_of_device
from ._history import plain_history
from ._invariance import InvarianceTerm, SiteMonitor, gradient_share
from ._loading import batch_loader, place
from ._mixing import SiteMixing
from ._objective import Moment
from ._precision import resolve_precision
from ._processes import OneProcess, processes
from ._randomness import restore_streams, stream_states
from ._schedule import find_schedule


class TrainingNet(NeuralNet):
    """skorch's loop over batches that carry site, with views drawn on the device.

    Parameters
    ----------
    module, **kwargs
        As for :class:`skorch.NeuralNet`; the module is built from plain numbers.
    views : callable
        (n, ...) -> (n, views, ...), random.
    objective : Objective
        What a batch is trained for.
    invariance : InvarianceTerm or None, default=None
        What is added against the site.
    mixing : SiteMixing or None, default=None
        Mixes people of similar age across sites.
    precision : {"auto", "float32", "bfloat16"}, default="float32"
        Of convolutions and matrix products in training.
    balance : {"site", "age", "site_and_age"} or None, default=None
        What every batch holds equally.
    accumulate : int, default=1
        Batches whose gradients are averaged before a step.
    n_jobs : int or None, default=None
        Processes that read batches ahead.
    distributed : bool, default=False
        Share every batch with the other processes that were started together.
    """

    device: Any
    optimizer__weight_decay: float
    callbacks: Any
    callbacks_: Any

    def __init__(
        self,
        module: Any,
        *,
        views: Any,
        objective: Any,
        invariance: InvarianceTerm | None = None,
        mixing: SiteMixing | None = None,
        precision: str = "float32",
        balance: str | None = None,
        accumulate: int = 1,
        n_jobs: int | None = None,
        distributed: bool = False,
        **kwargs: Any,
    ) -> None:
        self.views = views
        self.objective = objective
        self.invariance = invariance
        self.mixing = mixing
        self.precision = precision
        self.balance = balance
        self.accumulate = accumulate
        self.n_jobs = n_jobs
        self.distributed = distributed
        super().__init__(module, criterion=torch.nn.Identity, verbose=0, **kwargs)

    def initialize_module(self) -> TrainingNet:
        """Build the module, its convolutions laid out channels last: faster on CPU and GPU."""
        super().initialize_module()
        self.module_.to(memory_format=torch.channels_last_3d)
        return self

    def retune(self, *, callbacks: list[tuple[str, Any]], **settings: Any) -> TrainingNet:
        """Change settings of training between two trainings; module and optimiser stay."""
        # set_params of skorch would begin the optimiser anew, and with it the moments of Adam
        for name, value in settings.items():
            setattr(self, name, value)
        for group in self.optimizer_.param_groups:
            group["weight_decay"] = self.optimizer__weight_decay
        old = {name for name, _ in self.callbacks}
        kept = [(name, callback) for name, callback in self.callbacks_ if name not in old]
        self.callbacks, self.callbacks_ = callbacks, kept + callbacks
        return self

    def train(
        self,
        people: PeopleDataset,
        validation: PeopleDataset | None,
        epochs: int,
        schedule: str | Callable[[float], float] = "constant",
        checkpoint: Checkpoint | None = None,
    ) -> TrainingNet:
        """Train `epochs` more epochs on `people`, watching `validation` where there is one.

        `schedule` is the course of the learning rate over these epochs. With a checkpoint, epochs
        that an earlier process finished are not repeated.
        """
        with _Training(self, people, validation, epochs, schedule) as training:
            done = training.resume(checkpoint)
            try:
                for epoch in range(done, epochs):
                    training.begin_epoch(epoch)
                    self.fit_loop(training.people, None, epochs=1)
                    if checkpoint is not None and training.group.rank == 0:
                        checkpoint.write(training.state(epoch + 1))
            except EarlyStop:
                pass
        if checkpoint is not None:
            checkpoint.remove()
        return self

    def apply(self, X: Any, function: Callable[[Tensor], Tensor]) -> np.ndarray:
        """Return what a function of the trained module gives for each row, without views."""
        self._set_training(False)
        # in float32 whatever the training was in: embeddings should not depend on the device
        with torch.inference_mode():
            parts = [
                function(_channels_last(batch.X.to(self.device))).cpu().numpy()
                for batch in self.get_iterator(PeopleDataset(X))
            ]
        return np.concatenate(parts).astype(np.float32, copy=False)

    def train_step(self, batch: Batch, **_: Any) -> dict[str, Tensor]:
        """Add the gradient of a batch; after the last of `accumulate` batches, take the step."""
        return self._training.step(batch)

    def validation_step(self, batch: Batch, **_: Any) -> dict[str, Tensor]:
        """Compute the loss of a batch of people held out."""
        self._set_training(False)
        with torch.no_grad():
            loss = self.loss_of(batch, self.module_, OneProcess())
        return {"loss": loss, "y_pred": loss}

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Log how many people were compared with nobody of their age."""
        super().on_epoch_end(net, **kwargs)
        if self.views.n_views == 1:
            self.history.record("unpaired", self._training.unpaired)
        if self._training.monitor is not None:
            people = self._training.people
            self._training.monitor.record(self, first_domain(people.site), people.y)

    def get_iterator(self, dataset: PeopleDataset, training: bool = False) -> DataLoader:
        """Return batches of nearly equal size; those of the training are made once."""
        if training:
            return self._training.loader
        batches = EvenBatches(len(dataset), self.batch_size, shuffle=False)
        return batch_loader(dataset, batches, self.device, n_jobs=0)

    def loss_of(
        self, batch: Batch, module: Callable[[Tensor], Outputs], group: OneProcess
    ) -> Tensor:
        """Return the loss of a batch, compared across the processes of a group."""
        device = torch.device(self.device)
        dtype = resolve_precision(self.precision, self.device)
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            views = self.views(batch.X.to(device, non_blocking=True))
            y, site = batch.y.to(device), batch.site.to(device)
            if self.mixing is not None and self.module_.training:
                views, y = self.mixing(views, first_domain(site), y)
            outputs = module(_channels_last(views.flatten(0, 1)))
        scored = group.gather(_by_person(outputs.scored, views), len(batch.y))
        moment = Moment(len(self.history), self.max_epochs)
        loss = self.objective(scored, y, first_domain(site), moment)
        if self.invariance is None:
            return loss
        embedding = _by_person(outputs.embedding, views)
        gathered = (
            scored if outputs.scored is outputs.embedding else group.gather(embedding, len(y))
        )
        domains = site[:, None] if site.ndim == 1 else site
        weight = batch.weight.to(device)
        term, value = self.invariance(gathered, domains, y, weight, moment, self.module_.adversary)
        if self.module_.training:
            self._training.watch(batch, outputs.embedding, gathered, loss, term, value)
        return loss + term

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state.pop("_training", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SkorchDeviceWarning)
            trained_on = state["device"]
            super().__setstate__(state)
        self.device = str(self.device)
        if self.device != trained_on:
            warn_of_device(trained_on, self.device)


class _Training:
    """What lives for one call of `train` only: data in place, processes, step count."""

    def __init__(
        self,
        net: TrainingNet,
        people: PeopleDataset,
        validation: PeopleDataset | None,
        epochs: int,
        schedule: str | Callable[[float], float],
    ) -> None:
        self.net = net
        self.validation = validation
        self.group = processes(net.distributed, net.device)
        people.share = (self.group.rank, self.group.size)
        self.people = place(people, net.device)
        self.order: torch.Generator | None = None
        self.seed = 0
        if self.group.size > 1:
            self.order = torch.Generator()
            self.seed = self.group.agree(int(torch.randint(2**31 - 1, ())))
        self.loader = batch_loader(self.people, self._batches(), net.device, net.n_jobs)
        self.factor = find_schedule(schedule)
        self.n_steps = epochs * len(self.loader)
        self.steps_done = 0
        self.unpaired = 0
        self.monitor: SiteMonitor | None = None

    def __enter__(self) -> _Training:
        self.net._training = self
        self.module = self.group.wrap(self.net.module_)
        watched = None if self.validation is None else predefined_split(self.validation)
        self.net.train_split = watched
        self.net.notify("on_train_begin", X=self.people, y=None)
        return self

    def __exit__(self, *_: Any) -> None:
        self.net.notify("on_train_end", X=self.people, y=None)
        self.group.finish(self.net.module_)
        self.net.train_split = None
        del self.net._training

    def begin_epoch(self, epoch: int) -> None:
        """Agree with the other processes on an order, while each draws views of its own."""
        self.unpaired = 0
        self.monitor = None if self.net.invariance is None else SiteMonitor()
        if self.order is not None:
            self.order.manual_seed(self.seed + epoch)
            torch.manual_seed(self.seed + epoch + 7919 * (1 + self.group.rank))

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Take the share of one batch in a step of the optimiser."""
        net, every = self.net, self.net.accumulate
        position = self.steps_done % len(self.loader)
        first = position - position % every
        last = min(first + every, len(self.loader)) - 1
        if position == first:
            factor = self.factor(self.steps_done / max(1, self.n_steps - 1))
            for group in net.optimizer_.param_groups:
                group["lr"] = net.lr * factor
            net.optimizer_.zero_grad(set_to_none=True)
        if net.views.n_views == 1:
            self.unpaired += net.objective.count_unpaired(batch.y)
        net._set_training(True)
        loss = net.loss_of(batch, self.module, self.group)
        # processes average their gradients, each of which is a part of the sum
        (loss * (self.group.size / (last - first + 1))).backward()
        if position == last:
            net.optimizer_.step()
        self.steps_done += 1
        loss = loss.detach()
        return {"loss": loss, "y_pred": loss}

    def watch(
        self,
        batch: Batch,
        embedding: Tensor,
        gathered: Tensor,
        loss: Tensor,
        term: Tensor,
        value: Tensor,
    ) -> None:
        """Keep what the epoch says of the site; the gradient is looked at once an epoch."""
        assert self.monitor is not None
        assert self.net.invariance is not None
        self.monitor.add(value, batch.row, gathered)
        weighs = self.net.invariance.factor(Moment(len(self.net.history), self.net.max_epochs))
        if self.monitor.share is None and weighs:
            self.monitor.share = gradient_share(term, loss, embedding)

    def resume(self, checkpoint: Checkpoint | None) -> int:
        """Go to where a killed process was; return the epochs that it finished."""
        state = None if checkpoint is None else checkpoint.read()
        if state is None:
            return 0
        net = self.net
        net.module_.load_state_dict(state["weights"])
        net.optimizer_.load_state_dict(state["optimizer"])
        net.history = History(state["history"])
        self.seed = state["seed"]
        for name, callback in net.callbacks_:
            if name in state["callbacks"]:
                callback.resume(net, state["callbacks"][name])
        restore_streams(net.device, state["streams"])
        self.steps_done = state["epochs"] * len(self.loader)
        return state["epochs"]

    def state(self, epochs: int) -> dict[str, Any]:
        """Return all that the next epoch depends on."""
        net = self.net
        return {
            "epochs": epochs,
            "seed": self.seed,
            "weights": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "history": plain_history(net.history),
            "callbacks": {
                name: callback.state()
                for name, callback in net.callbacks_
                if hasattr(callback, "state")
            },
            "streams": stream_states(net.device),
        }

    def _batches(self) -> Sampler[list[int]]:
        net, people = self.net, self.people
        if net.balance is None:
            return EvenBatches(len(people), net.batch_size, shuffle=True, order=self.order)
        strata = strata_of(net.balance, first_domain(people.site), people.y, net.batch_size)
        return BalancedBatches(strata, net.batch_size, order=self.order)


def _by_person(outputs: Tensor, views: Tensor) -> Tensor:
    """Return outputs of all views as (n, views, d), in float32."""
    return outputs.float().view(*views.shape[:2], -1)


def first_domain(site: Any) -> Any:
    """Return the site codes, which other domain variables may stand beside."""
    return site if site.ndim == 1 else site[:, 0]


def _channels_last(batch: Tensor) -> Tensor:
    """Return maps in the layout of the convolutions."""
    return batch.contiguous(memory_format=torch.channels_last_3d) if batch.ndim == 5 else batch
