"""NeurodegenerationClassifier: a diagnosis from maps, with what a brain-age model has learnt."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from os import PathLike
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._metadata import check_labels, site_of_rows
from ..exceptions import MissingMetadataError
from ..maps._validation import check_maps
from ._age_range import age_range, warn_of_other_ages
from ._calibrated_scores import CalibratedScores
from ._contrastive_encoder import ContrastiveEncoder
from ._diagnosis_features import People, Training
from ._diagnosis_labels import check_ages_told, check_diagnoses, find_reference
from ._diagnosis_sources import choose_sources, need_age, uses_age
from ._inputs import check_ages_known, read_ages, resolve_site, with_names

MODEL = [HasMethods(["fit"]), str, PathLike, None]


class NeurodegenerationClassifier(ClassifierMixin, TransformerMixin, BaseEstimator):
    """Tell diagnoses apart from maps, few patients and a brain-age model of healthy people.

    Patients are few, so what is learnt of the brain should come from elsewhere: an encoder that was
    trained to order healthy people by age. Its embedding, the gap between predicted and true age,
    and such gaps by region go to a small, weighted classifier, whose probabilities are calibrated
    and whose threshold is set on people that it had not seen.

    Parameters
    ----------
    tuning : {"frozen", "fine_tune", "scratch"} or None, default=None
        Where the embedding comes from: `brain_age` as it is; a network that starts from the weights
        of `brain_age` and is trained to tell the diagnosis; or one from random weights. None takes
        "frozen" where `brain_age` is fitted, and "scratch" otherwise.
    brain_age : estimator, path-like or None, default=None
        Model of age, and of the embedding: fitted on other people and wrapped in
        :class:`sklearn.frozen.FrozenEstimator`, or the folder of a saved one. One that is not
        fitted is trained on the healthy training people, for the gap.
    regional_brain_age : estimator, path-like or None, default=None
        The same, with one predicted age per region, such as :class:`RegionalBrainAge`.
    measures : transformer or None, default=None
        What turns maps into a table, such as :class:`RegionAverager`; its deviations from those of
        healthy people of the same age become features. Fitted without diagnoses.
    features : "auto" or sequence of {"embedding", "gap", "regional_gaps", "deviations"}, \
            default="auto"
        What the diagnosis is told from; "auto" takes the embedding, and where ages are given the
        gaps and deviations that there is a model or measures for.
    reference : str or None, default=None
        Label of healthy people, on whom brain age is defined, as text: "0" of the labels 0 and 1.
        None takes "CN" where that matters.
    diagnosis_ages : (float, float) or None, default=None
        Ages in years between which diagnoses are told apart, such as ``(60, 100)``. Younger and
        older healthy people train what is learnt of healthy people alone: age models that are not
        fitted, and the course of measures with age. Patients outside are left out. None: all ages.
    encoder : ContrastiveEncoder or None, default=None
        Settings of the network that is trained to tell the diagnosis, penalty included; None takes
        the default ones.
    classifier : classifier or None, default=None
        What tells the diagnosis from the features, standardised, and each kind divided by the root
        of its number of columns, so that a gap counts beside an embedding. None takes logistic
        regression with balanced class weights.
    calibration : {"sigmoid"} or None, default="sigmoid"
        How scores become probabilities (Platt 1999): a sigmoid fitted to scores out of fold.
    threshold : {"balanced_accuracy"} or float, default="balanced_accuracy"
        Probability from which on `predict` says the second of two diagnoses: the one of the
        largest balanced accuracy out of fold, or a number. Of more diagnoses, the likeliest wins.
    cv : int, default=5
        Folds of all of this, stratified by diagnosis; nobody is in two. As many as the rarest
        diagnosis has people, if these are fewer.
    random_state : int, RandomState or None, default=None
        Draws the folds, and seeds the network where `encoder` has no seed.

    Attributes
    ----------
    classes_ : ndarray
        Diagnoses, sorted.
    sources_ : list
        What makes the features, fitted.
    scores_ : object
        Scaler, classifier and sigmoid, fitted on all training people.
    threshold_ : float
        Probability of the second of two diagnoses above which it is predicted; NaN with more.
    out_of_fold_ : ndarray of shape (n_rows, n_classes)
        Probabilities of training people by classifiers that were fitted without them, NaN outside
        `diagnosis_ages`. The sigmoid and the threshold are fitted to them, so that they look a
        little better than new people's.
    sites_ : ndarray of str
        Sites seen in `fit`.
    age_range_ : tuple of two float or None
        Youngest and oldest of those whose diagnosis was told; None where ages are not known.
    n_features_in_ : int
        Channels (maps) or columns (2-D features).

    Raises
    ------
    MissingMetadataError
        If gaps or deviations are wanted, or `diagnosis_ages` given, and there are no ages.
    ValueError
        If a fitted model is not wrapped, a setting lacks what it needs, a diagnosis is missing or
        has one person, or an age is missing (rows named) that something is made from.

    See Also
    --------
    mresklearn.metrics.compare_gaps : Whether groups differ in their gap, with covariates.
    DomainInvariantRegressor : A brain-age model for `brain_age`.

    Notes
    -----
    Features of training people come from models that had not seen them, as those of new people
    will: scores of the network from networks of the other folds, gaps from age models of the other
    folds. A frozen model has seen none of them. A model that was trained on people of this study
    breaks that, and makes the healthy look healthier than they are.

    What tells age best need not tell disease: a model of age weighs what changes in everybody. The
    deviation of a measure x from its mean m(a) in healthy people of age a, a quadratic, over the
    standard deviation s of what is left, (x - m(a)) / s, is the W score of Jack et al. (1997).

    Gaps are corrected for their bias with age by a line through the healthy training people
    (:class:`~mresklearn.metrics.BrainAgeBiasCorrector`, method "de_lange"). They need the age of
    new people, as keyword `age` of `predict`, or as a column ``age`` that travels with the rows.

    References
    ----------
    Jack et al. (1997), Medial temporal atrophy on MRI in normal aging and very mild Alzheimer's
    disease, Neurology 49, 786-794. Platt (1999), Probabilistic outputs for support vector machines,
    in: Advances in large margin classifiers.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from mresklearn import ContrastiveEncoder, DomainInvariantRegressor
    >>> from mresklearn.estimators import NeurodegenerationClassifier
    >>> rng = np.random.default_rng(0)
    >>> age = rng.uniform(60, 90, 120)
    >>> diagnosis = np.repeat(["CN", "AD", "CN"], [60, 12, 48])
    >>> regions = rng.normal(size=(120, 6)) + (age + 15 * (diagnosis == "AD"))[:, None] / 5
    >>> encoder = ContrastiveEncoder(loss="l1", max_epochs=10, random_state=0)
    >>> model = DomainInvariantRegressor(encoder=encoder, penalty=None, projection=None)
    >>> healthy = FrozenEstimator(model.fit(regions[72:], age[72:]))
    >>> classifier = NeurodegenerationClassifier(brain_age=healthy, random_state=0)
    >>> classifier = classifier.fit(regions[:72], diagnosis[:72], age=age[:72])
    >>> classifier.predict_proba(regions[:2], age=age[:2]).shape
    (2, 2)
    >>> classifier.get_feature_names_out()[-1]
    'gap'
    """

    __metadata_request__fit = {"age": True, "site": True, "groups": True}
    __metadata_request__predict = {"age": True}
    __metadata_request__predict_proba = {"age": True}
    __metadata_request__decision_function = {"age": True}
    __metadata_request__transform = {"age": True}
    __metadata_request__score = {"age": True}

    _parameter_constraints: dict = {
        "tuning": [StrOptions({"frozen", "fine_tune", "scratch"}), None],
        "brain_age": MODEL,
        "regional_brain_age": MODEL,
        "measures": [HasMethods(["fit", "transform"]), None],
        "features": [StrOptions({"auto"}), list, tuple],
        "reference": [str, None],
        "diagnosis_ages": [tuple, list, None],
        "encoder": [ContrastiveEncoder, None],
        "classifier": [HasMethods(["fit", "predict"]), None],
        "calibration": [StrOptions({"sigmoid"}), None],
        "threshold": [StrOptions({"balanced_accuracy"}), Interval(Real, 0, 1, closed="both")],
        "cv": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        tuning: str | None = None,
        brain_age: Any = None,
        regional_brain_age: Any = None,
        measures: Any = None,
        features: str | Sequence[str] = "auto",
        reference: str | None = None,
        diagnosis_ages: tuple[float, float] | None = None,
        encoder: ContrastiveEncoder | None = None,
        classifier: Any = None,
        calibration: str | None = "sigmoid",
        threshold: str | float = "balanced_accuracy",
        cv: int = 5,
        random_state: Any = None,
    ) -> None:
        self.tuning = tuning
        self.brain_age = brain_age
        self.regional_brain_age = regional_brain_age
        self.measures = measures
        self.features = features
        self.reference = reference
        self.diagnosis_ages = diagnosis_ages
        self.encoder = encoder
        self.classifier = classifier
        self.calibration = calibration
        self.threshold = threshold
        self.cv = cv
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Any, y: Any, *, age: Any = None, site: Any = None, groups: Any = None
    ) -> NeurodegenerationClassifier:
        """Learn to tell the diagnoses.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            Training people.
        y : array-like of shape (n,)
            Their diagnoses.
        age : array-like of shape (n,) or None, default=None
            Their ages in years, for gaps; None takes the column ``age`` that came with the rows.
        site : array-like of shape (n,) or None, default=None
            Their sites, for networks with a penalty.
        groups : array-like of shape (n,) or None, default=None
            Person of each row, none of whom is in two folds; None: every row is a person.

        Returns
        -------
        self : NeurodegenerationClassifier
            The fitted classifier.
        """
        checked = check_maps(self, X, reset=True)
        X = with_names(self, checked, X)
        self.classes_, codes = check_diagnoses(y, len(X))
        person = (
            np.arange(len(X)) if groups is None else check_labels(groups, len(X), name="groups")[0]
        )
        age = read_ages(age, checked)
        _, self.sites_ = resolve_site(site, checked)
        site = site_of_rows(checked, "site") if site is None else site
        sources = choose_sources(self, age is not None)
        if age is not None and (uses_age(sources) or self.diagnosis_ages is not None):
            check_ages_known(age, X)
        training = self._training(People(X, age, site, person), codes, sources)
        self.age_range_ = age_range(None, training.people.age)
        parts = [source.learn(training) for source in sources]
        self.sources_ = sources
        self.feature_names_ = [
            name
            for source, part in zip(sources, parts, strict=True)
            for name in source.names(part.shape[1])
        ]
        sizes = [part.shape[1] for part in parts]
        scores = CalibratedScores(self.classifier, self.calibration, self.threshold, sizes)
        self.scores_ = scores.fit(np.hstack(parts), training.codes, training.folds)
        self.out_of_fold_ = np.full((len(X), len(self.classes_)), np.nan)
        self.out_of_fold_[training.told] = scores.out_of_fold_
        self.threshold_ = scores.threshold_
        return self

    def transform(self, X: Any, *, age: Any = None) -> np.ndarray:
        """Return the features that the diagnosis is told from, before they are standardised.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            People with samples of the shape seen in `fit`.
        age : array-like of shape (n,) or None, default=None
            Their ages in years, where gaps are among the features.

        Returns
        -------
        features : ndarray of shape (n, n_features_out), float32
            Columns as :meth:`get_feature_names_out` says.
        """
        return self._features(X, age)

    def decision_function(self, X: Any, *, age: Any = None) -> np.ndarray:
        """Return scores: of two diagnoses above 0 where the second is predicted.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            People with samples of the shape seen in `fit`.
        age : array-like of shape (n,) or None, default=None
            Their ages in years, where gaps are among the features.

        Returns
        -------
        scores : ndarray of shape (n,) or (n, n_classes)
            Probability less the threshold; of more diagnoses, probabilities.
        """
        probability = self.predict_proba(X, age=age)
        return probability[:, 1] - self.threshold_ if len(self.classes_) == 2 else probability

    def predict_proba(self, X: Any, *, age: Any = None) -> np.ndarray:
        """Return the probability of each diagnosis.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            People with samples of the shape seen in `fit`.
        age : array-like of shape (n,) or None, default=None
            Their ages in years, where gaps are among the features.

        Returns
        -------
        probability : ndarray of shape (n, n_classes)
            As frequent as among the training people; other places have other frequencies.
        """
        features = self._features(X, age).astype(np.float64)  # says so where nothing was fitted
        return self.scores_.predict_proba(features)

    def predict(self, X: Any, *, age: Any = None) -> np.ndarray:
        """Return the diagnosis of each person.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            People with samples of the shape seen in `fit`.
        age : array-like of shape (n,) or None, default=None
            Their ages in years, where gaps are among the features.

        Returns
        -------
        diagnosis : ndarray of shape (n,)
            Of those in `classes_`.
        """
        scores = self.decision_function(X, age=age)
        picked = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[picked]

    def score(self, X: Any, y: Any, sample_weight: Any = None, *, age: Any = None) -> float:
        """Return the accuracy of `predict`; prefer an area under the curve where patients are few.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            People with samples of the shape seen in `fit`.
        y : array-like of shape (n,)
            Their diagnoses.
        sample_weight : array-like of shape (n,) or None, default=None
            What each row counts.
        age : array-like of shape (n,) or None, default=None
            Their ages in years, where gaps are among the features.

        Returns
        -------
        accuracy : float
            Share of rows told rightly.
        """
        return float(accuracy_score(y, self.predict(X, age=age), sample_weight=sample_weight))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns of `transform`.

        Parameters
        ----------
        input_features : ignored
            For scikit-learn.

        Returns
        -------
        names : ndarray of str
            Such as "embedding0" and "gap".
        """
        check_is_fitted(self)
        return np.asarray(self.feature_names_, dtype=object)

    def _features(self, X: Any, age: Any) -> np.ndarray:
        """Return features as an array, whatever `transform` is set to give."""
        check_is_fitted(self)
        checked = check_maps(self, X, reset=False)
        X = with_names(self, checked, X)
        age = read_ages(age, checked)
        if age is None:
            need_age(self.sources_)
        elif uses_age(self.sources_):
            check_ages_known(age, X)
        warn_of_other_ages(self, checked, age)
        people = People(X, age, None, np.arange(len(X)))
        return np.hstack([source.features(people) for source in self.sources_]).astype(np.float32)

    def _training(self, everyone: People, codes: np.ndarray, sources: list[Any]) -> Training:
        """Return who is told, who is healthy, and folds of those told."""
        ages_told = check_ages_told(self.diagnosis_ages)
        healthy = self._healthy(codes, sources)
        told = np.ones(len(codes), bool)
        if ages_told is not None:
            if everyone.age is None:
                raise MissingMetadataError(
                    f"diagnosis_ages is {self.diagnosis_ages!r}, and there are no ages. Pass age=."
                )
            low, high = ages_told
            told = (everyone.age >= low) & (everyone.age <= high)
            people = np.bincount(codes[told], minlength=len(self.classes_)).tolist()
            if not all(people):
                counts = dict(zip(self.classes_.tolist(), people, strict=True))
                raise ValueError(
                    f"Between diagnosis_ages={self.diagnosis_ages!r} there is not everybody that "
                    f"is to be told apart; people by diagnosis: {counts}."
                )
        # somebody with a scan on either side would be known from the other side
        known = np.isin(everyone.person, everyone.person[told])
        return Training(
            everyone,
            told=np.flatnonzero(told),
            others=np.flatnonzero(healthy & ~known),
            codes=codes[told],
            healthy=healthy[told],
            folds=self._folds(codes[told], everyone.person[told]),
        )

    def _healthy(self, codes: np.ndarray, sources: list[Any]) -> np.ndarray:
        """Return who is healthy; it matters for gaps alone."""
        reference = "CN" if self.reference is None else self.reference
        found = find_reference(self.classes_, reference)
        if found is None:
            if uses_age(sources) or self.reference is not None or self.diagnosis_ages is not None:
                raise ValueError(
                    f"No diagnosis is {reference!r} among {self.classes_.tolist()}. Name the "
                    "healthy people, whose brain age is their age, by reference=."
                )
            return np.zeros(len(codes), bool)
        return codes == found

    def _folds(self, codes: np.ndarray, person: np.ndarray) -> list:
        """Return folds with people of every diagnosis in each."""
        fewest = min(len(np.unique(person[codes == code])) for code in range(len(self.classes_)))
        if fewest < 2:
            counts = dict(zip(self.classes_.tolist(), np.bincount(codes).tolist(), strict=True))
            raise ValueError(
                "A class has one person only, so that nobody is left to test it on: rows by "
                f"diagnosis are {counts}. Give two persons or more of each."
            )
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        splitter = StratifiedGroupKFold(min(self.cv, fewest), shuffle=True, random_state=seed)
        return list(splitter.split(codes, codes, person))

    @property
    def _n_features_out(self) -> int:
        return len(self.feature_names_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
