"""What a command ends with: one sentence and an exit code instead of a traceback."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import typer

KEPT = "\nFinished work is kept: the same command goes on from there."
PREEMPTED = 75
"""Exit code of a command that SIGTERM has ended; the sysexits' EX_TEMPFAIL, by which schedulers know to start again."""


cancelled = threading.Event()
"""Set before a SIGTERM that stands for a wish to cancel: nobody should start the command again for it."""


def heed_sigterm() -> None:
    """From now on SIGTERM ends this command with a sentence and a code of its own, its children first.

    A flow that runs takes the signal first, ends what it has started, and sends it on.
    """

    def end(number: int, frame: object) -> None:
        what, code = ("cancelled in Prefect", 1) if cancelled.is_set() else ("ended by SIGTERM", PREEMPTED)
        print(f"{what}.{KEPT}", file=sys.stderr)  # noqa: T201 - as _fail
        raise SystemExit(code)

    signal.signal(signal.SIGTERM, end)


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
    except BrokenPipeError:  # whoever reads the output has seen enough, as `head` does
        raise
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
    from tasks.tracking import without_credentials  # a server's address may hold a password

    print(f"error: {without_credentials(str(error))}{advice}", file=sys.stderr)  # noqa: T201 - wrapped by nobody
    raise typer.Exit(code) from error
