"""Methods that studies compare: functions that build an unfitted estimator.

Models of maps get a lazy array of maps with site and sex along; models of features get regional
means, or the data set's own features where it is a table. To add a method, write such a function
and name it in a study.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import LogisticRegressionCV, Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVR

from mresklearn import (
    ContrastiveEncoder,
    DomainInvariantRegressor,
    MapMasker,
    MapScaler,
    NeurodegenerationClassifier,
    RegionAverager,
    RegionCropper,
)
from mresklearn.harmonization import AnchorRegressor, ComBat, CovBat, SiteProjector

from ._study import Conditions

ALPHAS = np.logspace(-3, 5, 17)
LABELS = ["site", "sex"]


# --- what all begin with ---------------------------------------------------------------------


def regions(conditions: Conditions, *, keep: tuple[str, ...] = ()) -> Any:
    """Return what turns maps into regional means; a table passes through."""
    if conditions.regions is None:
        return "passthrough"
    labels, names, _ = conditions.regions
    return RegionAverager(labels=labels, names=names, keep=keep)


def without_labels(X: Any) -> np.ndarray:
    """Return features without site and sex, where these ride along."""
    if isinstance(X, pd.DataFrame):
        X = X.drop(columns=LABELS, errors="ignore")
    return np.asarray(X, float)


def features(conditions: Conditions) -> list[Any]:
    """Return steps that end in standardised features alone."""
    return [regions(conditions), FunctionTransformer(without_labels), StandardScaler()]


def brain_box(conditions: Conditions) -> list[Any]:
    """Return steps that end in standardised maps, cut to the box around all regions."""
    labels, _, numbers = conditions.regions
    return [RegionCropper(labels=labels, region=list(numbers), mask=False), MapScaler()]


def encoder(conditions: Conditions, **settings: Any) -> ContrastiveEncoder:
    """Return a network with the budget of the study."""
    return ContrastiveEncoder(**{**conditions.network, **settings, "random_state": conditions.seed})


# --- age from maps, as users of MRI know it --------------------------------------------------


def mean_age(conditions: Conditions) -> Any:
    return DummyRegressor()


def regional_ridge(conditions: Conditions) -> Any:
    return make_pipeline(*features(conditions), RidgeCV(ALPHAS))


def components_gaussian_process(conditions: Conditions) -> Any:
    """Components that hold 80 % of the variance, scaled, and a Gaussian process with an RBF kernel.

    The recipe of brainageR, with the width of the kernel from the marginal likelihood: Cole et al.
    (2017), NeuroImage 163, 115-124.
    """
    kernel = ConstantKernel(1.0, (1e-3, 1e3)) * RBF(10.0, (1e-1, 1e4)) + WhiteKernel(
        0.3, (1e-4, 1e1)
    )
    return make_pipeline(
        MapScaler(),
        MapMasker(),
        PCA(0.8, svd_solver="full"),
        StandardScaler(),
        GaussianProcessRegressor(kernel, normalize_y=True, random_state=0),
    )


def components_svr(conditions: Conditions) -> Any:
    """Support vector regression on all components, width and cost chosen in the fold."""
    search = GridSearchCV(
        SVR(),
        {"C": [10, 100, 1000], "gamma": [1e-6, 1e-5, 1e-4]},
        cv=KFold(3, shuffle=True, random_state=0),
        scoring="neg_mean_absolute_error",
    )
    return make_pipeline(MapScaler(), MapMasker(), PCA(svd_solver="full"), search)


def sfcn(conditions: Conditions) -> Any:
    """Peng et al. (2021), Medical Image Analysis 68, 101871: soft labels of age."""
    return make_pipeline(
        *brain_box(conditions), encoder(conditions, network="sfcn", loss="soft_label")
    )


def resnet18(conditions: Conditions) -> Any:
    return make_pipeline(*brain_box(conditions), encoder(conditions, network="resnet18", loss="l1"))


# --- age from maps, with this package --------------------------------------------------------


def contrastive_ridge(conditions: Conditions, loss: str = "exponential", **settings: Any) -> Any:
    """Return a contrastive embedding that ridge reads; its penalty was chosen on training folds."""
    return make_pipeline(
        *brain_box(conditions), encoder(conditions, loss=loss, **settings), Ridge(alpha=1.0)
    )


def supervised(conditions: Conditions, loss: str = "l1") -> Any:
    return make_pipeline(*brain_box(conditions), encoder(conditions, loss=loss))


def domain_invariant(conditions: Conditions, **settings: Any) -> Any:
    model = DomainInvariantRegressor(encoder=encoder(conditions, balance="site"), **settings)
    return make_pipeline(*brain_box(conditions), model)


# --- age from features -----------------------------------------------------------------------


def features_ridge(conditions: Conditions) -> Any:
    return make_pipeline(*features(conditions), RidgeCV(ALPHAS))


def harmonised_ridge(conditions: Conditions, harmoniser: Any) -> Any:
    """Ridge on features that were harmonised in the fold, by what knows site and sex of rows."""
    # the site is a column here; harmonisers refuse to be told it twice
    with config_context(enable_metadata_routing=True):
        harmoniser = clone(harmoniser).set_fit_request(site=False)
        if hasattr(harmoniser, "set_transform_request"):
            harmoniser.set_transform_request(site=False)
    return make_pipeline(
        regions(conditions, keep=tuple(LABELS)), harmoniser, StandardScaler(), RidgeCV(ALPHAS)
    )


def anchor(conditions: Conditions) -> Any:
    """Anchor regression, its penalty chosen in the fold; site rides to its last step."""
    scaled = make_column_transformer(
        ("drop", ["sex"]),
        ("passthrough", ["site"]),
        (StandardScaler(), make_column_selector(pattern="^(?!site$|sex$)")),
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    search = GridSearchCV(
        AnchorRegressor(gamma=10.0),
        {"alpha": ALPHAS[::2]},
        cv=KFold(5, shuffle=True, random_state=0),
        scoring="neg_mean_squared_error",
    )
    return make_pipeline(regions(conditions, keep=tuple(LABELS)), scaled, search)


def features_network(conditions: Conditions, balance: str | None = "site", **settings: Any) -> Any:
    """Return a perceptron on features; penalty and projection are those of the regressor."""
    model = DomainInvariantRegressor(
        encoder=encoder(conditions, network="mlp", balance=balance), **settings
    )
    return make_pipeline(*features(conditions), model)


# --- diagnosis -------------------------------------------------------------------------------


def chance(conditions: Conditions) -> Any:
    return DummyClassifier(strategy="prior")


def regional_logistic(conditions: Conditions) -> Any:
    return make_pipeline(*features(conditions), _logistic())


def components_logistic(conditions: Conditions) -> Any:
    return make_pipeline(
        MapScaler(), MapMasker(), PCA(0.8, svd_solver="full"), StandardScaler(), _logistic()
    )


def gap_of_regional_ridge(conditions: Conditions) -> Any:
    """Tell patients by the gap of a brain-age model of regional means alone."""
    return NeurodegenerationClassifier(
        brain_age=regional_ridge(conditions), features=("gap",), random_state=conditions.seed
    )


def embedding_and_gap(conditions: Conditions) -> Any:
    """Tell patients by an embedding that was trained on the diagnosis, and the gap."""
    classifier = NeurodegenerationClassifier(
        tuning="scratch",
        brain_age=regional_ridge(conditions),
        features=("embedding", "gap"),
        encoder=encoder(conditions, loss="supcon"),
        cv=3,
        random_state=conditions.seed,
    )
    return make_pipeline(*brain_box(conditions), classifier)


def _logistic() -> Any:
    return LogisticRegressionCV(
        Cs=7, cv=3, l1_ratios=(0.0,), scoring="roc_auc", class_weight="balanced", max_iter=2000,
        use_legacy_attributes=False,
    )  # fmt: skip


# --- by name ---------------------------------------------------------------------------------

MRI_METHODS = {
    "mean age": mean_age,
    "regional ridge": regional_ridge,
    "PCA + Gaussian process": components_gaussian_process,
    "PCA + SVR": components_svr,
    "SFCN": sfcn,
    "ResNet-18": resnet18,
}
PACKAGE_METHODS = {
    "contrastive + ridge": contrastive_ridge,
    # small batches hold too few people of like age for the conditional MMD to have a gradient
    "domain-invariant": partial(domain_invariant, penalty="conditional_mean"),
}
LOSSES = {
    "mean age": mean_age,
    "PCA + SVR": components_svr,
    "network, l1": partial(supervised, loss="l1"),
    "network, soft_label": partial(supervised, loss="soft_label"),
    "exponential + ridge": partial(contrastive_ridge, loss="exponential"),
    "dynamic + ridge": partial(contrastive_ridge, loss="dynamic"),
    "y_aware + ridge": partial(contrastive_ridge, loss="y_aware"),
    "threshold + ridge": partial(contrastive_ridge, loss="threshold"),
    "supcon + ridge": partial(contrastive_ridge, loss="supcon", bin_width=4.0),
    "rank_n_contrast + ridge": partial(contrastive_ridge, loss="rank_n_contrast"),
    "simclr + ridge": partial(contrastive_ridge, loss="simclr"),
}
_plain = {"penalty": None, "projection": None}
_penalty = {
    kind: partial(features_network, penalty=kind, projection=None)
    for kind in (
        "mmd", "hsic", "coral", "conditional_mmd", "conditional_mean", "circe", "fair_kl",
        "adversarial", "conditional_adversarial",
    )
}  # fmt: skip
INVARIANCE = {
    "mean age": mean_age,
    "ridge": features_ridge,
    "anchor regression": anchor,
    "projected ridge": partial(
        harmonised_ridge, harmoniser=SiteProjector(covariate_columns=["sex"])
    ),
    "network": partial(features_network, **_plain),
    **_penalty,
    "projected network": partial(features_network, penalty=None, projection="input"),
    "projected conditional_mmd": partial(
        features_network, penalty="conditional_mmd", projection="input"
    ),
}


def _combat(**settings: Any) -> ComBat:
    return ComBat(covariate_columns=["sex"], unseen="passthrough", **settings)


HARMONISATION = {
    "raw": features_ridge,
    "ComBat, ignore": partial(harmonised_ridge, harmoniser=_combat(target="ignore")),
    "ComBat, training": partial(harmonised_ridge, harmoniser=_combat(target="training")),
    "ComBat, shrunk": partial(harmonised_ridge, harmoniser=_combat(target="shrunk")),
    "ComBat, location only": partial(
        harmonised_ridge, harmoniser=_combat(target="training", location_only=True)
    ),
    "CovBat, training": partial(
        harmonised_ridge,
        harmoniser=CovBat(covariate_columns=["sex"], unseen="passthrough", target="training"),
    ),
    "SiteProjector": partial(harmonised_ridge, harmoniser=SiteProjector(covariate_columns=["sex"])),
    "anchor regression": anchor,
}
DISEASE = {
    "chance": chance,
    "regional logistic": regional_logistic,
    "PCA + logistic": components_logistic,
    "gap of regional ridge": gap_of_regional_ridge,
    "embedding + gap": embedding_and_gap,
}
