"""What the linter's tests share: the data files' names, and the one finding that is expected."""

from collections.abc import Callable

from jurisdictions import Finding

Edit = Callable[[str, str, str], None]

J, I, B, A = "jurisdictions.yaml", "items.yaml", "bodies.yaml", "agreements.yaml"  # noqa: E741 - the four files
C = "calendar-2026.yaml"


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]
