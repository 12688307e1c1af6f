"""Ledgers on both databases."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text


@pytest.fixture(params=["sqlite", "postgresql"])
def new_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Makes the URL of an empty ledger."""
    if request.param == "sqlite":
        return lambda name: f"sqlite:///{tmp_path}/{name}.db"
    base = request.getfixturevalue("postgres")

    def database(name: str) -> str:
        unique = f"ledger_{name}_{uuid4().hex}"
        engine = create_engine(base, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {unique}"))
        engine.dispose()
        return str(base).replace("/postgres?", f"/{unique}?")

    return database
