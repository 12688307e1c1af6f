"""Two mixes of cases. Shares are of all cases unless said otherwise; none of them is a published figure.

`realistic` follows what a service hall sees, `stress` lets every path be seen within a few hundred cases.
"""

from typing import Final

from msgspec import Struct


class Mix(Struct, frozen=True, kw_only=True):
    """How often what happens.

    `online`, `direct`, `forward` and `other` are weights of the ways a case comes in; `instant` is the share of items
    decided by rule within `online`; `near` the share of owners within the three cities.
    """

    online: float
    instant: float
    direct: float
    forward: float
    other: float
    near: float
    zipf: float
    """Exponent of the popularity of items; 0 is uniform."""
    spoiled: float
    """Applications that are refused at the door, in proportion to all that are taken."""
    by_topic: float
    """Handed in on the intake topic."""
    batches: float
    """Share of cases that come in a batch of one employer."""
    batch_size: tuple[int, int]
    not_accepted: float
    """Of what the owner accepts, that is of collected cases."""
    supplement: float
    supplement_never: float
    """Of the supplements."""
    refused: float
    withdrawn: float
    transferred: float
    suspended: float
    extended: float
    by_agent: float
    comes_back: float
    """Of what is handed over or posted."""
    never_fetched: float
    wrong_code: float


MIXES: Final = {
    "realistic": Mix(
        online=70,
        instant=0.36,
        direct=12,
        forward=8,
        other=7,
        near=0.70,
        zipf=1.1,
        spoiled=0.10,
        by_topic=0.10,
        batches=0.02,
        batch_size=(50, 500),
        not_accepted=0.04,  # 1 % of all: only a part is collected for an owner who accepts
        supplement=0.12,
        supplement_never=0.06,
        refused=0.015,
        withdrawn=0.012,
        transferred=0.01,
        suspended=0.03,
        extended=0.003,
        by_agent=0.08,
        comes_back=0.012,
        never_fetched=0.03,
        wrong_code=0.02,
    ),
    "stress": Mix(
        online=30,
        instant=0.33,
        direct=15,
        forward=25,
        other=22,
        near=0.5,
        zipf=0.0,
        spoiled=0.15,
        by_topic=0.25,
        batches=0.10,
        batch_size=(20, 60),
        not_accepted=0.15,
        supplement=0.25,
        supplement_never=0.10,
        refused=0.08,
        withdrawn=0.06,
        transferred=0.06,
        suspended=0.08,
        extended=0.05,
        by_agent=0.15,
        comes_back=0.06,
        never_fetched=0.05,
        wrong_code=0.08,
    ),
}
"""By the name that `--mix` takes."""
