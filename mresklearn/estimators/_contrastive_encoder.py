"""ContrastiveEncoder: maps to an embedding ordered by age."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ..maps._validation import check_maps
from ..nn.losses import METHODS
from ..training._objective import ContrastiveObjective
from ._base import BaseNetworkEstimator


class ContrastiveEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseNetworkEstimator):
    """Learn an embedding in which people of similar age lie together.

    A network maps each person to a point on a sphere; a contrastive loss pulls together people of
    similar age, and two noisy views of one person, and pushes apart the others. Put a linear model
    behind it: ``make_pipeline(MapLoader(), MapScaler(), ContrastiveEncoder(), Ridge())``.

    Parameters
    ----------
    loss : str, default="exponential"
        Contrastive loss: "simclr", "supcon", "y_aware", "threshold", "exponential", "dynamic" or
        "rank_n_contrast", in its exact formula; see :func:`mresklearn.nn.contrastive_loss`.
        "dynamic" lets all people of the batch repel, as its schedule of neighbours is not wired
        to the epochs yet, so it equals "exponential".
    kernel : {"rbf", "cauchy", "laplace"} or callable, default="rbf"
        How positiveness falls with the difference of age.
    sigma : float, default=2.0
        Width of the kernel, in years.
    temperature : float, default=0.1
        Divides the cosine similarities.
    network : str or callable, default="auto"
        Trunk: "mlp", "resnet10", "resnet18", "resnet34", "densenet121", "sfcn" or one of your own,
        see :func:`mresklearn.nn.build_network`. "auto" takes "resnet10" for maps and "mlp" for 2-D
        features.
    width : int, default=16
        Channels of the first stage of the trunk.
    embedding_dim : int, default=64
        Columns of the embedding.
    n_views : int, default=2
        Random views of each person in a batch.
    noise : float, default=0.1
        SD of the noise in brain voxels, in the unit of the input (SDs after `MapScaler`).
    shift : int, default=2
        Largest shift of a view along each axis, in voxels; maps only.
    flip : float, default=0.5
        Share of views that are mirrored left and right; maps only. 0 where sides matter.
    lr : float, default=1e-3
        Learning rate of Adam; its peak under a schedule.
    lr_schedule : {"one_cycle", "constant"}, default="one_cycle"
        Course of the learning rate over a call of `fit`: up and down again, or level.
        `partial_fit` always uses a level one.
    weight_decay : float, default=0.01
        Decoupled weight decay (AdamW).
    batch_size : int, default=32
        Most people in a batch; batches of an epoch differ in size by at most one.
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
        longer fit.
    device : str, default="auto"
        "auto" takes a CUDA GPU where there is one.
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
        ``valid_loss``.
    n_epochs_ : int
        Epochs trained.
    sites_ : ndarray of str
        Sites seen in `fit`.
    device_ : str
        Device trained on.
    sample_shape_ : tuple of int
        Shape of one person's input.
    n_features_in_ : int
        Channels (maps) or columns (2-D features).

    Raises
    ------
    ValueError
        If y is missing, NaN or constant, or samples have another shape than in `fit`.

    See Also
    --------
    MapLoader : Loads maps; ``metadata=["site"]`` lets site ride along.

    Notes
    -----
    `site` and `groups` are requested by this class, so that ``Pipeline`` and ``GridSearchCV``
    route them with metadata routing enabled. Site reaches every batch with its row; the losses
    offered so far do not look at it.

    References
    ----------
    Barbano, Dufumier, Duchesnay, Grangetto, Gori (2023), Contrastive learning for regression in
    multi-site brain age prediction, ISBI. Dufumier et al. (2021), Contrastive learning with
    continuous proxy meta-data for 3D MRI classification, MICCAI.

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
        "loss": [StrOptions(set(METHODS))],
        "kernel": [str, callable],
        "sigma": [Interval(Real, 0, None, closed="neither")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        *,
        loss: str = "exponential",
        kernel: Any = "rbf",
        sigma: float = 2.0,
        temperature: float = 0.1,
        network: Any = "auto",
        width: int = 16,
        embedding_dim: int = 64,
        n_views: int = 2,
        noise: float = 0.1,
        shift: int = 2,
        flip: float = 0.5,
        lr: float = 1e-3,
        lr_schedule: str = "one_cycle",
        weight_decay: float = 0.01,
        batch_size: int = 32,
        max_epochs: int = 30,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 5,
        warm_start: bool = False,
        device: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.loss = loss
        self.kernel = kernel
        self.sigma = sigma
        self.temperature = temperature
        self.network = network
        self.width = width
        self.embedding_dim = embedding_dim
        self.n_views = n_views
        self.noise = noise
        self.shift = shift
        self.flip = flip
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.warm_start = warm_start
        self.device = device
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
        site : array-like of shape (n,) or None, default=None
            Their sites; None takes the column ``site`` that came with the rows, if any.
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
        embedding : ndarray of shape (n, embedding_dim), float32
            Unit vectors.
        """
        check_is_fitted(self)
        return self.net_.embed(check_maps(self, X, reset=False))

    def _objective(self) -> ContrastiveObjective:
        return ContrastiveObjective(self.loss, self.kernel, self.sigma, self.temperature)

    @property
    def _n_features_out(self) -> int:
        return self.net_.module_.projection.out_features

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
