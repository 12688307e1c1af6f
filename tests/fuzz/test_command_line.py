"""Whatever is typed or set, the program answers: one line that names the mistake, exit code 1 or 2, no traceback."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from kuayu.cli import app
from kuayu.settings import BadSetting, Settings
from tests.fuzz.profile import fuzz

NOWHERE = "127.0.0.1:9"
"""Nobody listens there."""


def run(*arguments: str, **environment: str) -> Any:
    return CliRunner().invoke(app, list(arguments), env=environment)


def told(result: Any) -> str:
    """The one line, without the values that a terminal would break."""
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return str(result.output)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KUAYU_HTTP", "8080"),
        ("KUAYU_HTTP", "127.0.0.1:99999"),
        ("KUAYU_HTTP", "127.0.0.1:²"),
        ("KUAYU_DRIVER", "rabbit"),
        ("KUAYU_SYNCHRONOUS", "OFF"),
        ("KUAYU_PEERS", "{"),
        ("KUAYU_PEERS", "[]"),
        ("KUAYU_PEERS", '{"430100": "not an address"}'),
        ("KUAYU_ALLOW_REMOTE_BROKER", "perhaps"),
        ("KUAYU_BOOTSTRAP_SERVERS", "kafka.example.org:9092"),
        ("KUAYU_BOOTSTRAP_SERVERS", "garbage"),
        ("KUAYU_BOOTSTRAP_SERVERS", ""),
        ("KUAYU_BOOTSTRAP_SERVERS", "127.0.0.1:x"),
        ("KUAYU_BOOTSTRAP_SERVERS", "127.0.0.1:99999"),
        ("KUAYU_DIRECTORY", "/nonexistent"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path, variable: str, value: str) -> None:
    environment = {"KUAYU_DATA": str(tmp_path), "KUAYU_BOOTSTRAP_SERVERS": NOWHERE} | {variable: value}
    for command in (("node", "430100"), ("topics", "create")):
        assert len(told(run(*command, **environment)).strip().splitlines()) == 1


@pytest.mark.parametrize(
    "ledger",
    ["garbage", "sqlite", "nosuch://x", "postgresql+psycopg://127.0.0.1:9/x", "sqlite:////nonexistent/x.db"],
)
def test_a_ledger_that_cannot_be_opened_is_named(tmp_path: Path, ledger: str) -> None:
    told(run("verify", "430100", KUAYU_DATA=str(tmp_path), KUAYU_LEDGER=ledger))
    told(run("case", "430100-1", KUAYU_DATA=str(tmp_path), KUAYU_LEDGER=ledger))


@pytest.mark.parametrize("content", [b"SQLite format 3\0 and then nothing", b"text", b"", b"\0" * 5000])
def test_a_file_that_is_no_ledger_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "430100.db").write_bytes(content)
    told(run("verify", "430100", KUAYU_DATA=str(tmp_path)))
    told(run("case", "430100-1", KUAYU_DATA=str(tmp_path)))


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[", b"callers: x", b"callers: [x]", b"- 1", b"callers: [&a {b: *a}]", b"[" * 200_000],
)
def test_a_keys_file_that_is_none_is_named_and_left_as_it_was(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "keys.yaml"
    file.write_bytes(content)
    arguments = ("key", str(file), "--caller", "system:a", "--jurisdiction", "430100", "--role", "read")
    told(run(*arguments))
    assert file.read_bytes() == content


@pytest.mark.parametrize(
    "arguments",
    [
        ("send", "/nonexistent.json"),
        ("send", "."),
        ("key", "/proc/nonexistent/keys.yaml", "--caller", "x", "--jurisdiction", "1", "--role", "r"),
        ("key", "{}/keys.yaml", "--caller", "nobody", "--jurisdiction", "1", "--role", "read"),
        ("key", "{}/keys.yaml", "--caller", "system:a", "--jurisdiction", "430100", "--role", "king"),
        ("case", "\x01"),
        ("case", "../../etc/passwd-1"),
        ("verify", "../../etc/passwd"),
        ("node", "999999"),
        ("node", "x"),
        ("node", "430100", "--stage", "kitchen"),
        ("directory", "lint", "/nonexistent"),
        ("topics", "list"),
        ("replay-log", "/nonexistent.csv"),
        ("replay-log", "{}"),
    ],
)
def test_what_cannot_be_done_is_told(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    environment = {"KUAYU_DATA": str(tmp_path), "KUAYU_BOOTSTRAP_SERVERS": NOWHERE}
    told(run(*(argument.replace("{}", str(tmp_path)) for argument in arguments), **environment))
    assert not (tmp_path / "keys.yaml").exists()


@fuzz(2)
@given(
    name=st.sampled_from([name.upper() for name in Settings.model_fields]),
    value=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30),
)
def test_any_text_of_a_setting_is_taken_or_named(name: str, value: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(f"KUAYU_{name}", value)
        try:
            settings = Settings.load()
            settings.check_broker()
        except BadSetting as bad:
            assert re.fullmatch(f"KUAYU_{name}: .+", str(bad))  # noqa: PT017 - either outcome is right
        except ValueError as remote:
            assert str(remote).startswith("KUAYU_BOOTSTRAP_SERVERS: ")  # noqa: PT017
        else:
            assert 0 <= settings.http_port <= 65_535
