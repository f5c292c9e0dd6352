"""How good predicted ages and diagnoses are, at seen and unseen sites, and how sure that is."""

from ._bias_corrector import BrainAgeBiasCorrector
from ._bootstrap import bootstrap_ci
from ._brain_age import brain_age_gap, brain_age_scores
from ._corrected_ttest import corrected_resampled_ttest
from ._delong import delong_ci, delong_test
from ._gap_comparison import GapComparison, compare_gaps
from ._openbhb_score import openbhb_score
from ._permutation_test import age_stratified_permutation_test
from ._sign_flip_test import sign_flip_test
from ._site_scores import site_scores

__all__ = [
    "BrainAgeBiasCorrector",
    "GapComparison",
    "age_stratified_permutation_test",
    "bootstrap_ci",
    "brain_age_gap",
    "brain_age_scores",
    "compare_gaps",
    "corrected_resampled_ttest",
    "delong_ci",
    "delong_test",
    "openbhb_score",
    "sign_flip_test",
    "site_scores",
]
