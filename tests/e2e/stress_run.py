"""Run as a child: one campaign of tiny stages. `stress_run.py NUMBER SHARED OWN NOTES`, data root in $ODR_HOME.

Some keys are those of every campaign, in an order of its own; the others are its own. Each body notes that it ran.
"""

import json
import random
import sys
from pathlib import Path

from flows import environment
from flows.local_server import local_server
from tasks.workspace import Workspace, home

environment.prepare(home())

from prefect import flow  # noqa: E402 - reads its settings when it is imported

from artifacts import Prompt, Ref  # noqa: E402
from tasks.caching import Run, stage  # noqa: E402
from tasks.machine import Machine  # noqa: E402


@stage("tiny", code=lambda _: ("tasks.pair",))
def tiny(seed: int, run: Run) -> Ref[Prompt]:
    with Path(sys.argv[4]).open("a", encoding="utf-8") as notes:
        notes.write(f"{seed}\n")
    with run.workspace.store.writer(Prompt) as writer:
        writer.write(Prompt(prompt_id=str(seed), question="?", answers=["7"], solution=None, source="stress"))
    return writer.ref


@flow(name="stress")
def stress(number: int, seeds: list[int]) -> dict[int, str]:
    run = Run(Workspace(home()), Machine(), f"stress-{number}")
    found = {}
    for seed in seeds:
        labelled = Run(run.workspace, run.machine, run.campaign, label=f"seed {seed}")
        found[seed] = tiny(seed=seed, run=labelled).digest
    return found


if __name__ == "__main__":
    number, shared, own = map(int, sys.argv[1:4])
    seeds = [*range(shared), *(1000 * (number + 1) + place for place in range(own))]
    random.Random(number).shuffle(seeds)
    with local_server():
        print(json.dumps(stress(number, seeds)), flush=True)
