"""ContrastiveEncoder: maps to an embedding ordered by age."""

from __future__ import annotations

from dataclasses import asdict
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ..nn._neighbours import SELECTIONS
from ..nn.losses import METHODS
from ..training._objective import (
    SUPERVISED,
    ContrastiveObjective,
    Objective,
    SupervisedObjective,
)
from ._age_range import warn_of_other_ages
from ._base import BaseNetworkEstimator


def _is_supervised(encoder: Any) -> bool:
    return encoder.loss in SUPERVISED


class ContrastiveEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseNetworkEstimator):
    """Learn an embedding in which people of similar age lie together.

    A network maps each person to a point on a sphere; a contrastive loss pulls together people of
    similar age, and two noisy views of one person, and pushes apart the others. Put a linear model
    behind it: ``make_pipeline(MapLoader(), MapScaler(), ContrastiveEncoder(), Ridge())``.

    Parameters
    ----------
    loss : str, default="exponential"
        Contrastive: "simclr", "supcon", "y_aware", "threshold", "exponential", "dynamic" or
        "rank_n_contrast", see :func:`mresklearn.nn.contrastive_loss`. Supervised, for comparisons
        that differ in the loss alone: "l1", "mse" or "soft_label" (Peng et al. 2021), by a linear
        head on the embedding; the estimator then has `predict` as well.
    kernel : {"rbf", "cauchy", "laplace"} or callable, default="rbf"
        How positiveness falls with the difference of age.
    sigma : float, default=2.0
        Width of the kernel, or of the soft labels, in years.
    temperature : float, default=0.1
        Divides the similarities.
    formula : {"exact", "published"}, default="exact"
        The formula of the paper, or what its public code computes.
    bin_width : float, default=2.0
        Width of the bins of "supcon" and "soft_label", in years.
    n_neighbours : "auto", int or None, default="auto"
        People of a batch that may repel an anchor. "auto" shrinks them over the epochs for
        "dynamic" (:func:`mresklearn.nn.losses.neighbour_count`) and means everyone (None) for the
        other losses.
    selection : {"similarity", "l1", "l2", "linf"}, default="similarity"
        Nearness that chooses those neighbours, in the embedding.
    network : str or callable, default="auto"
        Trunk: "mlp", "resnet10", "resnet18", "resnet34", "densenet121", "sfcn" or one of your own,
        see :func:`mresklearn.nn.build_network`. "auto" takes "resnet10" for maps and "mlp" for 2-D
        features.
    width : int, default=16
        Channels of the first stage of the trunk.
    embedding_dim : int, default=64
        Columns of the projection.
    output : {"projection", "encoder"}, default="projection"
        What `transform` returns: the projection that the loss compares, or the features of the
        trunk before it.
    mirror_average : bool, default=True
        `transform` averages over each map and its left-right mirror image, where ``flip`` has
        taught the network that sides do not matter; maps only.
    n_views : int, default=2
        Random views of each person in a batch.
    noise : float, default=0.1
        SD of the noise in brain voxels, in the unit of the input (SDs after `MapScaler`).
    shift : int, default=2
        Largest shift of a view along each axis, in voxels; maps only.
    flip : float, default=0.5
        Share of views that are mirrored left and right; maps only. 0 where sides matter.
    affine : float, default=0
        Largest rotation of a view about each axis, in degrees, with a change of size of up to 5 %;
        maps only. Not a default: maps are registered, and interpolation blurs them.
    cutout : float, default=0.4
        Edge of a cube that half of the views lose, as a share of each axis; maps only. No single
        region decides then, and brain that a study did not cover is nothing new.
    intensity : float, default=0
        Largest relative change of a view's values; maps only. Not a default: absolute stiffness
        carries age. Useful for T1, whose unit is arbitrary.
    penalty : str, callable or None, default=None
        What is held against an embedding that tells the site, beside the loss: "mmd", "hsic",
        "coral", "conditional_mmd", "conditional_mean", "circe", "fair_kl" or "residual_mean", see
        :func:`mresklearn.nn.invariance_penalty`; "adversarial", "conditional_adversarial" (its
        adversary knows the age) or "confusion", see :mod:`mresklearn.nn.adversary`; or a function
        of unit embeddings (n, d), site codes (n,) and ages (n,). Where ages differ by site, the
        conditional ones alone let an embedding keep age.
    penalty_weight : float, default=1.0
        Factor of the penalty, or of the reversed gradient; divided by `temperature` for contrastive
        losses, as their gradient is, so that one range from 0.1 to 10 serves all losses.
    penalty_warm_up : float, "sigmoid" or callable, default=0.1
        Share of the epochs over which that factor rises from zero; the course of Ganin et al.
        (2016), which nears one after half of the epochs; or a function of the share of epochs done
        that returns what the weight is multiplied by.
    penalty_people : {"all", "overlap", "reweighted"}, default="all"
        Who is compared by the penalty: everybody; people with others of their age at other sites,
        within `age_bandwidth`; or everybody, each site weighted to the ages of all sites together.
        The last is for penalties that do not hold age fixed: "mmd", "hsic", "coral", "adversarial"
        and "confusion". "conditional_mmd" and "conditional_adversarial" weigh people too, though
        they need it less; the other kinds, and functions of your own, do not weigh.
    age_bandwidth : float, default=5.0
        SD of the window in which ages count as similar, in years, for conditional penalties,
        `penalty_people` and `site_mixup`.
    cross_site : float, default=0
        Share of a contrastive loss that attracts only people of other sites and repels only people
        of the same site, so that telling sites apart does not pay; 0 to 1. An anchor without
        somebody of its age at another site contributes nothing to that share.
    site_mixup : float, default=0
        Where above 0, each person is mixed with one of similar age from another site, with shares
        from a Beta distribution with both parameters of this value (Yao et al. 2022 use 2).
    lr : float, default=1e-3
        Learning rate of Adam; its peak under a schedule.
    lr_schedule : {"one_cycle", "cosine", "step", "constant"} or callable, default="one_cycle"
        Course of the learning rate over a call of `fit`; a callable takes the share of steps done
        and returns a factor. `partial_fit` always uses a level one.
    weight_decay : float, default=0.1
        Decoupled weight decay (AdamW).
    batch_size : int, default=32
        Most people in a batch; batches of an epoch differ in size by at most one.
    balance : {"site", "age", "site_and_age"} or None, default=None
        What every batch holds equally: sites, five bins of age, or both, with so few bins that
        every site can have two people in each. People of small strata then come up more often
        than others.
    accumulate : int, default=1
        Batches whose gradients are averaged before a step. People are compared within their batch
        only.
    max_epochs : int, default=30
        Passes over the training people.
    early_stopping : bool, default=False
        Hold out `validation_fraction` of the people, stop when their loss has not improved for
        `patience` epochs, and keep the best weights.
    validation_fraction : float, default=0.1
        Share held out, by whole `groups` where they are given.
    patience : int, default=5
        Epochs without improvement before stopping.
    warm_start : bool, default=False
        A second `fit` goes on from the first; with ``lr_schedule="constant"``, bit for bit as one
        longer fit. It takes the parameters as they are then, and refuses those that would need
        another network: `network`, `width`, `embedding_dim`, a loss with another head, a penalty
        with another adversary. `device`, `random_state`, `init_from` and the epochs over which
        penalties warm up are those of the first fit. So for `partial_fit`.
    init_from : path-like, estimator or None, default=None
        Saved or fitted encoder, or a pipeline that holds one, whose weights a fit starts from: for
        pretraining on T1 and fine-tuning on stiffness. Channels may differ, network and width may
        not. Wrap a fitted one in :class:`sklearn.frozen.FrozenEstimator` where it will be cloned.
    checkpoint : path-like or None, default=None
        Folder that keeps the state of unfinished fits after every epoch; the same fit, started
        again after it was killed, goes on from there to the same result, bit for bit.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Of convolutions and matrix products in training; "auto" takes bfloat16 on a GPU that
        computes in it. Weights, losses and `transform` stay in float32.
    device : str, default="auto"
        "auto" takes a CUDA GPU where there is one.
    distributed : bool, default=False
        Train with the other processes that ``torchrun`` or ``accelerate launch`` started: each
        embeds its share of every batch, and the loss compares all of them. All must call `fit`
        with the same people. Batch normalisation uses the share of each process.
    n_jobs : int or None, default=None
        Processes that read maps ahead of the training; None means none on the CPU, and up to four
        for a GPU that cannot hold all people. -1 takes all cores.
    random_state : int, RandomState or None, default=None
        Seed of weights, order and views; with an int, two fits on CPU give equal weights.
    verbose : int, default=0
        1 shows a progress bar, 2 adds a line per epoch.

    Attributes
    ----------
    net_ : object
        The trained network; private in its form.
    history_ : list of dict
        Per epoch: ``epoch``, ``train_loss``, ``dur`` in seconds and, with early stopping,
        ``valid_loss``. With a penalty also its value ``penalty``, ``penalty_gradient``, the length
        of its gradient at the embedding over that of the loss, and ``site_probe`` and
        ``site_floor``, the balanced accuracies of a linear guess of the site from the embedding and
        from age alone.
    n_epochs_ : int
        Epochs trained.
    sites_ : ndarray of str
        Sites seen in `fit`; those new to a fit that goes on from another follow the earlier ones.
    age_range_ : tuple of two float or None
        Youngest and oldest training age. `transform` and `predict` warn (`OutOfRangeWarning`) of
        others, where ages travel with the rows: ``MapLoader(metadata=["age"])``.
    device_ : str
        Device trained on.
    sample_shape_ : tuple of int
        Shape of one person's input.
    n_features_in_ : int
        Channels (maps) or columns (2-D features).

    Raises
    ------
    ValueError
        If y is missing, NaN or constant, or samples have another shape than in `fit`. If a fit
        goes on from another with parameters that need another network, with a site that is new to
        its adversary, or with ages beyond the bins of "soft_label".

    See Also
    --------
    MapLoader : Loads maps; ``metadata=["site"]`` lets site ride along.

    Notes
    -----
    `site` and `groups` are requested by this class, so that ``Pipeline`` and ``GridSearchCV``
    route them with metadata routing enabled. Site reaches every batch with its row; ``balance``,
    ``penalty``, ``cross_site`` and ``site_mixup`` look at it.

    On a GPU the cohort lives on the device where half of the free memory holds it; otherwise
    batches are read ahead into pinned memory. Convolutions run channels last.

    References
    ----------
    Barbano, Dufumier, Duchesnay, Grangetto, Gori (2023), Contrastive learning for regression in
    multi-site brain age prediction, ISBI. Dufumier et al. (2021), Contrastive learning with
    continuous proxy meta-data for 3D MRI classification, MICCAI. Peng, Gong, Beckmann, Vedaldi,
    Smith (2021), Accurate brain age prediction with lightweight deep neural networks, Medical
    Image Analysis. Ganin et al. (2016), Domain-adversarial training of neural networks, JMLR 17.
    Yao et al. (2022), C-Mixup: improving generalization in regression, NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from mresklearn import ContrastiveEncoder
    >>> rng = np.random.default_rng(0)
    >>> age = rng.uniform(20, 80, size=60)
    >>> regions = rng.normal(size=(60, 8)) + age[:, None] / 20
    >>> model = make_pipeline(ContrastiveEncoder(max_epochs=5, random_state=0), Ridge())
    >>> model.fit(regions, age).predict(regions[:2]).shape
    (2,)
    """

    _parameter_constraints: dict = {
        **BaseNetworkEstimator._parameter_constraints,
        "loss": [StrOptions({*METHODS, *SUPERVISED})],
        "kernel": [str, callable],
        "sigma": [Interval(Real, 0, None, closed="neither")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "formula": [StrOptions({"exact", "published"})],
        "bin_width": [Interval(Real, 0, None, closed="left")],
        "n_neighbours": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left"), None],
        "selection": [StrOptions(set(SELECTIONS))],
        "output": [StrOptions({"projection", "encoder"})],
        "mirror_average": ["boolean"],
        "cross_site": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        *,
        loss: str = "exponential",
        kernel: Any = "rbf",
        sigma: float = 2.0,
        temperature: float = 0.1,
        formula: str = "exact",
        bin_width: float = 2.0,
        n_neighbours: Any = "auto",
        selection: str = "similarity",
        network: Any = "auto",
        width: int = 16,
        embedding_dim: int = 64,
        output: str = "projection",
        mirror_average: bool = True,
        n_views: int = 2,
        noise: float = 0.1,
        shift: int = 2,
        flip: float = 0.5,
        affine: float = 0.0,
        cutout: float = 0.4,
        intensity: float = 0.0,
        penalty: Any = None,
        penalty_weight: float = 1.0,
        penalty_warm_up: Any = 0.1,
        penalty_people: str = "all",
        age_bandwidth: float = 5.0,
        cross_site: float = 0.0,
        site_mixup: float = 0.0,
        lr: float = 1e-3,
        lr_schedule: Any = "one_cycle",
        weight_decay: float = 0.1,
        batch_size: int = 32,
        balance: str | None = None,
        accumulate: int = 1,
        max_epochs: int = 30,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 5,
        warm_start: bool = False,
        init_from: Any = None,
        checkpoint: Any = None,
        precision: str = "auto",
        device: str = "auto",
        distributed: bool = False,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.loss = loss
        self.kernel = kernel
        self.sigma = sigma
        self.temperature = temperature
        self.formula = formula
        self.bin_width = bin_width
        self.n_neighbours = n_neighbours
        self.selection = selection
        self.network = network
        self.width = width
        self.embedding_dim = embedding_dim
        self.output = output
        self.mirror_average = mirror_average
        self.n_views = n_views
        self.noise = noise
        self.shift = shift
        self.flip = flip
        self.affine = affine
        self.cutout = cutout
        self.intensity = intensity
        self.penalty = penalty
        self.penalty_weight = penalty_weight
        self.penalty_warm_up = penalty_warm_up
        self.penalty_people = penalty_people
        self.age_bandwidth = age_bandwidth
        self.cross_site = cross_site
        self.site_mixup = site_mixup
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.balance = balance
        self.accumulate = accumulate
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.warm_start = warm_start
        self.init_from = init_from
        self.checkpoint = checkpoint
        self.precision = precision
        self.device = device
        self.distributed = distributed
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, *, site: Any = None, groups: Any = None) -> ContrastiveEncoder:
        """Train the network.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            Training people.
        y : array-like of shape (n,)
            Their ages in years.
        site : array-like of shape (n,), DataFrame of shape (n, m) or None, default=None
            Their sites; None takes the column ``site`` that came with the rows, if any. Further
            columns of a DataFrame, such as scanner or frequency, are penalised as the first is.
        groups : array-like of shape (n,) or None, default=None
            Person of each row, so that early stopping holds out whole persons.

        Returns
        -------
        self : ContrastiveEncoder
            The fitted encoder.
        """
        self._fit(
            X, y, site, groups,
            epochs=self.max_epochs, resume=self.warm_start, schedule=self.lr_schedule,
        )  # fmt: skip
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, *, site: Any = None) -> ContrastiveEncoder:
        """Train one more epoch.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            Training people.
        y : array-like of shape (n,)
            Their ages in years.
        site : array-like of shape (n,) or None, default=None
            Their sites.

        Returns
        -------
        self : ContrastiveEncoder
            The encoder, one epoch older.
        """
        self._fit(X, y, site, None, epochs=1, resume=True, schedule="constant")
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the embedding of each person.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            People with samples of the shape seen in `fit`; any site.

        Returns
        -------
        embedding : ndarray of shape (n, embedding_dim) or (n, features of the trunk), float32
            Unit vectors for the projection of a contrastive loss.
        """
        check_is_fitted(self)
        warn_of_other_ages(self, X)
        module = self.net_.module_
        if self.output == "encoder":
            return self._apply(X, module.trunk)
        embedding = self._apply(X, module.project)
        if _is_supervised(self):
            return embedding
        # the average of two unit vectors is shorter
        return embedding / np.linalg.norm(embedding, axis=1, keepdims=True)

    @available_if(_is_supervised)
    def predict(self, X: Any) -> np.ndarray:
        """Return the age of each person by the network's own head; supervised losses only.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            People with samples of the shape seen in `fit`; any site.

        Returns
        -------
        age : ndarray of shape (n,), float32
            In years.
        """
        check_is_fitted(self)
        warn_of_other_ages(self, X)
        objective, module = self._objective(), self.net_.module_
        return self._apply(X, lambda batch: objective.predict(module(batch).scored))

    def _learn_target(self, y: np.ndarray) -> None:
        if _is_supervised(self):
            ages = torch.from_numpy(y)
            learned = SupervisedObjective.of_ages(self.loss, ages, self.sigma, self.bin_width)
            self._target = asdict(learned)

    def _go_on_with_target(self, y: np.ndarray) -> None:
        if not _is_supervised(self):
            return
        target = self._objective()
        assert isinstance(target, SupervisedObjective)
        has_bins = bool(target.centres)
        if has_bins != (self.loss == "soft_label"):
            raise ValueError(
                f"loss={self.loss!r} needs another head than loss={target.kind!r} of the first "
                "fit. Set it back to train on, or start anew by fit with warm_start=False."
            )
        if has_bins and not target.has_bins_of(self.bin_width):
            raise ValueError(
                f"bin_width={self.bin_width:g} is not that of the {len(target.centres)} bins of "
                "the first fit. Set it back to train on, or start anew by fit with "
                "warm_start=False."
            )
        low, high = target.age_limits
        beyond = (y < low) | (y > high)
        if beyond.any():
            raise ValueError(
                f"loss='soft_label' tells ages from {low:.1f} to {high:.1f} years, three sigma "
                f"beyond those of the first fit, but y goes from {y.min():g} to {y.max():g} "
                f"({beyond.sum()} of {len(y)} rows beyond). Let the first call see the youngest "
                "and the oldest people, or use loss='l1'."
            )
        self._target |= {"kind": self.loss, "sigma": self.sigma}

    def _objective(self) -> Objective:
        if _is_supervised(self):
            if self.cross_site:
                raise ValueError(
                    f"cross_site={self.cross_site} is a share of a contrastive loss, and loss="
                    f"{self.loss!r} compares no people. Use cross_site=0, or site_mixup."
                )
            if not hasattr(self, "_target"):
                raise ValueError(
                    f"loss was set to {self.loss!r} after a fit with a contrastive loss, so that "
                    "the network has no head for ages. Call fit again."
                )
            return SupervisedObjective(**self._target)
        return ContrastiveObjective(
            method=self.loss,
            kernel=self.kernel,
            sigma=self.sigma,
            temperature=self.temperature,
            formula=self.formula,
            bin_width=self.bin_width,
            n_neighbours=self.n_neighbours,
            selection=self.selection,
            cross_site=self.cross_site,
        )

    @property
    def _n_features_out(self) -> int:
        module = self.net_.module_
        return module.n_features if self.output == "encoder" else module.projection.out_features

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
