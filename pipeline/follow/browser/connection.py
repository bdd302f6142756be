"""One WebSocket: what the client says, and what it is sent, in the order of what matters most to who watches."""

import asyncio
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from pipeline.follow.browser.client import NUM_RECENT, Choice, Client
from pipeline.follow.browser.live import Live
from pipeline.follow.browser.reel import MAX_WORDS, to_text
from pipeline.web.guard import has_token

MAX_CLIENTS = 200
START_WITHIN_S = 10.0
REST_AFTER_S = 0.1  # after the first frame of an episode: pages draw that before lists and curves come
_REFUSED, _FULL, _NOT_UNDERSTOOD = 1008, 1013, 1007  # RFC 6455, 7.4.1


class Start(msgspec.Struct, tag_field="type", tag="start"):
    """The first message: the cursor of the last episode that it saw, if any."""

    after: str | None = None


class Ack(msgspec.Struct, tag_field="type", tag="ack"):
    """An episode has come: of one that was asked for, the whole."""

    id: str


class Get(msgspec.Struct, tag_field="type", tag="get"):
    """An episode is asked for, with all its frames. What was asked for before is not wanted any more."""

    id: str


_questions = msgspec.json.Decoder(Start | Ack | Get)


class Connection:
    """Tells ``hello``, waits for the start, then talks until one of both goes."""

    def __init__(self, live: Live, websocket: WebSocket, hello: dict[str, Any], token: str | None) -> None:
        self._live, self._websocket, self._hello, self._token = live, websocket, hello, token
        self._client = Client()
        self._rest_from_s = 0.0  # by the clock of the event loop

    async def run(self) -> None:
        """The whole of it."""
        await self._websocket.accept()
        try:
            if not has_token(self._websocket.scope, self._token):
                await self._refuse("this page needs its token: open the whole address that the command shows", _REFUSED)
                return
            if len(self._live.clients) >= MAX_CLIENTS:
                await self._refuse(f"{MAX_CLIENTS} are watching, and there is no room for more", _FULL)
                return
            await self._say(to_text({"type": "hello", **self._hello, "keep": NUM_RECENT, "ended": self._live.ended}))
            async with asyncio.timeout(START_WITHIN_S):
                question = await self._receive()
            if not isinstance(question, Start):
                await self._refuse("the first message must be a start", _NOT_UNDERSTOOD)
                return
            self._client.after = question.after
            await self._talk()
        except (WebSocketDisconnect, TimeoutError, msgspec.DecodeError, UnicodeDecodeError):
            return  # it has gone, or is none of ours

    async def _talk(self) -> None:
        self._live.join(self._client)
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._tell())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._live.clients.discard(self._client)
            self._client.leave()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # What it says.

    async def _listen(self) -> None:
        while True:
            question = await self._receive()
            if isinstance(question, Ack):
                self._client.acknowledge(question.id)
            elif isinstance(question, Get) and not self._live.ask(self._client, question.id):
                note = {"type": "error", "id": question.id[:200], "what": "there is no episode of that id"}
                self._client.notes.append(to_text(note))
                self._client.woken.set()

    async def _receive(self) -> Start | Ack | Get:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect
        question: Start | Ack | Get = _questions.decode(message.get("text") or b"")
        return question

    # What it is told.

    async def _tell(self) -> None:
        while True:
            self._client.woken.clear()
            messages: list[str | bytes] = [self._urgent()]
            if not messages[0] and not self._client.waits_for_head and await self._is_at_rest():
                messages += [self._state(), self._rows(), self._curves()]
            for message in (one for one in messages if one):
                if isinstance(message, bytes):
                    await self._websocket.send_bytes(message)
                else:
                    await self._say(message)
            if not any(messages):
                await self._client.woken.wait()

    async def _is_at_rest(self) -> bool:
        """Wait until the last first frame has been drawn; False when something else has come meanwhile."""
        try:
            async with asyncio.timeout_at(self._rest_from_s):
                await self._client.woken.wait()
        except TimeoutError:
            return True
        return False

    def _urgent(self) -> str | bytes:
        """The next message of notes and episodes, empty where there is none."""
        if self._client.notes:
            return self._client.notes.popleft()
        while (chosen := self._client.next()) is not None:
            self._begin(chosen)
        return self._part() or self._problem()

    def _begin(self, chosen: Choice) -> None:
        entry = self._live.entry(chosen.number)
        if entry is not None:
            cursor = None if chosen.asked else self._live.cursor(entry)
            facts = {"type": "play", "id": entry.summary.id, "cursor": cursor, "dropped": self._client.num_dropped}
            self._client.run(self._live.reel(entry, whole=chosen.asked), to_text(facts), whole=chosen.asked)

    def _part(self) -> str | bytes:
        one = self._client.part()
        if one is None:
            return ""
        part = one.reel.parts[one.num_sent]
        one.num_sent += 1
        if not one.whole:
            self._rest_from_s = asyncio.get_running_loop().time() + REST_AFTER_S
        return part if isinstance(part, bytes) else f'{one.facts[:-1]},"head":{part}}}'

    def _problem(self) -> str:
        problem = self._client.problem()
        return to_text({"type": "error", "what": problem[:MAX_WORDS]}) if problem else ""

    def _state(self) -> str:
        if self._client.state == self._live.state:
            return ""
        self._client.state = self._live.state
        return self._client.state

    def _rows(self) -> str:
        first, rows = self._live.rows_from(self._client.num_rows)
        if not rows:
            return ""
        self._client.num_rows = first + len(rows)
        return f'{{"type":"index","from":{first},"rows":[{",".join(rows)}]}}'

    def _curves(self) -> str:
        message, self._client.curves = self._live.curves.since(self._client.curves)
        return message

    async def _say(self, text: str) -> None:
        await self._websocket.send_text(text)

    async def _refuse(self, why: str, code: int) -> None:
        await self._say(to_text({"type": "error", "what": why}))
        await self._websocket.close(code)
