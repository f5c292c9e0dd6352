"""The one table of every number that the simulated cohorts rest on, with its source.

Values "computed from the public MRE134 maps" are means over regions of the Desikan-Killiany atlas
of the 134 maps of Hiscox et al. (2020), doi:10.1002/hbm.25192: healthy adults of 18 to 35 years,
five studies, 50 Hz, nonlinear inversion. Values marked "assumed" have no published size.
"""

from typing import NamedTuple

__all__ = ["PARAMETERS", "REGIONS", "Parameter", "parameter"]

REGIONS = ("white_matter", "cortex", "deep_grey", "cerebellum")

MRE134 = "computed from the public MRE134 maps, Hiscox et al. 2020, doi:10.1002/hbm.25192"
WITHIN = f"{MRE134}: residual SD after age, sex and study"
MIXED = f"{MRE134}: mean of cerebellar grey and white matter"
DEEP = f"{MRE134}: subcortical grey matter"
STUDIES = f"{MRE134}: lowest and highest study mean, relative to the mean"
SEX = f"{MRE134}: male minus female, adjusted for age and study, in within-study SD"
LV2020 = "Lv et al. 2020, Eur Radiol 30:6614"
HISCOX2018 = "Hiscox et al. 2018, Neurobiol Aging: no difference between age groups"


class Parameter(NamedTuple):
    """One row of the table.

    Parameters
    ----------
    name : str
        What the value is.
    map : {"stiffness", "damping_ratio", "both"}
        Map kind that it belongs to.
    region : str
        One of ``REGIONS``, or ``"all"``.
    value : float
        The value.
    unit : str
        Its unit; ``"1"`` for a ratio.
    source : str
        Publication, or the reason of an assumption.
    """

    name: str
    map: str
    region: str
    value: float
    unit: str
    source: str


def _rows(name, kind, unit, *values_and_sources):
    """One row per region, in the order of ``REGIONS``."""
    return [
        Parameter(name, kind, region, value, unit, source)
        for region, (value, source) in zip(REGIONS, values_and_sources, strict=True)
    ]


_MU, _XI = "stiffness", "damping_ratio"
_LOADING = f"{MRE134}: correlations white matter-cortex about 0.8, cerebellum 0.0 to 0.4"
_REVERSED = f"{STUDIES}; studies with a stiff cortex have soft deep grey matter"
_TEXTURE = f"{MRE134}: what person and study leave of the voxel-wise between-person CV of"

