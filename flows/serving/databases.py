"""Where the two servers keep what they know: SQLite files in the data root, or PostgreSQL by two variables.

An address holds a password, so it is read from the environment, handed on through the environment, and stands in no
command, file or log.
"""

import importlib.util
import os
from urllib.parse import urlsplit

PREFECT, MLFLOW = "PREFECT_API_DATABASE_CONNECTION_URL", "MLFLOW_BACKEND_STORE_URI"
DRIVERS = {"postgresql": "psycopg", "postgresql+psycopg": "psycopg", "postgresql+psycopg2": "psycopg2"}
PACKAGES = {"psycopg": "psycopg-binary", "psycopg2": "psycopg2-binary"}


def check() -> None:
    """Pass silently if the servers can use what the environment names.

    Raises:
        ValueError: a driver is missing or is the wrong one, or both name one database.
    """
    prefect, mlflow = (urlsplit(os.environ.get(name, "")) for name in (PREFECT, MLFLOW))
    if prefect.scheme and prefect.scheme not in ("postgresql+asyncpg", "sqlite+aiosqlite"):
        raise ValueError(f"{PREFECT} begins with {prefect.scheme}://; Prefect expects postgresql+asyncpg://")
    driver = DRIVERS.get(mlflow.scheme)
    if driver and importlib.util.find_spec(driver) is None:
        raise ValueError(f"{MLFLOW} begins with {mlflow.scheme}://, which needs `pip install {PACKAGES[driver]}`")
    ours, theirs = ((each.hostname, each.port or 5432, each.path) for each in (prefect, mlflow))
    if prefect.hostname and ours == theirs:  # each keeps a table named alembic_version and would take the other's
        raise ValueError(f"{PREFECT} and {MLFLOW} name one database; make two")
