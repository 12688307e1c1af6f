"""Ledgers on both databases."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text


@pytest.fixture
def new_database(postgres: str) -> Callable[[str], str]:
    """Makes an empty database in PostgreSQL; gives its URL."""

    def database(name: str) -> str:
        unique = f"ledger_{name}_{uuid4().hex}"
        engine = create_engine(postgres, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {unique}"))
        engine.dispose()
        return str(make_url(postgres).set(database=unique).render_as_string(hide_password=False))

    return database


@pytest.fixture(params=["sqlite", "postgresql"])
def new_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Makes the URL of an empty ledger."""
    if request.param == "sqlite":
        return lambda name: f"sqlite:///{tmp_path}/{name}.db"
    made: Callable[[str], str] = request.getfixturevalue("new_database")
    return made
