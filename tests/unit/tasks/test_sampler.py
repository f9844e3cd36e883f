"""The sampling child's bookkeeping, with a scripted engine: which prompts, which seeds, which shards."""

import json
import random
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_examples import a_prompt, stored

from artifacts import Rollout, Store, read_part
from tasks.machine import Machine
from tasks.settings import Sampling, Template
from tasks.workers import progress
from tasks.workers.engines import Ask, Completion
from tasks.workers.failure import BadInput
from tasks.workers.jobs import SampleJob, SampleRequest
from tasks.workers.sample import Sampler, prompt_seed

WINDOW = 5


class ScriptedEngine:
    """Answers that depend on prompt and seed alone, finished out of order, pulled through a sliding window."""

    def __init__(
        self, tokenizer, *, max_model_len: int = 64, order: int | None = 0, die_after: int | None = None
    ) -> None:
        self.tokenizer, self.generation, self.max_model_len = tokenizer, None, max_model_len
        self.asked: list[Ask] = []
        self.stop_ids: list[int] = []
        self._random = None if order is None else random.Random(order)
        self._die_after = die_after

    def generate(self, asks: Iterable[Ask], stop_ids: list[int]) -> Iterator[tuple[Ask, list[Completion]]]:
        self.stop_ids = stop_ids
        waiting, live = iter(asks), []
        while True:
            while len(live) < WINDOW and (ask := next(waiting, None)):
                self.asked.append(ask)
                live.append(ask)
            if not live:
                return
            if self._die_after is not None and len(self.asked) > self._die_after:
                raise RuntimeError("the engine died")
            ask = live.pop(self._random.randrange(len(live)) if self._random else 0)
            yield ask, [self._answer(ask, ask.seed + j) for j in range(ask.sampling.samples_per_prompt)]

    @staticmethod
    def _answer(ask: Ask, seed: int) -> Completion:
        """Some digits; every third stream runs into the limit."""
        digits = [18 + int(d) for d in str(seed)[: min(3, ask.max_tokens)]]
        if seed % 3 == 0:
            return Completion(digits, [-1.0] * len(digits), "length")
        return Completion([*digits, 1], [-1.0] * (len(digits) + 1), "stop")


@pytest.fixture
def table(tmp_path):
    prompts = [a_prompt(f"p{i}", question=f"{i}+{i}?") for i in range(11)]
    return stored(Store(tmp_path / "store"), prompts)


def a_job(tmp_path: Path, *tables, folder: str = "work", **sampling) -> SampleJob:
    options = {"samples_per_prompt": 3, "max_tokens": 8, "shard_prompts": 4, **sampling}
    requests = []
    for number, table in enumerate(tables):
        place = tmp_path / folder / str(number)
        for name in ("shards", "claims"):
            (place / name).mkdir(parents=True, exist_ok=True)
        requests.append(
            SampleRequest(
                store=str(tmp_path / "store"), prompts=table.to_json(), num_prompts=table.rows,
                sampling=Sampling(**options), seed=7 + number, shards=place / "shards", claims=place / "claims",
            )
        )  # fmt: skip
    return SampleJob(
        store=str(tmp_path / "store"), model="unused", requests=tuple(requests), template=Template(),
        machine=Machine(), progress=tmp_path / folder / "progress.jsonl", failure=tmp_path / "failure.json",
    )  # fmt: skip


def shard_rows(request: SampleRequest) -> list[list[Rollout]]:
    return [list(read_part(request.shard_path(i), Rollout)) for i in range(request.num_shards)]


# --- seeds -------------------------------------------------------------------------------------------------------


def test_prompt_seeds_are_what_they_always_were():
    assert prompt_seed(0, "a") == 223104492331157
    assert prompt_seed(7, "p0") == 62599943725515


@given(
    seeds=st.tuples(st.integers(0, 2**32), st.integers(0, 2**32)),
    names=st.lists(st.text(max_size=8), min_size=2, max_size=50, unique=True),
)
def test_streams_of_different_prompts_do_not_overlap(seeds, names):
    drawn = sorted(prompt_seed(seed, name) for seed in set(seeds) for name in names)

    assert all(0 <= seed < 2**48 for seed in drawn)
    assert all(b - a > 1024 for a, b in pairwise(drawn))  # room for K samples


# --- shards ------------------------------------------------------------------------------------------------------


