"""Commands that the server starts, and that end with what wants them."""

import asyncio
import os
from pathlib import Path

from local_connect.runtime.commands import started


def test_a_command_with_more_to_say_than_anyone_reads_is_ended(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            asyncio.timeout(10),
            started(
                "yes", cwd=tmp_path, environment=os.environ, stderr=asyncio.subprocess.DEVNULL
            ) as process,
        ):
            assert process.stdout is not None
            assert await process.stdout.readline() == b"y\n"
        assert process.returncode

    asyncio.run(test())
