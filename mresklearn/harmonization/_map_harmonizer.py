"""MapHarmonizer: remove site effects from maps, voxel by voxel."""

from __future__ import annotations

from numbers import Real
from typing import Any, Self, cast

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import check_is_fitted

from .._metadata import check_labels
from .._warn_user import warn_user
from ..exceptions import HarmonizationWarning
from ..maps import MapArray
from ..maps._map_array import inside
from ..maps._map_output import MapOutputMixin
from ..maps._validation import check_maps
from ._combat import ComBat
from ._harmonized_maps import (
    HarmonizedRows,
    fill_absent,
    hold_in_range,
    range_of,
    read_voxels,
    rows_of,
)
from ._map_rows import accepted, as_maps, labels_of, takes
from ._projection import limits_of
from ._site_transformer import ONE_SITE, SiteTransformer

__all__ = ["MapHarmonizer"]

MOST_HELD = 0.01
ROWS_AT_A_TIME = 16


class MapHarmonizer(MapOutputMixin, BaseEstimator):
    """Harmonise maps voxel by voxel, inside a mask that most training people share.

    The voxels of each channel are the features of a harmoniser of their own. Maps stay maps: grid,
    people, metadata and background are kept, so that the result goes on to
    :class:`~mresklearn.maps.MapMasker`, to a network, or to files with
    :func:`~mresklearn.maps.write_maps`. Nothing is learned from test rows, and a person's result
    does not depend on who else is in the call.

    Parameters
    ----------
    harmonizer : estimator or None, default=None
        Fitted to the voxels of each channel as a table; None means ``ComBat()``. Its `site_column`
        and `covariate_columns` name columns of the metadata that ride with the maps.
    coverage : float, default=0.8
        Share of training people in whose brain a voxel must lie, from 0 (exclusive) to 1, as for
        :class:`~mresklearn.maps.MapMasker`. Other voxels are left as they are, with their site
        effects: hand the result to a MapMasker of the same coverage, which leaves them out.

    Attributes
    ----------
    harmonizers_ : list of estimator
        One fitted harmoniser a channel; a single one for 2-D features.
    mask_ : ndarray of shape (x, y, z), bool
        Voxels that are harmonised; absent for 2-D features.
    fill_ : ndarray of shape (n_sites, channels, voxels), float32
        Mean of each voxel over the training people of each site who have it; one site only where
        the harmoniser needs none in `transform`.
    limits_ : ndarray of shape (channels, 2), float32
        Range that harmonising does not leave.
    held_ : DataFrame of shape (n_sites, channels)
        Share of the training people's voxels that were held at the end of that range.
    sites_ : ndarray of str
        Sites of the training people, sorted.
    channels_ : list of str
        Map kind of each channel.
    grid_ : Grid or None
        Grid of the maps seen in `fit`; None for maps that do not know theirs, absent for features.
    sample_shape_ : tuple of int
        Shape of one person's input.
    n_features_in_ : int
        Number of channels (maps) or columns (2-D features).

    Raises
    ------
    MissingMetadataError
        If site or a covariate comes neither with the maps nor as a keyword.
    DataError
        If voxels lie elsewhere than those of `fit`, where maps know their grid.

    See Also
    --------
    ComBat : The default harmoniser.
    mresklearn.maps.write_maps : Harmonised maps as NIfTI files.

    Notes
    -----
    Channels are harmonised one by one, because the priors of ComBat are over features: a scanner
    that makes everything stiffer need not damp more, and in one table the many voxels of both would
    be drawn to a mean that holds for neither.

    A person who lacks a voxel takes no part there: while the others are harmonised, the mean of the
    person's site stands in, which leaves the site's own mean as it is. The mean of everybody, as
    features for a model have it, would make a site effect look smaller the more people of the site
    lack the voxel. The voxel stays absent in the result.

    Removing a shift could push a low value below zero, where a modulus has no meaning and files
    would lose the voxel from the brain. So values stay in the physical range of their map kind
    (0.1 to 10 kPa for stiffness, 0 to 1 for damping ratio) where all training maps lie in it, and
    else above the smallest training value if all are positive; `held_` counts how often that
    mattered. Channels with negative values, as after :class:`~mresklearn.maps.MapScaler`, have no
    limits.

    In `fit`, the masked voxels of all people are in memory once, as float32: 280 MB a channel for
    300 people at 2 mm. `transform` returns at once and holds one person at a time; each reading
    harmonises anew.

    2-D features go to the harmoniser as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from mresklearn import MapLoader, make_mre_cohort
    >>> from mresklearn.harmonization import MapHarmonizer
    >>> cohort = make_mre_cohort(n_subjects=30, n_sites=3, voxel_size=10, random_state=0)
    >>> people = cohort.participants
    >>> X = cohort.maps.join(people.site)
    >>> maps = MapLoader(metadata=["site"]).fit_transform(X)
    >>> harmonised = MapHarmonizer().fit_transform(maps, people.age)
    >>> harmonised
    MapArray of 30 x 2 x 21x25x20 (stiffness, damping_ratio, 10 mm)
    >>> means = [m[0][m[0] > 0].mean() for m in harmonised]
    >>> before = [m[0][m[0] > 0].mean() for m in maps]
    >>> def spread(values):
    ...     return np.ptp(people.site.to_frame().assign(m=values).groupby("site").m.mean())
    >>> bool(spread(means) < spread(before))
    True
    """

    __metadata_request__fit = {"site": True, "covariates": True}
    __metadata_request__transform = {"site": True, "covariates": True}

    _parameter_constraints: dict = {
        "harmonizer": [HasMethods(["fit", "transform"]), None],
        "coverage": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(self, *, harmonizer: Any = None, coverage: float = 0.8) -> None:
        self.harmonizer = harmonizer
        self.coverage = coverage

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, *, site: Any = None, covariates: Any = None) -> Self:
        """Estimate the effects of each site on each voxel.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            Training people.
        y : array-like of shape (n,), default=None
            Target, which the harmoniser may hold fixed.
        site : array-like of shape (n,), default=None
            Site of each person. None: the metadata that ride with the maps.
        covariates : DataFrame or array of shape (n, covariates), default=None
            What is held fixed. None: the metadata.

        Returns
        -------
        self : MapHarmonizer
            The fitted harmoniser.
        """
        harmonizer = ComBat() if self.harmonizer is None else self.harmonizer
        maps = as_maps(X, harmonizer)
        given = {"site": site, "covariates": covariates}
        if maps is None:
            self._fit_table(harmonizer, X, y, given)
            return self
        maps = cast(MapArray, check_maps(self, maps, reset=True))
        self.channels_ = list(maps.channels)
        labels = labels_of(maps, harmonizer, given, needed=takes(harmonizer.fit))
        codes, sites = _codes_of(labels["site"], len(maps))
        self.sites_, self._without_site = np.array(sites), labels["site"] is None
        self.mask_ = _shared_voxels(maps, self.coverage)
        tables, present = read_voxels(maps, self.mask_)
        by_site = "site" in takes(harmonizer.transform)
        self.fill_ = fill_absent(tables, present, codes if by_site else np.zeros_like(codes))
        self.harmonizers_ = [
            clone(harmonizer).fit(table, y, **accepted(harmonizer.fit, labels)) for table in tables
        ]
        self.limits_ = np.array(
            [
                limits_of(channel, *range_of(table, present))
                for channel, table in zip(self.channels_, tables, strict=True)
            ],
            dtype=np.float32,
        )
        self.held_ = self._count_held(tables, present, codes, labels)
        return self

    def fit_transform(
        self, X: Any, y: Any = None, *, site: Any = None, covariates: Any = None
    ) -> Any:
        """Fit, and harmonise the training people.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            Training people.
        y : array-like of shape (n,), default=None
            Target.
        site, covariates : array-like of n rows, default=None
            Where they do not come with the maps.

        Returns
        -------
        harmonised : MapArray of shape (n, channels, x, y, z), or ndarray for 2-D features
            What `transform` makes of the same rows.
        """
        fitted = self.fit(X, y, site=site, covariates=covariates)
        return fitted.transform(X, site=site, covariates=covariates)

    def transform(self, X: Any, *, site: Any = None, covariates: Any = None) -> Any:
        """Harmonise maps when they are read.

        Parameters
        ----------
        X : MapArray, array of shape (n, [channels,] x, y, z), paths, or (n, features)
            People of known sites, with samples of the shape seen in `fit`.
        site : array-like of shape (n,), default=None
            Site of each person. None: the metadata that ride with the maps.
        covariates : DataFrame or array of shape (n, covariates), default=None
            What is held fixed. None: the metadata.

        Returns
        -------
        harmonised : MapArray of shape (n, channels, x, y, z), or ndarray for 2-D features
            float32; nothing is read yet for maps, but sites and covariates have been checked.
        """
        check_is_fitted(self)
        first = self.harmonizers_[0]
        given = {"site": site, "covariates": covariates}
        maps = as_maps(X, first)
        if maps is None and len(self.sample_shape_) == 1:
            return first.transform(X, **accepted(first.transform, given))
        maps = cast(MapArray, check_maps(self, X if maps is None else maps, reset=False))
        needed = set() if self._without_site else takes(first.transform)
        labels = labels_of(maps, first, given, needed=needed & {"site"})
        codes, design = self._check_rows(labels, len(maps))
        rows = HarmonizedRows(
            maps,
            tuple(self.harmonizers_),
            self.mask_,
            self.fill_,
            self.limits_,
            codes,
            accepted(first.transform, labels),
            design,
        )
        return MapArray(
            rows,
            channels=maps.channels,
            grid=maps.grid,
            participants=maps.participants,
            metadata=maps.metadata,
        )

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the output: channels of maps, or columns of 2-D features.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of 2-D features; None takes those seen in `fit`.

        Returns
        -------
        names : ndarray of str
            One for each channel or column.
        """
        check_is_fitted(self)
        if len(self.sample_shape_) == 1:
            return self.harmonizers_[0].get_feature_names_out(input_features)
        return np.array(self.channels_, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _fit_table(self, harmonizer: Any, X: Any, y: Any, given: dict[str, Any]) -> None:
        """Fit one harmoniser to 2-D features."""
        fitted = clone(harmonizer).fit(X, y, **accepted(harmonizer.fit, given))
        self.__dict__.pop("feature_names_in_", None)
        self.harmonizers_ = [fitted]
        self.sample_shape_ = (fitted.n_features_in_,)
        for name in ("n_features_in_", "feature_names_in_", "sites_"):
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))

    def _count_held(
        self,
        tables: np.ndarray,
        present: np.ndarray,
        codes: np.ndarray,
        labels: dict[str, Any],
    ) -> pd.DataFrame:
        """Return how often harmonising the training people met the ends of the range."""
        held = np.zeros((len(self.sites_), len(tables)))
        total = np.zeros(len(self.sites_))
        np.add.at(total, codes, present.sum(axis=1))
        several = len(self.sites_) > 1
        for channel, harmonizer in enumerate(self.harmonizers_):
            limits = self.limits_[channel]
            for start in range(
                0, len(codes) if several and np.isfinite(limits).any() else 0, ROWS_AT_A_TIME
            ):
                rows = slice(start, start + ROWS_AT_A_TIME)
                given = rows_of(accepted(harmonizer.transform, labels), rows)
                moved = np.asarray(harmonizer.transform(tables[channel, rows], **given))
                changed = hold_in_range(moved, tables[channel, rows], limits) != moved
                np.add.at(held[:, channel], codes[rows], (changed & present[rows]).sum(axis=1))
        shares = held / total[:, None]
        most = np.unravel_index(np.argmax(shares), shares.shape)
        if shares[most] > MOST_HELD:
            warn_user(
                f"Harmonising would have moved {shares[most]:.1%} of the voxels of "
                f"'{self.channels_[most[1]]}' at site '{self.sites_[most[0]]}' out of the range "
                f"{self.limits_[most[1]].tolist()}; they are held at its end. Check the unit and "
                "the outliers of that site's maps, as MapLoader.quality_report lists them.",
                HarmonizationWarning,
            )
        return pd.DataFrame(
            shares, index=pd.Index(self.sites_, name="site"), columns=self.channels_
        )

    def _check_rows(
        self, labels: dict[str, Any], n_rows: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return row of `fill_` and coded covariates; refuse now what reading would refuse."""
        first = self.harmonizers_[0]
        if not isinstance(first, SiteTransformer):
            return np.zeros(n_rows, dtype=np.intp), None
        frame = labels["covariates"]
        design = first._design(pd.DataFrame(index=range(n_rows)) if frame is None else frame)
        return first._codes(labels["site"], n_rows), design


def _shared_voxels(maps: MapArray, coverage: float) -> np.ndarray:
    """Return the voxels that enough people have."""
    counts = np.zeros(maps.shape[2:], np.int64)
    for sample in maps:
        counts += inside(sample)
    mask = counts >= max(coverage * len(maps), 1)
    if not mask.any():
        raise ValueError(
            f"No voxel lies in the brain of {coverage:.0%} of the {len(maps)} training people. "
            "Lower coverage=, or check that the maps are registered to one template."
        )
    return mask


def _codes_of(site: Any, n_rows: int) -> tuple[np.ndarray, list[str]]:
    """Return the code of each row's site, and the sites; without site all are one."""
    if site is None:
        return np.zeros(n_rows, dtype=np.intp), [ONE_SITE]
    return check_labels(site, n_rows, name="site")
