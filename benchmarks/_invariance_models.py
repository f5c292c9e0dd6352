"""Models whose errors at new sites are compared: shallow ones, and a network under every penalty.

All take features (n, p), a target and site, standardise in the fold, or take principal components
there, and predict for people of any site.
The network is a perceptron whose recipe was chosen on simulated features of other seeds than the
reported ones (``_site_mechanisms.py``, mechanisms B and D, seeds 100 and 101). Penalties have
weight 1; for four of them weights of 0.3 and 3 are tried as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from _published_penalties import PUBLISHED
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from mresklearn import ContrastiveEncoder, DomainInvariantRegressor
from mresklearn.harmonization import AnchorRegressor, ComBat, SiteProjector
from mresklearn.nn.penalties import PENALTIES

ALPHAS = np.logspace(-1, 5, 13)
WEIGHTS = (0.3, 1.0, 3.0)
WEIGHED = ("mmd", "conditional_mmd", "adversarial", "projected conditional_mmd")
RECIPE = {
    "network": "mlp",
    "balance": "site",
    "loss": "l1",
    "n_views": 1,
    "noise": 0.5,
    "lr": 2e-3,
    "max_epochs": 40,
}
MANY = 600
CONTRASTIVE = {"loss": "exponential", "sigma": 5.0, "n_views": 2}
ADVERSARIES = ("adversarial", "conditional_adversarial", "confusion")

SHALLOW = ("mean age", "ridge", "anchor", "projected ridge", "ComBat + ridge", "SVR")
# name -> settings of the encoder and of the regressor
NETWORKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "network": ({}, {"penalty": None}),
    **{kind: ({}, {"penalty": kind}) for kind in (*PENALTIES, *ADVERSARIES)},
    "mmd, overlap of ages": ({"penalty_people": "overlap"}, {"penalty": "mmd"}),
    "mmd, reweighted ages": ({"penalty_people": "reweighted"}, {"penalty": "mmd"}),
    "site mixup": ({"site_mixup": 2.0}, {"penalty": None}),
    "projected network": ({}, {"penalty": None, "projection": "input"}),
    "projected embedding": ({}, {"penalty": None, "projection": "embedding"}),
    "projected conditional_mmd": ({}, {"penalty": "conditional_mmd", "projection": "input"}),
    "contrastive": (CONTRASTIVE, {"penalty": None}),
    "contrastive, conditional_mmd": (CONTRASTIVE, {"penalty": "conditional_mmd"}),
    "contrastive, mmd": (CONTRASTIVE, {"penalty": "mmd"}),
    "contrastive, half across sites": ({**CONTRASTIVE, "cross_site": 0.5}, {"penalty": None}),
    "contrastive, across sites": ({**CONTRASTIVE, "cross_site": 1.0}, {"penalty": None}),
    **{f"{kind}, as published": ({}, {"penalty": penalty}) for kind, penalty in PUBLISHED.items()},
}
METHODS = (*SHALLOW, *NETWORKS)


def readout(method: str) -> Any:
    """Return what reads the age from features, its settings chosen in the fold."""
    if method == "mean age":
        return DummyRegressor()
    if method == "SVR":
        grid = {"C": [3, 30, 300], "gamma": [1e-4, 1e-3, 1e-2]}
        return GridSearchCV(SVR(), grid, cv=KFold(3, shuffle=True, random_state=0))
    return RidgeCV(ALPHAS)


class _Components(TransformerMixin, BaseEstimator):
    """Principal components, all divided by one number, so that small ones stay small."""

    def __init__(self, n_components: int) -> None:
        self.n_components = n_components

    def fit(self, X: np.ndarray, y: Any = None) -> _Components:
        n_components = min(self.n_components, len(X) - 1)
        self.pca_ = PCA(n_components, random_state=0).fit(X)
        self.size_ = np.sqrt(self.pca_.explained_variance_.mean())
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        return self.pca_.transform(X) / self.size_


class Model(RegressorMixin, BaseEstimator):
    """One of the models above; ComBat alone looks at the site of people whom it predicts."""

    def __init__(
        self,
        method: str,
        weight: float = 1.0,
        seed: int = 0,
        components: int | None = None,
        encoder: dict[str, Any] | None = None,
    ) -> None:
        self.method, self.weight, self.seed = method, weight, seed
        self.components, self.encoder = components, encoder

    def fit(
        self, X: np.ndarray, y: np.ndarray, *, site: np.ndarray, covariates: Any = None
    ) -> Model:
        """Fit; what a projection and ComBat hold fixed besides the target are the covariates."""
        scaler = StandardScaler() if self.components is None else _Components(self.components)
        self.scaler_ = scaler.fit(X)
        Z = self.scaler_.transform(X)
        fixed = {} if covariates is None else {"covariates": covariates}
        self.first_: Any = None
        if self.method == "ComBat + ridge":
            self.first_ = ComBat(unseen="passthrough").fit(Z, y, site=site)
            Z = self.first_.transform(Z, site=site)
        elif self.method == "projected ridge":
            projector = SiteProjector(standardize=self.components is None)
            self.first_ = projector.fit(Z, y, site=site, **fixed)
            Z = self.first_.transform(Z)
        if self.method in NETWORKS:
            self.model_ = self._network(len(Z)).fit(Z, y, site=site)
        elif self.method == "anchor":
            alpha = RidgeCV(ALPHAS).fit(Z, y).alpha_
            self.model_ = AnchorRegressor(gamma=10, alpha=alpha).fit(Z, y, site=site)
        else:
            self.model_ = readout(self.method).fit(Z, y)
        return self

    def _network(self, n_people: int) -> DomainInvariantRegressor:
        encoder, regressor = NETWORKS[self.method]
        settings: dict[str, Any] = {
            **RECIPE,
            "batch_size": 64 if n_people < MANY else 128,
            "random_state": self.seed,
            **encoder,
            **(self.encoder or {}),
        }
        return DomainInvariantRegressor(
            encoder=ContrastiveEncoder(**settings),
            penalty_weight=self.weight,
            projector=SiteProjector(standardize=self.components is None),
            **{"projection": None, **regressor},
        )

    def represent(self, X: np.ndarray, site: np.ndarray) -> np.ndarray:
        """Return what is probed for site: the embedding, or the features that ridge reads."""
        Z = self._harmonised(X, site)
        return self.model_.transform(Z) if self.method in NETWORKS else Z

    def predict(self, X: np.ndarray, site: np.ndarray) -> np.ndarray:
        return self.model_.predict(self._harmonised(X, site))

    def _harmonised(self, X: np.ndarray, site: np.ndarray) -> np.ndarray:
        Z = self.scaler_.transform(X)
        if self.first_ is None:
            return Z
        more = {"site": site} if self.method == "ComBat + ridge" else {}
        return self.first_.transform(Z, **more)
