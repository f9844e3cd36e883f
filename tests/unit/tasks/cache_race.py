"""Run as a child: calls one slow stage and notes in a file that its body ran. `cache_race.py ROOT NOTES`."""

import sys
import time
from pathlib import Path

from artifacts import Ref, Rollout
from tasks.caching import Run, stage
from tasks.machine import Machine
from tasks.workspace import Workspace


@stage("race", code=lambda _: ("tasks.pair",))
def race(seed: int, run: Run) -> Ref[Rollout]:
    with Path(sys.argv[2]).open("a", encoding="utf-8") as notes:
        notes.write("ran\n")
    time.sleep(2)
    row = Rollout(
        prompt_id="p", sample_index=0, prompt_ids=[1], completion_ids=[1], logprobs=[0.0], finish_reason="stop",
        seed=seed, text="",
    )  # fmt: skip
    with run.workspace.store.writer(Rollout) as writer:
        writer.write(row)
    return writer.ref


if __name__ == "__main__":
    run = Run(Workspace(Path(sys.argv[1])), Machine(), "race")
    print(race(seed=1, run=run).digest, run.events[0]["cached"], flush=True)
