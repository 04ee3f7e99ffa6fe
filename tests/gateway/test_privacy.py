"""Content is reached through the gateway only, and its process gets nothing of the server's."""

import errno
import socket
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.gateway.conftest import CANARY, Site, publish
from tests.servers import LocalConnect, eventually, running_server

#: of the server's own installation
SERVERS_OWN = (
    "local_connect,process,wsgi,lifeline,waitress,aiohttp,multidict,yarl,sqlalchemy,packaging,uv"
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestFiles:
    def test_the_data_directory_is_private(self, server: LocalConnect, probe: Site) -> None:
        assert probe.process["pid"]
        assert mode(server.data) == 0o700

    def test_sockets_are_private(self, probe: Site) -> None:
        paths = [Path(name) for name in unix_sockets_of(probe)]
        assert paths
        for path in paths:
            assert mode(path) == 0o600
            assert mode(path.parent) == 0o700

    def test_an_open_directory_is_made_private_and_sockets_are_removed(
        self, tmp_path: Path
    ) -> None:
        data = tmp_path / "data"
        data.mkdir()
        data.chmod(0o777)
        with running_server(data) as server:
            assert mode(data) == 0o700
            (path,) = map(Path, unix_sockets_of(publish(server)))
            assert path.exists()
        assert not path.exists()
        assert not path.parent.exists()


def unix_sockets_of(site: Site) -> list[str]:
    paths: list[str] = site.process["sockets"]
    return paths


class TestAddress:
    def test_loopback_unless_told_otherwise(self, server: LocalConnect) -> None:
        url = urlsplit(server.url)
        assert url.hostname == "127.0.0.1"
        assert url.port
        # a socket that listens on every address would take this one too
        with socket.socket() as other:
            assert other.connect_ex(("127.0.0.2", url.port)) == errno.ECONNREFUSED
        assert "WARNING" not in server.output

    @pytest.mark.parametrize(
        ("host", "address"),
        [("0.0.0.0", "127.0.0.1"), ("::", "[::1]")],  # noqa: S104
    )
    def test_a_warning_where_others_can_come_in(
        self, tmp_path: Path, host: str, address: str
    ) -> None:
        with running_server(tmp_path / "data", "--host", host) as server:
            assert f"WARNING: it listens on {host}" in server.output
            assert "deploy code" in server.output
            assert f"--server http://{address}:" in server.output
            assert server.get("/__local__/health").status_code == 200

    @pytest.mark.parametrize("host", ["::1", "localhost"])
    def test_no_warning_on_loopback(self, tmp_path: Path, host: str) -> None:
        with running_server(tmp_path / "data", "--host", host) as server:
            assert "WARNING" not in server.output
            assert server.get("/__local__/health").status_code == 200


class TestProcess:
    def test_the_environment_of_a_process(self, server: LocalConnect, own: Site) -> None:
        own.set_variables(GREETING="Habari, dünya", CONNECT_SERVER="http://forged.test/")
        process = own.process
        variables = process["variables"]
        assert sorted(variables) == [
            "CONNECT_API_KEY",
            "CONNECT_CONTENT_GUID",
            "CONNECT_CONTENT_JOB_KEY",
            "CONNECT_SERVER",
            "GREETING",
            "HOME",
            "LANG",
            "PATH",
            "POSIT_PRODUCT",
            "RSTUDIO_PRODUCT",
        ]
        assert variables["CONNECT_CONTENT_GUID"] == own.guid
        assert variables["CONNECT_SERVER"] == f"{server.url}/"
        assert variables["GREETING"] == "Habari, dünya"
        assert variables["POSIT_PRODUCT"] == variables["RSTUDIO_PRODUCT"] == "CONNECT"
        assert "UTF-8" in variables["LANG"]
        keys = [user.api_key for user in server.users.values()]
        assert not [key for key in keys if key in variables.values()]
        home = Path(variables["HOME"])
        assert server.data in home.parents
        assert home != Path(process["directory"])

    def test_no_variable_of_the_servers(self, server: LocalConnect, probe: Site) -> None:
        variables = probe.process["variables"]
        assert CANARY not in variables
        assert "seen" not in variables.values()
        (environment,) = (server.data / "environments").iterdir()
        first, *rest = variables["PATH"].split(":")
        assert first == str(environment / "bin")
        assert set(rest) == {
            f"{prefix}/{name}" for prefix in ("", "/usr", "/usr/local") for name in ("bin", "sbin")
        }

    def test_directory_stdin_and_encodings(self, server: LocalConnect, probe: Site) -> None:
        process = probe.process
        directory = Path(process["directory"])
        assert server.data in directory.parents
        assert {path.name for path in directory.iterdir()} >= {"app.py", "manifest.json"}
        assert process["stdin"] == ""
        assert [name.lower() for name in process["encodings"]] == ["utf-8"] * 3

    def test_no_package_of_the_servers(self, probe: Site) -> None:
        process = probe.get(f"/process?names={SERVERS_OWN},flask")
        # not even what serves the app is within its reach
        assert process["importable"] == process["loaded"] == ["flask"]
        assert not [entry for entry in process["path"] if "local_connect" in entry]

    def test_no_file_of_the_servers(self, probe: Site) -> None:
        files = probe.process["files"]
        assert not [name for name in files if str(probe.server.data) in name]

    def test_its_key_acts_as_the_owner(self, probe: Site) -> None:
        assert probe.get("/call?path=__api__/v1/user", user=None) | {"status": 200} == probe.get(
            "/call?path=__api__/v1/user", user="bob"
        )
        answer = probe.get("/call?path=__api__/v1/user")
        assert (answer["status"], answer["username"]) == (200, "alice")
        # and may do what she may, not what an administrator may
        assert probe.get("/call?path=__local__/users")["status"] == 403

    def test_its_key_is_refused_once_the_process_has_ended(
        self, server: LocalConnect, own: Site
    ) -> None:
        keys = []
        for end in (lambda: server.get(f"{own.mount}/end"), lambda: own.set_variables(NEW="1")):
            process = own.process
            keys.append(process["variables"]["CONNECT_API_KEY"])
            assert status_of(server, keys[-1]) == 200
            end()
            assert eventually(lambda: status_of(server, keys[-1]) == 401)
        assert own.process["variables"]["CONNECT_API_KEY"] not in keys
        assert [status_of(server, key) for key in keys] == [401, 401]

    def test_its_key_is_refused_once_the_content_is_deleted(
        self, server: LocalConnect, own: Site
    ) -> None:
        key = own.process["variables"]["CONNECT_API_KEY"]
        assert server.request("DELETE", own.content.api).status_code == 204
        assert eventually(lambda: status_of(server, key) == 401)


def status_of(server: LocalConnect, key: str) -> int:
    headers = {"Authorization": f"Key {key}"}
    return server.get("/__api__/v1/user", user=None, headers=headers).status_code
