"""Errors and warnings of mresklearn.

Every error derives from :class:`ValueError`, as scikit-learn's tools expect; its message names the
cause (file, column, row) and the way out.
"""

__all__ = [
    "DataError",
    "DeviceWarning",
    "HarmonizationWarning",
    "InertPenaltyWarning",
    "MissingMetadataError",
    "OutOfRangeWarning",
    "SingleSiteWarning",
    "UnanswerableWarning",
    "UnpairedWarning",
]


class DataError(ValueError):
    """Input files or tables cannot be used as they are."""


class MissingMetadataError(ValueError):
    """A step needs metadata (site, sex, ...) that came neither as a keyword nor with the rows."""


class SingleSiteWarning(UserWarning):
    """A step that uses site got none and treats everybody as one site."""


class HarmonizationWarning(UserWarning):
    """Site effects can be removed, but not reliably: a site is new, tiny, or all of one age."""


class DeviceWarning(UserWarning):
    """A model was trained on a device that this machine does not have."""


class InertPenaltyWarning(UserWarning):
    """An invariance penalty had no say in the training: no gradient, nothing to compare, lost."""


class UnpairedWarning(UserWarning):
    """A contrastive loss found nobody to compare some people with."""


class UnanswerableWarning(UserWarning):
    """A question that this design cannot answer, whatever the data: too few sites, say."""


class OutOfRangeWarning(UserWarning):
    """People are unlike those a model was trained on: of an age that it never saw."""
