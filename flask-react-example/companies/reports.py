"""Reports on companies, in the shape of companies.json, and how they get into the tables."""

import json
from pathlib import Path

from flask_migrate import upgrade
from marshmallow import Schema, ValidationError, fields, validate, validates_schema
from sqlalchemy import select

from companies.models import Company, Finance, db

COMPANIES = Path(__file__).parent.with_name("companies.json")


def plain(value):
    """Refuse characters that no database keeps."""
    if "\0" in value or value != value.encode(errors="replace").decode():
        raise ValidationError("Not plain text.")


class Text(fields.String):
    def __init__(self, **options):
        super().__init__(required=True, validate=[validate.Length(1, 200), plain], **options)


class Earnings(fields.Decimal):
    def __init__(self, **options):
        super().__init__(required=True, validate=self.fits, **options)

    @staticmethod
    def fits(value):
        if abs(value) >= 10**12 or value.as_tuple().exponent < -2:
            raise ValidationError("Not a number below 10^12 with at most two decimals.")


class FinanceReport(Schema):
    year = fields.Integer(
        required=True, strict=True, data_key="YEAR", validate=validate.Range(1, 9999)
    )
    q1_earnings = Earnings(data_key="Q1_EARNINGS")
    q2_earnings = Earnings(data_key="Q2_EARNINGS")
    q3_earnings = Earnings(data_key="Q3_EARNINGS")
    q4_earnings = Earnings(data_key="Q4_EARNINGS")


class Report(Schema):
    name = Text(data_key="COMPANY")
    company_ceo = Text(data_key="COMPANY_CEO")
    business_type = Text(data_key="BUSINESS_TYPE")
    finances = fields.List(fields.Nested(FinanceReport), required=True, data_key="FINANCE")

    @validates_schema
    def each_year_once(self, report, **_):
        years = [finance["year"] for finance in report["finances"]]
        if len(set(years)) < len(years):
            raise ValidationError("A year comes twice.", "FINANCE")


def read(file):
    """The reports in a file, unchecked. Raises ValueError where it has not their shape at all."""
    # numbers with decimals stay as they are written, and so exact; NaN is no number of JSON's
    text = Path(file).read_text("utf-8")
    document = json.loads(text, parse_float=str, parse_constant=str)
    if not isinstance(document, dict) or not isinstance(document.get("DATA"), list):
        raise ValueError('it is not {"DATA": [...]}')
    return document["DATA"]


def save(report):
    """Put a report into the session: its company and years, new or anew; other years stay.

    Raises marshmallow's ValidationError where it is wrong.
    """
    values = Report().load(report)
    finances = values.pop("finances")
    company = db.session.scalar(select(Company).filter_by(name=values["name"])) or Company()
    by_year = {finance.year: finance for finance in company.finances}
    for name, value in values.items():
        setattr(company, name, value)
    for values in finances:
        finance = by_year.get(values["year"]) or Finance(company=company)
        for name, value in values.items():
            setattr(finance, name, value)
    db.session.add(company)


def prepare():
    """Bring the tables of a SQLite file up to date, and fill them the first time."""
    upgrade()
    # several processes may start at once: one of them writes, the others wait
    db.session.connection().exec_driver_sql("BEGIN IMMEDIATE")
    if db.session.scalar(select(Company.id).limit(1)) is None:
        for report in read(COMPANIES):
            save(report)
    db.session.commit()
