"""Exceptions of a lane are found by their status: few are open, and what was refused stays for ever."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_index("exception_status", "exception", ["lane", "status", "number"])
