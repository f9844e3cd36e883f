"""`odr up` and `odr down`: the servers of one data root, each started once and ended whole."""

import fcntl
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from flows.serving import databases, programs, record
from flows.serving.ending import end
from flows.serving.programs import Program
from flows.serving.record import Server

PREFECT_PORT, MLFLOW_PORT = 4200, 5000
READY_SECONDS = 120.0
LOOK_SECONDS = 0.2
LOG_LINES = 8


class NotReady(ValueError):
    """A program does not come up; the message shows the end of its log."""


@dataclass(frozen=True)
class Found:
    """A server that answers, and how that came about."""

    name: str
    address: str
    how: str
    """started, running (since an earlier `odr up`), or the variable by which the user named it."""


@dataclass(frozen=True)
class Wish:
    """What `odr up` was asked for: ports, or None for those in use or the usual ones."""

    prefect_port: int | None = None
    mlflow_port: int | None = None
    slots: int = 1
    prefect_url: str = ""
    """A server of the user's own (PREFECT_API_URL); then none is started."""
    mlflow_url: str = ""


def up(root: Path, wish: Wish) -> list[Found]:
    """Start what does not run; return the two servers and the process that serves, all of them ready.

    Raises:
        ValueError: a port is taken, or the user's own server does not answer.
        NotReady: a program ended or was not ready in time. Here as there, what this call has started is ended again.
    """
    with _turn(root):
        known = {server.name: server for server in record.read(root)}
        databases.check()
        _check_ports(known, wish)
        for name in ("prefect", "mlflow"):  # both before either is started
            _check_free(name, wish, known.get(name))
        begun: list[tuple[Program, Server]] = []
        try:
            prefect = _server(root, "prefect", wish, known, begun)
            mlflow = _server(root, "mlflow", wish, known, begun)
            _wait(root, begun)
            serving = programs.deployments(root, f"{prefect.address}/api", mlflow.address, wish.slots)
            ours = known.get("deployments")
            if ours is None or not ours.is_running():
                programs.ready_file(root).unlink(missing_ok=True)
                last = _start(root, serving, known)
                begun.append((serving, last))
                _wait(root, [(serving, last)])
                how = "started"
            else:
                how = "running"
        except BaseException:
            for program, server in reversed(begun):
                end(server)
                known.pop(program.name)
            record.write(root, known.values())
            raise
    return [prefect, mlflow, Found("deployments", "", how)]


def down(root: Path) -> list[str]:
    """End what `odr up` has started, with all descendants; return the names of those that ran."""
    with _turn(root):
        order = {"deployments": 0, "mlflow": 1, "prefect": 2}  # who reports ends before whom it reports to
        servers = sorted(record.read(root), key=lambda server: order.get(server.name, -1))
        ended: list[str] = []
        while servers:
            if end(servers[0]):
                ended.append(servers[0].name)
            servers = servers[1:]
            record.write(root, servers)
        programs.ready_file(root).unlink(missing_ok=True)
    return ended


@contextmanager
def _turn(root: Path) -> Iterator[None]:
    """One `odr up` or `odr down` at a time on a data root."""
    (root / record.FOLDER).mkdir(parents=True, exist_ok=True)
    with (root / record.FOLDER / "turn.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


def _server(root: Path, name: str, wish: Wish, known: dict[str, Server], begun: list[tuple[Program, Server]]) -> Found:
    """The user's own server, the one that runs, or one that is being started now."""
    variable, own = _own(name, wish)
    if own:
        return _named_by_user(name, variable, own)
    server = known.get(name)
    if server and server.is_running():
        return Found(name, server.address, "running")
    make = {"prefect": programs.prefect, "mlflow": programs.mlflow}[name]
    program = make(root, _port(name, wish, server))
    begun.append((program, _start(root, program, known)))
    return Found(name, program.address, "started")


def _named_by_user(name: str, variable: str, own: str) -> Found:
    from tasks.tracking import without_credentials

    shown = without_credentials(own)
    if not own.startswith(("http://", "https://")):
        raise ValueError(f"{variable} is {shown}, which is no server's address; unset it, and `odr up` starts a server")
    if not programs.responds(f"{own.rstrip('/')}/health"):
        raise ValueError(
            f"{variable} names the server {shown}, which does not answer; start it, or unset the variable, and "
            "`odr up` starts one of its own"
        )
    return Found(name, own.rstrip("/").removesuffix("/api"), variable)


def _start(root: Path, program: Program, known: dict[str, Server]) -> Server:
    """Start a program that outlives this command, and note it before anything else can happen."""
    log = programs.log_file(root, program.name)
    with log.open("ab") as output:
        process = subprocess.Popen(
            program.command, env=program.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    server = Server.of(program.name, process.pid, program.address)
    known[program.name] = server
    record.write(root, known.values())
    return server


def _wait(root: Path, begun: list[tuple[Program, Server]]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    waiting = list(begun)
    while waiting:
        for program, server in waiting:
            if not server.is_running():
                raise NotReady(f"the {program.what} ended before it was ready{_last_words(root, program)}")
        waiting = [(program, server) for program, server in waiting if not program.is_ready(server)]
        if waiting and time.monotonic() > deadline:
            program = waiting[0][0]
            raise NotReady(f"the {program.what} was not ready after {READY_SECONDS:.0f} s{_last_words(root, program)}")
        time.sleep(LOOK_SECONDS if waiting else 0)


def _last_words(root: Path, program: Program) -> str:
    from tasks.tracking import without_credentials

    log = programs.log_file(root, program.name)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    return without_credentials(f"; the end of {log}:\n" + "\n".join(f"  {line}" for line in lines))


def _check_free(name: str, wish: Wish, server: Server | None) -> None:
    """A server that is to be started finds its port free; what is left of one that was killed is ended for it."""
    variable, own = _own(name, wish)
    if own or (server and server.is_running()):
        return
    if server:
        end(server)
    port = _port(name, wish, server)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port just left is free
        try:
            probe.bind((programs.HOST, port))
        except OSError as error:
            raise ValueError(
                f"port {port} of {programs.HOST} is taken by another program ({error.strerror}); choose another with "
                f"--{name}-port, or set {variable} if a server of your own answers there"
            ) from error


def _own(name: str, wish: Wish) -> tuple[str, str]:
    """The variable by which a user names a server of their own, and what it says."""
    if name == "prefect":
        return "PREFECT_API_URL", wish.prefect_url
    return "MLFLOW_TRACKING_URI", wish.mlflow_url


def _port(name: str, wish: Wish, server: Server | None) -> int:
    wanted, usual = (wish.prefect_port, PREFECT_PORT) if name == "prefect" else (wish.mlflow_port, MLFLOW_PORT)
    return wanted or _port_of(server) or usual


def _check_ports(known: dict[str, Server], wish: Wish) -> None:
    """Ports are not changed under a process that knows the old ones."""
    if not any(server.is_running() for server in known.values()):
        return
    for name, port in (("prefect", wish.prefect_port), ("mlflow", wish.mlflow_port)):
        used = _port_of(known.get(name))
        if port and used and port != used:
            raise ValueError(f"--{name}-port {port}: the servers of this data root use {used}; `odr down` ends them")


def _port_of(server: Server | None) -> int | None:
    return urlsplit(server.address).port if server else None
