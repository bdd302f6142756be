"""Those who watch a page, without the page: ``python -m benchmarks.peers.watchers URL COUNT DEAF SECONDS``.

COUNT read and acknowledge, DEAF connect and never read. Prints one JSON object: how late the first frame of each
episode arrived, in milliseconds, all watchers together, and how many episodes they were told that they lost.
"""

import asyncio
import contextlib
import json
import re
import sys
import time

from websockets.asyncio.client import connect

_PLAY = re.compile(r'\{"type":"play","id":("[^"]*"),.*?"dropped":(\d+).*?"ended_unix_s":([\d.]+)')
_LAST = re.compile(r'\{"type":"changes","id":("[^"]*"),.*"last":true\}$', re.DOTALL)


class Watchers:
    """What all of one process saw."""

    def __init__(self, url: str) -> None:
        self.url = url.replace("http://", "ws://") + "live"
        self.late_ms: list[float] = []
        self.num_dropped = 0
        self.began_unix_s = time.time()

    async def watch(self) -> None:
        """Read and acknowledge."""
        async with connect(self.url, max_size=None, compression=None) as socket:
            await socket.send('{"type":"start"}')
            dropped = 0
            try:
                async for message in socket:
                    now = time.time()
                    assert isinstance(message, str)
                    if (last := _LAST.match(message)) is not None:
                        await socket.send(f'{{"type":"ack","id":{last[1]}}}')
                    elif (play := _PLAY.match(message)) is not None:
                        dropped = int(play[2])
                        if float(play[3]) > self.began_unix_s:
                            self.late_ms.append(1000 * (now - float(play[3])))
            finally:
                self.num_dropped += dropped

    async def be_deaf(self) -> None:
        """Start, and read nothing, not even what keeps a connection alive."""
        async with connect(self.url, max_size=None, compression=None, max_queue=1, ping_interval=None) as socket:
            await socket.send('{"type":"start"}')
            await asyncio.Event().wait()


async def _all(url: str, count: int, num_deaf: int, seconds: float) -> Watchers:
    watchers = Watchers(url)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for number in range(count + num_deaf):
                group.create_task(watchers.watch() if number < count else watchers.be_deaf())
    return watchers


if __name__ == "__main__":
    seen = asyncio.run(_all(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
    print(json.dumps({"late_ms": seen.late_ms, "dropped": seen.num_dropped}))
