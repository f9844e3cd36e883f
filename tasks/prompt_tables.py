"""Tables of prompts, kept under a key so that an unchanged file or a pinned data set is read once.

Each start of a campaign and each `odr plan` ask for all tables again, and a file may hold a million problems. A file
counts by its digest, a data set of the hub by the commit that the config pins; without a commit it is read each time.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from artifacts import ArtifactError, Prompt, Ref, plain_json
from artifacts.durable import write_atomically
from artifacts.hashing import HashCache
from eval_math import benchmarks
from tasks import presence, prompts, records
from tasks.code_digest import code_digest
from tasks.results import dump_result, load_result, place_of
from tasks.settings import Benchmark, Source
from tasks.workspace import Workspace, expand

CODE = ("tasks.prompts", "tasks.sources")


def of_source(source: Source, iteration: int, seed: int, workspace: Workspace) -> Ref[Prompt]:
    """The prompts of one iteration, counted from 0.

    Raises:
        BadSource: as `prompts.load`.
    """
    fields = {"source": source.model_dump(mode="json"), "iteration": iteration, "seed": seed}
    return _kept(
        fields, _origin(source), workspace, lambda: prompts.load(source, iteration, seed, workspace.store)
    )  # fmt: skip


def of_benchmark(benchmark: Benchmark, workspace: Workspace) -> Ref[Prompt]:
    """The problems of a benchmark.

    Raises:
        BadSource: as `prompts.load_benchmark`.
    """
    fields = benchmark.model_dump(mode="json", include={"name", "data_dir", "source", "limit"})
    origin = _origin(benchmark.source) if benchmark.source else _benchmark_origin(benchmark)
    return _kept(fields, origin, workspace, lambda: prompts.load_benchmark(benchmark, workspace.store))


def _origin(source: Source) -> Path | str | None:
    return expand(source.path) if source.path else _commit(source.revision)


def _benchmark_origin(benchmark: Benchmark) -> Path | str | None:
    try:
        folder = expand(benchmark.data_dir) if benchmark.data_dir else None
        return benchmarks.file(benchmark.name, folder) or _commit(benchmarks.entry(benchmark.name).revision)
    except benchmarks.BenchmarkError:
        return None  # loading it says what is wrong


def _commit(revision: str | None) -> str | None:
    """A branch or a tag may move."""
    return revision if revision and re.fullmatch("[0-9a-f]{40}", revision) else None


def _kept(
    fields: dict[str, Any], origin: Path | str | None, workspace: Workspace, make: Callable[[], Ref[Prompt]]
) -> Ref[Prompt]:
    content = _digest(origin, workspace) if isinstance(origin, Path) else origin
    if content is None:
        return make()
    key = records.key_of({"stage": "prompts", "code": code_digest(*CODE), "content": content, **fields})
    record = workspace.cache / key
    try:
        ref: Any = load_result(plain_json.parse(record.read_bytes())["result"].encode(), workspace)
    except (OSError, ArtifactError, ValueError, LookupError, TypeError, AttributeError):
        # Not there, or not usable: the table is made again, which takes seconds.
        ref = make()
        workspace.cache.mkdir(parents=True, exist_ok=True)
        write_atomically(record, json.dumps({"result": dump_result(ref).decode()}).encode())
    presence.touch(place_of(ref, workspace))  # `odr gc` leaves what a running flow has touched
    return ref


def _digest(file: Path, workspace: Workspace) -> str | None:
    if not file.is_file():
        return None
    known = HashCache(workspace.hashes)
    digest = known.sha256(file)
    known.save()
    return digest
