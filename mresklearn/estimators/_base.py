"""What every network-backed estimator shares: training, resuming, embedding, persistence."""

from __future__ import annotations

import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from numbers import Integral, Real
from os import PathLike
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from ..exceptions import UnpairedWarning
from ..maps._validation import check_maps
from ..nn.networks import ProjectionNetwork
from ..nn.views import (
    GaussianNoise,
    RandomAffine,
    RandomCutout,
    RandomFlip,
    RandomIntensity,
    RandomShift,
    RandomViews,
)
from ..training._batches import BALANCES
from ..training._callbacks import ProgressBar, StopEarly
from ..training._comparable import PEOPLE, comparable_weights
from ..training._dataset import PeopleDataset
from ..training._device import resolve_device, warn_of_device
from ..training._history import plain_history
from ..training._invariance import ADVERSARIAL, CHOICES, WARM_UPS, InvarianceTerm
from ..training._mixing import SiteMixing
from ..training._net import TrainingNet, first_domain
from ..training._precision import PRECISIONS
from ..training._randomness import StreamState, private_stream
from ..training._saved import network_state, restore_network
from ..training._schedule import SCHEDULES
from ..training._transplant import transplant
from ._age_range import age_range
from ._inputs import check_age, resolve_site
from ._penalty_report import warn_of_inert_penalty, warn_of_one_site
from ._resuming import check_resumable, join_sites
from ._unfinished import checkpoint_of
from ._weights import find_network


