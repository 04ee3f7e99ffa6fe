"""The settings of a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

#: the release of Connect that this server follows, as clients see it unless they are told another
CONNECT_VERSION = "2026.06.0"


@dataclass(frozen=True)
class Limits:
    """The largest bundle, and the longest build and fetch, that are accepted."""

    #: bytes of a compressed bundle
    bundle_bytes: int = 1 << 30
    #: bytes of a bundle once unpacked
    unpacked_bytes: int = 4 << 30
    #: files and directories in a bundle
    bundle_members: int = 100_000
    #: seconds an environment may take to build
    build_seconds: float = 900.0
    #: seconds that a git repository may take to answer
    git_seconds: float = 120.0


@dataclass(frozen=True)
class SchedulingDefaults:
    """What a null scheduling field of a content item means (seen in one public fixture)."""

    min_processes: int = 0
    max_processes: int = 3
    max_conns_per_process: int = 20
    load_factor: float = 0.5
    #: seconds a process may take to start
    init_timeout: int = 60
    #: seconds without a request after which a process is stopped
    idle_timeout: int = 120
    #: seconds to connect to a process
    connection_timeout: int = 5
    #: seconds without data from the client, while its request's body or its WebSocket is read
    read_timeout: int = 30


@dataclass(frozen=True)
class Settings:
    """How a server runs; the command line is the only thing that makes one."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 3939
    users: Path | None = None
    #: a directory of what the server begins with
    seed: Path | None = None
    #: the address that visitors use where it is not the one we listen on
    external_url: str | None = None
    #: Connect's Authorization.ContentCredentialsUseGUID
    credentials_use_guid: bool = False
    #: the release of Connect that this server says it is
    connect_version: str = CONNECT_VERSION
    #: whether requests for content are not to be kept for a look at them
    no_requests: bool = False
    #: seconds between two looks at the repositories of content; 0 for none
    git_poll: int = 60
    limits: Limits = field(default_factory=Limits)
    scheduling: SchedulingDefaults = field(default_factory=SchedulingDefaults)
