"""The command line: `odr`."""

import atexit
import gc
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from eval_math.files.command import grade
from flows import environment
from flows.comparison import command as comparison
from flows.exchange import command as exchange
from flows.looking import command as looking
from flows.looking.command import Json
from flows.nightly import command as nightly
from flows.outcome import clear_errors, heed_sigterm
from flows.serving import command as serving
from flows.terminal import out, say_json
from flows.upkeep import command as upkeep
from tasks.workspace import Workspace, home

EXIT_CODES = """Exit codes:

0: done.

1: a stage failed, the disk is full, a server is away, `verify` found a fault, or the run was cancelled in Prefect.

2: the config, the data or the command is wrong; one sentence says what to change.

75: SIGTERM or `odr stop` has ended it, as by preemption; the same command goes on from what is finished.

Results go to standard output, progress and log lines to standard error. Everything is kept under $ODR_HOME (./.odr).

`odr --install-completion` teaches your shell the commands and the names of your campaigns.
"""

app = typer.Typer(
    help="Make a language model better at mathematics by its own attempts.\n\nExample: odr run configs/demo.yaml",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Config = Annotated[Path, typer.Argument(help="YAML file of the run, such as configs/demo.yaml.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="dotted.key=value, such as iterations=2, or a YAML file to lay over it."),
]
Refresh = Annotated[list[str] | None, typer.Option("--refresh", help="Compute this stage anew although it is cached.")]
FromIteration = Annotated[
    int | None, typer.Option(help="Compute every stage anew from this iteration on, although it is cached.", min=1)
]
StopAfter = Annotated[
    str | None, typer.Option(help="End after this stage of the iteration in progress; without it, go on.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the children's log lines as well.")]


def _setup(verbose: bool) -> Workspace:
    heed_sigterm()
    with clear_errors():
        environment.prepare(home())
        environment.show_logs(verbose=verbose)
        atexit.register(gc.freeze)  # a last collection would walk every object of the libraries, for most of a second
        return Workspace(home())


@app.command()
def run(
    config: Config,
    overrides: Overrides = None,
    refresh: Refresh = None,
    from_iteration: FromIteration = None,
    stop_after: StopAfter = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Run a campaign, or go on with it: what is finished is not done again.

    Example: odr run configs/demo.yaml configs/objectives/grpo.yaml iterations=2 train.learning_rate=1e-5
    """
    workspace = _setup(verbose)
    with clear_errors():
        from flows.start import run_campaign

        run_campaign(
            workspace, config, overrides or [], refresh or [], from_iteration, stop_after, verbose=verbose,
            as_json=as_json,
        )  # fmt: skip


@app.command()
def plan(
    config: Config,
    overrides: Overrides = None,
    refresh: Refresh = None,
    from_iteration: FromIteration = None,
    stop_after: StopAfter = None,
    as_json: Json = False,
) -> None:
    """Show what a run would do: stages, cached or not and why, sizes, devices. Starts and downloads nothing.

    Example: odr plan configs/demo.yaml train.learning_rate=1e-5
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    workspace = _setup(verbose=False)
    with clear_errors():
        from flows import extent
        from flows.config import load
        from flows.plan import Planner, hardware
        from flows.steps import Steps
        from flows.tables import plan_table

        loaded = load(config, overrides or [])
        anew = extent.refreshed(loaded, refresh or [], from_iteration)
        steps = Steps.of(loaded, workspace, frozenset(anew))
        lines = Planner(steps).walk()
        stop = extent.stopping_point(loaded, stop_after, lines) if stop_after else ""
        lines = extent.until(lines, stop)
        if as_json:
            stages = [asdict(line) for line in lines]
            say_json({"campaign": loaded.name, "stages": stages, "hardware": hardware(steps)})
            return
        out.print(plan_table(lines))
        out.print(hardware(steps))


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Folder, hub name, or campaign/iteration such as demo/3.")],
    benchmark: Annotated[list[str], typer.Option("--benchmark", "-b", help="Name; may be given several times.")],
    data_dir: Annotated[Path | None, typer.Option(help="Folder with <benchmark>.jsonl; default: the hub.")] = None,
    samples: Annotated[int, typer.Option(help="Sampled answers per problem beside the greedy one.")] = 0,
    max_tokens: Annotated[int, typer.Option(help="Longest answer, tokens.")] = 3000,
    limit: Annotated[int | None, typer.Option(help="Only the first problems.")] = None,
    override: Annotated[list[str] | None, typer.Option("--set", help="dotted.key=value of the run config.")] = None,
    verbose: Verbose = False,
) -> None:
    """Score a model on benchmarks; the generations are kept.

    Example: odr evaluate demo/3 -b math500 -b gsm8k --data-dir data/benchmarks
    """
    workspace = _setup(verbose)
    with clear_errors():
        from flows.single import evaluate_model

        if not verbose:
            environment.quiet_prefect()
        out.print(
            evaluate_model(
                workspace, model, benchmark, data_dir, samples=samples, max_tokens=max_tokens, limit=limit,
                overrides=override or [],
            )
        )  # fmt: skip


@app.command(name="reward-model")
def reward_model(
    iteration: Annotated[str, typer.Argument(help="campaign/iteration whose rollouts it learns from, such as demo/1.")],
    overrides: Overrides = None,
    verbose: Verbose = False,
) -> None:
    """Train a reward model on the pairs of one iteration, and print the section a config needs to use it.

    The campaign's own config holds; overrides change it for the reward model alone.
    Example: odr reward-model demo/1 train.learning_rate=1e-4
    """
    workspace = _setup(verbose)
    with clear_errors():
        from flows.judge import train_reward_model

        if not verbose:
            environment.quiet_prefect()
        out.print(train_reward_model(workspace, iteration, overrides or []), soft_wrap=True, markup=False)


@app.command()
def benchmarks(
    names: Annotated[
        list[str] | None, typer.Argument(help="Benchmarks or files to audit; none: list them all.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with <benchmark>.jsonl; default: the hub.")] = None,
) -> None:
    """List the benchmarks, or load some and audit their reference answers.

    Example: odr benchmarks math500 gsm8k --data-dir data/benchmarks
    """
    with clear_errors():
        from flows.audit import audit_report, entries_table

        for part in [part for name in names for part in audit_report(name, data_dir)] if names else [entries_table()]:
            out.print(part, soft_wrap=isinstance(part, str), markup=False)


@app.command()
def objectives() -> None:
    """List the algorithms: data source, reward, gradient coefficient, rows, reference policy, paper.

    Example: odr objectives
    """
    from flows.objectives import objectives_table

    out.print(objectives_table())


@app.command()
def demo(
    overrides: Overrides = None,
    config: Annotated[Path, typer.Option(help="The demo's config.")] = Path("configs/demo.yaml"),
    seed: Annotated[int, typer.Option(help="Of the model, the problems and the run.")] = 0,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Build a tiny model and its problems, then watch it learn: a few minutes on two CPU cores.

    Example: odr demo iterations=1
    """
    workspace = _setup(verbose)
    with clear_errors():
        from flows.demo import build
        from flows.start import run_campaign

        build(workspace.root / "demo", seed)
        fields = [f"seed={seed}", *(overrides or [])]
        run_campaign(workspace, config, fields, [], verbose=verbose, as_json=as_json)


app.command(name="list")(looking.list_)
app.command()(looking.show)
app.command()(looking.report)
app.command()(looking.logs)
app.command()(looking.stop)
app.command()(comparison.compare)
app.command()(upkeep.verify)
app.command()(upkeep.gc)
app.command()(grade)
app.command()(exchange.export)
app.command(name="import")(exchange.import_)
app.command()(exchange.push)
app.command()(serving.up)
app.command()(serving.down)
app.command()(serving.serve)
app.command()(nightly.nightly)


if __name__ == "__main__":
    app()
