"""What `odr up` has started in a data root, so that the next one finds it and `odr down` ends exactly that.

A process is known by its number, the moment it began and the boot it began in: a number alone gets a new owner. Each
was started in a session of its own, so what it leaves behind when it is killed is still found.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from artifacts import plain_json
from artifacts.durable import write_atomically

FOLDER = "servers"
FIELDS = {"name": str, "pid": int, "began": int, "boot": str, "address": str}

Member = tuple[int, int]
"""A process number and when that process began, in clock ticks after boot."""


@dataclass(frozen=True)
class Server:
    """One process that `odr up` has started."""

    name: str
    pid: int
    began: int
    """Clock ticks after boot."""
    boot: str
    address: str
    """Such as http://127.0.0.1:4200; empty where nobody can ask."""

    @classmethod
    def of(cls, name: str, pid: int, address: str) -> "Server":
        """A process that has just been started by this one."""
        return cls(name, pid, _stat(pid)[3], _boot(), address)

    def is_running(self) -> bool:
        """Whether it has not ended."""
        return any(member == (self.pid, self.began) for member in self.family())

    def family(self) -> set[Member]:
        """The process, everything below it, and what it has left in its session; empty after another boot."""
        if self.boot != _boot():
            return set()
        table = _processes()
        if self.pid in table and table[self.pid][3] != self.began:
            return set()  # the number has a new owner, which the kernel allows only when no member is left
        found = {pid for pid, (_, _, session, _) in table.items() if self.pid in (pid, session)}
        while below := {pid for pid, (_, parent, _, _) in table.items() if parent in found} - found:
            found |= below
        return {(pid, table[pid][3]) for pid in found if table[pid][0] != "Z"}

    def children(self) -> set[Member]:
        """The processes directly below it: of the one that serves, the runs."""
        table = _processes()
        below = {(pid, began) for pid, (_, parent, _, began) in table.items() if parent == self.pid}
        return below & self.family()


def path(root: Path) -> Path:
    """The record of a data root."""
    return root / FOLDER / "running.json"


def read(root: Path) -> list[Server]:
    """What was started and not ended by `odr down`, whether it runs or not.

    Raises:
        ValueError: the file is no such record.
    """
    try:
        found = plain_json.parse(path(root).read_bytes())
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise ValueError(f"{path(root)} is not readable ({error}); end the servers by hand, then delete it") from error
    if not isinstance(found, list) or not all(_is_server(item) for item in found):
        raise ValueError(f"{path(root)} is no record of servers; end the servers by hand, then delete it")
    return [Server(**item) for item in found]


def write(root: Path, servers: Iterable[Server]) -> None:
    """Replace the record; there is none when nothing was started."""
    entries = [asdict(server) for server in servers]
    if entries:
        path(root).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path(root), json.dumps(entries, indent=1).encode())
    else:
        path(root).unlink(missing_ok=True)


def gone(members: Iterable[Member]) -> bool:
    """Whether all of these have ended."""
    return not alive(members)


def alive(members: Iterable[Member]) -> set[Member]:
    """Those that have not ended; one that only waits to be collected has."""
    table = _processes()
    return {(pid, began) for pid, began in members if pid in table and table[pid][3] == began and table[pid][0] != "Z"}


def _is_server(item: object) -> bool:
    return isinstance(item, dict) and {name: type(value) for name, value in item.items()} == FIELDS


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _processes() -> dict[int, tuple[str, int, int, int]]:
    """Number -> (state, parent, session, beginning in clock ticks) of every process."""
    found: dict[int, tuple[str, int, int, int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - asked several times a second; names are all that is needed
        if name.isdigit():
            try:
                found[int(name)] = _stat(int(name))
            except (OSError, IndexError):
                continue  # it ended while we looked
    return found


def _stat(pid: int) -> tuple[str, int, int, int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], int(fields[1]), int(fields[3]), int(fields[19])