PARAMETERS = (
    # level and spread of people at the reference age
    *_rows("mean", _MU, "kPa", (2.93, MRE134), (2.43, MRE134), (3.40, DEEP), (2.69, MIXED)),
    *_rows("mean", _XI, "1", (0.224, MRE134), (0.202, MRE134), (0.197, DEEP), (0.198, MIXED)),
    *_rows("person_sd", _MU, "kPa", (0.172, WITHIN), (0.166, WITHIN), (0.336, WITHIN),
           (0.34, MIXED)),
    *_rows("person_sd", _XI, "1", (0.017, WITHIN), (0.020, WITHIN), (0.020, WITHIN),
           (0.037, MIXED)),
    *_rows(
        "person_loading", "both", "1",
        (0.9, _LOADING), (0.9, _LOADING), (0.6, f"assumed; {_LOADING}"), (0.4, _LOADING),
    ),
    # age
    Parameter("age_reference", "both", "all", 23.5, "year", f"{MRE134}: mean age"),
    *_rows(
        "age_slope", _MU, "1/year",
        (-0.0030, f"{LV2020}: storage modulus -0.32 to -0.36 %/year, loss modulus steeper; "
                  "towards the smaller slopes of later studies"),
        (-0.0035, f"{LV2020}: -0.32 to -0.36 %/year"),
        (-0.0020, f"{LV2020}: subcortical -0.18 to -0.23 %/year"),
        (-0.0020, "assumed as in deep grey matter"),
    ),
    *_rows("age_slope", _XI, "1/year", *[(0.0, HISCOX2018)] * 4),
    Parameter("age_acceleration_from", "both", "all", 60.0, "year",
              f"{LV2020}: steeper decline after 60 years"),
    Parameter("age_acceleration", "both", "all", 0.025, "1/year",
              f"assumed (the slope has doubled at 80 years); its sign: {LV2020}"),
    # sex
    *_rows("sex_effect", _MU, "SD", (0.3, SEX), (0.2, SEX), (0.4, f"{SEX}; 0.5, capped at 0.4"),
           (0.25, SEX)),
    *_rows("sex_effect", _XI, "SD", (-0.3, SEX), (-0.1, SEX), (-0.3, SEX), (-0.3, SEX)),
    # site: shift of a region at the first and at the last of the sites in the order of their shift
    *_rows("site_shift_first", _MU, "1", (-0.017, STUDIES), (-0.035, STUDIES), (0.018, _REVERSED),
           (-0.057, MIXED)),
    *_rows("site_shift_last", _MU, "1", (0.037, STUDIES), (0.070, STUDIES), (-0.036, _REVERSED),
           (0.041, MIXED)),
    *_rows("site_shift_first", _XI, "1", (-0.105, STUDIES), (-0.126, STUDIES), (-0.094, STUDIES),
           (-0.090, MIXED)),
    *_rows("site_shift_last", _XI, "1", (0.172, STUDIES), (0.186, STUDIES), (0.122, STUDIES),
           (0.137, MIXED)),
    Parameter("site_field_sd", _MU, "all", 0.047, "1",
              f"{MRE134}: SD of study means of regions around the shift of the study"),
    Parameter("site_field_sd", _XI, "all", 0.059, "1",
              f"{MRE134}: SD of study means of regions around the shift of the study"),
    Parameter("site_field_fwhm", "both", "all", 40.0, "mm", "assumed: about the size of a lobe"),
    # texture and its smoothness
    Parameter("texture_cv", _MU, "all", 0.15, "1", f"{_TEXTURE} 16 %"),
    Parameter("texture_cv", _XI, "all", 0.26, "1", f"{_TEXTURE} 30 %"),
    Parameter("texture_fwhm", "both", "all", 10.5, "mm", f"{MRE134}: 10.4 and 10.6 mm"),
    Parameter("site_fwhm_half_range", "both", "all", 1.25, "mm",
              f"{MRE134}: studies differ by 2.5 mm"),
    # field of view: the lowest and the highest slice that is covered, MNI z
    Parameter("coverage_bottom", "both", "all", -48.0, "mm", f"{MRE134}: mean of the studies"),
    Parameter("coverage_top", "both", "all", 65.0, "mm",
              f"{MRE134}: mean of the studies without the most tilted one (37 mm)"),
    Parameter("site_bottom_half_range", "both", "all", 15.0, "mm",
              f"{MRE134}: studies from -65 to -36 mm"),
    Parameter("site_top_half_range", "both", "all", 9.5, "mm",
              f"{MRE134}: studies from 59 to 78 mm without the most tilted one"),
    Parameter("person_bottom_sd", "both", "all", 6.0, "mm", f"{MRE134}: 3.5 to 10.5 mm in a study"),
    Parameter("person_top_sd", "both", "all", 3.5, "mm", f"{MRE134}: 2.4 to 4.5 mm in a study"),
    # limits of physically sensible values
    Parameter("lowest", _MU, "all", 0.1, "kPa", "assumed: limits of the inversion"),
    Parameter("highest", _MU, "all", 10.0, "kPa", "assumed: limits of the inversion"),
    Parameter("lowest", _XI, "all", 0.01, "1", "assumed: 0 is the background"),
    Parameter("highest", _XI, "all", 1.0, "1", f"{MRE134}: exceeded by 0.01 % of voxels"),
)  # fmt: skip

_VALUES = {(row.name, row.map, row.region): row.value for row in PARAMETERS}


def parameter(name, kind="both", region="all"):
    """Look a value up in the table.

    Parameters
    ----------
    name : str
        Name of the parameter.
    kind : {"stiffness", "damping_ratio", "both"}, default="both"
        Map kind.
    region : str, default="all"
        Region.

    Returns
    -------
    value : float
        The value, in the unit that the table gives.

    Examples
    --------
    >>> parameter("mean", "stiffness", "white_matter")
    2.93
    """
    return _VALUES[name, kind, region]
