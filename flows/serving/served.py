"""The flows behind the deployments: a form in, the flow of the command line beneath.

No postponed annotations here: Prefect hands these flows to a new process, which could not resolve them.
"""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.concurrency.sync import concurrency
from prefect.runtime import flow_run
from prefect.states import Completed

from flows import campaign as campaigns
from flows import cancellation, environment
from flows import evaluate as evaluations
from flows import iteration as iterations
from flows.mirror.campaign import Mirror, ending
from flows.named import model_folder
from flows.nightly import night
from flows.serving.forms import CampaignForm, EvaluateForm, IterationForm, NightForm
from flows.steps import Steps
from tasks.workspace import Workspace, home

log = logging.getLogger(__name__)


@flow(name="campaign", flow_run_name="{form.label}", on_crashed=[cancellation.stays_cancelled])
def campaign(form: CampaignForm) -> str:
    """Run a campaign, or go on with it: what is finished is not done again. Returns its last policy's folder."""
    with _slot():
        return campaigns.campaign.fn(form.config(), tuple(form.refresh))


@flow(name="iteration", flow_run_name="{form.label} · iteration {form.number}")
def iteration(form: IterationForm) -> dict[str, Any]:
    """Run one iteration alone, from any policy."""
    config = form.config()
    steps = Steps.of(config, Workspace(home()))
    policy = steps.named_model(form.policy).to_json()
    initial = steps.named_model(form.initial).to_json() if form.initial else policy
    with _slot(), _closed(Mirror.of(steps)):
        return iterations.iteration.fn(config, form.number, policy, initial)


@flow(name="evaluate", flow_run_name="evaluate {form.model}")
def evaluate(form: EvaluateForm) -> dict[str, Any]:
    """Score a model on benchmarks."""
    with _slot():
        return evaluations.evaluate.fn(form.config(model_folder(Workspace(home()), form.model)))


@flow(name="nightly", flow_run_name="{form.campaign} · night", on_crashed=[cancellation.stays_cancelled])
def nightly(form: NightForm) -> State[Any]:
    """Run the next iteration of a standing campaign, and judge its policy."""
    due = flow_run.scheduled_start_time or datetime.now(UTC)
    try:
        with night.alone(Workspace(home()), form.campaign, due), _slot():
            return Completed(message=night.run(Workspace(home()), form.campaign))
    except night.Skipped as skipped:
        log.warning("%s", skipped)
        return Completed(name="Skipped", message=str(skipped))


def slots_name() -> str:
    """The concurrency limit of this machine's devices."""
    return f"odr-{socket.gethostname()}"


@contextmanager
def _closed(mirror: Mirror) -> Iterator[None]:
    """The iteration opens its campaign's run in MLflow; without a campaign nobody else ends it."""
    try:
        yield
    except BaseException as error:
        mirror.close(ending(error))
        raise
    mirror.close("FINISHED")


@contextmanager
def _slot() -> Iterator[None]:
    """Wait until this machine's devices are free; `odr serve` says for how many runs at once they are.

    Prefect would cancel a run whose slot it cannot renew, as when the server is started anew; ours goes on.
    """
    environment.prepare(home())
    if not environment.has_server():  # a temporary server knows no limits
        yield
        return
    with concurrency(slots_name(), raise_on_lease_renewal_failure=False):
        yield
