"""Brings a ledger's tables to the newest form. Forward only: an older program refuses a newer ledger."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

NEWEST = "0007"
"""The newest revision; a test holds it against the scripts in `versions/`."""


class NewerLedgerError(Exception):
    """The ledger was made by a newer program."""


def upgrade(engine: Engine) -> None:
    """Make or migrate the tables; costs one query where nothing is to be done.

    Raises:
        NewerLedgerError: the ledger has a revision that this program does not know.
    """
    with engine.connect() as connection:
        revision = _revision(connection)
    if revision == NEWEST:
        return
    # Loading the migration machinery takes longer than everything else at a start; most starts need none of it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise NewerLedgerError(
                f"the ledger is at revision {revision}, this program knows {NEWEST}"
            ) from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
