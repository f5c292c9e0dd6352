"""Cross-validation by the three questions that sites ask, with every prediction kept."""

from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, _safe_indexing, check_random_state, indexable
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_params
from sklearn.utils.parallel import Parallel, delayed
from tqdm.auto import tqdm

from .._metadata import check_labels, number_of_rows, site_of_rows
from ..exceptions import MissingMetadataError
from ..metrics._checks import check_numbers
from ._adaptation import adapt_to_site, can_adapt
from ._fold_fitting import fit_rows, predict_rows, set_seed
from ._score_tables import fold_table, site_table, summary_table
from ._site_design import describe_design, warn_of_design
from ._site_folds import (
    LEFT_OUT,
    TRANSDUCTIVE,
    WITHIN,
    draw_unlabelled,
    left_out_folds,
    within_folds,
)

__all__ = ["cross_validate_sites"]


@validate_params(
    {
        "estimator": [HasMethods(["fit", "predict"])],
        "n_splits": [Interval(Integral, 2, None, closed="left")],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "seeds": ["array-like", Interval(Integral, 1, None, closed="left"), None],
        "transductive": ["boolean", StrOptions({"auto"})],
        "n_unlabelled": [Interval(Integral, 1, None, closed="left")],
        "scoring": [callable, dict, None],
        "params": [dict, None],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def cross_validate_sites(
    estimator,
    X,
    y,
    *,
    site=None,
    groups=None,
    n_splits=5,
    n_repeats=1,
    seeds=None,
    transductive="auto",
    n_unlabelled=10,
    scoring=None,
    params=None,
    random_state=0,
    n_jobs=None,
    verbose=0,
):
    """Measure the error of predicted age at known sites, at new sites, and after adapting to them.

    Random folds hold people of every site in training, which flatters whatever can tell sites
    apart. So every model is measured by up to three protocols, on the same rows, and all
    predictions are kept, so that any score can be computed later.

    Parameters
    ----------
    estimator : regressor
        Fitted anew, as a clone, in every fold. Give the whole pipeline: what is fitted before the
        call has seen the test rows.
    X : DataFrame of paths, MapArray, or array-like of shape (n_rows, ...)
        The data; sliced, not read.
    y : array-like of shape (n_rows,)
        Age in years.
    site : array-like of shape (n_rows,), default=None
        Site of each row. None: the sites that travel with the rows, in a column ``site`` of the
        DataFrame X or of X.metadata.
    groups : array-like of shape (n_rows,), default=None
        Person of each row. None: every row is a person. No person is in training and test, also
        where one was scanned at two sites.
    n_splits : int, default=5
        Folds of the within-site protocol.
    n_repeats : int, default=1
        New draws of these folds, and of the unlabelled people. More of them make the test of
        :func:`compare_models` within sites more powerful.
    seeds : int, sequence of int or None, default=None
        Seeds that every ``random_state`` of the estimator takes in turn, or how many, from 0. Give
        5 or more for networks. None leaves the estimator as it is; an estimator without a
        ``random_state`` is run once whatever this says.
    transductive : bool or "auto", default="auto"
        Run the third protocol; "auto" runs it if the estimator can adapt.
    n_unlabelled : int, default=10
        People of the left-out site that are given without their age.
    scoring : callable, dict of callable or None, default=None
        Further scores ``(y_true, y_pred) -> float`` for the tables.
    params : dict or None, default=None
        Further keywords of `fit`, such as ``sample_weight``; arrays of n_rows entries are sliced.
    random_state : int, RandomState instance or None, default=0
        Seed of the folds and of the draw of unlabelled people.
    n_jobs : int or None, default=None
        Folds fitted at the same time, as in joblib.
    verbose : int, default=0
        1 shows a progress bar over the fits.

    Returns
    -------
    results : :class:`~sklearn.utils.Bunch`
        With the attributes:

        predictions : DataFrame
            One line per protocol, seed, repeat and tested row: ``protocol``, ``seed``, ``repeat``,
            ``fold``, ``row`` (position in X), ``person``, ``site``, ``y``, ``prediction``, and of
            the training rows ``n_train``, ``train_mean`` and ``train_median``.
        summary : DataFrame
            By protocol: number of people and sites; ``mae``, ``rmse``, ``r``, ``r2`` (against the
            mean of the training ages), ``relative_mae`` (against their median; 1 is no better),
            ``bias`` and ``gap_slope``, as in :func:`~mresklearn.metrics.brain_age_scores`, over all
            people; the SD of MAE over seeds; the mean of MAE over sites; and the worst site.
        sites, folds : DataFrame
            The same scores by protocol and site, and by protocol, repeat and fold.
        design : DataFrame
            People and ages of each site, and how far its ages overlap with those of all others.

    Raises
    ------
    MissingMetadataError
        If there is no site.
    ValueError
        If there is one site only, a site, person or age is missing, there are fewer persons than
        folds, ``transductive=True`` and the estimator cannot adapt, or every site is too small for
        `n_unlabelled`.

    Warns
    -----
    UnanswerableWarning
        If nobody of another site has an age in the range of a site, or a site is too small for the
        third protocol and left out of it.

    See Also
    --------
    compare_models : Test the difference of two results.
    SiteSearchCV : Tunes an estimator inside, by training sites alone.
    mresklearn.metrics.site_scores : Intervals for each site, from `predictions`.

    Notes
    -----
    within_site
        ``StratifiedSiteKFold``: new people of known sites.
    leave_one_site_out
        ``LeaveOneSiteOut``: people of a site never seen.
    transductive
        As before, but the fitted model then gets `n_unlabelled` people of the left-out site, drawn
        at random, without their age, through :func:`adapt_to_site`. They are not scored: the score
        is on the rest of that site. Compare it with ``leave_one_site_out`` on the same rows
        (`row` in `predictions`), since the rest is a smaller set of people.

    Scores are computed for every seed and repeat by itself and averaged then. Averaging
    *predictions* over seeds instead would measure an ensemble, which is another and better model.

    ``site`` and `groups` reach an estimator whose `fit` (and `predict`) has these keywords, or,
    with metadata routing on, a pipeline with such a step. With routing off, a pipeline takes the
    site from the rows: ``MapLoader(metadata=["site"])``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from mresklearn.model_selection import cross_validate_sites
    >>> rng = np.random.default_rng(0)
    >>> site = np.repeat(["Delaware", "Mayo", "Utah"], 30)
    >>> age = rng.uniform(20, 80, 90)
    >>> X = age[:, np.newaxis] + rng.normal(0, 5, (90, 3)) + 20 * (site == "Mayo")[:, np.newaxis]
    >>> results = cross_validate_sites(Ridge(), X, age, site=site)
    >>> results.summary[["n_people", "mae", "worst_site"]].round(1)
                        n_people   mae worst_site
    protocol
    within_site               90   ...       Mayo
    leave_one_site_out        90   ...       Mayo
    >>> mae = results.summary.mae
    >>> bool(mae["leave_one_site_out"] > 1.5 * mae["within_site"])
    True
    >>> results.predictions.columns.tolist()
    ['protocol', 'seed', 'repeat', 'fold', 'row', 'person', 'site', 'y', 'prediction', 'n_train',
     'train_mean', 'train_median']
    """
    cohort = _check_cohort(X, y, site, groups)
    adapts = can_adapt(estimator) if transductive == "auto" else bool(transductive)
    if adapts and not can_adapt(estimator):
        raise ValueError(
            "transductive=True needs an estimator that adapts: neither this one nor a step of it "
            "has a method adapt(X_new) that returns a new fitted object."
        )
    scoring = {"score": scoring} if callable(scoring) else dict(scoring or {})
    design = describe_design(cohort.y, cohort.codes, cohort.names, cohort.persons)
    warn_of_design(design)
    random = check_random_state(random_state)
    folds = within_folds(cohort, n_splits, n_repeats, random) + left_out_folds(cohort)
    if adapts:
        draw_unlabelled(folds, cohort, n_unlabelled, n_repeats, random)

    given = {"site": site if site is not None else site_of_rows(X, "site"), "groups": groups}
    metadata = {name: values for name, values in given.items() if values is not None}
    tasks = [(copy, seed, fold) for seed, copy in _seeded(estimator, seeds) for fold in folds]
    parts = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_run)(copy, cohort.X, cohort.y, fold, seed, metadata, params)
        for copy, seed, fold in tasks
    )
    bar = tqdm(parts, total=len(tasks), desc="Cross-validation", disable=not verbose)
    predictions = _name_rows(pd.concat([part for run in bar for part in run]), cohort)
    return Bunch(
        predictions=predictions,
        summary=summary_table(predictions, scoring),
        sites=site_table(predictions, scoring),
        folds=fold_table(predictions, scoring),
        design=design,
    )


