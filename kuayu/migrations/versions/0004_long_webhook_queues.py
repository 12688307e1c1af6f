"""What a subscriber's next calls are is found without a look at all that waits for it."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.drop_index("webhook_delivery_due", "webhook_delivery")
    op.create_index("webhook_delivery_due", "webhook_delivery", ["webhook", "parked", "next_at", "row"])
    op.create_index("webhook_delivery_case", "webhook_delivery", ["webhook", "subject", "row"])
