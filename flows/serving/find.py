"""The servers of a data root, for every command that is started beside them.

Looked for on each start of `odr`, so nothing is imported and nothing is asked where there are none.
"""

import socket
from pathlib import Path
from urllib.parse import urlsplit

from flows.serving import record

VARIABLES = {"prefect": ("PREFECT_API_URL", "/api"), "mlflow": ("MLFLOW_TRACKING_URI", "")}
ANSWER_SECONDS = 2.0


def addresses(root: Path) -> dict[str, str]:
    """Environment variables that lead to those servers of `odr up` that answer."""
    try:
        servers = record.read(root)
    except ValueError:
        return {}  # `odr up` and `odr down` say so
    found: dict[str, str] = {}
    for server in servers:
        if server.name in VARIABLES and server.is_running() and answers(server.address):
            variable, place = VARIABLES[server.name]
            found[variable] = server.address + place
    return found


def answers(address: str, seconds: float = ANSWER_SECONDS) -> bool:
    """Whether somebody takes connections at http://host:port."""
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), seconds).close()
    except OSError:
        return False
    return True
