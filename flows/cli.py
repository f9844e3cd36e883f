"""The command line: `odr`.

Exit codes: 0 done; 1 a stage failed, or `verify` has found a fault; 2 the config, the data or the command is wrong;
75 SIGTERM ended it, as by preemption: the same command goes on. A run that was cancelled in Prefect ends with 1.
"""

import atexit
import gc
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from eval_math.files.command import grade
from flows import environment, upkeep
from flows.exchange import command as exchange
from flows.outcome import clear_errors, heed_sigterm
from tasks.workspace import Workspace, home

if TYPE_CHECKING:
    from flows.steps import Steps

app = typer.Typer(
    help="Make a language model better at mathematics by its own attempts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
out = Console(width=None if sys.stdout.isatty() else 140)

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
) -> None:
    """Run a campaign, or go on with it: what is finished is not done again.

    Example: odr run configs/demo.yaml configs/objectives/grpo.yaml iterations=2 train.learning_rate=1e-5
    """
    workspace = _setup(verbose)
    with clear_errors():
        run_campaign(
            workspace, config, overrides or [], refresh or [], from_iteration, stop_after, verbose=verbose
        )  # fmt: skip


def run_campaign(
    workspace: Workspace,
    config: Path,
    overrides: list[str],
    refresh: list[str],
    from_iteration: int | None = None,
    stop_after: str | None = None,
    *,
    verbose: bool = False,
) -> None:
    """Check everything that can be checked in seconds, then run the flow and show the results."""
    from flows import extent, report
    from flows.config import load
    from flows.plan import Planner
    from flows.steps import Steps
    from flows.tables import phase_line, results_table
    from tasks.devices import engine_environments
    from tasks.tracking import tracking_uri, without_credentials

    started = time.monotonic()
    loaded = load(config, overrides)
    anew = extent.refreshed(loaded, refresh, from_iteration)
    steps = Steps.of(loaded, workspace, frozenset(anew))
    steps.base_model()
    steps.named_models()
    engine_environments(loaded.machine)
    if not loaded.machine.deepspeed.is_file():
        raise FileNotFoundError(
            f"machine.deepspeed: no file {loaded.machine.deepspeed}; there are some in configs/deepspeed"
        )
    lines = Planner(steps).walk()
    stop = extent.stopping_point(loaded, stop_after, lines) if stop_after else ""

    from flows.campaign import campaign, look_up

    if extent.is_finished(lines) and not environment.has_server():
        policy = look_up(loaded, stop)
    else:
        _load_data(steps)
        if not verbose:
            environment.quiet_prefect()
        with environment.local_server():
            policy = campaign(loaded, anew, stop)
    if not policy:
        stage, _, part = stop.partition("@")
        out.print(f"stopped after {stage} of {loaded.name}, {part if part == 'warm-up' else f'iteration {part}'}")
        return
    facts = report.read(workspace, loaded.name)
    out.print(results_table(facts))
    out.print(f"time       {phase_line(facts, time.monotonic() - started)}", soft_wrap=True)
    place = report.folder(workspace, loaded.name)
    out.print(
        f"model      {policy}\nplots      {place / 'accuracy.png'}\n           {place / 'training.png'}",
        soft_wrap=True,
    )
    uri = without_credentials(tracking_uri(workspace))
    out.print(f"MLflow     mlflow ui --host 127.0.0.1 --backend-store-uri {uri}", soft_wrap=True)
    server = without_credentials(os.environ.get("PREFECT_API_URL", ""))
    ui = server or f"PREFECT_HOME={os.environ['PREFECT_HOME']} prefect server start, then http://127.0.0.1:4200"
    out.print(f"Prefect    {ui}", soft_wrap=True)


def _load_data(steps: "Steps") -> None:
    """Read what the first iteration needs, so that a wrong column is found before anything starts."""
    _ = steps.problems
    if steps.config.iterations:
        steps.prompts(1)
    if steps.config.warmup:
        steps.demonstrations()


@app.command()
def plan(
    config: Config,
    overrides: Overrides = None,
    refresh: Refresh = None,
    from_iteration: FromIteration = None,
    stop_after: StopAfter = None,
) -> None:
    """Show what a run would do: stages, cached or not and why, sizes, devices. Starts and downloads nothing."""
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
        out.print(plan_table(extent.until(lines, stop)))
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
def compare(campaigns: Annotated[list[str], typer.Argument(help="Names of finished campaigns.")]) -> None:
    """Compare campaigns: scores with standard errors, paired differences, a plot."""
    workspace = _setup(verbose=False)
    with clear_errors():
        from flows.compare import compare as compare_campaigns

        tables, plot = compare_campaigns(workspace, campaigns)
        for table in tables:
            out.print(table)
        out.print(f"plot {plot}", soft_wrap=True)


@app.command()
def show(
    campaign: Annotated[str, typer.Argument(help="Name of a finished campaign.")],
    examples: Annotated[int, typer.Option(help="Also print this many graded answers of the last evaluation.")] = 0,
) -> None:
    """Show a campaign's results, where its time went, and where its files are."""
    workspace = _setup(verbose=False)
    with clear_errors():
        from flows.show import show_campaign

        for part in show_campaign(workspace, campaign, examples):
            out.print(part, soft_wrap=isinstance(part, str), markup=not isinstance(part, str))


@app.command(name="report")
def report_page(
    campaign: Annotated[str, typer.Argument(metavar="RUN", help="Name of a finished campaign.")],
    out_file: Annotated[Path | None, typer.Option("--out", help="File to write; default: beside the results.")] = None,
) -> None:
    """Write one campaign as one HTML file: scores, rows, curves, time, examples, lineage. Opens without network."""
    workspace = _setup(verbose=False)
    with clear_errors():
        from flows.page import write_page

        out.print(f"page       {write_page(workspace, campaign, out_file)}", soft_wrap=True, markup=False)


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
    """List the algorithms: data source, reward, gradient coefficient, rows, reference policy, paper."""
    from flows.objectives import objectives_table

    out.print(objectives_table())


@app.command()
def demo(
    overrides: Overrides = None,
    config: Annotated[Path, typer.Option(help="The demo's config.")] = Path("configs/demo.yaml"),
    seed: Annotated[int, typer.Option(help="Of the model, the problems and the run.")] = 0,
    verbose: Verbose = False,
) -> None:
    """Build a tiny model and its problems, then watch it learn: a few minutes on two CPU cores."""
    workspace = _setup(verbose)
    with clear_errors():
        from flows.demo import build

        build(workspace.root / "demo", seed)
        run_campaign(workspace, config, [f"seed={seed}", *(overrides or [])], [], verbose=verbose)


app.command()(upkeep.verify)
app.command()(upkeep.gc)
app.command()(grade)
app.command()(exchange.export)
app.command(name="import")(exchange.import_)
app.command()(exchange.push)


if __name__ == "__main__":
    app()
