"""How long to search: `make fuzz EXAMPLES=…` sets KUAYU_FUZZ_EXAMPLES, and other examples are tried at each run."""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("KUAYU_FUZZ_EXAMPLES", "50"))
LONGER = "KUAYU_FUZZ_EXAMPLES" in os.environ


def fuzz(share: float = 1.0) -> Callable[[Any], Any]:
    """Hypothesis's settings for a test; `share` of the examples where one of them costs much."""
    return settings(
        max_examples=max(1, round(EXAMPLES * share)),
        deadline=None,
        derandomize=not LONGER,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
