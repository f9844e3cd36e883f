"""Before the first iteration: worked solutions become rows of token ids for the warm-up."""

import json
from typing import Any

from artifacts import Accepted, Checkpoint, Prompt, Ref
from tasks import launch
from tasks.caching import Run, stage
from tasks.settings import Template
from tasks.workers.jobs import DemonstrateJob


@stage("demonstrate", code=lambda _: ("tasks.workers.demonstrate",))
def demonstrate(model: Checkpoint, prompts: Ref[Prompt], template: Template, run: Run) -> Ref[Accepted]:
    """Render each prompt and its solution as the policy would see and write them.

    Raises:
        ChildFailed: a row has no solution, or the tokenizer has no chat template.
    """
    result, failure = run.workdir / "result.json", run.workdir / "failure.json"
    job_path = run.workdir / "job.json"
    DemonstrateJob(
        store=str(run.workspace.root / "store"),
        model=model.path,
        prompts=prompts.to_json(),
        template=template,
        result=result,
        failure=failure,
    ).save(job_path)
    command = launch.module_command("tasks.workers.demonstrate", job_path)
    child = launch.Child("warm-up rows", command, run.workdir / "log.txt", failure)
    launch.run([child], run.workdir / "progress.jsonl", lambda line: None)
    fields: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return Ref.from_json(fields)
