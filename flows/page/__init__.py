"""`odr report`: one campaign as one HTML file that needs no network, no script and no other file."""

from pathlib import Path

from artifacts.durable import write_atomically
from flows import report
from flows.page.render import page
from flows.page.source import read
from tasks.workspace import Workspace

FILE = "report.html"


def write_page(workspace: Workspace, campaign: str, out: Path | None = None) -> Path:
    """Write the page of a finished campaign, beside its results unless `out` says where; return the file.

    Raises:
        FileNotFoundError: no finished campaign has that name, or the folder of `out` is not there.
        ValueError: the campaign's files are not what a campaign writes.
    """
    source = read(workspace, campaign)
    path = out or report.folder(workspace, campaign) / FILE
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent}: make it, or name a file in one that is there")
    write_atomically(path, page(source).encode())
    return path
