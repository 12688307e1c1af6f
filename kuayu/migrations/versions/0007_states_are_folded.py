"""The state of a case is what its rows make, and is kept nowhere else."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("case_state", "state")
