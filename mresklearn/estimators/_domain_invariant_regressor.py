"""DomainInvariantRegressor: age from an embedding that was trained not to tell the site."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    RegressorMixin,
    TransformerMixin,
    _fit_context,
    clone,
)
from sklearn.linear_model import Ridge
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils._set_output import _safe_set_output
from sklearn.utils.validation import check_is_fitted

from .._metadata import site_of_rows
from ..training._invariance import CHOICES
from ._contrastive_encoder import ContrastiveEncoder
from ._penalty_report import warn_of_one_site


class DomainInvariantRegressor(
    ClassNamePrefixFeaturesOutMixin, RegressorMixin, TransformerMixin, BaseEstimator
):
    """Predict age from an embedding that is penalised for what it tells of the site beyond age.

    The directions in which the known sites shift are projected out first; then a network learns an
    embedding by a contrastive or supervised loss and a penalty; then ridge regression reads the
    age. Site is needed in `fit` only, so that people of new sites are no special case.

    Parameters
    ----------
    penalty : str, callable or None, default="conditional_mmd"
        As for :class:`ContrastiveEncoder`. Kinds that hold age fixed are "conditional_mmd",
        "conditional_mean", "circe", "fair_kl" and "conditional_adversarial".
    penalty_weight : float, default=1.0
        Its weight. Choose it with :class:`mresklearn.model_selection.SiteSearchCV`, whose inner
        folds leave out training sites.
    projection : {"input", "embedding"} or None, default="input"
        Where the site directions given age are projected out by
        :class:`mresklearn.harmonization.SiteProjector`: of the maps or features before the network,
        of the embedding before the readout, or nowhere. The first lowers errors at new sites most.
    projector : SiteProjector or None, default=None
        Prototype of that projection; None takes the default one, which removes the directions that
        carry over to sites left out, and none where none does. ``SiteProjector(rank="all")`` suits
        predictions at the known sites.
    encoder : ContrastiveEncoder or None, default=None
        Prototype of the network and its training; None takes the default one with
        ``balance="site"``. Its penalty is replaced by the one above.
    readout : regressor or None, default=None
        What reads the age from the embedding; None takes ``Ridge(alpha=1.0)``.

    Attributes
    ----------
    encoder_ : ContrastiveEncoder
        Fitted encoder.
    projector_ : SiteProjector or None
        Fitted projection; None without one, or with one site.
    readout_ : regressor
        Fitted readout.
    history_ : list of dict
        Per epoch the loss, the penalty, its share of the gradient, the site probe of the training
        embedding and its floor, what age alone tells of the site.
    sites_ : ndarray of str
        Sites seen in `fit`.
    age_range_ : tuple of two float or None
        Youngest and oldest training age.
    n_features_in_ : int
        Channels (maps) or columns (2-D features).

    Raises
    ------
    ValueError
        If y is missing, NaN or constant, or samples have another shape than in `fit`.

    Warns
    -----
    InertPenaltyWarning
        If the penalty had no say in the training, with the cause.
    OutOfRangeWarning
        From `predict` and `transform`, where ages that travel with the rows are outside
        `age_range_`.

    See Also
    --------
    ContrastiveEncoder : The embedding alone.
    mresklearn.harmonization.AnchorRegressor : A linear opponent in closed form.

    Notes
    -----
    Independence of site, rather than independence given age, costs accuracy wherever ages differ by
    site: no prediction from such an embedding has a root mean squared error below the SD of the
    sites' mean ages.

    Examples
    --------
    >>> import numpy as np
    >>> from mresklearn import ContrastiveEncoder, DomainInvariantRegressor
    >>> rng = np.random.default_rng(0)
    >>> age, site = rng.uniform(20, 80, size=80), np.array(["Mayo", "Utah"] * 40)
    >>> regions = rng.normal(size=(80, 6)) + age[:, None] / 20
    >>> regions[site == "Utah", 0] += 3
    >>> encoder = ContrastiveEncoder(max_epochs=5, balance="site", random_state=0)
    >>> model = DomainInvariantRegressor(encoder=encoder).fit(regions, age, site=site)
    >>> model.predict(regions[:2]).shape, model.transform(regions[:2]).shape
    ((2,), (2, 64))
    """

    __metadata_request__fit = {"site": True, "groups": True}

    _parameter_constraints: dict = {
        "penalty": [StrOptions(set(CHOICES)), callable, None],
        "penalty_weight": [Interval(Real, 0, None, closed="left")],
        "projection": [StrOptions({"input", "embedding"}), None],
        "projector": [HasMethods(["fit", "transform"]), None],
        "encoder": [ContrastiveEncoder, None],
        "readout": [HasMethods(["fit", "predict"]), None],
    }

    def __init__(
        self,
        *,
        penalty: str | Callable | None = "conditional_mmd",
        penalty_weight: float = 1.0,
        projection: str | None = "input",
        projector: Any = None,
        encoder: ContrastiveEncoder | None = None,
        readout: Any = None,
    ) -> None:
        self.penalty = penalty
        self.penalty_weight = penalty_weight
        self.projection = projection
        self.projector = projector
        self.encoder = encoder
        self.readout = readout

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: Any, y: Any, *, site: Any = None, groups: Any = None
    ) -> DomainInvariantRegressor:
        """Train the network, and fit the readout on the training embedding.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            Training people.
        y : array-like of shape (n,)
            Their ages in years.
        site : array-like of shape (n,), DataFrame of shape (n, m) or None, default=None
            Their sites, with other domain variables after them; None takes the column ``site`` that
            came with the rows, if any.
        groups : array-like of shape (n,) or None, default=None
            Person of each row, so that early stopping holds out whole persons.

        Returns
        -------
        self : DomainInvariantRegressor
            The fitted regressor.
        """
        site = site_of_rows(X, "site") if site is None else site
        self.projector_ = None
        if self.projection == "input":
            X = self._project(self._fit_projector(X, y, site), X)
        prototype = ContrastiveEncoder(balance="site") if self.encoder is None else self.encoder
        self.encoder_ = clone(prototype).set_params(
            penalty=self.penalty, penalty_weight=self.penalty_weight
        )
        _safe_set_output(self.encoder_, transform="default")  # whatever frames the user asked for
        self.encoder_.fit(X, y, site=site, groups=groups)
        embedding = self.encoder_.transform(X)
        if self.projection == "embedding":
            embedding = self._project(self._fit_projector(embedding, y, site), embedding)
        readout = Ridge(alpha=1.0) if self.readout is None else clone(self.readout)
        self.readout_ = readout.fit(embedding, np.asarray(y, dtype=np.float64).ravel())
        self.history_, self.sites_ = self.encoder_.history_, self.encoder_.sites_
        self.age_range_ = self.encoder_.age_range_
        projected_first = self.projection == "input" and self.projector_ is not None
        first = self.projector_ if projected_first else self.encoder_
        self.n_features_in_ = first.n_features_in_
        if hasattr(first, "feature_names_in_"):
            self.feature_names_in_ = first.feature_names_in_
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the embedding that the readout sees.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            People with samples of the shape seen in `fit`; any site.

        Returns
        -------
        embedding : ndarray of shape (n, embedding_dim), float32
            Without the site directions, where `projection` is "embedding".
        """
        return self._embed(X)

    def predict(self, X: Any) -> np.ndarray:
        """Predict the age of each person.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            People with samples of the shape seen in `fit`; any site.

        Returns
        -------
        age : ndarray of shape (n,), float32
            In years.
        """
        embedding = self._embed(X)  # says so where nothing was fitted
        return self.readout_.predict(embedding).astype(np.float32)

    def _embed(self, X: Any) -> np.ndarray:
        """Return the embedding as an array, whatever `transform` is set to give."""
        check_is_fitted(self)
        if self.projection == "input":
            X = self._project(self.projector_, X)
        embedding = self.encoder_.transform(X)
        if self.projection == "embedding":
            embedding = self._project(self.projector_, embedding)
        return embedding

    def _project(self, projector: Any, X: Any) -> Any:
        return X if projector is None else projector.transform(X)

    def _fit_projector(self, X: Any, y: Any, site: Any) -> Any:
        """Fit the projection on the first domain variable; with one site there is none."""
        domains = None if site is None else np.asarray(site)
        first = domains[:, 0] if domains is not None and domains.ndim == 2 else site
        if first is None or len(np.unique(np.asarray(first).astype(str))) == 1:
            if not (self.penalty is not None and self.penalty_weight):  # else the encoder says so
                warn_of_one_site({"projection": self.projection})
            return None
        if self.projector is None:
            from ..harmonization import SiteProjector  # estimators otherwise know no harmonisation

            projector = SiteProjector()
        else:
            projector = clone(self.projector)
        self.projector_ = projector.fit(X, y, site=first)
        _safe_set_output(self.projector_, transform="default")
        return self.projector_

    @property
    def _n_features_out(self) -> int:
        return self.encoder_._n_features_out

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
