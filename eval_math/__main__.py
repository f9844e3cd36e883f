"""`python -m eval_math grade FILE ...`: the command of `odr grade` without the rest of the project."""

import typer

from eval_math.files.command import grade

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
app.command()(grade)


@app.callback()
def main() -> None:
    """Grade mathematical answers."""


if __name__ == "__main__":
    app(prog_name="python -m eval_math")
