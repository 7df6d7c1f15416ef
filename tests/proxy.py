"""A TCP proxy before PostgreSQL that cuts a worker's connection at COMMIT: before the server hears it, or after."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import make_url

Moment = Literal["before", "after"]
_PARSE, _BIND, _QUERY = b"P", b"B", b"Q"


@dataclass(slots=True)
class Cut:
    """Cut the next transaction that has said `text` in its SQL: `before` its COMMIT is forwarded, or `after`.

    After means: the server has answered that it is committed, and the client does not hear it.
    """

    text: str
    moment: Moment
    done: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, kw_only=True)
class Proxy:
    """A proxy that listens on `port` and cuts what stands in `cuts`, each once."""

    host: str
    server_port: int
    port: int = 0
    cuts: list[Cut] = field(default_factory=list)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def url(self, server_url: str) -> str:
        """The URL of a database by way of this proxy."""
        return make_url(server_url).set(host="127.0.0.1", port=self.port).render_as_string(hide_password=False)

    def cut(self, text: str, moment: Moment) -> Cut:
        """Ask for a cut."""
        wanted = Cut(text, moment)
        self.cuts.append(wanted)
        return wanted

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until one side ends it or it is cut."""
        try:
            from_server, to_server = await asyncio.open_connection(self.host, self.server_port)
        except OSError:
            writer.close()
            return
        self._open |= {writer, to_server}
        session = _Session(self, to_server, writer)
        directions = [asyncio.create_task(session.forward(reader)), asyncio.create_task(session.answer(from_server))]
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        for one in directions:
            one.cancel()
        await asyncio.gather(*directions, return_exceptions=True)
        for side in (writer, to_server):
            # Reset, not closed in order: an orderly end would be a different fault.
            side.transport.abort()
        self._open -= {writer, to_server}

    def close(self) -> None:
        """End all connections."""
        for side in self._open:
            side.transport.abort()


@dataclass(slots=True)
class _Session:
    """One connection: its prepared statements by name, and the SQL of the transaction it is in."""

    proxy: Proxy
    to_server: asyncio.StreamWriter
    to_client: asyncio.StreamWriter
    _statements: dict[bytes, bytes] = field(default_factory=dict)
    _said: list[bytes] = field(default_factory=list)
    _after: Cut | None = None

    async def forward(self, client: asyncio.StreamReader) -> None:
        """Forward whole messages of the client, until the one at which to cut."""
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._start(client)
            while True:
                kind = await client.readexactly(1)
                size = await client.readexactly(4)
                body = await client.readexactly(int.from_bytes(size, "big") - 4)
                cut = self._listen(kind, body)
                if cut is not None and cut.moment == "before":
                    cut.done.set()
                    return
                self._after = cut
                self.to_server.write(kind + size + body)
                await self.to_server.drain()

    async def answer(self, server: asyncio.StreamReader) -> None:
        """Forward the server's bytes, until its answer to a COMMIT that is cut after."""
        with suppress(OSError):
            while chunk := await server.read(65_536):
                if self._after is not None:
                    self._after.done.set()
                    return
                self.to_client.write(chunk)
                await self.to_client.drain()

    async def _start(self, client: asyncio.StreamReader) -> None:
        """Forward what comes before the login: messages without a kind, the last of which names protocol 3."""
        protocol = 0
        while protocol != 3:
            size = await client.readexactly(4)
            body = await client.readexactly(int.from_bytes(size, "big") - 4)
            protocol = int.from_bytes(body[:2], "big")
            self.to_server.write(size + body)

    def _listen(self, kind: bytes, body: bytes) -> Cut | None:
        """Note what the client says; the cut to be made when this is the COMMIT that one waits for."""
        if kind == _PARSE:
            name, sql, _ = body.split(b"\0", 2)
            self._statements[name] = sql
        elif kind == _BIND:
            _, name, _ = body.split(b"\0", 2)
            self._said.append(self._statements.get(name, b""))
        elif kind == _QUERY:
            sql = body.rstrip(b"\0; \n").upper()
            if sql in {b"COMMIT", b"ROLLBACK"}:
                said, self._said = b"\n".join(self._said), []
                return self._due(said) if sql == b"COMMIT" else None
            self._said.append(body)
        return None

    def _due(self, said: bytes) -> Cut | None:
        for cut in self.proxy.cuts:
            if cut.text.encode() in said:
                self.proxy.cuts.remove(cut)
                return cut
        return None


@asynccontextmanager
async def running_proxy(server_url: str) -> AsyncIterator[Proxy]:
    """A proxy before the server of this URL."""
    url = make_url(server_url)
    proxy = Proxy(host=url.host or "127.0.0.1", server_port=url.port or 5432)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.close()
        await server.wait_closed()
