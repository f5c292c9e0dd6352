"""SiteProjector: project out the directions in which sites shift features or maps."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from .._metadata import check_labels, number_of_rows
from ..exceptions import SingleSiteWarning
from ..maps import MapArray
from ..maps._keep import split_kept, with_kept
from ..maps._map_output import MapOutputMixin
from ..maps._validation import check_maps
from ._finite_numbers import naming_bad_values
from ._grouped_sums import deal_groups, sums_of_maps, sums_of_table
from ._held_fixed import hold_fixed
from ._map_rows import as_maps, labels_of
from ._map_survey import MapSurvey
from ._projection import ProjectOut, project_table
from ._riding_columns import covariates_of_table, is_table, site_of_table, without_columns
from ._shift_directions import learn_directions
from ._site_transformer import ONE_SITE
from ._transfer_rank import groups_for

__all__ = ["SiteProjector"]


class SiteProjector(MapOutputMixin, BaseEstimator):
    r"""Project out the directions in which sites shift people of the same age.

    The directions are learned in closed form from training people of known sites. Removing them
    needs no site, so that people of sites never seen are treated as all others, and each row by
    itself. Use it before any model, on features, embeddings or maps.

    Parameters
    ----------
    rank : "auto", "all" or int, default="auto"
        How many directions to remove. ``"auto"``: those that sites left out of the estimate shift
        along, if that gains more than it costs, and the direction along which sites tell the
        target; see Notes. ``"all"``: every difference between the sites, one direction fewer than
        sites. A number: so many leading ones, or all if there are fewer; 0 leaves X as it is.
    age_knots : int, default=5
        Knots of the cubic spline of y that is held fixed; at least 2.
    covariate_columns : sequence of str, default=()
        What else is held fixed, such as ``("sex",)``: columns of a DataFrame, which are no features
        then, or of the metadata that ride with maps. Needed in `fit` only.
    site_column : str, default="site"
        Column that holds the site where it rides with the rows; no feature either.
    keep : sequence of str, default=()
        Columns of a DataFrame to hand on after the features, such as ``("site",)`` for a later step
        that needs it. The output is then a DataFrame. Metadata of maps ride on in any case.
    standardize : bool, default=True
        Measure shifts of each feature in its standard deviation within sites, so that units do not
        matter. False compares features in the unit they have, which suits principal components and
        embeddings, whose small columns are noise.
    coverage : float, default=0.8
        Share of training people in whose brain a voxel must lie, from 0 (exclusive) to 1, as for
        :class:`~mresklearn.maps.MapMasker`. Other voxels are left as they are: hand the result to a
        MapMasker of the same coverage.

    Attributes
    ----------
    directions_ : ndarray of shape (rank, n_values), float64
        Orthonormal directions that are removed, in units of `scale_`.
    rank_ : int
        Their number.
    n_leading_ : int
        How many of them are leading directions of the shifts; the others tell the target.
    shift_transfer_ : DataFrame
        For each number of leading directions: ``ratio``, the share of a left-out site's squared
        shift that directions of the other sites hold; ``chance``, the share that as many random
        directions would hold; ``gain``, what is gained net of the cost, in units of the variance
        within sites. Only with ``rank="auto"`` and several sites.
    site_transfer_ : DataFrame
        For each site its ``n_people``, its ``squared_shift`` from the others at equal age, free of
        noise (so it may be negative where there is none), and the ``ratio`` at `n_leading_`. NaN
        for sites of fewer than four people. As above.
    sites_ : ndarray of str
        Sites of the training people, sorted.
    mean_, scale_ : ndarray of shape (n_values,), float64
        Training mean, and standard deviation within sites at equal age; 1 where nothing varies.
    mask_ : ndarray of shape (x, y, z), bool
        Voxels that take part, channel after channel; absent for 2-D features.
    limits_ : ndarray of shape (channels, 2), float32
        Range that projected maps do not leave; absent for 2-D features.
    grid_ : Grid or None
        Grid of the maps seen in `fit`; None for maps that do not know theirs, absent for features.
    sample_shape_ : tuple of int
        Shape of one person's input.
    n_features_in_ : int
        Number of channels (maps) or columns (2-D features), without site and covariates.

    Raises
    ------
    MissingMetadataError
        If a covariate comes neither with the rows nor as a keyword.
    ValueError
        If `rank` would remove all there is, a site or target is missing, or a feature is NaN.
    DataError
        If voxels lie elsewhere than those of `fit`, where maps know their grid.

    Warns
    -----
    SingleSiteWarning
        If there is no site, or one only: then X stays as it is.
    UnanswerableWarning
        If what is held fixed tells some sites from all others, as diagnosis tells a site of
        patients: their shift is not known.

    See Also
    --------
    ComBat : Removes the shift and scale of known sites, whose label it needs for everybody.
    AnchorRegressor : Makes a linear model robust against shifts, instead of the features.
    mresklearn.confounds.ConfoundReport : Whether sites shift features, and whether that transfers.

    Notes
    -----
    Let :math:`\gamma_s` be the shift of site s in the model

    .. math:: x_i = \mu + f(y_i) + \gamma_{s_i} + \varepsilon_i,

    f a cubic spline of age. With D the site columns, M the projection off everything else in the
    model and :math:`W = D^\top M D`, the rows of :math:`W^{+1/2} D^\top M X` estimate all
    differences between sites with independent errors of equal size: small sites, and sites that age
    nearly tells, count for less. Their right singular vectors V, the axes of a redundancy analysis
    with covariables [1]_, are the directions, and

    .. math:: x' = x - V V^\top (x - \bar x).

    Conditioning on y is the point. Without y (``fit(X)``) everything that differs between sites
    goes, age included: where sites differ in age that costs years, as each unit of marginal
    invariance must [2]_. Text, truth values and codes of a few classes, such as a diagnosis, are
    held fixed by category. y is not needed in `transform`. Only shifts are removed: differences in
    spread, and slopes of age that differ by site, stay.

    **Why not all directions.** Each direction costs the signal in it, and noise makes directions
    out of nothing: with 60 sites of 7 people and 100 features, removing all differences raised the
    error at unseen sites by a quarter or more where sites had no effect. So ``"auto"`` asks
    sites that were left out. With :math:`d_1, d_2` the shift of a site from the others, estimated
    in two halves of the people, and :math:`P_r` the projection on the r leading directions of the
    *other* sites in one half, the shift-transfer ratio is

    .. math:: \tau_r = \frac{\sum d_1^\top P_r d_2}{\sum d_1^\top d_2};

    halves share no noise, so noise counts neither as shift nor as direction. A model that relies on
    a direction is misled by the shifts along it, which add to the spread of people there. Hence the
    r that is chosen has the largest

    .. math:: E \, d_1^\top P_r d_2 - \frac{3}{2} \, \frac{r \sigma^2}{1 - r / q},

    with :math:`\sigma^2` the mean variance within sites along one of the q dimensions that a model
    can use (features, or degrees of freedom if there are fewer). The second term is the loss of
    information; its factor, from simulations, allows for models that learn by themselves to
    distrust a direction along which the known sites differ. With one site left out there is one
    difference fewer: where all ranks that can be tried are worth it, the last direction goes too,
    if known sites shift by enough on the mean over all directions.

    **When nothing transfers**, each site shifting its own way, nothing that was learned at other
    sites helps at an unseen one. What a model can still learn is the shortcut: if sites differ in
    age, the direction :math:`\sum_s n_s (\bar y_s - \bar y) \gamma_s` tells site and thereby age.
    It is removed where sites differ in y more than one direction in q can tell, and shift along it
    by more than people spread. Unseen sites profit, which a shortcut misleads; at known sites
    errors hardly change, but depend less on the site. Then, site can still be read from the
    features of known sites; ``rank="all"`` is for those who cannot have that.

    Training rows get site means that are exactly equal, new rows do not. Leave-one-out errors of
    the projected training rows, which ``RidgeCV`` uses, are too small then, grossly so with more
    features than people: choose a model's penalty by cross-validation of the whole pipeline.

    **Maps** are read person by person, twice in `fit`, and projected when they are read. In memory
    are five arrays (three with more than 20 sites) of one map for each site and spline column. A
    voxel that a person lacks counts as the mean and stays absent. Values stay in the physical range
    of their map kind where all training maps lie in it, else above the smallest training value if
    all are positive, so that nothing falls out of the brain.

    References
    ----------
    .. [1] Legendre, P., Legendre, L. (2012). Numerical Ecology, 3rd ed., Elsevier, chapter 11.
    .. [2] Zhao, H., Tachet des Combes, R., Zhang, K., Gordon, G. J. (2019). On learning invariant
       representations for domain adaptation. ICML, PMLR 97, 7523-7532.
    .. [3] Heinze-Deml, C., Meinshausen, N. (2021). Conditional variance penalties and domain shift
       robustness. Machine Learning 110, 303-348: why to condition on the target.
    .. [4] Belrose, N., et al. (2023). LEACE: Perfect linear concept erasure in closed form. NeurIPS
       36: projections that erase a label, unconditionally.

    Examples
    --------
    Four sites that shift along one direction, and one that training never saw:

    >>> import numpy as np
    >>> from mresklearn.harmonization import SiteProjector
    >>> rng = np.random.default_rng(0)
    >>> site, age = np.repeat(list("abcde"), 40), rng.uniform(20, 80, 200)
    >>> shift = rng.normal(size=20)
    >>> X = rng.normal(size=(200, 20)) + age[:, None] / 20
    >>> X += np.repeat([-2, -1, 1, 2, 3], 40)[:, None] * shift
    >>> known = site != "e"
    >>> projector = SiteProjector().fit(X[known], age[known], site=site[known])
    >>> projector.rank_
    1
    >>> projector.shift_transfer_.ratio.round(2).tolist()
    [0.0, 0.99, 0.99]
    >>> before, after = X[~known].mean(0), projector.transform(X[~known]).mean(0)
    >>> bool(np.linalg.norm(after - X.mean(0)) < 0.3 * np.linalg.norm(before - X.mean(0)))
    True
    """

    __metadata_request__fit = {"site": True, "covariates": True}

    _parameter_constraints: dict = {
        "rank": [StrOptions({"auto", "all"}), Interval(Integral, 0, None, closed="left")],
        "age_knots": [Interval(Integral, 2, None, closed="left")],
        "covariate_columns": [list, tuple],
        "site_column": [str],
        "keep": [list, tuple],
        "standardize": ["boolean"],
        "coverage": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(
        self,
        *,
        rank: str | int = "auto",
        age_knots: int = 5,
        covariate_columns: Sequence[str] = (),
        site_column: str = "site",
        keep: Sequence[str] = (),
        standardize: bool = True,
        coverage: float = 0.8,
    ) -> None:
        self.rank = rank
        self.age_knots = age_knots
        self.covariate_columns = covariate_columns
        self.site_column = site_column
        self.keep = keep
        self.standardize = standardize
        self.coverage = coverage

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, *, site: Any = None, covariates: Any = None) -> Self:
        """Learn the directions in which sites shift.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            Training people. A DataFrame may have columns for site and covariates.
        y : array-like of shape (n,), default=None
            Age, or a class, that is held fixed. Without it, what y differs in between sites is
            removed as well.
        site : array-like of shape (n,), default=None
            Site of each row. None: the sites that ride with the rows.
        covariates : DataFrame or array of shape (n, covariates), default=None
            What else is held fixed. None: what `covariate_columns` names.

        Returns
        -------
        self : SiteProjector
            The fitted projector.
        """
        for name in ("mask_", "limits_", "shift_transfer_", "site_transfer_"):
            self.__dict__.pop(name, None)
        values, site, frame = self._features(X, site, covariates)
        codes = self._learn_sites(site, number_of_rows(values))
        held = hold_fixed(y, frame, len(codes), n_knots=self.age_knots)
        n_sites = len(self.sites_)
        n_groups = groups_for(n_sites) if self.rank == "auto" else 1
        if isinstance(values, MapArray):
            survey = MapSurvey.of(values, self.coverage)
            self.mask_, self.limits_ = survey.mask, survey.limits
            group = deal_groups(codes, (survey.sizes, held.order), n_groups)
            sums = sums_of_maps(
                values, survey.mask, survey.mean, codes, held.design, group, n_groups
            )
        else:
            group = deal_groups(codes, (values.sum(axis=1), held.order), n_groups)
            sums = sums_of_table(values, codes, held.design, group, n_groups)
        found = learn_directions(
            sums,
            codes,
            list(self.sites_),
            held.target,
            rank=self.rank,
            standardize=self.standardize,
        )
        self.mean_, self.scale_, self.directions_ = sums.mean, found.scale, found.directions
        self.rank_, self.n_leading_ = len(found.directions), found.n_leading
        if found.choice is not None:
            self.shift_transfer_, self.site_transfer_ = found.choice.by_rank, found.choice.by_site
        return self

    def transform(self, X: Any) -> Any:
        """Remove the directions from each row; no site is needed.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            People of any site, with samples of the shape seen in `fit`. Columns for site and
            covariates may be there or not.

        Returns
        -------
        projected : ndarray of shape (n, features), DataFrame with `keep`, or MapArray
            Features in the precision of X; maps in float32, of which nothing is read yet.
        """
        check_is_fitted(self, "directions_")
        maps = self._maps(X)
        if maps is None and len(self.sample_shape_) == 1:
            X, kept = split_kept(X, self.keep)
            table = self._table(X, reset=False)
            projected = project_table(table, self.mean_, self.scale_, self.directions_)
            return with_kept(projected, self.get_feature_names_out, kept)
        maps = check_maps(self, X if maps is None else maps, reset=False)
        if self.rank_ == 0 or not isinstance(maps, MapArray):
            return maps
        mean, scale, directions = (
            part.astype(np.float32) for part in (self.mean_, self.scale_, self.directions_)
        )
        return maps.with_step(ProjectOut(self.mask_, mean, scale, directions, self.limits_))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the output: features, without site and covariates, then kept columns.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of X; None takes those seen in `fit`.

        Returns
        -------
        names : ndarray of str
            One for each column, or channel of maps.
        """
        check_is_fitted(self, "directions_")
        if input_features is not None:
            riding = self._riding_columns()
            input_features = [name for name in input_features if name not in riding]
        names = _check_feature_names_in(self, input_features)
        kept = self.keep if len(self.sample_shape_) == 1 else ()
        return np.array([*names, *kept], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _riding_columns(self) -> list[str]:
        return [self.site_column, *self.covariate_columns, *self.keep]

    def _features(self, X: Any, site: Any, covariates: Any) -> tuple[Any, Any, pd.DataFrame]:
        """Return checked features or maps, and site and covariates of each row."""
        maps = self._maps(X)
        if maps is None:
            table = self._table(X, reset=True)
            frame = covariates_of_table(X, covariates, self.covariate_columns, len(table))
            return table, site_of_table(X, site, self.site_column), frame
        checked: Any = check_maps(self, maps, reset=True)
        given = {"site": site, "covariates": covariates}
        labels = labels_of(checked, self, given, needed={"covariates"})
        frame = labels["covariates"]
        empty = pd.DataFrame(index=range(len(checked)))
        return checked, labels["site"], empty if frame is None else frame

    def _maps(self, X: Any) -> Any:
        """Return X where it holds maps, None where it is a table."""
        return None if is_table(X, self._riding_columns()) else as_maps(X, self)

    def _table(self, X: Any, *, reset: bool) -> Any:
        features = without_columns(X, self._riding_columns())
        with naming_bad_values(features):
            return check_maps(self, features, reset=reset)

    def _learn_sites(self, site: Any, n_rows: int) -> np.ndarray:
        """Return the code of each row's site; warn where there is nothing to compare."""
        codes, names = check_labels(
            np.full(n_rows, ONE_SITE) if site is None else site, n_rows, name="site"
        )
        self.sites_ = np.array(names)
        if len(names) < 2:
            found = "no site" if site is None else f"one site, {names[0]!r}, only"
            warnings.warn(
                f"SiteProjector got {found}, so X stays as it is. Pass site= to fit, or let it "
                f"ride with the rows, in a column {self.site_column!r} of the DataFrame X or of "
                "X.metadata (maps: MapLoader(metadata=['site'])).",
                SingleSiteWarning,
                stacklevel=4,
            )
        return codes
