"""The connection to Cassandra or Astra DB, as the environment or the file .env describes it."""

import atexit
import os
import re
from pathlib import Path
from zipfile import is_zipfile

from cassandra import ConsistencyLevel, ProtocolVersion, UnresolvableContactPoints
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import (
    ConstantReconnectionPolicy,
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    TokenAwarePolicy,
)
from cassandra.query import dict_factory
from dotenv import load_dotenv

from storage.once import once

DIRECTORY = Path(__file__).parent.parent

POINTS = "CASSANDRA_CONTACT_POINTS"
PORT = "CASSANDRA_PORT"
DATACENTER = "CASSANDRA_DATACENTER"
USERNAME = "CASSANDRA_USERNAME"
PASSWORD = "CASSANDRA_PASSWORD"  # noqa: S105
KEYSPACE = "CASSANDRA_KEYSPACE"
BUNDLE = "ASTRA_DB_SECURE_BUNDLE_PATH"
TOKEN = "ASTRA_DB_APPLICATION_TOKEN"  # noqa: S105

#: seconds to wait for an answer of the database
TIMEOUT = 5

#: rows at a time, where there are many
PAGE = 1000

# what the environment says goes before what .env says
load_dotenv(DIRECTORY / ".env")


class NotConfigured(Exception):
    """The settings name no database, or none that there could be."""


def setting(name):
    """The value of an environment variable; None where it is not set, or is empty."""
    return os.environ.get(name) or None


def problem():
    """What is wrong with the settings, in one sentence that names the variables; else None."""
    cassandra = [name for name in (POINTS, PORT, DATACENTER, USERNAME, PASSWORD) if setting(name)]
    astra = [name for name in (BUNDLE, TOKEN) if setting(name)]
    if cassandra and astra:
        return f"Set {cassandra[0]} for Cassandra or {astra[0]} for Astra DB, not both."
    if len(astra) == 1:
        return f"Astra DB needs both {BUNDLE} and {TOKEN}; only {astra[0]} is set."
    if astra and not bundle_path().is_file():
        return f"{BUNDLE} names a file that is not there: {bundle_path()}"
    if astra and not is_zipfile(bundle_path()):
        return f"{BUNDLE} names a file that is no zip: {bundle_path()}"
    if cassandra and not setting(POINTS):
        return f"{cassandra[0]} is set without {POINTS}, which says where Cassandra is."
    if bool(setting(USERNAME)) != bool(setting(PASSWORD)):
        return f"Set both {USERNAME} and {PASSWORD}, or neither."
    if setting(PORT) and not (setting(PORT).isdecimal() and 0 < int(setting(PORT)) < 65536):
        return f"{PORT} must be a number from 1 to 65535, not {setting(PORT)!r}."
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,47}", keyspace()):
        return (
            f"{KEYSPACE} must begin with a letter and have at most 48 lower-case letters, "
            f"digits and underscores, unlike {keyspace()!r}."
        )
    return None


def keyspace():
    return setting(KEYSPACE) or "wildlife"


def on_astra():
    return setting(BUNDLE) is not None


def bundle_path():
    return DIRECTORY / setting(BUNDLE)


def make_cluster():
    """The driver's cluster, by the settings.

    For Astra DB the driver asks at the address in the bundle where the database is.
    """
    profile = ExecutionProfile(
        # most copies of a row in this data centre: what was written is seen by whoever reads then
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,
        # where a node is slow to answer, another is asked besides
        speculative_execution_policy=ConstantSpeculativeExecutionPolicy(1, 2),
        request_timeout=TIMEOUT,
        row_factory=dict_factory,
    )
    options = {
        # the newest that Cassandra 3, 4 and 5 and Astra DB all speak, so that nothing is tried out
        "protocol_version": ProtocolVersion.V4,
        "execution_profiles": {EXEC_PROFILE_DEFAULT: profile},
        # a database that was away is noticed soon after it is back
        "reconnection_policy": ConstantReconnectionPolicy(1, max_attempts=None),
        # a node that falls silent, as one that is cut off does, is soon asked no more
        "idle_heartbeat_interval": TIMEOUT,
        "idle_heartbeat_timeout": TIMEOUT,
    }
    if on_astra():
        # without the temporary directory it would unpack the bundle beside the bundle
        cloud = {"secure_connect_bundle": str(bundle_path()), "use_default_tempdir": True}
        login = PlainTextAuthProvider("token", setting(TOKEN))
        try:
            return Cluster(cloud=cloud, auth_provider=login, **options)
        except (OSError, ValueError) as error:
            raise NotConfigured(f"{BUNDLE} names no secure connect bundle.") from error
    if not setting(POINTS):
        raise NotConfigured(f"No database is configured: set {POINTS}, or {BUNDLE} and {TOKEN}.")
    if setting(DATACENTER):
        profile.load_balancing_policy = TokenAwarePolicy(
            DCAwareRoundRobinPolicy(local_dc=setting(DATACENTER))
        )
    if setting(USERNAME):
        options["auth_provider"] = PlainTextAuthProvider(setting(USERNAME), setting(PASSWORD))
    points = [point.strip() for point in setting(POINTS).split(",") if point.strip()]
    try:
        return Cluster(points, port=int(setting(PORT) or 9042), **options)
    except UnresolvableContactPoints as error:
        raise NotConfigured(f"{POINTS} names no host that is known here.") from error


def connect():
    """A new session, in no keyspace yet."""
    cluster = make_cluster()
    try:
        session = cluster.connect()
    except BaseException:
        cluster.shutdown()
        raise
    session.default_fetch_size = PAGE
    return session


@once
def get_session():
    """The one session of this process, the same in every thread.

    It is made at the first call, and closed when the process ends. Where it cannot be made, the
    next call tries again.
    """
    session = connect()
    try:
        session.set_keyspace(keyspace())
    except BaseException:
        session.cluster.shutdown()
        raise
    atexit.register(session.cluster.shutdown)
    return session
