"""Writes and reads a table of pairs in a fresh process per size and shows that memory does not grow with it.

    python -m tests.bench.store --rows 1000000 --rows 100000000
    python -m tests.bench.store --rows 10000000 --tokens 32 --folder /scratch

Rows are made as record batches: the numbers are those of the store, not of building Python objects. The peak
is the resident set of the whole process, Python and the Arrow libraries included.
"""

import argparse
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from artifacts import Pair, Store, arrow_schema

BATCH_ROWS = 8192
PAIRS_PER_PROMPT = 8


def batches(num_rows: int, num_tokens: int) -> Iterator[pa.RecordBatch]:
    """Yield pairs whose prompt and completions have `num_tokens` tokens each."""
    chance = random.Random(0)
    size = BATCH_ROWS * num_tokens
    ids = pa.array(array("i", (chance.randrange(150_000) for _ in range(size))), pa.int32())
    logprobs = pa.array(array("f", (-chance.expovariate(2.0) for _ in range(size))), pa.float32())
    offsets = pa.array(range(0, size + 1, num_tokens), pa.int32())
    token_lists = pa.ListArray.from_arrays(offsets, ids)
    logprob_lists = pa.ListArray.from_arrays(offsets, logprobs)
    index = pa.array([row % PAIRS_PER_PROMPT for row in range(BATCH_ROWS)], pa.int32())
    ones, zeros = pa.array([1.0] * BATCH_ROWS), pa.array([0.0] * BATCH_ROWS)
    halves = pa.array([0.5] * BATCH_ROWS)
    positions = pa.array([row // PAIRS_PER_PROMPT for row in range(BATCH_ROWS)], pa.int32())
    for start in range(0, num_rows, BATCH_ROWS):
        first = start // PAIRS_PER_PROMPT
        names = pa.array([f"p{first + prompt:010d}" for prompt in range(BATCH_ROWS // PAIRS_PER_PROMPT)])
        columns = {
            "prompt_id": pa.DictionaryArray.from_arrays(positions, names),
            "prompt_ids": token_lists,
            "chosen_index": index,
            "rejected_index": index,
            "chosen_ids": token_lists,
            "rejected_ids": token_lists,
            "chosen_logprobs": logprob_lists,
            "rejected_logprobs": logprob_lists,
            "chosen_reward": ones,
            "rejected_reward": zeros,
            "pass_rate": halves,
        }
        batch = pa.RecordBatch.from_pydict(columns, schema=arrow_schema(Pair))
        yield batch.slice(0, num_rows - start)


def measure(num_rows: int, num_tokens: int, folder: Path) -> None:
    """Write and read `num_rows` rows in this process and print one line."""
    store = Store(folder)
    started = time.perf_counter()
    with store.writer(Pair) as writer:
        for batch in batches(num_rows, num_tokens):
            writer.write_batch(batch)
    written = time.perf_counter()
    peak_writing = peak_mib()
    rows_read = sum(batch.num_rows for batch in store.batches(writer.ref))
    read = time.perf_counter()
    assert rows_read == num_rows, f"{rows_read} rows came back of {num_rows}"
    print(
        f"{num_rows:>12,} {writer.ref.bytes / 2**20:>10,.0f} {num_rows / (written - started):>14,.0f} "
        f"{num_rows / (read - written):>14,.0f} {peak_writing:>12,.0f} {peak_mib():>10,.0f}",
        flush=True,
    )


def peak_mib() -> float:
    """Return the largest resident set of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def main() -> None:
    """Measure each size in a process of its own, since a peak never goes down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, action="append", help="rows to write; repeat for several sizes")
    parser.add_argument("--tokens", type=int, default=8, help="tokens per prompt and completion")
    parser.add_argument("--folder", type=Path, help="where to write; needs about 100 bytes per row at 8 tokens")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = options.rows or [1_000_000, 10_000_000]
    if options.child:
        measure(sizes[0], options.tokens, options.child)
        return
    print(
        f"{'rows':>12} {'MiB':>10} {'written/s':>14} {'read/s':>14} {'peak writing':>12} {'peak MiB':>10}",
        flush=True,
    )
    for num_rows in sizes:
        folder = Path(tempfile.mkdtemp(prefix="bench-store-", dir=options.folder))
        arguments = ["--rows", str(num_rows), "--tokens", str(options.tokens), "--child", str(folder)]
        try:
            subprocess.run([sys.executable, "-m", "tests.bench.store", *arguments], check=True)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
