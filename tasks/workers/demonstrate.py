"""The warm-up's child: worked solutions become token ids, with the policy's tokenizer and template.

python -m tasks.workers.demonstrate JOB.json
"""

import json
import sys

from artifacts import Accepted, Prompt, Ref, Store
from tasks.workers.failure import BadInput, reported
from tasks.workers.jobs import DemonstrateJob
from tasks.workers.template import completion_ids, load_tokenizer, prompt_ids


def main(path: str) -> None:
    """Serve the job file.

    Raises:
        BadInput: a row has no solution.
    """
    job = DemonstrateJob.load(path)
    with reported(job.failure):
        store = Store(job.store)
        tokenizer = load_tokenizer(job.model)
        prompts = Ref.from_json(job.prompts)
        with store.writer(Accepted, parents=[prompts.digest], producer={"model": job.model}) as writer:
            for prompt in store.read(prompts, Prompt):
                if not prompt.solution:
                    fix = "name the column of worked solutions in warmup.demonstrations.solution"
                    raise BadInput(f"prompt {prompt.prompt_id} has no solution to learn from", fix)
                writer.write(
                    Accepted(
                        prompt_id=prompt.prompt_id,
                        sample_index=0,
                        prompt_ids=prompt_ids(tokenizer, prompt.question, job.template),
                        completion_ids=completion_ids(tokenizer, prompt.solution),
                        logprobs=[],
                        pass_rate=None,
                    )
                )
        job.result.write_text(json.dumps(writer.ref.to_json()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
