"""What ComBat estimates, from moments of its training people, and how it is taken out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from ._combat_checks import check_design
from ._location_scale import fit_location_scale
from ._neuroharmonize import apply_with_neuroharmonize, learn_with_neuroharmonize
from ._site_effects import ROWS_OF_BLOCK, estimate_effects, prior_table, remove_effects
from ._site_moments import SiteGroups, SiteMoments, column_blocks, rows_by_site
from ._site_transformer import SiteTransformer
from ._target_shrinkage import shrink_target

__all__ = ["CombatEstimates"]

NOT_IN_NEUROHARMONIZE = {"parametric": True, "location_only": False}


class CombatEstimates(SiteTransformer):
    """Estimate location, scale and site effects with the parameters of :class:`ComBat`."""

    def _check_engine(self) -> None:
        """Refuse what neuroHarmonize cannot do."""
        if self.engine == "native":
            return
        if len(self.smooth):
            raise ValueError(
                "neuroHarmonize draws the folds that choose the penalty of smooth covariates anew "
                "at every fit, and no seed reaches them. Use engine='native', which chooses "
                "without chance, or leave smooth empty."
            )
        for name, default in NOT_IN_NEUROHARMONIZE.items():
            if getattr(self, name) != default:
                raise ValueError(
                    f"neuroHarmonize cannot do {name}={getattr(self, name)!r}. Use "
                    f"engine='native', or leave {name} at {default!r}."
                )

    def _fit_location(
        self, sites: Sequence[str], moments: SiteGroups | SiteMoments, blocks: Iterable, n: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fit what sites are moved to; return location and squares of each site."""
        lines, names = self.coder_.straightened()
        if len(sites) > 1:
            check_design(
                moments.counts, moments.covariate_means @ lines,
                lines.T @ moments.covariate_scatter @ lines, names,
            )  # fmt: skip
        self.sites_, self.n_people_ = np.array(sites), moments.counts
        self.covariate_names_ = np.array(self.coder_.names_, dtype=object)
        fitted = fit_location_scale(
            moments, blocks, n, reference=self._reference(),
            penalties=self.coder_.roughness(), weight=self.smooth_penalty,
        )  # fmt: skip
        if self.target_ == "shrunk":
            is_target = [re.match("target(=|$)", name) is not None for name in self.coder_.names_]
            self.target_factor_ = shrink_target(
                fitted, moments, np.array(is_target), reference=self._reference()
            )
        self.centre_, self.coefficients_ = fitted.centre, fitted.coefficients
        self.deviation_, self.varies_ = fitted.deviation, fitted.varies
        return fitted.location, fitted.squares

    def _fit_effects(self, location: tuple[np.ndarray, np.ndarray]) -> Self:
        """Estimate the effects of the training sites."""
        self.shift_, self.ratio_, self.priors_ = self._effects(*location, self.n_people_)
        self.priors_.index = pd.Index(self.sites_, name="site")
        still = 0 if len(self.sites_) == 1 else self._reference()
        if still is not None:
            self.shift_[still], self.ratio_[still], self.priors_.iloc[still] = 0, 1, np.nan
        return self

    def _fit_engine(
        self,
        features: np.ndarray,
        codes: np.ndarray,
        design: np.ndarray,
        location: tuple[np.ndarray, np.ndarray],
    ) -> Self:
        """Have neuroHarmonize learn all features that vary; the others lose their shift alone."""
        use = self.varies_
        learned = learn_with_neuroharmonize(
            features[:, use], codes, design, eb=self.eb, reference=self._reference()
        )  # fmt: skip
        self.shift_, self.ratio_ = location[0], np.ones_like(location[0])
        self.centre_[use], self.deviation_[use] = learned.centre, learned.deviation
        self.coefficients_[:, use] = learned.coefficients
        self.shift_[:, use], self.ratio_[:, use] = learned.shift, learned.ratio
        self.priors_ = prior_table(learned.priors).set_axis(pd.Index(self.sites_, name="site"))
        return self

    def _effects(
        self, location: np.ndarray, squares: np.ndarray, counts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
        """Turn locations and squares into shifts and ratios, in the same two arrays."""
        location /= self.deviation_  # 1 for features without a scale, which keep their shift
        squares /= self.deviation_**2
        return estimate_effects(
            location, squares, counts, self.varies_,
            eb=self.eb, parametric=self.parametric, location_only=self.location_only,
            stop_rule=self.stop_rule,
        )  # fmt: skip

    def _harmonised(self, features: np.ndarray, codes: np.ndarray, design: np.ndarray) -> Any:
        """Return features without site effects; those of code -1 as they are."""
        out = np.empty_like(features)
        known = codes >= 0
        out[~known] = features[~known]
        if self._asks_engine():
            out[known] = apply_with_neuroharmonize(
                features[known], codes[known], design[known],
                reference=self._reference(), **self._learned(slice(None)),
            )  # fmt: skip
            return out
        members = rows_by_site(np.where(known, codes, len(self.sites_)), len(self.sites_) + 1)[:-1]
        for block in column_blocks(ROWS_OF_BLOCK, out.shape[1], self.block_size):
            remove_effects(
                features[:, block], out[:, block], members, design, **self._learned(block)
            )
        return out

    def _asks_engine(self) -> bool:
        """Whether neuroHarmonize is used; of one site there is nothing to ask it."""
        return self.engine == "neuroharmonize" and len(self.sites_) > 1

    def _learned(self, block: slice) -> dict[str, np.ndarray]:
        """Return what is needed to harmonise a block of features."""
        return {
            "centre": self.centre_[block],
            "coefficients": self.coefficients_[:, block],
            "deviation": self.deviation_[block],
            "shift": self.shift_[:, block],
            "ratio": self.ratio_[:, block],
        }

    def _reference(self) -> int | None:
        return None if self.ref_site is None else list(self.sites_).index(str(self.ref_site))

    def _may_lack_covariates(self) -> bool:
        return self.missing_covariates == "mean" or self.location_only

    def _covariates_of_new_rows(self) -> Sequence[str | int]:
        if not self._columns.features_only:
            return self.covariate_columns
        return [name for name in self.coder_.columns_ if name != "target"]

    def _design(self, covariates: pd.DataFrame) -> np.ndarray:
        """Code covariates; what is not known, the target above all, takes its training mean."""
        may_lack = list(self.coder_.columns_) if self._may_lack_covariates() else []
        if self.target_ in ("training", "shrunk"):
            covariates = covariates.drop(columns="target", errors="ignore")
            may_lack.append("target")
        return self.coder_.transform(covariates, may_lack=may_lack)
