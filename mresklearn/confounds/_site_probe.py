"""The probe that reads site from features, scaled as serves it best, in cross-validation."""

import numpy as np
from joblib import Parallel, delayed
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import recall_score
from sklearn.preprocessing import SplineTransformer
from sklearn.svm import SVC

__all__ = ["balanced_accuracy", "predict_site", "scaled_views"]


def balanced_accuracy(true, predicted):
    """Mean recall over the sites among `true`; any other site predicted counts as wrong."""
    return float(recall_score(true, predicted, labels=np.unique(true), average="macro"))


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
    centred = X - X.mean(axis=0)
    spread = centred.std(axis=0)
    typical = np.sqrt(np.mean(spread**2))
    if typical <= 1e-10 * np.abs(X).max(initial=0):  # a collapsed embedding, up to rounding
        return [np.zeros((len(X), 1))]
    moving = spread > 1e-10 * np.abs(X).max(axis=0)
    by_column = centred[:, moving] / spread[moving]
    views = [by_column] if X.shape[1] == 1 else [by_column, centred / typical]
    return [_rotated(view) for view in views]


def predict_site(kind, views, age, codes, folds, n_jobs=None):
    """Predict the site of every row by a probe that was fitted without its fold.

    Parameters
    ----------
    kind : {"linear", "rbf"}
        Which probe.
    views : list of ndarray
        Scalings of the features to choose from; empty to probe age alone.
    age : ndarray of shape (n_rows,) or None
        Age in years, which enters as a cubic spline.
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
        delayed(_predict_fold)(kind, views, age, codes, train, test) for train, test in folds
    )
    predicted = np.empty(len(codes), dtype=int)
    for (_, test), part in zip(folds, parts, strict=True):
        predicted[test] = part
    return predicted


def _predict_fold(kind, views, age, codes, train, test):
    """Choose the view on a third of the training rows of every site, then fit on all of them."""
    tables = [_with_age(view, age, train) for view in views or [np.zeros((len(codes), 0))]]
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
    return SVC(kernel="rbf", class_weight="balanced").fit(table, codes)


def _with_age(view, age, train):
    """Put the spline of age beside features, with the same total variance."""
    if age is None:
        return view
    # constant beyond the ages of training: a polynomial would run away there
    spline = SplineTransformer(n_knots=5, extrapolation="constant", include_bias=False)
    spline.set_output(transform="default")  # whatever frames the user asked for
    columns = spline.fit(age[train, None]).transform(age[:, None])
    columns = columns - columns[train].mean(axis=0)
    spread = columns[train].std(axis=0)
    columns = np.divide(columns, spread, out=np.zeros_like(columns), where=spread > 1e-10)
    weight = max(1.0, np.sqrt(view.shape[1] / columns.shape[1]))
    return np.column_stack([view, weight * columns])


def _rotated(table):
    if table.shape[1] <= len(table):
        return table
    left, size, _ = np.linalg.svd(table, full_matrices=False)
    return left * size


class _ShrunkDiscriminant(ClassifierMixin, BaseEstimator):
    """Linear discriminant with equal priors and the covariance of Ledoit and Wolf (2004).

    Unlike scikit-learn's, the covariance is that of all rows around the mean of their site and
    shrinks to a multiple of the identity, so that a site of one person is no obstacle.
    """

    def fit(self, X, y):
        self.classes_, codes = np.unique(y, return_inverse=True)
        means = np.stack([X[codes == code].mean(axis=0) for code in range(len(self.classes_))])
        within = X - means[codes]
        covariance, _ = ledoit_wolf(within, assume_centered=True)
        # sites that coincide leave nothing within: any metric serves, and must be invertible
        ridge = 1e-8 * max(np.trace(X.T @ X) / X.size, 1e-300)
        factor = cho_factor(covariance + ridge * np.eye(X.shape[1]))
        self.coef_ = cho_solve(factor, means.T)
        self.intercept_ = -0.5 * np.einsum("kj,jk->k", means, self.coef_)
        return self

    def predict(self, X):
        return self.classes_[np.argmax(X @ self.coef_ + self.intercept_, axis=1)]
