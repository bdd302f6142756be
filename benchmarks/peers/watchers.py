"""Those who watch a page, without the page: ``python -m benchmarks.peers.watchers URL COUNT DEAF SECONDS``.

COUNT read, acknowledge, and ask for all frames of each newest episode when it has been shown for as long as a page
waits with that; DEAF connect and never read. Prints one JSON object: how late the first frame of each episode arrived,
in milliseconds, all watchers together; how many episodes they were told that they lost; bytes received; and the
processor time of this process.
"""

import asyncio
import contextlib
import json
import re
import sys
import time

from websockets.asyncio.client import ClientConnection, connect

_ASK_AFTER_S = 0.1  # as the page does
_PLAY = re.compile(r'\{"type":"play","id":("[^"]*"),"cursor":"[^"]*","dropped":(\d+).*?"ended_unix_s":([\d.]+)')


class Watchers:
    """What all of one process saw."""

    def __init__(self, url: str) -> None:
        self.url = url.replace("http://", "ws://") + "live"
        self.late_ms: list[float] = []
        self.num_dropped = self.num_bytes = 0
        self.began_unix_s = time.time()
        self._asked: set[asyncio.Task[None]] = set()

    async def watch(self) -> None:
        """Read, acknowledge, and ask for the newest."""
        async with connect(self.url, max_size=None, compression=None) as socket:
            await socket.send('{"type":"start"}')
            dropped = 0
            try:
                async for message in socket:
                    now = time.time()
                    self.num_bytes += len(message)
                    if isinstance(message, bytes) or (play := _PLAY.match(message)) is None:
                        continue
                    await socket.send(f'{{"type":"ack","id":{play[1]}}}')
                    dropped = int(play[2])
                    if float(play[3]) > self.began_unix_s:
                        self.late_ms.append(1000 * (now - float(play[3])))
                        asked = asyncio.create_task(self._ask(socket, play[1]))
                        self._asked.add(asked)
                        asked.add_done_callback(self._asked.discard)
            finally:
                self.num_dropped += dropped

    async def _ask(self, socket: ClientConnection, id: str) -> None:
        await asyncio.sleep(_ASK_AFTER_S)
        await socket.send(f'{{"type":"get","id":{id}}}')

    async def be_deaf(self) -> None:
        """Start, and read nothing, not even what keeps a connection alive."""
        async with connect(self.url, max_size=None, compression=None, max_queue=1, ping_interval=None) as socket:
            await socket.send('{"type":"start"}')
            await asyncio.Event().wait()


async def _all(url: str, count: int, num_deaf: int, seconds: float) -> Watchers:
    watchers = Watchers(url)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(seconds + 1))  # nobody watches for as long as others do
            for number in range(count + num_deaf):
                group.create_task(watchers.watch() if number < count else watchers.be_deaf())
    return watchers


if __name__ == "__main__":
    seen = asyncio.run(_all(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
    facts = {"late_ms": seen.late_ms, "dropped": seen.num_dropped, "num_bytes": seen.num_bytes}
    print(json.dumps(facts | {"processor_s": time.process_time()}))
