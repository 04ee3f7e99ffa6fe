"""Cassandra: one node, from the jars that `make cassandra` fetches, on a Java 17 of the machine.

    python -m scripts.services.cassandra

fetches the jars, once. Only Java 17 will do: newer ones lack what Cassandra 5.0 needs.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from scripts.packages import installed_by
from scripts.services import Unavailable
from scripts.services.keeper import Kept, kept

VARIABLES = (
    "CASSANDRA_CONTACT_POINTS",
    "CASSANDRA_PORT",
    "CASSANDRA_KEYSPACE",
    "CASSANDRA_DATACENTER",
    "CASSANDRA_USERNAME",
    "CASSANDRA_PASSWORD",
    "ASTRA_DB_SECURE_BUNDLE_PATH",
    "ASTRA_DB_APPLICATION_TOKEN",
)

#: Astra DB's
INSTEAD = ("ASTRA_DB_SECURE_BUNDLE_PATH",)

#: half a gigabyte, and some seconds of a whole core
HEAVY = True

HOST = "127.0.0.1"

POM = Path(__file__).with_name("cassandra.pom.xml")

VERSION = re.findall(
    r"cassandra-all</artifactId>\s*<version>(.+)</version>", POM.read_text("utf-8")
)[0]

#: fetched once, and for each version of Cassandra anew
JARS = Path(__file__).parents[2] / ".cache" / f"cassandra-{VERSION}"

#: where Java is, as its users and GitHub's runners say it
HOMES = ("JAVA_HOME", "JAVA_HOME_17_X64", "JAVA_HOME_17_ARM64")

#: where it is, as Linux distributions install it
INSTALLED = Path("/usr/lib/jvm")

#: seconds that a node may take to start, on a machine that has much else to do
PATIENCE = 180

EXPORTS = """
java.base/jdk.internal.misc
java.base/java.lang.ref
java.management.rmi/com.sun.jmx.remote.internal.rmi
java.management/com.sun.jmx.remote.security
java.rmi/sun.rmi.registry
java.rmi/sun.rmi.server
java.sql/java.sql
jdk.unsupported/sun.misc
"""

OPENS = """
java.base/java.io
java.base/java.lang
java.base/java.lang.module
java.base/java.lang.reflect
java.base/java.nio
java.base/java.util
java.base/jdk.internal.loader
java.base/jdk.internal.math
java.base/jdk.internal.module
java.base/jdk.internal.ref
java.base/jdk.internal.reflect
java.base/jdk.internal.util.jar
java.base/sun.nio.ch
jdk.management/com.sun.management.internal
"""

OPTIONS = (
    *("-Xms256m", "-Xmx512m"),
    # they start sooner, and one small node needs no better
    *("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    # it would be a file in the machine's temporary directory
    "-XX:-UsePerfData",
    "-Djdk.attach.allowAttachSelf=true",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dcassandra-foreground=yes",
    # there are no other nodes to wait for
    "-Dcassandra.skip_wait_for_gossip_to_settle=0",
    "-Dcassandra.ring_delay_ms=1",
    "-Dcassandra.superuser_setup_delay_ms=0",
    *(f"--add-exports={name}=ALL-UNNAMED" for name in EXPORTS.split()),
    *(f"--add-opens={name}=ALL-UNNAMED" for name in OPENS.split()),
)

CONFIGURATION = """
cluster_name: local
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
num_tokens: 1
initial_token: {token}
auto_bootstrap: false
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "{seeds}"
listen_address: {host}
rpc_address: {host}
storage_port: {storage}
ssl_storage_port: {ssl}
native_transport_port: {native}
data_file_directories: ["{directory}/data"]
commitlog_directory: "{directory}/commitlog"
saved_caches_directory: "{directory}/saved_caches"
hints_directory: "{directory}/hints"
cdc_raw_directory: "{directory}/cdc_raw"
commitlog_sync: periodic
commitlog_sync_period: 10s
commitlog_segment_size: 5MiB
memtable_allocation_type: heap_buffers
disk_access_mode: standard
auto_snapshot: false
"""

LOGGING = """
<configuration>
  <appender name="console" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level %logger{0}: %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="console"/></root>
