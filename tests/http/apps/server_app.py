"""An ASGI app that behaves in every way a server has to cope with.

``python -m tests.http.apps.server_app '{"backend": "trio", "port": 0}' [startup]``; the second
argument is what the lifespan does: see `lifespan`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import socket
import sys
import time

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import msgspec
import sniffio

from web.servers import ServerOptions, describe_server, serve

FOR_EVER = 60
SEEN = contextvars.ContextVar("SEEN", default=0)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class App:
    def __init__(self, options: ServerOptions, startup: str) -> None:
        self.options = options
        self.startup = startup
        self.is_ready = False

    def bind(self, stop) -> None:
        self.stop = stop
        self.draining: anyio.Event | None = None

    def drain(self, grace: float) -> None:
        say(f"drain on {sniffio.current_async_library()} with {grace:.1f}")
        self.is_ready = False
        self.draining.set()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            await self.lifespan(receive, send)
            return
        name, _, argument = scope["path"].strip("/").partition("/")
        await getattr(self, name)(argument, receive, send)

    async def lifespan(self, receive, send) -> None:
        await receive()
        if self.startup == "fails":
            raise ValueError("the journal\nis locked")
        if self.startup == "hangs":
            say("starting")
            try:
                await anyio.sleep(FOR_EVER)
            finally:
                say("startup was cancelled")
        if self.startup == "loses the port":
            # Possible as long as neither of the two listens.
            self.rival = socket.socket()
            self.rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.rival.bind((self.options.host, self.options.port))
            self.rival.listen()
        self.draining = anyio.Event()
        try:
            async with anyio.create_task_group() as self.root:
                self.is_ready = True
                await send({"type": "lifespan.startup.complete"})
                await receive()
                self.root.cancel_scope.cancel()
            if self.startup == "cannot stop":
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(FOR_EVER)
        finally:
            say("lifespan ended")
        if self.startup == "stops badly":
            raise OSError("the disk is full")
        await send({"type": "lifespan.shutdown.complete"})

    # Handlers: one for each first part of a path.

    async def library(self, argument, receive, send) -> None:
        await anyio.lowlevel.checkpoint()
        await answer(send, sniffio.current_async_library())

    async def ready(self, argument, receive, send) -> None:
        text = msgspec.json.encode(describe_server(self.options)).decode()
        await answer(send, text, 200 if self.is_ready else 503)

    async def sleep(self, argument, receive, send) -> None:
        say("sleep begins")
        try:
            await anyio.sleep(float(argument))
            await answer(send, "slept")
        finally:
            say("sleep: finally")

    async def until_drain(self, argument, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello ", "more_body": True})
        await self.draining.wait()
        await send({"type": "http.response.body", "body": b"bye"})

    async def deaf(self, argument, receive, send) -> None:
        say("deaf begins")
        while True:
            # On asyncio the server's cancellation is asyncio's own, and goes through shields.
            with contextlib.suppress(anyio.get_cancelled_exc_class()):
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(FOR_EVER)

    async def thread(self, argument, receive, send) -> None:
        say("thread begins")
        await anyio.to_thread.run_sync(
            time.sleep, FOR_EVER, abandon_on_cancel=argument == "abandoned"
        )

    async def blocking(self, argument, receive, send) -> None:
        say("blocking begins")
        time.sleep(FOR_EVER)  # noqa: ASYNC251  the point

    async def fail(self, argument, receive, send) -> None:
        raise {"error": ValueError, "exit": SystemExit}[argument]("asked to")

    async def fail_inside(self, argument, receive, send) -> None:
        error = {"exit": SystemExit, "interrupt": KeyboardInterrupt}[argument]

        def call() -> None:
            raise error("asked to")

        async def task() -> None:
            raise error("asked to")

        if sniffio.current_async_library() == "asyncio":
            asyncio.get_running_loop().stop()
        caught = []
        for function in (
            lambda: anyio.to_thread.run_sync(anyio.from_thread.run_sync, call),
            lambda: anyio.to_thread.run_sync(anyio.from_thread.run, task),
        ):
            try:
                await function()
            except error:
                caught.append("thread")
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(task)
                await anyio.sleep(FOR_EVER)
        except BaseExceptionGroup as several:
            caught.append(type(several.exceptions[0]).__name__)
        await answer(send, " ".join(caught))

    async def engine_death(self, argument, receive, send) -> None:
        async def die() -> None:
            raise RuntimeError("the engine died")

        if argument == "reported":
            self.stop(RuntimeError("the engine died"))
        elif argument == "from-thread":
            error = RuntimeError("the engine died")
            await anyio.to_thread.run_sync(self.stop, error)
        else:
            self.root.start_soon(die)
        await self.draining.wait()
        await answer(send, f"ready: {self.is_ready}")

    async def trio_crash(self, argument, receive, send) -> None:
        import trio

        async def crash() -> None:
            raise RuntimeError("the run crashed")

        trio.lowlevel.spawn_system_task(crash)
        await anyio.sleep(FOR_EVER)

    async def upload(self, argument, receive, send) -> None:
        total, more = 0, True
        while more:
            message = await receive()
            total += len(message["body"])
            more = message["more_body"]
        await answer(send, str(total))

    async def stream(self, argument, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(int(argument)):
            await anyio.lowlevel.checkpoint()
            chunk = {"type": "http.response.body", "body": bytes(65536), "more_body": True}
            await send(chunk)
        await send({"type": "http.response.body", "body": b""})

    async def disconnect(self, argument, receive, send) -> None:
        while (await receive())["type"] != "http.disconnect":
            say("disconnect: body read")
        say("disconnect seen")

    async def seen(self, argument, receive, send) -> None:
        SEEN.set(SEEN.get() + 1)
        await answer(send, str(SEEN.get()))

    async def timed_receive(self, argument, receive, send) -> None:
        """Give up waiting for the client many times: each leaves uvicorn's event as it was."""
        await receive()
        for _ in range(20):
            with anyio.move_on_after(0.001):
                await receive()
        await answer(send, "waited")


async def answer(send, text: str, status: int = 200) -> None:
    body = text.encode()
    headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> int:
    options = msgspec.json.decode(sys.argv[1], type=ServerOptions)
    app = App(options, sys.argv[2] if len(sys.argv) > 2 else "works")
    return serve(app, options, app)


if __name__ == "__main__":
    sys.exit(main())
