"""Throughput of the sampling worker against raw `vllm.LLM.generate`, on the same prompts, in the same process.

    python -m tests.bench.sampling [--prompts 400] [--repeats 5]

Ours writes shards with token ids, log-probs and text; the peer only returns its objects. They take turns, the
order alternating, with fresh seeds each time; the ratio is of medians, above 1 when ours is faster.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from artifacts import Prompt, Ref, Store
from flows.demo import build
from tasks.machine import Machine
from tasks.prompts import load
from tasks.settings import Sampling, Source, Template
from tasks.workers.jobs import SampleJob, SampleRequest
from tasks.workers.sample import Sampler, prompt_seed
from tasks.workers.template import prompt_ids
from tasks.workers.vllm_engine import VllmEngine


def request(folder: Path, store: Path, prompts: Ref[Prompt], sampling: Sampling, seed: int) -> SampleRequest:
    """A request with empty folders of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "shards").mkdir(parents=True)
    (folder / "claims").mkdir()
    return SampleRequest(
        store=str(store), prompts=prompts.to_json(), num_prompts=prompts.rows, sampling=sampling, seed=seed,
        shards=folder / "shards", claims=folder / "claims",
    )  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="odr-bench-"))
    files = build(root / "demo")
    store = Store(root / "store")
    prompts = load(Source(path=files.train, per_iteration=args.prompts), 0, 0, store)
    sampling = Sampling(samples_per_prompt=8, max_tokens=32, dtype="float32")

    def job(seed: int) -> SampleJob:
        return SampleJob(
            store=str(root / "store"), model=str(files.model), template=Template(), machine=Machine(),
            requests=(request(root / "work", root / "store", prompts, sampling, seed),),
            progress=root / "progress.jsonl", failure=root / "failure.json",
        )  # fmt: skip

    engine = VllmEngine(job(0))
    questions = list(store.read(prompts, Prompt))

    def ours(seed: int) -> int:
        made = job(seed)
        Sampler(made, engine).run()
        return sum(1 for _ in made.requests[0].shards.iterdir())

    def raw(seed: int) -> None:
        import vllm

        stop = [engine.tokenizer.eos_token_id]
        inputs = [
            vllm.TokensPrompt(prompt_token_ids=prompt_ids(engine.tokenizer, prompt.question, Template()))
            for prompt in questions
        ]
        parameters = [
            vllm.SamplingParams(
                n=8, temperature=1.0, max_tokens=32, seed=prompt_seed(seed, prompt.prompt_id), stop_token_ids=stop,
                logprobs=0,
            )
            for prompt in questions
        ]  # fmt: skip
        engine._llm.generate(inputs, parameters, use_tqdm=False)

    seconds: dict[str, list[float]] = {"ours": [], "raw": []}
    runs = {"ours": ours, "raw": raw}
    for repeat in range(args.repeats + 1):
        order = ("ours", "raw") if repeat % 2 else ("raw", "ours")
        for name in order:
            started = time.monotonic()
            runs[name](repeat + 1)
            if repeat:  # the first round warms both up
                seconds[name].append(time.monotonic() - started)
    for name, values in seconds.items():
        listed = ", ".join(f"{value:.2f}" for value in values)
        print(f"{name:5} median {statistics.median(values):.2f} s of {listed}")
    ratio = statistics.median(seconds["raw"]) / statistics.median(seconds["ours"])
    print(f"throughput of `sample` / raw LLM.generate: {ratio:.3f} ({args.prompts} prompts x 8 answers)")
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
