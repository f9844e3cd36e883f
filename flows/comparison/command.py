"""`odr compare` on the command line."""

from typing import Annotated

import typer

from flows import environment
from flows.known import complete
from flows.looking.command import Json
from flows.outcome import clear_errors
from flows.terminal import out, say_json
from tasks.workspace import Workspace, home


def compare(
    campaigns: Annotated[list[str], typer.Argument(help="Names of finished campaigns.", autocompletion=complete)],
    as_json: Json = False,
) -> None:
    """Compare campaigns: scores with standard errors, paired differences and tests, a picture, an HTML page.

    Everything also goes to MLflow, as a run of its own.

    Example: odr compare demo raft
    """
    with clear_errors():
        environment.prepare(home())
        environment.show_logs(verbose=False)
        from flows.comparison.compared import compare as compare_campaigns
        from flows.comparison.tracked import log_comparison

        workspace = Workspace(home())
        compared = compare_campaigns(workspace, campaigns)
        if as_json:
            say_json({**compared.to_json(), "mlflow": log_comparison(workspace, compared)})
            return
        for table in compared.found.tables():
            out.print(table)
        for note in compared.found.notes:
            out.print(note, markup=False)
        out.print(f"plot       {compared.plot}\npage       {compared.page}", soft_wrap=True, markup=False)
        if address := log_comparison(workspace, compared):
            out.print(f"MLflow     {address}", soft_wrap=True, markup=False)
