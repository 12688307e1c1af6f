"""Cases from files: event logs of other systems (CSV, XES), and files of applications (JSON, CSV)."""

from producers.feeds.cases_file import FiledCase, read_cases
from producers.feeds.eventlog import read_plans
from producers.feeds.files import MAX_BYTES, FeedError
from producers.feeds.mapping import PACKAGED, LogMapping, Undecided, load_mapping
from producers.feeds.plans import CasePlan, CaseStep, PlannedStep

__all__ = [
    "MAX_BYTES",
    "PACKAGED",
    "CasePlan",
    "CaseStep",
    "FeedError",
    "FiledCase",
    "LogMapping",
    "PlannedStep",
    "Undecided",
    "load_mapping",
    "read_cases",
    "read_plans",
]
