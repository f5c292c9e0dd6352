"""The probe that reads site from features, scaled as serves it best, in cross-validation."""

import warnings

import numpy as np
from joblib import Parallel, delayed
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import SplineTransformer
from sklearn.svm import SVC

from ._coordinates import column_moments, coordinates

__all__ = ["age_tables", "balanced_accuracy", "predict_site", "scaled_views"]


def balanced_accuracy(true, predicted):
    """Mean recall over the sites among `true`; any other site predicted counts as wrong."""
    counts = np.bincount(true)
    hits = np.bincount(true[predicted == true], minlength=len(counts))
    return float(np.mean(hits[counts > 0] / counts[counts > 0]))


def scaled_views(X):
    """Return the features with columns scaled one by one, and scaled together.

    One by one is what mixed units need. Together keeps the geometry of principal components and
    embeddings, where small columns are noise. Both have columns of mean variance one and are
    rotated to at most n columns, which loses nothing and makes voxels as cheap as people.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Features; scaling does not look at site.

    Returns
    -------
    views : list of ndarray of shape (n_rows, at most n_rows)
        One view where both would be the same.
    """
    mean, spread = column_moments(X)
    typical = np.sqrt(np.mean(spread**2))
    if typical <= 1e-10 * np.abs(X).max(initial=0):  # a collapsed embedding, up to rounding
        return [np.zeros((len(X), 1))]
    together = coordinates(X, mean, np.full(X.shape[1], typical))
    if X.shape[1] == 1:
        return [together]
    moving = spread > 1e-10 * np.abs(X).max(axis=0)
    if not moving.all():
        X, mean, spread = X[:, moving], mean[moving], spread[moving]
    return [coordinates(X, mean, spread), together]


def age_tables(age, folds):
    """Return the standardised cubic spline of age for each fold, learned from its training rows."""
    tables = []
    for train, _ in folds:
        # constant beyond the ages of training: a polynomial would run away there
        spline = SplineTransformer(n_knots=5, extrapolation="constant", include_bias=False)
        spline.set_output(transform="default")  # whatever frames the user asked for
        columns = spline.fit(age[train, None]).transform(age[:, None])
        columns = columns - columns[train].mean(axis=0)
        spread = columns[train].std(axis=0)
        columns = np.divide(columns, spread, out=np.zeros_like(columns), where=spread > 1e-10)
        tables.append(columns)
    return tables


def predict_site(kind, views, ages, codes, folds, n_jobs=None):
    """Predict the site of every row by a probe that was fitted without its fold.

    Parameters
    ----------
    kind : {"linear", "rbf"}
        Which probe.
    views : list of ndarray
        Scalings of the features to choose from; empty to probe age alone.
    ages : list of ndarray or None
        What :func:`age_tables` made of age, to be put beside the features.
    codes : ndarray of int of shape (n_rows,)
        Sites.
    folds : list of (train, test)
        Row numbers.
    n_jobs : int or None
        Folds fitted at the same time.

    Returns
    -------
    predicted : ndarray of int of shape (n_rows,)
        Site codes.
    """
    parts = Parallel(n_jobs=n_jobs)(
        delayed(_predict_fold)(kind, views, age, codes, train, test)
        for age, (train, test) in zip(ages or [None] * len(folds), folds, strict=True)
    )
    predicted = np.empty(len(codes), dtype=int)
    for (_, test), part in zip(folds, parts, strict=True):
        predicted[test] = part
    return predicted


def _predict_fold(kind, views, age, codes, train, test):
    """Choose the view on a third of the training rows of every site, then fit on all of them."""
    tables = [_with_age(view, age) for view in views or [np.zeros((len(codes), 0))]]
    table = tables[0]
    if len(tables) > 1:
        held = np.zeros(len(train), dtype=bool)
        held[np.argsort(codes[train], kind="stable")[::3]] = True
        kept, seen = train[~held], train[held]
        if len(np.unique(codes[kept])) > 1:
            scores = [
                balanced_accuracy(codes[seen], _probe(kind, t[kept], codes[kept]).predict(t[seen]))
                for t in tables
            ]
            table = tables[int(np.argmax(scores))]
    return _probe(kind, table[train], codes[train]).predict(table[test])


def _probe(kind, table, codes):
    if kind == "linear":
        return _ShrunkDiscriminant().fit(table, codes)
    return _GaussianMachine().fit(table, codes)


def _with_age(view, age):
    """Put the spline of age beside features, with the same total variance."""
    if age is None:
        return view
    weight = max(1.0, np.sqrt(view.shape[1] / age.shape[1]))
    return np.column_stack([view, weight * age])


class _GaussianMachine(ClassifierMixin, BaseEstimator):
    """SVC with a Gaussian kernel and its default width, with the kernel as one matrix product."""

    def fit(self, X, y):
        variance = X.var()
        self.gamma_ = 1 / (X.shape[1] * variance) if variance > 0 else 1.0
        self.X_ = X
        self.machine_ = SVC(
            kernel="precomputed",
            class_weight="balanced",
            random_state=0,  # without one it draws a seed from the global stream, to no effect
        )
        with warnings.catch_warnings():
            # many small sites are no regression problem
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            self.machine_.fit(self._kernel(X), y)
        return self

    def predict(self, X):
        return self.machine_.predict(self._kernel(X))

    def _kernel(self, X):
        squares = np.sum(X**2, axis=1)[:, None] + np.sum(self.X_**2, axis=1) - 2 * X @ self.X_.T
        return np.exp(-self.gamma_ * np.maximum(squares, 0))


class _ShrunkDiscriminant(ClassifierMixin, BaseEstimator):
    """Linear discriminant with equal priors and the covariance of Ledoit and Wolf (2004).

    Unlike scikit-learn's, the covariance is that of all rows around the mean of their site and
    shrinks to a multiple of the identity, so that a site of one person is no obstacle.
    """

    def fit(self, X, y):
        self.classes_, codes = np.unique(y, return_inverse=True)
        means = np.stack([X[codes == code].mean(axis=0) for code in range(len(self.classes_))])
        covariance = _shrunk_covariance(X - means[codes])
        # sites that coincide leave nothing within: any metric serves, and must be invertible
        ridge = 1e-8 * max(np.trace(X.T @ X) / X.size, 1e-300)
        factor = cho_factor(covariance + ridge * np.eye(X.shape[1]))
        self.coef_ = cho_solve(factor, means.T)
        self.intercept_ = -0.5 * np.einsum("kj,jk->k", means, self.coef_)
        return self

    def predict(self, X):
        return self.classes_[np.argmax(X @ self.coef_ + self.intercept_, axis=1)]


def _shrunk_covariance(X):
    """Ledoit & Wolf (2004), section 3.3, of rows that have a mean of zero.

    The same as scikit-learn's, without the checks that would take most of the time of a
    permutation test.
    """
    n_rows, n_columns = X.shape
    covariance = X.T @ X / n_rows
    mean = np.trace(covariance) / n_columns
    size = np.sum(covariance**2)
    distance = size - n_columns * mean**2
    noise = (np.mean(np.sum(X**2, axis=1) ** 2) - size) / n_rows
    share = np.clip(noise / distance, 0, 1) if distance > 0 else 0.0
    covariance *= 1 - share
    covariance.flat[:: n_columns + 1] += share * mean
    return covariance
