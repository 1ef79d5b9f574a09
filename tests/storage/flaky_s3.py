"""An address before a real S3 server at which things go wrong, and where requests are counted.

What a network and a busy store do: an answer 503, a slow answer, a connection cut before the
request was carried out, and one cut after it. Which request meets what is decided by `fate`.
"""

import asyncio
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote, urlsplit

SLOW_SECONDS = 0.3
_BUSY = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s"
)
_BUSY_BODY = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_OF_LANCE = re.compile(r"\.lance/(\w+)/")


class Fate(StrEnum):
    """What becomes of a request."""

    ANSWERED = "answered"
    BUSY = "busy"
    SLOW = "slow"
    CUT = "cut"  # before the server saw it
    LOST = "lost"  # carried out, and the answer lost on its way
    UNCONDITIONAL = "unconditional"  # carried out as if it had no condition


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `what` names the kind of object, so that requests can be counted by it."""

    method: str
    path: str
    conditional: bool

    @property
    def what(self) -> str:
        """As `LIST ledger`, `GET staging`, `PUT pairs.lance/data`."""
        parts = urlsplit(self.path)
        is_list = "list-type=" in parts.query
        name = unquote(parts.query if is_list else parts.path)
        table = _OF_LANCE.search(name)
        folder = re.search(r"datasets(?:/|%2F)[\w-]+(?:/|%2F)([\w.-]+)", name)
        kind = folder.group(1) if folder else "other"
        return f"{'LIST' if is_list else self.method} {kind}{f'/{table.group(1)}' if table else ''}"


Fates = Callable[[Request], Fate]


def answered(_: Request) -> Fate:
    """Nothing goes wrong."""
    return Fate.ANSWERED


def seeded(seed: int, share: float) -> Fates:
    """A share of the requests meets one of the four faults, by chance."""
    chance = random.Random(seed)
    faults = (Fate.BUSY, Fate.SLOW, Fate.CUT, Fate.LOST)
    return lambda _: chance.choice(faults) if chance.random() < share else Fate.ANSWERED


@dataclass
class FlakyServer:
    """Where it listens, what is to happen, and what has."""

    upstream: str
    fate: Fates = answered
    endpoint: str = ""
    requests: Counter[str] = field(default_factory=Counter)
    fates: Counter[Fate] = field(default_factory=Counter)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one connection: the server closes it, and so do we."""
        try:
            await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in
                   (line.partition(b":") for line in lines[1:])}  # fmt: skip
        method, path, _ = lines[0].decode().split(" ")
        request = Request(method, path, b"if-none-match" in headers)
        if b"expect" in headers:
            writer.write(_CONTINUE)
        body = await _body(reader, headers)
        fate = self.fate(request)
        self.requests[request.what] += 1
        self.fates[fate] += 1
        if fate is Fate.CUT:
            return
        if fate is Fate.BUSY:
            data = b"" if method == "HEAD" else _BUSY_BODY
            writer.write(_BUSY % (len(data), data))
            return
        if fate is Fate.SLOW:
            await asyncio.sleep(SLOW_SECONDS)
        left_out = [b"connection", b"expect"]
        if fate is Fate.UNCONDITIONAL:
            left_out.append(b"if-none-match")
        kept = [line for line in lines if line.partition(b":")[0].lower() not in left_out]
        answer = await self._forward(b"\r\n".join([*kept, b"Connection: close", b"", b""]) + body)
        if fate is not Fate.LOST:
            writer.write(answer)
            await writer.drain()

    async def _forward(self, data: bytes) -> bytes:
        address = urlsplit(self.upstream)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(data)
            return await reader.read()
        finally:
            writer.close()


async def _body(reader: asyncio.StreamReader, headers: dict[bytes, bytes]) -> bytes:
    if b"chunked" not in headers.get(b"transfer-encoding", b""):
        return await reader.readexactly(int(headers.get(b"content-length", b"0")))
    parts = []
    while True:
        size = await reader.readuntil(b"\r\n")
        data = await reader.readexactly(int(size.split(b";")[0], 16) + 2)
        parts += [size, data]
        if size.strip() == b"0":
            return b"".join(parts)


@contextmanager
def flaky(upstream: str, fate: Fates = answered) -> Iterator[FlakyServer]:
    """Stand before a server on a free loopback port."""
    server = FlakyServer(upstream, fate)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="flaky-s3", daemon=True)
    thread.start()

    async def begin() -> asyncio.Server:
        return await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=1 << 20)

    listening = asyncio.run_coroutine_threadsafe(begin(), loop).result(30)
    server.endpoint = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(listening.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