def test_shards_hold_all_answers_in_prompt_order_whatever_order_they_finish_in(tmp_path, table, tokenizer):
    job = a_job(tmp_path, table)
    engine = ScriptedEngine(tokenizer, order=3)

    Sampler(job, engine).run()

    shards = shard_rows(job.requests[0])
    assert [len(rows) for rows in shards] == [12, 12, 9]  # 4 + 4 + 3 prompts, 3 answers each
    rows = [row for shard in shards for row in shard]
    assert [(row.prompt_id, row.sample_index) for row in rows] == [(f"p{i}", j) for i in range(11) for j in range(3)]
    for row in rows:
        assert row.seed == prompt_seed(7, row.prompt_id) + row.sample_index
        assert row.completion_ids == ScriptedEngine._answer(engine.asked[0], row.seed).ids
        assert row.finish_reason == ("length" if row.seed % 3 == 0 else "stop")
        assert tokenizer.decode(row.prompt_ids).startswith(f"<|im_start|>user\n{row.prompt_id[1:]}+")
    assert engine.stop_ids == [1]


def test_the_text_leaves_out_the_token_that_ended_the_answer_and_nothing_else(tmp_path, table, tokenizer):
    job = a_job(tmp_path, table)

    Sampler(job, ScriptedEngine(tokenizer)).run()

    rows = [row for shard in shard_rows(job.requests[0]) for row in shard]
    assert {row.finish_reason for row in rows} == {"stop", "length"}
    for row in rows:
        assert row.text == str(row.seed)[:3]
        assert len(row.completion_ids) == 3 + (row.finish_reason == "stop")


def test_rows_do_not_depend_on_the_order_in_which_an_engine_finishes(tmp_path, table, tokenizer):
    results = []
    for order in range(3):
        job = a_job(tmp_path, table, folder=f"order-{order}")
        Sampler(job, ScriptedEngine(tokenizer, order=order)).run()
        results.append([job.requests[0].shard_path(i).read_bytes() for i in range(3)])

    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("engines", [2, 3])
def test_engines_that_take_turns_make_the_same_rows_as_one(tmp_path, table, tokenizer, engines):
    alone, shared = a_job(tmp_path, table, folder="alone"), a_job(tmp_path, table, folder="shared")
    Sampler(alone, ScriptedEngine(tokenizer)).run()
    working = [ScriptedEngine(tokenizer, order=i) for i in range(engines)]
    samplers = [Sampler(shared, engine) for engine in working]

    streams = [iter(engine.generate(sampler._asks(), [1])) for engine, sampler in zip(working, samplers, strict=True)]
    while streams:  # one answer of each engine in turn, as processes side by side would
        for sampler, stream in list(zip(samplers, streams, strict=True)):
            if (answer := next(stream, None)) is None:
                place = streams.index(stream)
                del streams[place], samplers[place]
                continue
            ask, completions = answer
            shard, position, prompt_id = ask.key
            shard.rows[position] = sampler._rollouts(prompt_id, ask, completions)
            if len(shard.rows) == shard.missing:
                sampler._write(shard)

    asked = [ask.key[2] for engine in working for ask in engine.asked]
    assert sorted(asked) == sorted(f"p{i}" for i in range(11))  # no prompt twice, none forgotten
    assert sum(bool(engine.asked) for engine in working) > 1
    for i in range(3):
        assert shared.requests[0].shard_path(i).read_bytes() == alone.requests[0].shard_path(i).read_bytes()


def test_a_finished_shard_is_left_alone(tmp_path, table, tokenizer):
    job = a_job(tmp_path, table)
    Sampler(job, ScriptedEngine(tokenizer)).run()
    paths = [job.requests[0].shard_path(i) for i in range(3)]
    before = [path.read_bytes() for path in paths]
    paths[1].unlink()
    for claim in job.requests[0].claims.iterdir():
        claim.unlink()
    kept = [paths[i].stat().st_mtime_ns for i in (0, 2)]
    again = ScriptedEngine(tokenizer, order=9)

    Sampler(job, again).run()

    assert {ask.key[2] for ask in again.asked} == {"p4", "p5", "p6", "p7"}
    assert [path.read_bytes() for path in paths] == before
    assert [paths[i].stat().st_mtime_ns for i in (0, 2)] == kept


