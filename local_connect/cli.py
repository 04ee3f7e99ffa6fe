"""The command line: `local-connect [OPTIONS] [-- COMMAND …]`."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click
from sqlalchemy.exc import OperationalError

from local_connect import __version__
from local_connect.client import debugger
from local_connect.client.rsconnect import find as find_rsconnect
from local_connect.client.watch import Watched
from local_connect.client.watch import watch as watch_directory
from local_connect.config import CONNECT_VERSION, Settings
from local_connect.errors import LocalConnectError
from local_connect.export import export
from local_connect.log import log
from local_connect.report import report
from local_connect.server import Server, reset

#: what a shell answers for a command that it cannot find
_NOT_FOUND = 127

#: seconds that a command may take to end after Ctrl-C before it is told to
_INTERRUPTED = 5.0


class Command(click.Command):
    """Tells `local-connect reset` from `local-connect -- reset`, and shows every option's twin."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for parameter in self.params:
            if isinstance(parameter, click.Option) and parameter.expose_value:
                parameter.show_envvar = True

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        context.meta["dashes"] = "--" in arguments
        return super().parse_args(context, arguments)


def _check_version(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Connect's releases are a year, a month and a number, which clients compare."""
    if not re.fullmatch(r"\d{4}\.\d{2}\.\d+", value, re.ASCII):
        raise click.BadParameter(
            f"{value!r} is not a release of Connect, such as {CONNECT_VERSION}."
        )
    return value


@click.command(
    cls=Command,
    context_settings={
        "allow_interspersed_args": False,
        "auto_envvar_prefix": "LOCAL_CONNECT",
        "max_content_width": 90,
        "show_default": True,
    },
    epilog="With COMMAND the server starts, runs it with CONNECT_SERVER and CONNECT_API_KEY "
    "set to itself and an administrator's key, stops, and exits with the command's status. "
    "Without, it serves until Ctrl-C. `local-connect reset` forgets all that it knows; "
    "`local-connect export DIR` writes what is there as a directory for --seed; "
    "`local-connect report` prints what a bug report needs, without secrets.",
)
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option(
    "--port",
    default=3939,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 picks a free one.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".local-connect"),
    help="Directory that holds all state.",
)
@click.option(
    "--users",
    type=click.Path(path_type=Path),
    help="TOML file of identities, in place of admin, alice and bob.",
)
@click.option(
    "--seed",
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    metavar="DIRECTORY",
    help="Begin with the users and the content of this directory: what its seed.toml names "
    "and is not there is deployed with rsconnect.",
)
@click.option(
    "--external-url",
    help="Address that visitors use, where a proxy is in front: https://connect.test",
)
@click.option(
    "--credentials-use-guid",
    is_flag=True,
    help="Name viewers and groups by GUID to content, as Connect's "
    "Authorization.ContentCredentialsUseGUID does.",
)
@click.option(
    "--no-requests",
    is_flag=True,
    help="Keep no requests for a look at them in the dashboard, nor for /__local__/requests.",
)
@click.option(
    "--connect-version",
    default=CONNECT_VERSION,
    metavar="RELEASE",
    callback=_check_version,
    help="The release of Connect that the server says it is.",
)
@click.option(
    "--git-poll",
    default=60,
    type=click.IntRange(min=0),
    metavar="SECONDS",
    help="How often to look for new commits of git-backed content; 0 for never.",
)
@click.option(
    "--watch",
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    metavar="DIRECTORY",
    help="Deploy this directory with rsconnect, and again on each change in it.",
)
@click.option(
    "--watch-kind",
    default="api",
    metavar="KIND",
    help="What rsconnect deploys the watched directory as: api or fastapi.",
)
@click.option(
    "--watch-entrypoint",
    metavar="MODULE:OBJECT",
    help="Its entry point, where it is not the one that rsconnect finds.",
)
@click.option(
    "--debug",
    is_flag=True,
    help="Let a debugger attach to the watched app, and print how VS Code does.",
)
@click.option(
    "--debug-port",
    default=5678,
    type=click.IntRange(0, 65535),
    help="Port of this machine at which the debugger attaches; 0 picks a free one.",
)
@click.version_option(__version__, prog_name="local-connect")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND ...]")
@click.pass_context
def main(
    context: click.Context,
    /,
    command: tuple[str, ...],
    watch: Path | None,
    watch_kind: str,
    watch_entrypoint: str | None,
    debug: bool,
    debug_port: int,
    **options: Any,
) -> None:
    """A Posit Connect-compatible server for Python APIs on your own machine."""
    settings = Settings(**options)
    if debug and not watch:
        raise click.UsageError(
            "--debug is for what --watch deploys: local-connect --watch my-api --debug"
        )
    if watch and command:
        raise click.UsageError(
            "--watch serves until Ctrl-C, so it takes no command. Start it by itself, and run "
            "the command in another terminal."
        )
    try:
        port = debugger.find_port(debug_port) if debug else None
        watched = Watched(watch, watch_kind, watch_entrypoint, port) if watch else None
        if command and not context.meta["dashes"]:
            match command:
                case ("reset",):
                    reset(settings.data)
                    log(f"{settings.data} is as good as new.")
                case ("export", directory):
                    _export(settings.data, Path(directory))
                case ("export", *_):
                    raise click.UsageError(
                        "Name the directory to write, and nothing else: local-connect export DIR"
                    )
                case ("report",):
                    click.echo(report(settings), nl=False)
                    log("Look through it before you send it to anyone.")
                case _:
                    raise click.UsageError(
                        f"Put -- before a command to run: local-connect -- {' '.join(command)}"
                    )
            return
        sys.exit(asyncio.run(_serve(settings, command, watched)))
    except LocalConnectError as error:
        raise click.ClickException(str(error)) from None
    except OperationalError as error:  # pragma: no cover (coverage.py has no room there either)
        raise click.ClickException(
            f"The database in {settings.data} takes nothing: {error.orig}. Make room for it, "
            "or name another directory with --data."
        ) from None