</configuration>
"""


def java() -> Path | None:
    """A Java 17 of this machine, if there is one."""
    homes = [Path(os.environ[name]) for name in HOMES if os.environ.get(name)]
    if found := shutil.which("java"):
        homes.append(Path(found).resolve().parents[1])
    homes += sorted(INSTALLED.glob("*17*"))
    for home in homes:
        release = home / "release"
        if release.is_file() and 'JAVA_VERSION="17.' in release.read_text("utf-8", "replace"):
            return home / "bin" / "java"
    return None


def missing() -> str | None:
    """Why a node cannot start here, and what to do; None where it can."""
    if java() is None:
        return (
            "Cassandra needs Java 17, and no other. What brings it: "
            f"{installed_by(apt='openjdk-17-jre-headless maven', brew='openjdk@17 maven')}, then "
            "make cassandra; or say where it is by JAVA_HOME."
        )
    if not JARS.is_dir():
        return "Cassandra has not been fetched. What brings it, once (70 MB): make cassandra"
    return None


class Node:
    """A node with its data in `directory`; its addresses stay the same when it starts again.

    It is a cluster of its own, unless `hosts` names those of others on the same `ports`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        host: str = HOST,
        hosts: Sequence[str] = (),
        ports: Sequence[int] = (),
        token: int = 0,
    ) -> None:
        self.directory = directory.resolve()
        self.log = self.directory / "cassandra.log"
        self.host = host
        storage, ssl, self.port = ports or free_ports(3)
        points = hosts or [host]
        self.variables = {
            "CASSANDRA_CONTACT_POINTS": ",".join(points),
            "CASSANDRA_PORT": str(self.port),
        }
        self.resources = ExitStack()
        self.process: Kept | None = None
        written = {
            "cassandra.yaml": CONFIGURATION.format(
                host=host,
                # each is one, so that they start side by side and find each other then
                seeds=",".join(f"{point}:{storage}" for point in points),
                token=token,
                directory=self.directory,
                storage=storage,
                ssl=ssl,
                native=self.port,
            ),
            "logback.xml": LOGGING,
        }
        for name, text in written.items():
            (self.directory / name).write_text(text, "utf-8")

    def start(self, *, removed: bool = False) -> None:
        """Start it, and wait until it takes clients; its directory may be removed at its end.

        Raises `Unavailable` where it does not start.
        """
        program = java()
        if reason := missing():
            raise Unavailable(reason)
        files = {
            "cassandra.storagedir": self.directory,
            "cassandra.logdir": self.directory,
            "cassandra.config": (self.directory / "cassandra.yaml").as_uri(),
            "logback.configurationFile": self.directory / "logback.xml",
            # where it unpacks the native parts of its jars
            "java.io.tmpdir": self.directory,
        }
        self.process = self.resources.enter_context(
            kept(
                [
                    *(str(program), *OPTIONS),
                    *(f"-D{name}={value}" for name, value in files.items()),
                    f"-javaagent:{next(JARS.glob('jamm-*.jar'))}",
                    *("-cp", f"{JARS}/*", "org.apache.cassandra.service.CassandraDaemon"),
                ],
                directory=self.directory if removed else None,
                # in place of four seconds in which it would put its data in order
                stop=signal.SIGKILL,
                cwd=self.directory,
                log=self.log,
            )
        )
        deadline = time.monotonic() + PATIENCE
        while not self._takes_clients():
            if not self.process.running or time.monotonic() > deadline:
                said = self.log.read_text("utf-8", "replace").strip().splitlines()[-5:]
                self.kill()
                raise Unavailable("Cassandra does not start. " + " ".join(said))
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a crash would."""
        self.resources.close()

    def cut_off(self) -> None:
        """Let it fall silent: its connections stay, as where its network is gone."""
        self._signal(signal.SIGSTOP)

    def come_back(self) -> None:
        """Let it go on where it was cut off."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.process is None:
            raise Unavailable("It does not run.")
        os.kill(self.process.pid, number)

    def _takes_clients(self) -> bool:
        with socket.socket() as connection:
            return connection.connect_ex((self.host, self.port)) == 0


def cluster(directory: Path, hosts: Sequence[str]) -> list[Node]:
    """Nodes that make one cluster once they are started, one on each of these addresses.

    As elsewhere, they have the same ports, which is why each needs an address of its own.
    """
    ports = free_ports(3)
    nodes = []
    for number, host in enumerate(hosts):
        own = directory / host
        own.mkdir()
        # an equal share of all tokens, so that a row belongs to the same of them each time
        token = (2 * number + 1) * 2**64 // (2 * len(hosts)) - 2**63
        nodes.append(Node(own, host=host, hosts=hosts, ports=ports, token=token))
    return nodes


def free_ports(number: int) -> list[int]:
    """Ports that nobody has at the moment."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def running(directory: Path) -> Iterator[dict[str, str]]:
    node = Node(directory)
    try:
        node.start(removed=True)
        yield node.variables
    finally:
        node.kill()


def fetch() -> None:
    """Have Maven fetch the jars, and say how far it is; all of them, or nothing."""
    if JARS.is_dir():
        print(f"Cassandra is here already: {JARS}")
        return
    maven = shutil.which("mvn")
    if maven is None:
        how = installed_by(apt="maven", brew="maven")
        sys.exit(f"cassandra: Maven is needed to fetch it, once: {how}")
    JARS.parent.mkdir(exist_ok=True)
    print(f"Fetching Cassandra {VERSION}, 70 MB ...", flush=True)
    with tempfile.TemporaryDirectory(dir=JARS.parent) as scratch:
        jars = Path(scratch, "jars")
        process = subprocess.Popen(
            [
                *(maven, "--batch-mode", "--file", POM, f"-Dmaven.repo.local={scratch}/repository"),
                *("dependency:copy-dependencies", f"-DoutputDirectory={jars}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines = deque[str](maxlen=20)
        fetched = 0
        with process:
            assert process.stdout is not None  # noqa: S101 (it is a pipe)
            for line in process.stdout:
                lines.append(line)
                if re.search(r"Downloaded .*\.jar ", line):
                    fetched += 1
                    if sys.stdout.isatty():
                        print(f"\r{fetched} jars", end="", flush=True)
        if process.returncode:
            sys.exit(f"\ncassandra: Maven could not fetch it.\n{''.join(lines)}")
        jars.rename(JARS)
    print(f"\rFetched: {JARS}")


if __name__ == "__main__":
    fetch()
