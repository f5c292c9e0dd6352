"""Pages for people who read results: one person, or one study, in a single file."""

from ._gap_placement import GapPlacement, place_gap
from ._person_report import PersonReport, person_report
from ._study_report import StudyReport, study_report

__all__ = [
    "GapPlacement",
    "PersonReport",
    "StudyReport",
    "person_report",
    "place_gap",
    "study_report",
]
