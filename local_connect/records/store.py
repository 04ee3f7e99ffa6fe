"""What the server remembers: one SQLite database for records, one directory for files.

Everything lies below the data directory, which is private to the user who runs
the server::

    local-connect.db     users, keys, content, bundles, settings; what an older server
                         wrote is beside it, as `.schema-<n>`
    bundles/<id>/        bundle.tar.gz as it was sent, app/ as it was unpacked
    environments/<hash>/ one virtual environment for each set of requirements
    jobs/<key>.log       what each content process printed, for a while
    sockets              a link to where the Unix sockets of content processes are
    lock                 held by the server that uses all this
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Connection,
    Engine,
    ForeignKey,
    Index,
    UniqueConstraint,
    create_engine,
    event,
)
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    Session,
    mapped_column,
    relationship,
)

from local_connect.errors import LocalConnectError
from local_connect.records import migrations
from local_connect.records.lock import hold

#: all that a server keeps in its data directory, as patterns
KEPT = ("local-connect.db*", "bundles", "environments", "jobs", "debugged", "sockets", "lock")

#: An empty file, for a data directory in the directory of an app: rsconnect takes what has one of
#: this name for a virtual environment, and leaves it, and so everyone's keys, out of bundles.
MARK = Path("bin", "python")

#: whose credentials an integration gives, as Connect's API says it
VIEWER, SERVICE_ACCOUNT, VISITOR_API_KEY = "Viewer", "Service Account", "Visitor API Key"

#: marks a connection whose transaction has written
_WROTE = "wrote"


def new_guid() -> str:
    """A fresh GUID, as Connect writes them: lower case, with hyphens."""
    return str(uuid.uuid4())


def new_key() -> str:
    """A fresh API key: 32 letters and digits, as Connect's are."""
    return secrets.token_hex(16)


def now() -> str:
    """The time in the form that Connect's API uses, in UTC: `2026-01-02T03:04:05Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Base(MappedAsDataclass, DeclarativeBase, kw_only=True):
    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, list[str]: JSON}  # noqa: RUF012 (SQLAlchemy reads it so)


class Group(Base):
    __tablename__ = "groups"

    name: Mapped[str] = mapped_column(unique=True)
    guid: Mapped[str] = mapped_column(primary_key=True, default_factory=new_guid)
    #: who made it; None where the identities that a server starts with name it
    owner_guid: Mapped[str | None] = mapped_column(default=None)


class User(Base):
    __tablename__ = "users"

    username: Mapped[str] = mapped_column(unique=True)
    #: `viewer`, `publisher` or `administrator`
    user_role: Mapped[str]
    api_key: Mapped[str] = mapped_column(unique=True, default_factory=new_key)
    email: Mapped[str] = mapped_column(default="")
    first_name: Mapped[str] = mapped_column(default="")
    last_name: Mapped[str] = mapped_column(default="")
    guid: Mapped[str] = mapped_column(primary_key=True, default_factory=new_guid)
    created_time: Mapped[str] = mapped_column(default_factory=now)
    #: a locked user's key and sessions are refused; what they own stays
    locked: Mapped[bool] = mapped_column(default=False)
    #: made or changed through the API, so that the identities a server starts with have no say
    administered: Mapped[bool] = mapped_column(default=False, server_default="0")
    #: None until it is changed
    updated_time: Mapped[str | None] = mapped_column(default=None)
    groups: Mapped[list[Group]] = relationship(
        secondary="memberships", default_factory=list, lazy="selectin", order_by=Group.name
    )


class Token(Base):
    """A public key whose owner's requests are from a user."""

    __tablename__ = "tokens"

    token: Mapped[str] = mapped_column(primary_key=True)
    #: in DER and base64, as the client sent it
    public_key: Mapped[str]
    user_guid: Mapped[str] = mapped_column(ForeignKey("users.guid", ondelete="CASCADE"))
    created_time: Mapped[str] = mapped_column(default_factory=now)


class Membership(Base):
    __tablename__ = "memberships"

    user_guid: Mapped[str] = mapped_column(
        ForeignKey("users.guid", ondelete="CASCADE"), primary_key=True
    )
    group_guid: Mapped[str] = mapped_column(
        ForeignKey("groups.guid", ondelete="CASCADE"), primary_key=True
    )


