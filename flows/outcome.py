"""What a command ends with: one sentence and an exit code instead of a traceback."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

KEPT = "\nFinished work is kept: the same command goes on from there."


@contextmanager
def clear_errors() -> Iterator[None]:
    """Say in one sentence whatever a user can put right."""
    from artifacts import ArtifactError
    from tasks.child import ChildFailed

    try:
        yield
    except ChildFailed as error:
        _fail(
            error,
            2 if error.kind == "bad_input" else 1,
            KEPT,
        )
    except (ValueError, FileNotFoundError, ArtifactError) as error:
        if os.environ.get("ODR_TRACEBACK"):
            raise
        _fail(error, 2)
    except OSError as error:  # a full disk, a folder that may not be written
        if os.environ.get("ODR_TRACEBACK"):
            raise
        _fail(error, 1, KEPT)
    except Exception as error:
        if not _is_lost_server(error):
            raise
        _fail(error, 1, f". Start the Prefect server, or unset PREFECT_API_URL.{KEPT}")


def _is_lost_server(error: Exception) -> bool:
    """Whether the Prefect server that the user has configured does not answer, or no longer."""
    if "PREFECT_API_URL" not in os.environ:
        return False
    return str(error).startswith("Failed to reach API") or type(error).__module__.startswith("httpx")


def _fail(error: Exception, code: int, advice: str = "") -> None:
    print(f"error: {error}{advice}", file=sys.stderr)  # noqa: T201 - plain text, wrapped by nobody
    raise typer.Exit(code) from error
