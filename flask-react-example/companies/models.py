"""The tables: companies, their finances by year, and the queue of reports."""

from datetime import UTC, datetime
from decimal import Decimal

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import JSON, ForeignKey, MetaData, Numeric, String, TypeDecorator, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    # migrations find a constraint by its name
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Base)


class Money(TypeDecorator):
    """An exact decimal with two places. SQLite has none, and keeps it as text."""

    impl = Numeric(14, 2)
    cache_ok = True

    def load_dialect_impl(self, dialect):
        return String(16) if dialect.name == "sqlite" else self.impl

    def process_bind_param(self, value, dialect):
        return f"{value:.2f}" if dialect.name == "sqlite" and value is not None else value

    def process_result_value(self, value, dialect):
        return Decimal(value) if dialect.name == "sqlite" and value is not None else value


class Company(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    company_ceo: Mapped[str] = mapped_column(String(200))
    business_type: Mapped[str] = mapped_column(String(200))
    finances: Mapped[list["Finance"]] = relationship(
        back_populates="company", cascade="all, delete-orphan", order_by="Finance.year"
    )


class Finance(db.Model):
    __table_args__ = (UniqueConstraint("company_id", "year"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    company_id: Mapped[int] = mapped_column(ForeignKey("company.id", ondelete="CASCADE"))
    year: Mapped[int]
    q1_earnings: Mapped[Decimal] = mapped_column(Money)
    q2_earnings: Mapped[Decimal] = mapped_column(Money)
    q3_earnings: Mapped[Decimal] = mapped_column(Money)
    q4_earnings: Mapped[Decimal] = mapped_column(Money)
    company: Mapped[Company] = relationship(back_populates="finances")


def now():
    """The time in UTC, as every database keeps it: without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


class Queue(db.Model):
    """A report that waits, or that was worked in; `error` says what is wrong with it."""

    id: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[str]
    report: Mapped[object] = mapped_column(JSON)
    loaded_at: Mapped[datetime] = mapped_column(default=now)
    done_at: Mapped[datetime | None]
    error: Mapped[str | None]