def test_an_engine_that_dies_leaves_whole_shards_and_the_next_makes_the_rest(tmp_path, table, tokenizer):
    job = a_job(tmp_path, table)
    with pytest.raises(RuntimeError, match="the engine died"):
        Sampler(job, ScriptedEngine(tokenizer, order=None, die_after=9)).run()
    finished = [i for i in range(3) if job.requests[0].shard_path(i).exists()]
    for claim in job.requests[0].claims.iterdir():
        claim.unlink()  # as `generate` does before a launch

    Sampler(job, ScriptedEngine(tokenizer)).run()

    assert finished == [0]
    assert [len(rows) for rows in shard_rows(job.requests[0])] == [12, 12, 9]
    assert not list(tmp_path.rglob("*.partial"))


def test_a_shard_claimed_by_another_engine_is_not_made(tmp_path, table, tokenizer):
    job = a_job(tmp_path, table)
    (job.requests[0].claims / "1").touch()

    Sampler(job, ScriptedEngine(tokenizer)).run()

    assert [job.requests[0].shard_path(i).exists() for i in range(3)] == [True, False, True]


def test_several_requests_are_served_with_their_own_seeds(tmp_path, table, tokenizer):
    job = a_job(tmp_path, table, table)

    Sampler(job, ScriptedEngine(tokenizer)).run()

    first, second = (shard_rows(request)[0][0] for request in job.requests)
    assert (first.seed, second.seed) == (prompt_seed(7, "p0"), prompt_seed(8, "p0"))


def test_progress_counts_every_answer_and_token_and_names_each_shard(tmp_path, table, tokenizer):
    job = a_job(tmp_path, table)

    Sampler(job, ScriptedEngine(tokenizer)).run()

    lines, _ = progress.read(job.progress)
    rows = [row for shard in shard_rows(job.requests[0]) for row in shard]
    assert sum(line["answers"] for line in lines if line["kind"] == "answers") == len(rows)
    assert sum(line["tokens"] for line in lines if line["kind"] == "answers") == sum(
        len(row.completion_ids) for row in rows
    )
    assert sorted(line["file"] for line in lines if line["kind"] == "shard") == [
        f"shard-{i:05d}.parquet" for i in range(3)
    ]


@given(prompts=st.integers(1, 500), size=st.integers(1, 70))
def test_shard_sizes_add_up(prompts, size):
    from tasks.workers.sample import _shard_size

    request = SampleRequest(
        store="", prompts={}, num_prompts=prompts, sampling=Sampling(shard_prompts=size), seed=0,
        shards=Path(), claims=Path(),
    )  # fmt: skip

    sizes = [_shard_size(request, i) for i in range(request.num_shards)]

    assert sum(sizes) == prompts
    assert all(1 <= each <= size for each in sizes)
    assert all(each == size for each in sizes[:-1])


# --- prompts that do not fit -------------------------------------------------------------------------------------


@pytest.fixture
def mixed(tmp_path):
    """p1 and p3 are long; shard 1 (p2, p3) and shard 2 (p4 alone, long)."""
    long = "+".join(["1"] * 60)
    questions = ["1?", long, "2?", long, long]
    prompts = [a_prompt(f"p{i}", question=question) for i, question in enumerate(questions)]
    return stored(Store(tmp_path / "store"), prompts)


def test_a_prompt_that_fills_the_context_stops_the_run_and_says_what_to_change(tmp_path, mixed, tokenizer):
    job = a_job(tmp_path, mixed, shard_prompts=2)

    with pytest.raises(BadInput) as caught:
        Sampler(job, ScriptedEngine(tokenizer, max_model_len=40)).run()

    assert "prompt p1 has" in caught.value.message
    assert "fills the context of 40" in caught.value.message
    assert "sample.overlong_prompts=drop" in caught.value.fix


def test_dropped_prompts_are_reported_and_their_shards_still_finish(tmp_path, mixed, tokenizer):
    job = a_job(tmp_path, mixed, shard_prompts=2, overlong_prompts="drop")

    Sampler(job, ScriptedEngine(tokenizer, max_model_len=40)).run()

    shards = shard_rows(job.requests[0])
    assert [{row.prompt_id for row in rows} for rows in shards] == [{"p0"}, {"p2"}, set()]
    dropped = [line["prompt"] for line in progress.read(job.progress)[0] if line["kind"] == "dropped"]
    assert dropped == ["p1", "p3", "p4"]


