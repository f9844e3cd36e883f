"""What people click: a campaign from Prefect's form, three campaigns side by side in MLflow, the run page.

`make browser` installs Playwright and runs these with Debian's Chromium; without either they are skipped. Pictures of
every page are left under the data root, in `screenshots/`.
"""

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import servers
from tests.e2e.small_campaign import SMALL, odr, results

playwright = pytest.importorskip("playwright.sync_api", reason="`make browser` installs Playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]

MINUTE = 60_000
WIDE, NARROW = 1400, 420
LEVEL = """label => [...label.closest("[role=grid]").parentElement.parentElement.querySelectorAll("[role=grid] *")]
    .filter(each => each.children.length == 0 && !label.contains(each))
    .filter(each => Math.abs(each.getBoundingClientRect().top - label.getBoundingClientRect().top) < 12)
    .map(each => each.textContent.trim()).filter(text => text)"""
"""Texts beside a label: MLflow's table is two grids side by side, of boxes laid out by place, without rows."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])  # our own pages, on loopback
        yield found
        found.close()


@pytest.fixture(scope="module")
def up(home: Path) -> Iterator[tuple[str, str]]:
    """Addresses of Prefect and MLflow."""
    ports = [servers.free_port(), servers.free_port()]
    done = odr(home, "up", "--prefect-port", str(ports[0]), "--mlflow-port", str(ports[1]))
    assert done.returncode == 0, done.stderr
    try:
        yield f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
    finally:
        assert odr(home, "down").returncode == 0


def opened(browser: Any, url: str, width: int = WIDE) -> Any:
    page = browser.new_page(viewport={"width": width, "height": 1000})
    page.set_default_timeout(MINUTE)
    page.goto(url)
    return page


def pictured(page: Any, home: Path, name: str) -> None:
    folder = home / "screenshots"
    folder.mkdir(exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", full_page=True)


def start_from_form(page: Any, overrides: list[str]) -> None:
    """Choose the demo's preset, add one override after the other, submit."""
    page.get_by_text("A file of configs/").wait_for()
    page.locator("button.p-select-button__control").first.press("ArrowDown")
    page.locator(".p-select-option", has_text="demo").first.click()
    for place, override in enumerate(overrides):
        page.get_by_role("button", name="Add item").click()
        page.locator(".p-draggable-list__item textarea").nth(place).fill(override)
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url("**tab=Runs")


def test_a_campaign_starts_from_the_form_and_the_second_time_everything_is_cached(
    home: Path, browser: Any, up: tuple[str, str]
) -> None:
    prefect, _ = up
    (deployment,) = [each for each in servers.query(f"{prefect}/api", "deployments") if each["name"] == "campaign"]
    new = [*SMALL, "name=clicked", "train.save_steps=6"]  # another key: its training is computed
    seen: set[str] = set()

    for start, expected in (("first", "Completed"), ("second", "Cached")):
        page = opened(browser, f"{prefect}/deployments/deployment/{deployment['id']}/run")
        start_from_form(page, new)
        page.goto(f"{prefect}/runs/flow-run/{finished(prefect, deployment['id'], seen)}")
        tab(page, "Subflow Runs").click()
        page.get_by_text("clicked · iteration 1").first.click()
        tab(page, "Task Runs").click()
        row = page.locator(".state-list-item", has_text="clicked · iteration 1 · train").first
        row.get_by_text(expected, exact=True).first.wait_for()
        pictured(page, home, f"prefect-{start}-start")
        page.close()


def tab(page: Any, name: str) -> Any:
    return page.locator(".p-tab", has_text=name)


def finished(prefect: str, deployment: str, seen: set[str]) -> str:
    """The run of this deployment that was not seen before, once it is done."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        runs = servers.query(f"{prefect}/api", "flow_runs", deployments={"id": {"any_": [deployment]}})
        for run in runs:
            if run["id"] not in seen and run["state_type"] in ("COMPLETED", "FAILED", "CRASHED"):
                assert run["state_type"] == "COMPLETED", run["state"]["message"]
                seen.add(run["id"])
                return run["id"]
        time.sleep(1)
    raise AssertionError("the run did not end")


def test_three_campaigns_stand_side_by_side_in_mlflow(home: Path, browser: Any, up: tuple[str, str]) -> None:
    from mlflow import MlflowClient

    _, mlflow = up
    for name, objective in (("raft", "raft"), ("ppo", "ppo")):
        done = odr(home, "demo", *SMALL, f"name={name}", f"objective={objective}")
        assert done.returncode == 0, done.stderr[-4000:]
    client = MlflowClient(mlflow)
    experiment = client.get_experiment_by_name("online-dpo-r1")
    runs = {
        run.info.run_name: run.info.run_id
        for run in client.search_runs([experiment.experiment_id], "tags.kind = 'campaign'")
        if run.info.run_name in ("demo", "raft", "ppo")
    }
    ids = json.dumps(list(runs.values()))

    page = opened(browser, f'{mlflow}/#/compare-runs?runs={ids}&experiments=["{experiment.experiment_id}"]')
    page.get_by_text("Comparing 3 Runs").first.wait_for()
    cells = beside(page, "eval/heldout/greedy")
    pictured(page, home, "mlflow-compare")
    expected = {name: scored(home, name) for name in runs}
    assert sorted(round(float(cell), 3) for cell in cells) == sorted(expected.values())


def beside(page: Any, name: str) -> list[str]:
    """The values in the table's row of this name, which is among the first: nobody needs to scroll to the accuracy."""
    label = page.locator("[role=grid] a", has_text=re.compile(rf"^{re.escape(name)}$"))
    label.evaluate("label => label.closest('[role=grid]').scrollIntoView()")  # the label's own would part the two grids
    return label.evaluate(LEVEL)


def scored(home: Path, name: str) -> float:
    """Greedy accuracy after the last iteration."""
    last = results(home, name)["iterations"][-1]["values"]
    return round(next(each["value"] for each in last if each["metric"] == "greedy"), 3)


def test_the_run_page_fits_a_screen_and_a_telephone(home: Path, browser: Any) -> None:
    assert odr(home, "report", "demo").returncode == 0

    for width in (WIDE, NARROW):
        page = opened(browser, (home / "campaigns" / "demo" / "report.html").as_uri(), width)
        pictured(page, home, f"run-page-{width}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.get_by_role("heading", name="Accuracy").is_visible()
        assert page.evaluate("document.scripts.length") == 0
        page.close()
