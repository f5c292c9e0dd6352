"""Errors of persons who were held out, and the model that had not seen them."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils.parallel import Parallel, delayed
from tqdm.auto import tqdm

from ..model_selection._fold_fitting import fit_rows, predict_rows

__all__ = ["HeldOutErrors", "fit_models", "held_out_errors", "one_row_a_person"]


@dataclass(frozen=True, eq=False)
class HeldOutErrors:
    """One line per held-out person.

    Parameters
    ----------
    row : ndarray of int
        Row of the training data.
    site : ndarray of int
        Code of its site.
    model : ndarray of int
        Which of `models` was fitted without it.
    error : ndarray of float
        Prediction of that model minus the truth.
    models : list of regressor
        The fitted models.
    """

    row: np.ndarray
    site: np.ndarray
    model: np.ndarray
    error: np.ndarray
    models: list

    def predictions(self, X, rows, metadata, persons):
        """Predict rows of X once for each of these persons, by the model without that person."""
        each = [predict_rows(model, X, rows, metadata) for model in self.models]
        return np.column_stack(each)[:, self.model[persons]]


def fit_models(estimator, X, y, training, metadata, *, n_jobs, verbose):
    """Fit one clone on each set of training rows."""
    fits = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(fit_rows)(estimator, X, y, rows, metadata) for rows in training
    )
    return list(tqdm(fits, total=len(training), desc="Holding out", disable=not verbose))


def held_out_errors(models, X, y, held_out, chosen, site, metadata):
    """Predict the chosen rows among those that each model was fitted without.

    Parameters
    ----------
    models : list of regressor
        One model for each entry of `held_out`.
    X, y : array-like, ndarray
        All rows.
    held_out : list of ndarray of int
        Rows that each model has not seen.
    chosen : ndarray of int
        Rows that calibrate.
    site : ndarray of int of shape (n_rows,)
        Site codes.
    metadata : dict
        What a model may ask for in `predict`.
    """
    rows = [np.intersect1d(test, chosen) for test in held_out]
    errors = [
        predict_rows(model, X, test, metadata) - y[test]
        for model, test in zip(models, rows, strict=True)
        if test.size
    ]
    row = np.concatenate([np.empty(0, int), *rows])
    model = np.repeat(np.arange(len(rows)), [len(test) for test in rows])
    return HeldOutErrors(row, site[row], model, np.concatenate([np.empty(0), *errors]), models)


def one_row_a_person(persons, rng):
    """Draw one row of each person, since several rows of one person depend on each other."""
    shuffled = rng.permutation(len(persons))
    _, first = np.unique(persons[shuffled], return_index=True)
    return np.sort(shuffled[first])
