"""leave_study_out: patients and controls of a study that the model has not seen."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_params
from sklearn.utils.parallel import Parallel, delayed  # hand metadata routing on to the workers
from tqdm.auto import tqdm

from ..exceptions import UnanswerableWarning
from ..metrics import BrainAgeBiasCorrector, brain_age_scores
from ..metrics._adjusted_p_values import adjust_p_values
from ..metrics._gap_comparison import compare_by_design
from ..metrics._gap_design import AGE_TERMS, GapDesign, gap_design
from ..model_selection._fold_fitting import fit_rows, predict_rows
from ._held_out_folds import HeldOut, check_cohort, held_out_studies

__all__ = ["HeldOutStudies", "leave_study_out"]

CALLER = 4  # stack level: functions of this module and the check of parameters lie in between
FEWEST_COMPARED = 2  # people of a group, the least for a variance


@dataclass(frozen=True, eq=False)
class HeldOutStudies:
    """Gaps of people in studies left out; :func:`leave_study_out` makes it.

    Attributes
    ----------
    predictions : DataFrame
        One line per row of a study with patients: ``study``, ``row`` (position in X), ``person``,
        ``site``, ``diagnosis``, ``y``, ``prediction``, ``gap`` (raw), ``corrected_gap`` and
        ``n_train``, the number of training rows.
    comparisons : DataFrame
        Patients against controls of the same study, on the corrected gap: the columns of
        :class:`~mresklearn.metrics.GapComparison`, by ``study`` and ``comparison``. ``p_holm`` is
        adjusted for all rows.
    scores : DataFrame
        Raw predictions for the controls of each study left out, scored as by
        :func:`~mresklearn.metrics.brain_age_scores` against the ages trained on.
    lines : DataFrame
        Bias with age that was corrected, by study left out: ``n_people``, ``intercept``,
        ``slope``, ``slope_low`` and ``slope_high`` of the line for all training controls.
    out_of_fold : DataFrame
        The predictions for training controls that the lines were fitted on: ``held_out``,
        ``fold``, ``row``, ``person``, ``site`` (their study), ``y``, ``prediction``.
    """

    predictions: pd.DataFrame = field(repr=False)
    comparisons: pd.DataFrame = field(repr=False)
    scores: pd.DataFrame = field(repr=False)
    lines: pd.DataFrame = field(repr=False)
    out_of_fold: pd.DataFrame = field(repr=False)


@validate_params(
    {
        "estimator": [HasMethods(["fit", "predict"])],
        "reference": [str],
        "corrector": [BrainAgeBiasCorrector, None],
        "out_of_fold": [StrOptions({"auto", "study", "person"})],
        "n_splits": [Interval(Integral, 2, None, closed="left")],
        "age_terms": [StrOptions(set(AGE_TERMS))],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
        "params": [dict, None],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def leave_study_out(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    study: Any,
    diagnosis: Any,
    reference: str = "CN",
    site: Any = None,
    sex: Any = None,
    groups: Any = None,
    corrector: BrainAgeBiasCorrector | None = None,
    out_of_fold: str = "auto",
    n_splits: int = 5,
    age_terms: str = "quadratic",
    confidence: float = 0.95,
    params: dict | None = None,
    random_state: int | np.random.RandomState | None = 0,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> HeldOutStudies:
    """Compare patients with controls of their own study, by a model that saw neither.

    Patients come from one study, and most controls from others. A model that was trained on the
    controls of the patients' study knows its scanner; and controls of other studies differ from the
    patients by scanner as well. So for every study with patients the whole study is left out,
    controls included: a model trained on the controls of all other studies predicts everybody in
    it, and patients are compared with controls of the same study.

    Parameters
    ----------
    estimator : regressor
        Fitted anew, as a clone, on controls. Give the whole pipeline: what is fitted before the
        call has seen the study left out.
    X : DataFrame of paths, MapArray, or array-like of shape (n_rows, ...)
        The data; sliced, not read.
    y : array-like of shape (n_rows,)
        Age in years.
    study : array-like of shape (n_rows,)
        Study of each row, at least two.
    diagnosis : array-like of shape (n_rows,)
        Diagnosis of each row; one for all rows of a person.
    reference : str, default="CN"
        The diagnosis of controls.
    site : array-like of shape (n_rows,), default=None
        Site of each row, handed to an estimator that asks for it, and held fixed where a study has
        several. None: the sites that travel with the rows, if any.
    sex : array-like of shape (n_rows,), default=None
        Sex of each row, held fixed in the comparison. None: not held fixed.
    groups : array-like of shape (n_rows,), default=None
        Person of each row. None: every row is a person. Who is in the study left out is not trained
        on, also where scanned in another study.
    corrector : BrainAgeBiasCorrector or None, default=None
        Fitted anew, as a clone, on out-of-fold predictions for the training controls, with their
        study as site. None: ``BrainAgeBiasCorrector(method="de_lange", by_site=True)``, with the
        slope within studies and gaps in years of prediction; ``method="cole"`` gives years of age.
    out_of_fold : {"auto", "study", "person"}, default="auto"
        How the training controls are predicted for that: each study by the others, as the study
        left out will be, or in folds of persons. ``"auto"`` takes studies from six on, see Notes.
    n_splits : int, default=5
        Folds of persons, where these are used.
    age_terms : {"linear", "quadratic", "spline"}, default="quadratic"
        How the gap may depend on age in the comparison.
    confidence : float, default=0.95
        Coverage of the intervals.
    params : dict or None, default=None
        Further keywords of `fit`, such as ``sample_weight``; arrays of n_rows entries are sliced.
    random_state : int, RandomState instance or None, default=0
        Seed of the folds of persons. That of the estimator is its own.
    n_jobs : int or None, default=None
        Fits at the same time, as in joblib.
    verbose : int, default=0
        1 shows a progress bar over the fits.

    Returns
    -------
    result : HeldOutStudies
        With ``predictions``, ``comparisons``, ``scores``, ``lines`` and ``out_of_fold``.

    Raises
    ------
    ValueError
        If there is one study, nobody is a control, no study has patients, there are fewer than 10
        controls elsewhere, a label or age is missing, a person has two diagnoses, or, before the
        first fit, a study cannot answer the comparison (see
        :func:`~mresklearn.metrics.compare_gaps`).

    Warns
    -----
    UnanswerableWarning
        If a group of a study, or its controls, are fewer than two people, who are then not
        compared; and as :func:`~mresklearn.metrics.compare_gaps`.

    See Also
    --------
    mresklearn.metrics.compare_gaps : The comparison, and its limits.
    mresklearn.metrics.BrainAgeBiasCorrector : The correction, and why it is never scored.
    mresklearn.model_selection.cross_validate_sites : The error at unseen sites.

    Notes
    -----
    The gap of a whole study is shifted by its scanner, and this shift is alike for its patients and
    controls, so it cancels in the comparison, and in nothing else: gaps of different studies are
    not comparable. A scanner that changes the *slope*, or acts on patients otherwise than on
    controls, does not cancel.

    Since age is held fixed, p values, standardised differences and areas do not depend on the
    correction (Smith et al. 2019, NeuroImage 200, 528-539). It sets the unit alone: a brain that
    looks k years older moves a prediction by ``lines.slope`` times k. The slope is that of the
    models of the inner folds. Models of fewer studies meet other shifts between them: with three
    training studies, leaving one more out made slopes too large, and years of age a fifth too few
    in simulations; folds of persons did not, but a model that recognises studies may follow age
    more closely at those it knows. Intervals in years of age take the slope as known.

    Tests in several studies have their training controls largely in common. This changes no single
    test, but they are not independent of each other; Holm's adjustment allows for that.

    With metadata routing off, `site` and `groups` reach an estimator whose `fit` has these keywords
    itself; in a pipeline let the site travel with the rows.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from mresklearn.evaluation import leave_study_out
    >>> rng = np.random.default_rng(0)
    >>> study = np.repeat(["Atlas", "Memory", "Aging", "Lifespan"], 50)
    >>> diagnosis = np.where((study == "Memory") & (np.arange(200) % 2 == 0), "AD", "CN")
    >>> age = rng.uniform(50, 80, 200)
    >>> looks = age + 5 * (diagnosis == "AD")
    >>> X = looks[:, np.newaxis] + rng.normal(0, 8, (200, 6)) + 20 * (study == "Memory")[:, None]
    >>> result = leave_study_out(Ridge(), X, age, study=study, diagnosis=diagnosis)
    >>> result.comparisons[["n_group", "n_reference", "difference", "low", "high"]].round(1)
                        n_group  n_reference  difference  low  high
    study  comparison
    Memory AD - CN           25           25         ...  ...   ...
    >>> result.predictions.columns.tolist()
    ['study', 'row', 'person', 'site', 'diagnosis', 'y', 'prediction', 'gap', 'corrected_gap',
     'n_train']
    """
    cohort = check_cohort(X, y, study, diagnosis, reference, site, sex, groups)
    held_out = held_out_studies(cohort, out_of_fold, n_splits, check_random_state(random_state))
    designs = _designs(cohort, held_out, groups is not None, reference, age_terms)
    given = {"site": cohort.site, "groups": groups}
    metadata = {name: values for name, values in given.items() if values is not None}
    fits = [
        (study_out, fold)
        for study_out in held_out
        for fold in [(study_out.train, study_out.test), *study_out.inner]
    ]
    predicted = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_fit_and_predict)(estimator, cohort.X, cohort.y, fold, metadata, params)
        for _, fold in fits
    )
    bar = iter(tqdm(predicted, total=len(fits), desc="Held-out studies", disable=not verbose))
    if corrector is None:
        corrector = BrainAgeBiasCorrector(method="de_lange", by_site=True)
    parts = [
        _one_study(cohort, study_out, designs.get(study_out.name), corrector, confidence, bar)
        for study_out in held_out
    ]
    return _gathered(parts)


def _designs(
    cohort: Bunch, held_out: list[HeldOut], repeated: bool, reference: str, age_terms: str
) -> dict[str, tuple[np.ndarray, GapDesign]]:
    """Check every comparison before the first fit, and leave out groups of one person."""
    designs, left_out = {}, []
    for study_out in held_out:
        rows = study_out.test
        names, codes = np.unique(cohort.diagnosis[rows].astype(str), return_inverse=True)
        pairs = np.unique(np.column_stack([codes, cohort.person[rows]]), axis=0)
        sizes = np.bincount(pairs[:, 0])
        for name, size in zip(names, sizes, strict=True):
            if size < FEWEST_COMPARED:
                left_out.append(f"{name} in {study_out.name} ({size})")
        large = sizes >= FEWEST_COMPARED
        if reference.strip() not in names[large]:
            left_out.append(f"all of {study_out.name} (too few controls)")
            continue
        if large.sum() < 2:
            continue
        rows = rows[large[codes]]
        designs[study_out.name] = (rows, _design(cohort, rows, repeated, reference, age_terms))
    if left_out:
        warnings.warn(
            f"Predicted, but not compared, for want of two people: {', '.join(left_out)}.",
            UnanswerableWarning,
            stacklevel=CALLER,
        )
    return designs


def _design(
    cohort: Bunch, rows: np.ndarray, repeated: bool, reference: str, age_terms: str
) -> GapDesign:
    """Check the comparison within a study, and name the study where it cannot be made."""
    try:
        return gap_design(
            cohort.diagnosis[rows],
            age=cohort.y[rows],
            sex=None if cohort.sex is None else cohort.sex[rows],
            site=None if cohort.site is None else cohort.site[rows],
            groups=cohort.person[rows] if repeated else None,
            reference=reference,
            pairwise=False,
            age_terms=age_terms,
            stacklevel=CALLER + 2,
        )
    except ValueError as error:
        name = cohort.studies[cohort.study[rows[0]]]
        raise ValueError(f"Study {name!r} cannot be compared: {error}") from error


def _fit_and_predict(
    estimator: Any,
    X: Any,
    y: np.ndarray,
    fold: tuple[np.ndarray, np.ndarray],
    metadata: dict,
    params: dict | None,
) -> np.ndarray:
    """Fit on the training rows of a fold and predict its test rows."""
    train, test = fold
    fitted = fit_rows(estimator, X, y, train, metadata, params)
    return predict_rows(fitted, X, test, metadata)


def _one_study(
    cohort: Bunch,
    study_out: HeldOut,
    compared: tuple[np.ndarray, GapDesign] | None,
    corrector: BrainAgeBiasCorrector,
    confidence: float,
    predicted: Any,
) -> Bunch:
    """Correct and compare the predictions for one study, taken from the stream of all fits."""
    test = _lines_of_rows(cohort, study_out.test, next(predicted))
    inner = pd.concat(
        [
            _lines_of_rows(cohort, rows, next(predicted)).assign(fold=number)
            for number, (_, rows) in enumerate(study_out.inner)
        ]
    )
    inner["site"] = inner["study"]
    fitted = clone(corrector)
    fitted.fit(inner.assign(protocol=fitted.protocol))
    site = test["study"] if fitted.by_site else None
    test["gap"] = test["prediction"] - test["y"]
    test["corrected_gap"] = fitted.gap(test["prediction"], test["y"], site=site)
    test["n_train"] = len(study_out.train)
    comparison = None
    if compared is not None:
        rows, design = compared
        gap = test.set_index("row")["corrected_gap"].loc[rows].to_numpy()
        comparison = compare_by_design(gap, design, confidence).table
    controls = test[cohort.is_control[study_out.test]]
    return Bunch(
        name=study_out.name,
        predictions=test,
        out_of_fold=inner.assign(held_out=study_out.name),
        comparison=comparison,
        scores=None
        if controls.empty
        else brain_age_scores(
            controls["y"], controls["prediction"], y_train=cohort.y[study_out.train]
        ),
        line={
            "n_people": fitted.n_people_,
            "intercept": fitted.intercept_,
            "slope": fitted.slope_,
            "slope_low": fitted.slope_interval_[0],
            "slope_high": fitted.slope_interval_[1],
        },
    )


def _lines_of_rows(cohort: Bunch, rows: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """Tabulate predictions with who they are for."""
    studies = np.array(cohort.studies, dtype=object)
    return pd.DataFrame(
        {
            "study": studies[cohort.study[rows]],
            "row": rows,
            "person": cohort.person_labels[cohort.person[rows]],
            "site": studies[cohort.study[rows]] if cohort.site is None else cohort.site[rows],
            "diagnosis": cohort.diagnosis[rows],
            "y": cohort.y[rows],
            "prediction": predicted,
        }
    )


def _gathered(parts: list[Bunch]) -> HeldOutStudies:
    """Stack the tables of the studies, and adjust p for all comparisons."""
    names = pd.Index([part.name for part in parts], name="study")
    tables = {part.name: part.comparison for part in parts if part.comparison is not None}
    comparisons = pd.concat(tables, names=["study"]) if tables else pd.DataFrame()
    if tables:
        comparisons["p_holm"] = adjust_p_values(comparisons["p_value"].to_numpy(), "holm")
    columns = ["held_out", "fold", "row", "person", "site", "y", "prediction"]
    scored = {part.name: part.scores for part in parts if part.scores is not None}
    return HeldOutStudies(
        predictions=pd.concat([part.predictions for part in parts], ignore_index=True),
        comparisons=comparisons,
        scores=pd.DataFrame(
            list(scored.values()), index=pd.Index(list(scored), name="study", dtype=object)
        ),
        lines=pd.DataFrame([part.line for part in parts], index=names),
        out_of_fold=pd.concat([part.out_of_fold for part in parts], ignore_index=True)[columns],
    )