def _check_cohort(X, y, site, groups):
    """Check rows, ages, sites and persons once, before the first fit."""
    X, y = indexable(X, y)
    n_rows = number_of_rows(X)
    y = check_numbers(y, "y (the ages)", n_rows)
    site = site_of_rows(X, "site") if site is None else site
    if site is None:
        raise MissingMetadataError(
            "cross_validate_sites needs the site of each row. Pass site=, or let it travel with "
            "the rows, in a column 'site' of the DataFrame X or of X.metadata."
        )
    codes, names = check_labels(site, n_rows, name="site")
    if len(names) < 2:
        raise ValueError(
            f"cross_validate_sites needs at least 2 sites, but all {n_rows} rows come from "
            f"{names[0]!r}. Use cross_validate with StratifiedSiteKFold within one site."
        )
    persons, labels = np.arange(n_rows), _row_labels(X, n_rows)
    if groups is not None:
        persons, labels = check_labels(groups, n_rows, name="groups (the persons)")
    return Bunch(
        X=X,
        y=y,
        codes=codes,
        names=names,
        persons=persons,
        person_labels=np.asarray(labels, dtype=object),
        repeated=groups is not None,
    )


def _row_labels(X, n_rows):
    """Participants where X knows them by different names, else row numbers."""
    known = X.index if isinstance(X, pd.DataFrame) else getattr(X, "participants", None)
    return known if known is not None and known.is_unique else np.arange(n_rows)


