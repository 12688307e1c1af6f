"""What the task API answers with. Models of states are made from the contracts' own classes."""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from pydantic import BaseModel, Field, create_model

from cases import AcceptanceState, PickupState, ReviewState, TaskKind


class _Out(BaseModel):
    pass


class TaskOut(_Out):
    """任务: a line of a work list, without personal data."""

    case_id: str
    stage: str
    version: int = Field(description="Of the case at this stage; its ETag is this number in quotes.")
    kind: TaskKind
    kind_zh: str
    kind_en: str
    status: str
    open: bool
    due: datetime | None = Field(description="The nearest legal due instant.")
    urgent: bool = Field(description="The working day before it is due has begun.")
    late: bool
    opened_at: datetime = Field(description="When the case came to this work list.")
    case_number: str
    item_zh: str
    item_en: str
    accepted_by: str = Field(description="Office that took the application.")
    applicant: str = Field(description="Masked.")
    claimed_by: str | None
    attention: str = Field(description="Code of a refused hand-over that waits to be seen to, or empty.")


class TaskList(_Out):
    """A page of a work list."""

    tasks: list[TaskOut]
    next: str | None = Field(description="Cursor of the next page; null at the end.")


class StepOut(_Out):
    """A step of the journey."""

    at: datetime
    recorded_at: datetime
    by: str
    kind: str
    zh: str
    en: str


class State(StrEnum):
    """Which tasks a list shows."""

    OPEN = "open"
    DONE = "done"


@cache
def model_of(struct: type[msgspec.Struct], without: frozenset[str] = frozenset()) -> type[BaseModel]:
    """A model with the fields of a struct, all the way down, less those named in `without`."""
    hints = get_type_hints(struct)
    fields: dict[str, Any] = {
        name: (_model_type(hints[name]), ...) for name in struct.__struct_fields__ if name not in without
    }
    return create_model(struct.__name__, __doc__=struct.__doc__, **fields)


def _model_type(hint: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return model_of(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return Union[tuple(_model_type(argument) for argument in arguments)]  # noqa: UP007 - made at run time
    if origin is tuple:
        return list[_model_type(arguments[0])]  # type: ignore[misc]
    return hint


SECRETS: Collection[str] = ("salt", "code_hash", "collection_code")
"""What the applicant has, or proves, is shown to nobody else."""


def shown(state: msgspec.Struct) -> Any:
    """A state as the API shows it: plain values, without secrets."""
    fields = {name: getattr(state, name) for name in state.__struct_fields__ if name not in SECRETS}
    return msgspec.to_builtins(fields, builtin_types=(datetime,))


AcceptanceOut = model_of(AcceptanceState, frozenset(SECRETS))
ReviewOut = model_of(ReviewState, frozenset(SECRETS))
PickupOut = model_of(PickupState, frozenset(SECRETS))


class CaseOut(_Out):
    """办件 at one stage: what the clerk who works on it needs. It holds the applicant's data."""

    case_id: str
    stage: str
    version: int
    status: str
    status_zh: str
    status_en: str
    task: TaskOut | None = Field(description="Null if there is nothing to do here.")
    actions: list[str] = Field(description="Names of the acts that the caller can try now.")
    state: AcceptanceOut | ReviewOut | PickupOut  # type: ignore[valid-type]
    journey: list[StepOut]


class Done(_Out):
    """What an act came to, durably."""

    case_id: str
    stage: str
    version: int = Field(description="The new version of the case; also in the ETag.")
    status: str
    status_zh: str
    status_en: str
    due: datetime | None = Field(description="Of what is to be done next here.")
    repeated: bool = Field(description="The key was used before for this same act: nothing was done again.")