class BaseNetworkEstimator(BaseEstimator, metaclass=ABCMeta):
    """A plain estimator that fits a private network in `net_`.

    Subclasses store hyperparameters in their constructor and say in `_objective` what a batch is
    trained for.
    """

    __metadata_request__fit = {"site": True, "groups": True}
    __metadata_request__partial_fit = {"site": True}

    net_: TrainingNet
    sites_: np.ndarray

    _target_is_age = True

    _parameter_constraints: dict = {
        "network": [str, callable],
        "width": [Interval(Integral, 1, None, closed="left")],
        "embedding_dim": [Interval(Integral, 1, None, closed="left")],
        "n_views": [Interval(Integral, 1, None, closed="left")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "shift": [Interval(Integral, 0, None, closed="left")],
        "flip": [Interval(Real, 0, 1, closed="both")],
        "affine": [Interval(Real, 0, 180, closed="both")],
        "cutout": [Interval(Real, 0, 1, closed="left")],
        "intensity": [Interval(Real, 0, 1, closed="left")],
        "penalty": [StrOptions(set(CHOICES)), callable, None],
        "penalty_weight": [Interval(Real, 0, None, closed="left")],
        "penalty_warm_up": [
            Interval(Real, 0, 1, closed="both"),
            StrOptions(set(WARM_UPS)),
            callable,
        ],
        "penalty_people": [StrOptions(set(PEOPLE))],
        "age_bandwidth": [Interval(Real, 0, None, closed="neither")],
        "site_mixup": [Interval(Real, 0, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "lr_schedule": [StrOptions(set(SCHEDULES)), callable],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "balance": [StrOptions(set(BALANCES)), None],
        "accumulate": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "init_from": [str, PathLike, BaseEstimator, None],
        "checkpoint": [str, PathLike, None],
        "precision": [StrOptions(set(PRECISIONS))],
        "device": [str],
        "distributed": ["boolean"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @abstractmethod
    def _objective(self) -> Any:
        """Return the function of outputs, y and site that a batch is trained for."""

    def _learn_target(self, y: np.ndarray) -> None:
        """Keep what the objective needs to know of the training ages."""

    def _go_on_with_target(self, y: np.ndarray) -> None:
        """Take further ages, and settings that have changed; refuse what the head cannot learn."""

    def _fit(
        self,
        X: Any,
        y: Any,
        site: Any,
        groups: Any,
        *,
        epochs: int,
        resume: bool,
        schedule: str | Callable[[float], float],
    ) -> None:
        """Train for `epochs`, from the start or from where the last call left."""
        resume = resume and hasattr(self, "net_")
        X = check_maps(self, X, reset=not resume)
        y = check_age(y, X)
        codes, sites = resolve_site(site, X)
        if resume:
            self._go_on_with_target(y)
            codes, sites = join_sites(codes, sites, self.sites_)
            check_resumable(self, codes, sites, y)
            self.net_.retune(**self._training_settings())
        self.sites_ = sites
        codes = codes.astype(np.int64)
        weight = comparable_weights(self.penalty_people, first_domain(codes), y, self.age_bandwidth)
        people = PeopleDataset(X, y, codes, weight=weight)
        if not resume:
            self.device_ = resolve_device(self.device, self.distributed)
            self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            self._stream: int | StreamState = self._seed
            self._learn_target(y)
            self._adversary = self._adversary_settings(codes, y)
        self.age_range_ = self._ages_seen(X, y, resume)
        checkpoint = checkpoint_of(self, people, groups, epochs)
        people, validation = self._hold_out(people, groups)
        n_epochs_before = len(self.net_.history) if resume else 0
        with private_stream(self.device_, self._stream) as stream:
            if not resume:
                self.net_ = self._new_net(self._module_settings()).initialize()
                if self.init_from is not None:
                    transplant(find_network(self.init_from), self.net_.module_)
            self.net_.train(people, validation, epochs, schedule, checkpoint)
        self._stream = stream
        self.history_ = plain_history(self.net_.history)
        self.n_epochs_ = len(self.history_)
        self._warn_of_unpaired(self.history_[n_epochs_before:], len(people))
        against_site = self._against_site()
        if against_site and len(np.unique(first_domain(codes))) == 1:
            warn_of_one_site(against_site)
        elif "penalty" in against_site:
            warn_of_inert_penalty(self.penalty, self.history_)

    def _ages_seen(self, X: Any, y: np.ndarray, resume: bool) -> tuple[float, float] | None:
        """Return the range of ages of this fit and those it goes on from."""
        if not self._target_is_age:
            return age_range(X, None)
        if not resume:
            return age_range(X, y)
        before = getattr(self, "age_range_", None)  # a model saved without it may have seen any age
        return None if before is None else age_range(X, y, widen=before)

    def _against_site(self) -> dict[str, Any]:
        """Return the settings that compare sites, where they are switched on."""
        names = ["cross_site", "site_mixup"] + ["penalty"] * bool(self.penalty_weight)
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def _warn_of_unpaired(self, epochs: list[dict[str, Any]], n_people: int) -> None:
        n_unpaired = sum(epoch.get("unpaired", 0) for epoch in epochs)
        if n_unpaired:
            warnings.warn(
                f"{n_unpaired} of {len(epochs) * n_people} times a person was compared with nobody "
                "of their age, and taught nothing. Give n_views=2, a wider sigma or bin_width, or "
                "a larger batch_size.",
                UnpairedWarning,
                stacklevel=3,
            )

    def _hold_out(
        self, people: PeopleDataset, groups: Any
    ) -> tuple[PeopleDataset, PeopleDataset | None]:
        """Set people aside for early stopping, whole groups where groups are given."""
        if not self.early_stopping:
            return people, None
        split = ShuffleSplit if groups is None else GroupShuffleSplit
        # the seed of the first fit: a resumed fit must not train on people held out before
        splitter = split(1, test_size=self.validation_fraction, random_state=self._seed)
        train, held = next(splitter.split(people.y, groups=groups))
        if min(len(train), len(held)) < 2:
            raise ValueError(
                f"early_stopping with validation_fraction={self.validation_fraction} leaves "
                f"{len(train)} of n_samples={len(people)} to train and {len(held)} to validate; "
                "contrastive learning needs two of each. Give more people or early_stopping=False."
            )
        return people.subset(train), people.subset(held)

    def _apply(self, X: Any, function: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
        """Return what a function of the network gives, averaged over a map and its mirror image."""
        X = check_maps(self, X, reset=False)
        if not (self.mirror_average and self.flip and len(self.sample_shape_) > 1):
            return self.net_.apply(X, function)
        return self.net_.apply(X, lambda batch: (function(batch) + function(batch.flip(2))) / 2)

    def _module_settings(self) -> dict[str, Any]:
        network = self.network
        if network == "auto":
            network = "mlp" if len(self.sample_shape_) == 1 else "resnet10"
        return {
            "network": network,
            "in_channels": self.sample_shape_[0],
            "sample_shape": tuple(self.sample_shape_),
            "width": self.width,
            "embedding_dim": self.embedding_dim,
            "n_outputs": self._objective().n_outputs,
            "adversary": self._adversary,
        }

    def _adversary_settings(self, site: np.ndarray, y: np.ndarray) -> dict[str, Any] | None:
        """Return what builds the adversary, if the penalty is one."""
        if self.penalty not in ADVERSARIAL:
            return None
        if self.distributed:
            raise ValueError(
                f"penalty='{self.penalty}' trains an adversary, which several processes would each "
                "train for themselves. Use a kernel penalty, or distributed=False."
            )
        return {
            "n_sites": int(site.max()) + 1 if site.ndim == 1 else int(site[:, 0].max()) + 1,
            "knows_age": self.penalty == "conditional_adversarial",
            "age_centre": float(y.mean()),
            "age_scale": float(y.std()),
        }

    def _invariance(self) -> InvarianceTerm | None:
        if self.penalty is None:
            return None
        weight = self.penalty_weight * self._objective().gradient_scale
        return InvarianceTerm(self.penalty, weight, self.penalty_warm_up, self.age_bandwidth)

    def _mixing(self) -> SiteMixing | None:
        if not self.site_mixup:
            return None
        if self.distributed:
            raise ValueError(
                f"site_mixup={self.site_mixup} mixes people of a batch, which several processes "
                "share. Use site_mixup=0, or distributed=False."
            )
        return SiteMixing(self.site_mixup, self.age_bandwidth)

    def _training_settings(self) -> dict[str, Any]:
        """Return the settings of a net that may differ from one fit to the next."""
        callbacks = [("stop_early", StopEarly(self.patience))] if self.early_stopping else []
        if self.verbose:
            bar = ProgressBar(type(self).__name__, lines=self.verbose > 1)
            callbacks.append(("progress_bar", bar))
        return {
            "views": self._views(),
            "objective": self._objective(),
            "invariance": self._invariance(),
            "mixing": self._mixing(),
            "optimizer__weight_decay": self.weight_decay,
            "lr": self.lr,
            "batch_size": self.batch_size,
            "balance": self.balance,
            "accumulate": self.accumulate,
            "precision": self.precision,
            "n_jobs": self.n_jobs,
            "distributed": self.distributed,
            "callbacks": callbacks,
        }

    def _new_net(self, module: dict[str, Any]) -> TrainingNet:
        return TrainingNet(
            ProjectionNetwork,
            **{f"module__{name}": value for name, value in module.items()},
            **self._training_settings(),
            optimizer=torch.optim.AdamW,
            max_epochs=self.max_epochs,
            callbacks__print_log=None,
            train_split=None,
            device=self.device_,
        )

    def _views(self) -> RandomViews:
        transforms: list[Any] = []
        if len(self.sample_shape_) > 1:
            transforms += [RandomAffine(self.affine)] if self.affine else []
            transforms += [RandomShift(self.shift)] if self.shift else []
            transforms += [RandomFlip(self.flip)] if self.flip else []
            transforms += [RandomIntensity(self.intensity)] if self.intensity else []
            transforms += [RandomCutout(self.cutout)] if self.cutout else []
        transforms += [GaussianNoise(self.noise)] if self.noise else []
        return RandomViews(self.n_views, tuple(transforms))

    def _saved_attributes(self) -> dict[str, Any]:
        """Return what `mresklearn.save` keeps: all attributes, the network as plain values."""
        plain = {
            name: str(value) if isinstance(value, PathLike) else value
            for name, value in vars(self).items()
        }
        if not hasattr(self, "net_"):  # a prototype inside another estimator
            return plain
        self._objective()  # raises where settings were changed so that loading would fail
        return {**plain, "net_": network_state(self.net_)}

    def _restore_attributes(self, saved: dict[str, Any]) -> None:
        """Become the estimator whose attributes were saved."""
        self.__dict__.update({key: value for key, value in saved.items() if key != "net_"})
        if "net_" not in saved:
            return
        state = saved["net_"]
        try:
            resolve_device(self.device_)
        except ValueError:
            warn_of_device(self.device_, "cpu")
            self.device_ = "cpu"
        with private_stream(self.device_, 0):  # initial weights are drawn, and then replaced
            self.net_ = self._new_net(state["module"]).initialize()
        restore_network(self.net_, state)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "net_" in state:
            self.device_ = self.net_.device  # it may have moved to a device that exists here
