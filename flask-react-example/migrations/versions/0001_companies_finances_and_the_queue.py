"""Companies, their finances, and the queue of reports."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

MONEY = sa.Numeric(14, 2).with_variant(sa.String(16), "sqlite")


def upgrade():
    op.create_table(
        "company",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("company_ceo", sa.String(200), nullable=False),
        sa.Column("business_type", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_company")),
        sa.UniqueConstraint("name", name=op.f("uq_company_name")),
    )
    op.create_table(
        "finance",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("company_id", sa.Integer(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("q1_earnings", MONEY, nullable=False),
        sa.Column("q2_earnings", MONEY, nullable=False),
        sa.Column("q3_earnings", MONEY, nullable=False),
        sa.Column("q4_earnings", MONEY, nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id"],
            ["company.id"],
            name=op.f("fk_finance_company_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finance")),
        sa.UniqueConstraint("company_id", "year", name=op.f("uq_finance_company_id_year")),
    )
    op.create_table(
        "queue",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("loaded_at", sa.DateTime(), nullable=False),
        sa.Column("done_at", sa.DateTime(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queue")),
    )


def downgrade():
    op.drop_table("queue")
    op.drop_table("finance")
    op.drop_table("company")
