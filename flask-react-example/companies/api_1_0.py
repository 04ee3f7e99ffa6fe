"""The API: companies and their earnings, in JSON, for those who are signed in."""

from pathlib import Path

import flask_swagger_ui
from flask import abort
from flask_login import current_user, login_required
from flask_smorest import Blueprint
from marshmallow import Schema, fields
from sqlalchemy import select

from companies.errors import envelope
from companies.models import Company, Finance, db

api_1_0 = Blueprint(
    "api_1_0",
    __name__,
    url_prefix="/api_1_0",
    description="Companies and their earnings",
    # the console's scripts come from a package, not from another host
    static_folder=Path(flask_swagger_ui.__file__).with_name("dist"),
    static_url_path="/swagger-ui",
)

# the largest numbers that a database keeps as an id, and Python as a year
ID = "int(max=2147483647)"
YEAR = "int(max=9999)"


class EnvelopeSchema(Schema):
    status = fields.Integer(required=True)
    success = fields.Boolean(required=True)
    message = fields.String(required=True)
    contentType = fields.String(required=True)


class ErrorSchema(EnvelopeSchema):
    content = fields.Raw(required=True, allow_none=True)


class UserSchema(Schema):
    name = fields.String(required=True)


class CompanySchema(Schema):
    id = fields.Integer(required=True)
    name = fields.String(required=True)


class CompaniesSchema(Schema):
    items = fields.List(fields.Nested(CompanySchema), required=True)


class CompanyContentSchema(Schema):
    name = fields.String(required=True)
    ceo_name = fields.String(required=True)
    business_type = fields.String(required=True, data_key="business type")


class CompanyEnvelopeSchema(EnvelopeSchema):
    content = fields.Nested(CompanyContentSchema, required=True)


class Earnings(fields.Decimal):
    """A decimal, which is exact only as a string."""

    def __init__(self):
        metadata = {"type": "string", "pattern": r"^-?\d+\.\d\d$", "example": "78.50"}
        super().__init__(places=2, as_string=True, required=True, metadata=metadata)


class FinanceSchema(Schema):
    year = fields.Integer(required=True)
    q1_earnings = Earnings()
    q2_earnings = Earnings()
    q3_earnings = Earnings()
    q4_earnings = Earnings()


class YearSchema(Schema):
    items = fields.Nested(FinanceSchema, required=True)


class YearsSchema(Schema):
    items = fields.List(fields.Nested(FinanceSchema), required=True)


def for_users(view):
    """Only for those who are signed in; in the specification, what anybody may get instead."""
    view = login_required(view)
    for status, description in {
        400: "Not from Connect",
        401: "Not signed in",
        503: "The database is away",
    }.items():
        view = api_1_0.alt_response(status, schema=ErrorSchema, description=description)(view)
    return view


def missing(description):
    return api_1_0.alt_response(404, schema=ErrorSchema, description=description)


@api_1_0.route("/user")
@for_users
@api_1_0.response(200, UserSchema, description="The user")
def get_user():
    """Show who is signed in."""
    return {"name": current_user.id}


@api_1_0.route("/companies")
@for_users
@api_1_0.response(200, CompaniesSchema, description="Every company, sorted by name")
def get_companies():
    """List the companies."""
    return {"items": db.session.scalars(select(Company).order_by(Company.name))}


@api_1_0.route(f"/get_company/<{ID}:id>")
@for_users
@missing("No such company")
@api_1_0.response(200, CompanyEnvelopeSchema, description="The company")
def get_company(id):
    """Show a company."""
    company = find(id)
    content = {
        "name": company.name,
        "ceo_name": company.company_ceo,
        "business_type": company.business_type,
    }
    return envelope(200, "The company was found.", content)


@api_1_0.route(f"/finance/<{ID}:id>")
@for_users
@missing("No such company")
@api_1_0.response(200, YearsSchema, description="Every year of the company, in order")
def get_years(id):
    """List the years of a company."""
    return {"items": find(id).finances}


@api_1_0.route(f"/finance/<{ID}:id>/<{YEAR}:year>")
@for_users
@missing("No such company, or no such year of it")
@api_1_0.response(200, YearSchema, description="The year")
def get_finance(id, year):
    """Show one year of a company."""
    company = find(id)
    finance = db.session.scalar(select(Finance).filter_by(company_id=id, year=year))
    if finance is None:
        abort(404, f"{company.name} has no earnings of {year}.")
    return {"items": finance}


def find(id):
    return db.session.get(Company, id) or abort(404, f"There is no company {id}.")
