"""The same models without a server: puts reports on a queue, and works them in.

python db_engine.py load FILE        put the reports of a file like companies.json on the queue
python db_engine.py run              work them into companies and finances
python db_engine.py list             show the queue
python db_engine.py prune            remove what was worked in some time ago

With --production before the command it does so in the database of DATABASE_URL.
"""

import re
import sys
from datetime import timedelta

import click
from marshmallow import ValidationError
from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from companies import create_app
from companies.models import Queue, db, now
from companies.reports import prepare, read, save

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Age(click.ParamType):
    name = "age"

    def convert(self, value, *_):
        found = re.fullmatch(r"(\d{1,6})([mhd])", value)
        if not found:
            self.fail(f"{value!r} is not a time such as 30m, 10h or 7d.")
        return timedelta(**{UNITS[found[2]]: int(found[1])})


@click.group(help=__doc__.partition("\n")[0])
@click.option("--production", is_flag=True, help="In the database of DATABASE_URL.")
@click.pass_context
def cli(context, production):
    app = create_app("production" if production else "development")
    context.with_resource(app.app_context())
    # at the end, the last one first
    context.call_on_close(db.engine.dispose)
    context.call_on_close(db.session.remove)
    if db.engine.dialect.name == "sqlite":
        prepare()


@cli.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
def load(file):
    """Put the reports of a file on the queue."""
    try:
        reports = read(file)
    except (OSError, ValueError, RecursionError) as error:
        raise click.ClickException(f"{file} cannot be loaded: {error}") from None
    for number, report in enumerate(reports):
        db.session.add(Queue(place=f"{file} DATA[{number}]", report=report))
    db.session.commit()
    click.echo(f"{len(reports)} on the queue.")


@cli.command()
def run():
    """Work in the reports that wait, each in one transaction."""
    waiting = db.session.scalars(select(Queue.id).filter_by(done_at=None).order_by(Queue.id)).all()
    db.session.rollback()
    done = wrong = 0
    with click.progressbar(waiting, label="Reports", file=sys.stderr) as bar:
        for number in bar:
            match work_in(number):
                case "done":
                    done += 1
                case "wrong":
                    wrong += 1
    click.echo(f"{done} worked in, {wrong} left on the queue.")
    for error in db.session.scalars(select(Queue.error).where(Queue.error.is_not(None))):
        click.echo(error, err=True)
    sys.exit(bool(wrong))


def work_in(number):
    """Work in one report: `done`, `wrong`, or None where another run has it."""
    # whoever marks it first has it; another run waits for that here, and finds it marked
    claim = update(Queue).filter_by(id=number, done_at=None).values(done_at=now(), error=None)
    if not db.session.execute(claim).rowcount:
        db.session.rollback()
        return None
    row = db.session.get(Queue, number)
    try:
        save(row.report)
        db.session.commit()
    except IntegrityError:
        # another run has just made the same company: again, with what is there now
        db.session.rollback()
        return work_in(number)
    except ValidationError as error:
        db.session.rollback()
        row.error = "\n".join(reasons(error.messages, row.place))
        db.session.commit()
        return "wrong"
    return "done"


def reasons(messages, place):
    """What is wrong, each behind its place in the report."""
    if isinstance(messages, list):
        yield f"{place}: {' '.join(messages)}"
        return
    for key, inner in messages.items():
        step = {"_schema": ""}.get(key, f"[{key}]" if isinstance(key, int) else f".{key}")
        yield from reasons(inner, place + step)


@cli.command(name="list")
def list_queue():
    """Show what is on the queue."""
    for row in db.session.scalars(select(Queue).order_by(Queue.id)):
        state = f"done {row.done_at:%Y-%m-%d %H:%M}" if row.done_at else "waits"
        click.echo(f"{row.id}  {row.place}  {'wrong' if row.error else state}")


@cli.command()
@click.option("--older-than", type=Age(), default="10h", show_default=True)
def prune(older_than):
    """Remove what was worked in, or is wrong and was loaded, longer ago than that."""
    before = now() - older_than
    old = or_(Queue.done_at < before, Queue.error.is_not(None) & (Queue.loaded_at < before))
    removed = db.session.execute(delete(Queue).where(old)).rowcount
    db.session.commit()
    click.echo(f"{removed} removed.")


if __name__ == "__main__":
    try:
        cli()
    except (OperationalError, ProgrammingError) as error:
        reason = str(error.orig).partition("\n")[0]
        sys.exit(f"The database cannot be used: {reason}")