class Permission(Base):
    """What one user or group may do with one content item."""

    __tablename__ = "permissions"
    __table_args__ = (
        UniqueConstraint("content_guid", "principal_guid"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    content_guid: Mapped[str] = mapped_column(ForeignKey("content.guid", ondelete="CASCADE"))
    principal_guid: Mapped[str]
    #: `user` or `group`
    principal_type: Mapped[str]
    #: `owner` for a collaborator, `viewer`
    role: Mapped[str]


class Vanity(Base):
    """A second address of a content item: a path such as `/my-api/`."""

    __tablename__ = "vanities"

    content_guid: Mapped[str] = mapped_column(
        ForeignKey("content.guid", ondelete="CASCADE"), primary_key=True
    )
    path: Mapped[str] = mapped_column(unique=True)
    created_time: Mapped[str] = mapped_column(default_factory=now)


class Tag(Base):
    """One name in the tree of tags."""

    __tablename__ = "tags"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 (SQLAlchemy reads it so)

    name: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("tags.id", ondelete="CASCADE"))
    id: Mapped[int] = mapped_column(primary_key=True, default=None)
    created_time: Mapped[str] = mapped_column(default_factory=now)
    updated_time: Mapped[str] = mapped_column(default_factory=now)


class ContentTag(Base):
    __tablename__ = "content_tags"

    content_guid: Mapped[str] = mapped_column(
        ForeignKey("content.guid", ondelete="CASCADE"), primary_key=True
    )
    tag_id: Mapped[int] = mapped_column(ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True)


class Content(Base):
    """A content item; scheduling fields are null where the server's default holds."""

    __tablename__ = "content"
    __table_args__ = (UniqueConstraint("owner_guid", "name"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str]
    owner_guid: Mapped[str] = mapped_column(ForeignKey("users.guid"))
    guid: Mapped[str] = mapped_column(unique=True, default_factory=new_guid)
    title: Mapped[str | None] = mapped_column(default=None)
    description: Mapped[str] = mapped_column(default="")
    #: `all`, `logged_in` or `acl`
    access_type: Mapped[str] = mapped_column(default="acl")
    bundle_id: Mapped[int | None] = mapped_column(default=None)
    app_mode: Mapped[str] = mapped_column(default="unknown")
    py_version: Mapped[str | None] = mapped_column(default=None)
    created_time: Mapped[str] = mapped_column(default_factory=now)
    last_deployed_time: Mapped[str] = mapped_column(default_factory=now)
    min_processes: Mapped[int | None] = mapped_column(default=None)
    max_processes: Mapped[int | None] = mapped_column(default=None)
    max_conns_per_process: Mapped[int | None] = mapped_column(default=None)
    load_factor: Mapped[float | None] = mapped_column(default=None)
    init_timeout: Mapped[int | None] = mapped_column(default=None)
    idle_timeout: Mapped[int | None] = mapped_column(default=None)
    connection_timeout: Mapped[int | None] = mapped_column(default=None)
    read_timeout: Mapped[int | None] = mapped_column(default=None)
    #: nobody may open it or deploy to it; `locked_message` says why
    locked: Mapped[bool] = mapped_column(default=False, server_default="0")
    locked_message: Mapped[str] = mapped_column(default="", server_default="")
    permissions: Mapped[list[Permission]] = relationship(
        default_factory=list, lazy="selectin", order_by=Permission.id, passive_deletes=True
    )


class Repository(Base):
    """The git repository that content is deployed from."""

    __tablename__ = "repositories"

    content_guid: Mapped[str] = mapped_column(
        ForeignKey("content.guid", ondelete="CASCADE"), primary_key=True
    )
    repository: Mapped[str]
    branch: Mapped[str]
    directory: Mapped[str]
    #: whether to look for new commits by itself
    polling: Mapped[bool]
    #: the newest commit that was deployed, well or not; empty before
    last_known_commit: Mapped[str] = mapped_column(default="")
    #: why that was not deployed; empty where it was
    last_error: Mapped[str] = mapped_column(default="")


class Integration(Base):
    """A way for content to get credentials of its visitors, or of a service account."""

    __tablename__ = "integrations"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 (SQLAlchemy reads it so)

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    #: the kind of service, such as `connect` or `snowflake`
    template: Mapped[str]
    #: one of the three above
    auth_type: Mapped[str]
    name: Mapped[str]
    guid: Mapped[str] = mapped_column(unique=True, default_factory=new_guid)
    description: Mapped[str] = mapped_column(default="")
    #: without secrets, which nothing here needs
    config: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    #: `user_guid` and `group_guid` of those who may use it, as the API has them; all if empty
    permissions: Mapped[list[Any]] = mapped_column(default_factory=list)
    created_time: Mapped[str] = mapped_column(default_factory=now)
    updated_time: Mapped[str] = mapped_column(default_factory=now)


class Association(Base):
    """That content may use an integration."""

    __tablename__ = "associations"

    content_guid: Mapped[str] = mapped_column(
        ForeignKey("content.guid", ondelete="CASCADE"), primary_key=True
    )
    integration_guid: Mapped[str] = mapped_column(
        ForeignKey("integrations.guid", ondelete="CASCADE"), primary_key=True
    )
    created_time: Mapped[str] = mapped_column(default_factory=now)


class OauthSession(Base):
    """That a visitor's credentials for an integration have been given to content."""

    __tablename__ = "oauth_sessions"
    __table_args__ = (
        UniqueConstraint("user_guid", "integration_guid"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    user_guid: Mapped[str] = mapped_column(ForeignKey("users.guid", ondelete="CASCADE"))
    integration_guid: Mapped[str] = mapped_column(
        ForeignKey("integrations.guid", ondelete="CASCADE")
    )
    guid: Mapped[str] = mapped_column(unique=True, default_factory=new_guid)
    created_time: Mapped[str] = mapped_column(default_factory=now)
    updated_time: Mapped[str] = mapped_column(default_factory=now)


class Bundle(Base):
    """One upload; `environment` and `py_version` are set once it has been built."""

    __tablename__ = "bundles"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 (SQLAlchemy reads it so)

    content_guid: Mapped[str] = mapped_column(ForeignKey("content.guid", ondelete="CASCADE"))
    created_by: Mapped[str]
    #: bytes of the archive
    size: Mapped[int]
    archive_md5: Mapped[str]
    archive_sha1: Mapped[str]
    manifest: Mapped[dict[str, Any]]
    #: `source`, `source_repo`, `source_branch`, `source_commit`, where the client knew them
    source: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    #: what its publisher may want to mend, a sentence each, for the log of its deployments
    warnings: Mapped[list[str]] = mapped_column(default_factory=list, server_default="[]")
    id: Mapped[int] = mapped_column(primary_key=True, default=None)
    created_time: Mapped[str] = mapped_column(default_factory=now)
    py_version: Mapped[str | None] = mapped_column(default=None)
    environment: Mapped[str | None] = mapped_column(default=None)


class EnvironmentVariable(Base):
    __tablename__ = "environment_variables"

    content_guid: Mapped[str] = mapped_column(
        ForeignKey("content.guid", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class Job(Base):
    """One content process: while it runs, and for a while after."""

    __tablename__ = "jobs"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 (SQLAlchemy reads it so)

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    key: Mapped[str] = mapped_column(unique=True)
    content_guid: Mapped[str] = mapped_column(ForeignKey("content.guid", ondelete="CASCADE"))
    bundle_id: Mapped[int]
    pid: Mapped[int]
    tag: Mapped[str]
    hostname: Mapped[str]
    start_time: Mapped[str] = mapped_column(default_factory=now)
    end_time: Mapped[str | None] = mapped_column(default=None)
    exit_code: Mapped[int | None] = mapped_column(default=None)
    #: 0 while it runs, 1 after
    status: Mapped[int] = mapped_column(default=0)


class Deployment(Base):
    """One run of a deployment or a build; `task_id` finds its task while it goes on."""

    __tablename__ = "deployments"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 (SQLAlchemy reads it so)

    task_id: Mapped[str] = mapped_column(unique=True)
    content_guid: Mapped[str] = mapped_column(
        ForeignKey("content.guid", ondelete="CASCADE"), index=True
    )
    #: the bundle may have been deleted since
    bundle_id: Mapped[int]
    #: GUID of a user
    started_by: Mapped[str]
    #: `deploy` or `build`
    kind: Mapped[str]
    #: whether the bundle was to go live
    activate: Mapped[bool]
    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    start_time: Mapped[str] = mapped_column(default_factory=now)
    #: None while it goes on
    end_time: Mapped[str | None] = mapped_column(default=None)
    #: None where it ended well, and while it goes on
    error: Mapped[str | None] = mapped_column(default=None)
    #: lines, once it has ended
    output: Mapped[str] = mapped_column(default="")


class Hit(Base):
    """One request of a visitor's that content was given."""

    __tablename__ = "hits"
    __table_args__ = (
        Index("ix_hits_content_guid", "content_guid", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    content_guid: Mapped[str] = mapped_column(ForeignKey("content.guid", ondelete="CASCADE"))
    bundle_id: Mapped[int]
    #: None for somebody who is not signed in
    user_guid: Mapped[str | None]
    timestamp: Mapped[str]
    #: below the mount, beginning with a slash
    path: Mapped[str]
    #: the query string and what the client says of itself; None where it says nothing
    query: Mapped[str | None]
    user_agent: Mapped[str | None]
    sec_fetch_dest: Mapped[str | None]
    sec_fetch_site: Mapped[str | None]


class Store:
    """The database, and where the files are. Each server has one."""

    def __init__(self, data: Path) -> None:
        self.data = data.resolve()
        self.bundles = self.data / "bundles"
        self.environments = self.data / "environments"
        self.jobs = self.data / "jobs"
        try:
            for directory in (self.data, self.bundles, self.environments, self.jobs):
                directory.mkdir(parents=True, exist_ok=True)
                directory.chmod(0o700)
            if all(any(path.match(kept) for kept in KEPT) for path in self.data.iterdir()):
                (self.data / MARK).parent.mkdir()
                (self.data / MARK).touch()
        except OSError as error:
            raise LocalConnectError(
                f"The data directory {self.data} cannot be used: {error.strerror}. "
                "Name another with --data."
            ) from error
        self._lock = hold(self.data)
        database = self.data / "local-connect.db"
        try:
            self.engine = _open(database)
        except LocalConnectError:
            self._lock.close()
            raise
        except DatabaseError as error:
            self._lock.close()
            raise LocalConnectError(
                f"The database {database} cannot be used: {error.orig}. "
                "Name another directory with --data, or move this one away."
            ) from error
        self._contents: dict[str, Content] = {}
        event.listen(self.engine, "before_cursor_execute", _note_writing)
        event.listen(self.engine, "commit", self._forget_contents)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on an exception.

        Records stay readable after it, detached from the database.
        """
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def content(self, guid: str) -> Content | None:
        """The content item of that GUID as it is now, to read and not to change.

        Every visitor's request asks for one, and two queries by SQLAlchemy take longer than all
        else that is done for it, so what is found is kept until something is written. All is
        written through this store, in one thread, and it holds the data directory for itself.
        """
        found = self._contents.get(guid)
        if found is None:
            with self.session() as session:
                found = session.query(Content).filter_by(guid=guid).one_or_none()
            if found is not None:
                self._contents[guid] = found
        return found

    def _forget_contents(self, connection: Connection) -> None:
        """Forget what `content` has kept, in the moment before a transaction that wrote ends."""
        if connection.info.pop(_WROTE, False):
            self._contents.clear()

    def close(self) -> None:
        self.engine.dispose()
        self._lock.close()

    def bundle_directory(self, bundle_id: int) -> Path:
        return self.bundles / str(bundle_id)

    def debugged_directory(self, content_name: str) -> Path:
        """Where content of that name runs while a debugger can attach to it."""
        return self.data.resolve() / "debugged" / content_name

    def archive(self, bundle_id: int) -> Path:
        return self.bundle_directory(bundle_id) / "bundle.tar.gz"

    def app_directory(self, bundle_id: int) -> Path:
        return self.bundle_directory(bundle_id) / "app"


def _note_writing(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
    if not statement.startswith("SELECT"):
        connection.info[_WROTE] = True


def _open(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")

    try:
        _bring_up_to_date(engine, path)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _bring_up_to_date(engine: Engine, path: Path) -> None:
    """Give the database the schema of this local-connect, or raise."""
    with engine.begin() as connection:
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if version > migrations.LATEST:
            raise LocalConnectError(
                f"{path} was written by a newer local-connect (schema {version}, this one "
                f"knows {migrations.LATEST}). Upgrade, or name another directory with --data."
            )
        if version == 0:
            Base.metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {migrations.LATEST}")
        elif version < migrations.LATEST:
            migrations.bring_forward(connection, path, version)
