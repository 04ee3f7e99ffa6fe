"""The example's own tests, in a SQLite file, or in the PostgreSQL that TEST_DATABASE_URL names."""

import json
import os
from decimal import Decimal

import pytest
from click.testing import CliRunner
from flask import session
from flask_migrate import check, downgrade, upgrade
from sqlalchemy import func, inspect, select
from sqlalchemy.exc import IntegrityError

from companies import create_app
from companies.login import BASE_URL, HEADER
from companies.models import Company, Finance, Queue, db
from companies.reports import COMPANIES, read, save
from db_engine import cli

ALICE = {HEADER: '{"user": "alice", "groups": []}'}


@pytest.fixture
def app(tmp_path, monkeypatch):
    """An app with the companies of companies.json in its database."""
    url = os.environ.get("TEST_DATABASE_URL") or f"sqlite:///{tmp_path}/test.db"
    # the second is that of db_engine.py
    for variable in ("TEST_DATABASE_URL", "DEV_DATABASE_URL"):
        monkeypatch.setenv(variable, url)
    app = create_app("testing")
    with app.app_context():
        upgrade()
        for report in read(COMPANIES):
            save(report)
        db.session.commit()
    yield app
    with app.app_context():
        downgrade(revision="base")
        db.engine.dispose()


@pytest.fixture
def client(app):
    return app.test_client()


def get(client, path, status=200, headers=ALICE):
    response = client.get(f"/api_1_0/{path}", headers=headers)
    assert response.status_code == status, response.json
    return response.json


def id_of(client, name):
    return next(item["id"] for item in get(client, "companies")["items"] if item["name"] == name)


# the API


def test_the_companies_are_sorted(client):
    names = [item["name"] for item in get(client, "companies")["items"]]
    assert names == sorted(names)
    assert {"Stark Industries", "WayneCorp"} < set(names)


def test_a_company_comes_in_the_envelope(client):
    assert get(client, f"get_company/{id_of(client, 'Stark Industries')}") == {
        "status": 200,
        "success": True,
        "message": "The company was found.",
        "contentType": "application/json",
        "content": {
            "name": "Stark Industries",
            "ceo_name": "Pepper Potts",
            "business type": "Manufacturing",
        },
    }


def test_a_year_and_all_years(client):
    stark = id_of(client, "Stark Industries")
    year = get(client, f"finance/{stark}/2015")["items"]
    assert year == {
        "year": 2015,
        "q1_earnings": "78.50",
        "q2_earnings": "81.20",
        "q3_earnings": "74.90",
        "q4_earnings": "92.35",
    }
    years = get(client, f"finance/{stark}")["items"]
    assert [finance["year"] for finance in years] == [2015, 2016, 2017, 2018]
    assert years[0] == year


def test_what_is_not_there(client):
    for path, message in {
        "get_company/2147483647": "There is no company 2147483647.",
        "finance/2147483647": "There is no company 2147483647.",
        "finance/2147483647/2015": "There is no company 2147483647.",
        "get_company/2147483648": "not found",
        "get_company/one": "not found",
        "nothing": "not found",
    }.items():
        answer = get(client, path, 404)
        assert message in answer.pop("message")
        assert answer == {
            "status": 404,
            "success": False,
            "contentType": "application/json",
            "content": None,
        }


def test_a_year_that_is_not_there(client):
    answer = get(client, f"finance/{id_of(client, 'WayneCorp')}/1939", 404)
    assert answer["message"] == "WayneCorp has no earnings of 1939."


# who is signed in


def test_only_for_those_who_are_signed_in(client):
    for path in ("user", "companies", "get_company/1", "finance/1", "finance/1/2015"):
        assert "Sign in to Connect" in get(client, path, 401, headers={})["message"]


def test_who_is_signed_in(client):
    assert get(client, "user") == {"name": "alice"}
    # WSGI has the header's bytes as Latin-1
    jose = '{"user": "José"}'.encode().decode("latin-1")
    assert get(client, "user", headers={HEADER: jose}) == {"name": "José"}


def test_where_to_sign_in(client):
    assert get(client, "user", 401, headers={})["content"] is None
    base = {BASE_URL: "https://connect.example.com/content/7d1f"}
    assert get(client, "user", 401, headers=base)["content"] == {
        "sign_in": "https://connect.example.com/connect/"
    }


def test_a_malformed_header(client):
    for value in ("", "alice", "[]", '{"user": 7}', '{"user": "\xff"}'):
        assert HEADER in get(client, "user", 400, headers={HEADER: value})["message"]