def test_an_answer_may_use_what_the_context_leaves_and_no_more(tmp_path, tokenizer):
    table = stored(Store(tmp_path / "store"), [a_prompt("p0", question="1?"), a_prompt("p1", question="1+1+1+1?")])
    job = a_job(tmp_path, table, max_tokens=20)
    engine = ScriptedEngine(tokenizer, max_model_len=30)

    Sampler(job, engine).run()

    for ask in engine.asked:
        assert ask.max_tokens == min(20, 30 - len(ask.prompt_ids))
    assert {ask.max_tokens for ask in engine.asked} == {20, 30 - len(engine.asked[1].prompt_ids)}


# --- collecting --------------------------------------------------------------------------------------------------


def test_collected_shards_are_one_table_with_its_dropped_prompts_counted(tmp_path, run, base, tokenizer):
    from tasks.generate import Wanted, collect

    long = "+".join(["1"] * 60)
    prompts = [a_prompt(f"p{i}", question=long if i == 2 else "1?") for i in range(5)]
    table = stored(run.workspace.store, prompts)
    sampling = Sampling(samples_per_prompt=2, shard_prompts=2, max_tokens=8, overlong_prompts="drop")
    wanted = Wanted(table, sampling, 7, run.workdir)
    request = wanted.request(run)
    request.shards.mkdir()
    request.claims.mkdir()
    job = SampleJob(
        store=request.store, model=base.path, requests=(request,), template=Template(), machine=run.machine,
        progress=run.workdir / "progress.jsonl", failure=run.workdir / "failure.json",
    )  # fmt: skip
    Sampler(job, ScriptedEngine(tokenizer, max_model_len=40)).run()

    rollouts = collect(wanted, base, Template(), run)

    rows = list(run.workspace.store.read(rollouts, Rollout))
    manifest = run.workspace.store.manifest(rollouts)
    assert [(row.prompt_id, row.sample_index) for row in rows] == [(f"p{i}", j) for i in (0, 1, 3, 4) for j in (0, 1)]
    assert manifest.summary == {"prompts": 5, "dropped": {"prompt_too_long": 1}}
    assert manifest.producer["policy"] == base.digest
    assert manifest.parents == (table.digest,)


def test_generate_with_nothing_missing_starts_nothing(tmp_path, run, base, tokenizer, monkeypatch):
    from tasks import generate as module

    table = stored(run.workspace.store, [a_prompt("p0", question="1?")])
    wanted = module.Wanted(table, Sampling(samples_per_prompt=1), 7, run.workdir)
    request = wanted.request(run)
    request.shards.mkdir()
    request.shard_path(0).write_bytes(b"finished")
    monkeypatch.setattr(module.launch, "run", lambda *_: pytest.fail("an engine was started"))

    module.generate(base, [wanted], Template(), run)

    assert request.shard_path(0).read_bytes() == b"finished"


def test_generate_clears_old_claims_and_starts_one_child_per_engine_for_all_that_is_missing(
    run, base, tokenizer, monkeypatch
):
    from dataclasses import replace

    from tasks import generate as module

    run = replace(run, machine=Machine(cpu_engines=2, threads=3))
    table = stored(run.workspace.store, [a_prompt("p0", question="1?")])
    sampling = Sampling(samples_per_prompt=1)
    wanted = [module.Wanted(table, sampling, seed, run.workdir / f"w{seed}") for seed in (1, 2, 3)]
    for item in wanted:
        (item.folder / "shards").mkdir(parents=True)
        (item.folder / "claims").mkdir()
        (item.folder / "claims" / "0").touch()
    wanted[1].request(run).shard_path(0).write_bytes(b"finished")
    started = []
    monkeypatch.setattr(module.launch, "run", lambda children, *_: started.extend(children))

    module.generate(base, wanted, Template(), run)

    jobs = [SampleJob.load(child.command[-1]) for child in started]
    assert len(jobs) == 2
    assert len({child.log for child in started}) == len({child.failure for child in started}) == 2
    for child, job in zip(started, jobs, strict=True):
        assert child.environment["OMP_NUM_THREADS"] == "3"
        assert [request.seed for request in job.requests] == [1, 3]
        assert json.loads(Path(child.command[-1]).read_text())["model"] == base.path
    assert [list((item.folder / "claims").iterdir()) != [] for item in wanted] == [False, True, False]