def _seeded(estimator, seeds):
    """List (seed, estimator), each with its random states set."""
    if seeds is None:
        return [(0, estimator)]
    seeds = list(range(seeds)) if isinstance(seeds, Integral) else [int(seed) for seed in seeds]
    names = {name.rsplit("__", 1)[-1] for name in estimator.get_params(deep=True)}
    if "random_state" not in names:
        seeds = seeds[:1]
    return [(seed, set_seed(estimator, seed)) for seed in seeds]


def _run(estimator, X, y, fold, seed, metadata, params):
    """Fit one fold, predict its test rows, and those left after adapting to a part of them."""
    fitted = fit_rows(estimator, X, y, fold.train, metadata, params)
    predicted = predict_rows(fitted, X, fold.test, metadata)
    parts = [_lines(fold, fold.protocol, fold.repeat, seed, fold.test, predicted, y)]
    for repeat, given in enumerate(fold.draws):
        rows, rest = fold.test[given], fold.test[~given]
        site = _safe_indexing(metadata["site"], rows)
        adapted = adapt_to_site(fitted, _safe_indexing(X, rows), site=site)
        predicted = predict_rows(adapted, X, rest, metadata)
        parts.append(_lines(fold, TRANSDUCTIVE, repeat, seed, rest, predicted, y))
    return parts


def _lines(fold, protocol, repeat, seed, rows, predicted, y):
    age = y[fold.train]
    return pd.DataFrame(
        {
            "protocol": protocol,
            "seed": seed,
            "repeat": repeat,
            "fold": fold.number,
            "row": rows,
            "y": y[rows],
            "prediction": predicted,
            "n_train": len(age),
            "train_mean": age.mean(),
            "train_median": np.median(age),
        }
    )


def _name_rows(lines, cohort):
    """Add person and site, and bring lines into the order of protocols, seeds and folds."""
    row = lines["row"].to_numpy()
    lines.insert(5, "person", cohort.person_labels[cohort.persons[row]])
    lines.insert(6, "site", np.array(cohort.names, dtype=object)[cohort.codes[row]])
    order = pd.Categorical(lines.protocol, [WITHIN, LEFT_OUT, TRANSDUCTIVE], ordered=True)
    lines = lines.assign(order=order).sort_values(
        ["order", "seed", "repeat", "fold", "row"], kind="stable"
    )
    return lines.drop(columns="order").reset_index(drop=True)
