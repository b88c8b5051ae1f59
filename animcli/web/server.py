"""The server: one for each project, on this machine only, until Ctrl-C."""

import asyncio
import json
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from animcli.batch.engine import Here, seats
from animcli.errors import AnimError, OutputError, StorageError, UsageError
from animcli.files import locked, make_folder, write_file
from animcli.pipeline.project import Project
from animcli.web.command_interface import CommandInterface
from animcli.web.events import EventLog
from animcli.web.guard import BODY_S, Guard, Keys, own_hosts
from animcli.web.looker import Looker
from animcli.web.queue import Entry, JobQueue
from animcli.web.routes.page import application
from animcli.web.studio import DECODED_PARTS, Studio
from animcli.web.uploads import MAX_UPLOAD_BYTES, Uploads

HEAD_S: Final = 10.0
"""Seconds for the head of a request."""
MOST_CONNECTIONS: Final = 64
GRACE_S: Final = 120.0
LOCK: Final = "studio.lock"
ADDRESS: Final = "studio.json"


class HurriedProtocol(H11Protocol):
    """HTTP that closes a connection whose request doesn't come to its end."""

    head_s = HEAD_S
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A connection: its first request has to come soon."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Bytes: of a head, or of what follows one."""
        super().data_received(data)
        if self._is_waiting():
            self._watch()
        elif self._late is not None:
            self._late.cancel()
            self._late = None

    def connection_lost(self, exc: Exception | None) -> None:
        """No connection any more."""
        if self._late is not None:
            self._late.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self.head_s, self._close_if_late)

    def _close_if_late(self) -> None:
        self._late = None
        if self._is_waiting() and not self.transport.is_closing():
            self.transport.close()

    def _is_waiting(self) -> bool:
        """True while a head has begun, or the first one is due, and none is whole."""
        return self.conn.their_state is h11.IDLE and (
            self.cycle is None or bool(self.conn.trailing_data[0])
        )


@dataclass(frozen=True)
class ServerSettings:
    """Settings of `anim studio`.

    host, port: to listen on; port 0 takes any free one. announce: told of the URL once the
    server answers. head_s, body_s: seconds that the head of a request has, and that a body
    may pause for.
    """

    project: Project
    face: CommandInterface
    host: str = "127.0.0.1"
    port: int = 0
    read_only: bool = False
    announce: Callable[[str], None] = lambda url: None
    _: KW_ONLY
    tell: Callable[[str], None] = lambda line: None
    largest: int = MAX_UPLOAD_BYTES
    keys: Keys = field(default_factory=Keys)
    head_s: float = HEAD_S
    body_s: float = BODY_S


