"""`kuayu schemas …`: the contracts; the same commands as `python -m schemas`."""

from schemas.__main__ import app

__all__ = ["app"]
