"""The command line: what a person at a member's machine types."""

from kuayu.cli.main import app, run

__all__ = ["app", "run"]