def is_loopback(host: str) -> bool:
    """True where only this machine can reach a host."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def serve(settings: ServerSettings) -> None:
    """Serve until a signal; what runs is asked to stop where nothing is lost.

    Where another process serves the project already, its URL is announced instead.
    """
    make_folder(settings.project.cache)
    with locked(settings.project.cache / LOCK) as free:
        if free:
            _serve_alone(settings)
            return
    url = running_url(settings.project)
    if not url:
        raise OutputError(
            "another process is opening the page of this project", "try again"
        )
    settings.tell("the page of this project is open already")
    settings.announce(url)


def _serve_alone(settings: ServerSettings) -> None:
    with listening_socket(settings.host, settings.port) as sock:
        port = sock.getsockname()[1]
        shown = "127.0.0.1" if is_loopback(settings.host) else settings.host
        url = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"
        address = settings.project.cache / ADDRESS
        whole = f"{url}#t={settings.keys.token}"
        write_private(address, json.dumps({"pid": os.getpid(), "url": whole}))
        try:
            asyncio.run(_serve(settings, sock, port, whole))
        finally:
            address.unlink(missing_ok=True)
            shutil.rmtree(
                settings.project.cache.joinpath(*DECODED_PARTS), ignore_errors=True
            )


async def _serve(
    settings: ServerSettings, sock: socket.socket, port: int, url: str
) -> None:
    project, loop = settings.project, asyncio.get_running_loop()
    logs = project.cache / "studio"
    places = {"ANIM_PROJECT": str(project.root), "ANIM_CACHE_DIR": str(project.cache)}
    seat = seats(1)[0]
    runner = settings.face.runner
    looker = Looker(runner, {**seat.environment(), "CUDA_VISIBLE_DEVICES": seat.gpu},
                    logs / "look.log")  # fmt: skip
    engine = Here(runner, seats(None), logs)
    studio: Studio
    log = EventLog(lambda: [("hello", {"queue": studio.whole_queue()})])

    tasks: set[asyncio.Task[None]] = set()

    def foresee(entry: Entry) -> None:
        async def ask() -> None:
            with suppress(AnimError):  # it is told when the job goes on
                await studio.foresee(entry)

        task = loop.create_task(ask())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def changed(entry: Entry | None) -> None:
        if entry is None:
            log.publish("queue", studio.whole_queue())
            return
        log.publish("job", entry.data())
        if entry.state == "stopped" and entry.row and not entry.outlook:
            foresee(entry)
        if entry.state == "done":
            log.publish("history", entry.job.name)

    jobs = JobQueue(
        project.root / "studio", engine, settings.face.commands(), places, changed
    )
    jobs.load()
    uploads = Uploads(project.cache / "uploads", settings.largest)
    studio = Studio(
        project,
        settings.face,
        settings.keys,
        port,
        uploads,
        looker,
        jobs=jobs,
        log=log,
        places=places,
        read_only=settings.read_only,
    )
    pump(engine, jobs, loop)
    app = Guard(
        application(studio), settings.keys, port, own_hosts(settings.host, port),
        settings.read_only, body_s=settings.body_s,
    )  # fmt: skip
    http = type("Protocol", (HurriedProtocol,), {"head_s": settings.head_s})
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=http,
            ws="none",
            lifespan="off",
            log_level="error",
            access_log=False,
            server_header=False,
            date_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=64 << 10,
        )
    )
    asked = 0

    def on_signal(number: int, frame: object) -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            loop.call_soon_threadsafe(_end_now, engine, looker)
        loop.call_soon_threadsafe(setattr, server, "should_exit", True)

    server.handle_exit = on_signal  # type: ignore[assignment,method-assign]
    work = asyncio.ensure_future(server.serve(sockets=[sock]))
    while not server.started and not work.done():
        await asyncio.sleep(0.005)
    if server.started:
        settings.announce(url)
        for entry in jobs.entries.values():
            foresee(entry)
    while not (work.done() or server.should_exit):
        await asyncio.sleep(0.05)
    log.close()
    if stopping := jobs.close():
        settings.tell(f"stopping {', '.join(stopping)} where nothing is lost")
    waited = 0.0
    while jobs.running and asked < 2 and waited < GRACE_S and stopping:
        await asyncio.sleep(0.05)
        waited += 0.05
    _end_now(engine, looker)
    await work


def _end_now(engine: Here, looker: Looker) -> None:
    looker.close()
    engine.close()


def pump(engine: Here, jobs: JobQueue, loop: asyncio.AbstractEventLoop) -> None:
    """Hand what slots say to the queue, in the loop's own thread."""

    def run() -> None:
        while True:
            slot, event = engine.events.get()
            if loop.is_closed():
                return
            with suppress(RuntimeError):  # closed in this moment
                loop.call_soon_threadsafe(jobs.take, slot, event)

    threading.Thread(target=run, daemon=True, name="studio-events").start()


@contextmanager
def listening_socket(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens. Raises UsageError where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            raise UsageError(
                f"--port {port}: {error.strerror}", "--port 0 takes any free one"
            ) from error
        yield sock
    finally:
        sock.close()


def running_url(project: Project) -> str:
    """The URL of the process that serves a project; nothing where it isn't known."""
    try:
        return str(json.loads((project.cache / ADDRESS).read_bytes())["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    before = os.umask(0o077)
    try:
        write_file(path, text.encode())
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
    finally:
        os.umask(before)