async def _serve(settings: Settings, command: tuple[str, ...], watched: Watched | None) -> int:
    if watched or settings.seed:
        find_rsconnect()
    server = Server(settings)
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[signal.Signals] = loop.create_future()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _resolve, stop, number)
    try:
        await server.start()
        if not await _until(stop, server.begin()):
            log("Stopping.")
            return 128 + stop.result() if command else 0
        if command:
            return await _run(command, server, stop)
        _announce(server)
        if watched:
            await _watch(server, watched, stop)
        else:
            await stop
        log("Stopping.")
        return 0
    finally:
        await server.stop()


async def _watch(server: Server, watched: Watched, stop: asyncio.Future[signal.Signals]) -> None:
    """Watch until a request to stop; what ends it before is raised."""
    if watched.debug_port is not None:
        runs_in = server.debugged_directory(watched.name)
        debugger.announce(watched.debug_port, source=watched.directory, runs_in=runs_in)
    await _until(
        stop,
        watch_directory(
            watched,
            url=server.url,
            author=server.administrator,
            data=Path(server.data).resolve(),
            failures=server.failures,
            debugged=server.debugged,
        ),
    )


async def _until(stop: asyncio.Future[signal.Signals], work: Coroutine[Any, Any, None]) -> bool:
    """Whether the work came to its end; it is given up where a request to stop comes before.

    What it raises is raised.
    """
    working = asyncio.create_task(work)
    try:
        await asyncio.wait((stop, working), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        return working.done()
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def _export(data: Path, directory: Path) -> None:
    exported = export(data, directory)
    for what in exported.left_out:
        log(f"Left out: {what}.", colour="yellow")
    if exported.variables:
        log(
            "Left out: the values of environment variables. Fill them in, in seed.toml.",
            colour="yellow",
        )
    log(
        f"{directory} has {exported.users} users and {exported.content} content items: "
        f"local-connect --seed {directory}"
    )


def _resolve(stop: asyncio.Future[signal.Signals], number: signal.Signals) -> None:
    if not stop.done():
        stop.set_result(number)


async def _run(
    command: tuple[str, ...], server: Server, stop: asyncio.Future[signal.Signals]
) -> int:
    """Run the command to its end; pass on a request to stop. Its status, as a shell has it."""
    environment = {
        **os.environ,
        "CONNECT_SERVER": server.url,
        "CONNECT_API_KEY": server.administrator.api_key,
    }
    try:
        process = await asyncio.create_subprocess_exec(*command, env=environment)
    except OSError as error:
        log(f"local-connect: {command[0]}: {error.strerror}")
        return _NOT_FOUND
    ending = asyncio.create_task(process.wait())
    await asyncio.wait((stop, ending), return_when=asyncio.FIRST_COMPLETED)
    if not ending.done() and stop.result() == signal.SIGINT:
        # a terminal sends Ctrl-C to the command too, so it is already stopping
        await asyncio.wait((ending,), timeout=_INTERRUPTED)
    if not ending.done():
        process.send_signal(signal.SIGTERM)
    status = await ending
    return status if status >= 0 else 128 - status


def _announce(server: Server) -> None:
    log(f"local-connect {__version__} serves at {server.url} (data in {server.data})")
    if not _is_loopback(server.host):
        log("")
        log(
            f"WARNING: it listens on {server.host}, so whoever can reach this machine can come\n"
            "in as any identity, deploy code, and so run it here as you. Content can sign its\n"
            "visitors in as anyone, too, unless they come by https. Only do this on a network\n"
            "where you trust everyone. --host 127.0.0.1 is the safe address.",
            colour="yellow",
        )
    log("")
    for user in server.users:
        groups = ", ".join(group.name for group in user.groups) or "no group"
        log(f"  {user.username:<12} {user.user_role:<14} key {user.api_key}  {groups}")
    log("")
    log(f"  rsconnect add --name local --server {server.url} --api-key <key>")
    log("")
    log("Ctrl-C stops it.")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