def test_in_development_somebody_is_signed_in(app):
    app.config["DEVELOPMENT_USER"] = "developer"
    assert get(app.test_client(), "user", headers={}) == {"name": "developer"}


def test_a_cookie_stays_below_the_mount(app):
    @app.get("/remember")
    def remember():
        session["seen"] = True
        return "", 204

    response = app.test_client().get("/remember", environ_overrides={"SCRIPT_NAME": "/content/1"})
    assert response.headers["Set-Cookie"].startswith("flask-react-example=")
    assert "; Path=/content/1/" in response.headers["Set-Cookie"]


def test_a_cookie_signs_nobody_in(client):
    client.set_cookie("flask-react-example-remember", "alice|0")
    get(client, "user", 401, headers={})


# the database


def test_without_its_tables(app):
    with app.app_context():
        downgrade(revision="base")
    response = app.test_client().get("/api_1_0/companies", headers=ALICE)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert "database" in response.json["message"]
    with app.app_context():
        upgrade()
    assert get(app.test_client(), "companies") == {"items": []}


def test_migrations_make_what_the_models_say_and_unmake_it(app):
    with app.app_context():
        check()
        assert {"company", "finance", "queue"} < set(inspect(db.engine).get_table_names())
        downgrade(revision="base")
        assert inspect(db.engine).get_table_names() == ["alembic_version"]
        upgrade()
        check()


def test_earnings_are_exact(app):
    values = ["0.10", "-0.01", "999999999999.99", "123456789012.34"]
    with app.app_context():
        quarters = {f"q{n}_earnings": Decimal(value) for n, value in enumerate(values, 1)}
        company = Company(name="Exact", company_ceo="-", business_type="-")
        company.finances = [Finance(year=2015, **quarters)]
        db.session.add(company)
        db.session.commit()
        assert [str(getattr(company.finances[0], name)) for name in quarters] == values


def test_a_company_has_a_year_once(app):
    with app.app_context():
        stark = db.session.scalar(select(Company).filter_by(name="Stark Industries"))
        quarters = {f"q{n}_earnings": Decimal(1) for n in (1, 2, 3, 4)}
        stark.finances.append(Finance(year=2015, **quarters))
        with pytest.raises(IntegrityError):
            db.session.commit()
        db.session.rollback()


# db_engine.py


QUARTERS = {"Q1_EARNINGS": 0.1, "Q2_EARNINGS": "2.50", "Q3_EARNINGS": -3, "Q4_EARNINGS": 4.25}
HOSTILE = "Robert'); DROP TABLE company;-- 🏭"


@pytest.fixture
def run(app):
    """Runs a command of db_engine.py; what it prints."""

    def run(*arguments, status=0):
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == status, done.output
        return done.output

    return run


@pytest.fixture
def file(tmp_path):
    """Writes reports to a file; its path."""

    def file(*reports):
        path = tmp_path / "reports.json"
        path.write_text(json.dumps({"DATA": reports}), "utf-8")
        return str(path)

    return file


def report(name, *years, **changes):
    finances = [{"YEAR": year, **QUARTERS} for year in years]
    report = {"COMPANY": name, "COMPANY_CEO": "Bobby", "BUSINESS_TYPE": "Trade"}
    return {**report, "FINANCE": finances, **changes}


def everything(app):
    """All that is in the database but the queue."""
    with app.app_context():
        return [
            (company.name, company.company_ceo, finance.year, finance.q1_earnings)
            for company in db.session.scalars(select(Company).order_by(Company.name))
            for finance in company.finances
        ]


def test_reports_are_worked_in(app, run, file):
    before = everything(app)
    assert "2 on the queue" in run("load", file(report(HOSTILE, 2019, 2020), report("Acme", 2020)))
    assert run("list").count("waits") == 2
    assert everything(app) == before
    assert "2 worked in, 0 left" in run("run")
    added = [
        ("Acme", "Bobby", 2020, Decimal("0.10")),
        (HOSTILE, "Bobby", 2019, Decimal("0.10")),
        (HOSTILE, "Bobby", 2020, Decimal("0.10")),
    ]
    assert sorted(everything(app)) == sorted(before + added)

    after = everything(app)
    assert "0 worked in" in run("run")
    assert everything(app) == after
    run("load", file(report(HOSTILE, 2019, 2020), report("Acme", 2020)))
    assert "2 worked in" in run("run")
    assert everything(app) == after


