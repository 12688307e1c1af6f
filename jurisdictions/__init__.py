"""Who is who, who does what for whom, and when it is due.

The directory of jurisdictions, items (通办清单) and agreements with their data files; routing of cases between
inboxes; the calendar of working days and the legal clock; validators of identifiers. Pure: it reads its data files
once and knows no other package of the project.
"""

from jurisdictions._calendar import CHINA_TIME, Calendar, CalendarYear, Due, Holiday, Suspension, legal_day
from jurisdictions._codes import (
    BUSINESS_LAYOUT,
    NATIONAL_LAYOUT,
    CaseNumber,
    ItemCode,
    ItemCodeLayout,
    area_code,
    case_number,
    citizen_number,
    credit_code,
    item_code,
    make_case_number,
)
from jurisdictions._directory import Directory, load_directory
from jurisdictions._errors import Invalid
from jurisdictions._files import PACKAGED, Folder, read_folder, write_folder
from jurisdictions._lint import lint
from jurisdictions._lint_schema import Finding
from jurisdictions._model import (
    ALL_ITEMS,
    DEFAULT_PARTITIONS,
    STANDARD_HOURS,
    Agreement,
    Body,
    Item,
    Jurisdiction,
    Level,
    Limit,
    LimitStart,
    LimitUnit,
    Material,
    Mode,
    Period,
    Power,
    ReceiptRule,
    Regime,
    Required,
    Result,
    Serves,
    Source,
    Sources,
    Stage,
)
from jurisdictions._routing import InboxAddress, NoRoute, NoRouteCode, Route, route
from jurisdictions._yaml import read_yaml

__all__ = [
    "ALL_ITEMS",
    "BUSINESS_LAYOUT",
    "CHINA_TIME",
    "DEFAULT_PARTITIONS",
    "NATIONAL_LAYOUT",
    "PACKAGED",
    "STANDARD_HOURS",
    "Agreement",
    "Body",
    "Calendar",
    "CalendarYear",
    "CaseNumber",
    "Directory",
    "Due",
    "Finding",
    "Folder",
    "Holiday",
    "InboxAddress",
    "Invalid",
    "Item",
    "ItemCode",
    "ItemCodeLayout",
    "Jurisdiction",
    "Level",
    "Limit",
    "LimitStart",
    "LimitUnit",
    "Material",
    "Mode",
    "NoRoute",
    "NoRouteCode",
    "Period",
    "Power",
    "ReceiptRule",
    "Regime",
    "Required",
    "Result",
    "Route",
    "Serves",
    "Source",
    "Sources",
    "Stage",
    "Suspension",
    "area_code",
    "case_number",
    "citizen_number",
    "credit_code",
    "item_code",
    "legal_day",
    "lint",
    "load_directory",
    "make_case_number",
    "read_folder",
    "read_yaml",
    "route",
    "write_folder",
]