def test_a_report_that_is_cut_short_leaves_nothing(app, run, file, monkeypatch):
    def cut_short(report):
        save(report)
        db.session.flush()
        raise KeyboardInterrupt

    before = everything(app)
    run("load", file(report("Acme", 2020)))
    with monkeypatch.context() as patch:
        patch.setattr("db_engine.save", cut_short)
        run("run", status=1)
    assert everything(app) == before
    assert "waits" in run("list")
    assert "1 worked in" in run("run")


def test_a_report_changes_its_years_only(app, run, file):
    year = {"YEAR": 2016, **QUARTERS}
    run("load", file(report("Stark Industries", FINANCE=[year], COMPANY_CEO="Tony Stark")))
    run("run")
    stark = [row for row in everything(app) if row[0] == "Stark Industries"]
    assert [(ceo, year) for _, ceo, year, _ in stark] == [
        ("Tony Stark", year) for year in (2015, 2016, 2017, 2018)
    ]
    assert [q1 for *_, q1 in stark] == [Decimal(q1) for q1 in ("78.50", "0.10", "95.60", "112.25")]


def year_with(**changes):
    return [{"YEAR": 2020, **QUARTERS}, {"YEAR": 2021, **QUARTERS, **changes}]


WRONG = [
    (7, ": Invalid input type"),
    (report(""), ".COMPANY: "),
    (report("a\0b"), ".COMPANY: "),
    (report("\ud800"), ".COMPANY: "),
    (report("x" * 201), ".COMPANY: "),
    (report("Acme", BUSINESS_TYPE=None), ".BUSINESS_TYPE: "),
    (report("Acme", FINANCE="none"), ".FINANCE: "),
    (report("Acme", 2020, 2020), ".FINANCE: A year comes twice."),
    (report("Acme", COMPANY_BOSS="?"), ".COMPANY_BOSS: Unknown field."),
    (report("Acme", FINANCE=year_with(YEAR="2021")), ".FINANCE[1].YEAR: "),
    (report("Acme", FINANCE=year_with(YEAR=10000)), ".FINANCE[1].YEAR: "),
    (report("Acme", FINANCE=year_with(Q3_EARNINGS=0.125)), ".FINANCE[1].Q3_EARNINGS: "),
    (report("Acme", FINANCE=year_with(Q3_EARNINGS=1e12)), ".FINANCE[1].Q3_EARNINGS: "),
    (report("Acme", FINANCE=year_with(Q3_EARNINGS=float("nan"))), ".FINANCE[1].Q3_EARNINGS: "),
    (report("Acme", FINANCE=year_with(Q3_EARNINGS=True)), ".FINANCE[1].Q3_EARNINGS: "),
]


def test_what_is_wrong_is_named_and_stays(app, run, file):
    before = everything(app)
    reports = [report("First", 2020), *(wrong for wrong, _ in WRONG), report("Last", 2020)]
    path = file(*reports)
    run("load", path)
    output = run("run", status=1)
    assert f"2 worked in, {len(WRONG)} left" in output
    for number, (_, reason) in enumerate(WRONG, 1):
        assert f"{path} DATA[{number}]{reason}" in output
    assert len(everything(app)) == len(before) + 2
    assert f"0 worked in, {len(WRONG)} left" in run("run", status=1)
    with app.app_context():
        left = select(Queue.place).filter_by(done_at=None).order_by(Queue.id)
        places = [f"{path} DATA[{number}]" for number in range(1, len(WRONG) + 1)]
        assert db.session.scalars(left).all() == places


def test_prune_keeps_what_is_young_or_waits(app, run, file):
    run("load", file(report("Acme", 2020), 7))
    run("run", status=1)
    run("load", file(report("Acme", 2021)))
    assert "0 removed" in run("prune")
    assert "0 removed" in run("prune", "--older-than", "10h")
    assert "2 removed" in run("prune", "--older-than", "0m")
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Queue)) == 1


def test_what_cannot_be_loaded(run, tmp_path):
    path = tmp_path / "reports.json"
    for text in ("", "{", "[]", '{"DATA": {}}', "[" * 100_000, "\xff"):
        path.write_text(text, "latin-1")
        assert f"{path} cannot be loaded" in run("load", str(path), status=1)


def test_an_age_that_is_none(run):
    assert "'soon' is not a time such as" in run("prune", "--older-than", "soon", status=2)
