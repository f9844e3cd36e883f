"""Trained tokens per second and peak memory: this project against stock TRL, on the same pairs and groups.

    python -m tests.bench.train [dpo] [grpo] [rows] [--repeats 3] [--trl-micro 1 2 4]

dpo     stages `score` and `train` against DPOTrainer, as it is and with precompute_ref_log_probs=True
grpo    stage `train` on recorded groups against GRPOTrainer on the same (through its rollout_func); no reference
rows    time and memory of ours on 1, 2, 4 and 8 times the rows

Every run is a process of its own (ours two: score, train), float32, one thread by default, the order turned round
each time. The clock runs from loaded libraries to saved weights: reading, planning or collating, loading weights, the
reference pass and the checkpoint that either trainer makes at the end count; starting Python and importing do not (the
column `process` has them). Memory is the most that was resident; `rise` is above what the imports had taken. TRL's
micro-batch is whichever of --trl-micro took fewest processor seconds in a first round, which is not counted; that round
also says how much memory the others take, since a fair size is one with as many pairs per forward pass as ours.
"""

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from artifacts import Store
from tests.bench import train_ours
from tests.bench.train_data import MODEL, Setup, Spec, Tokens, build_model, describe, write_groups, write_pairs
from tests.bench.train_measure import child
from tests.bench.train_report import Measured, at_other_sizes, in_turn, line, median, table, verdict

LEARNING_RATE = 1e-5
OBJECTIVES = {"dpo": {"name": "dpo", "beta": 0.1}, "grpo": {"name": "grpo", "beta_kl": 0.0}}
ROWS = (1, 2, 4, 8)


class Bench:
    """One work folder, and the contestants in it."""

    def __init__(self, root: Path, args: argparse.Namespace) -> None:
        self.root, self.args, self._runs = root, args, 0
        self.store = Store(root / "store")

    def setup(self, rows: dict[str, Any], batch_size: int, epochs: int) -> Setup:
        """What all contestants are told."""
        return Setup(
            folder=str(self.root), rows=rows, answers=self.args.answers, batch_size=batch_size, epochs=epochs,
            learning_rate=LEARNING_RATE, checkpointing=not self.args.no_checkpointing,
            micro_tokens=self.args.micro_tokens,
        )  # fmt: skip

    def ours(self, kind: str, setup: Setup) -> Measured:
        """Run this project once."""
        return self._shown("ours", train_ours.run(setup, self._work(), OBJECTIVES[kind], self.args.threads))

    def trl(self, kind: str, setup: Setup, micro: int, precompute: bool = False) -> Measured:
        """Run TRL once."""
        work = self._work()
        work.mkdir(parents=True)
        path = work / "setup.json"
        path.write_text(json.dumps(setup.to_json() | {"micro": micro, "precompute": precompute}), encoding="utf-8")
        measured = child(
            "tests.bench.train_trl", kind, path, result=work / "measured.json", log=work / "log.txt",
            threads=self.args.threads,
        )  # fmt: skip
        return self._shown(f"TRL{' precompute' if precompute else ''}, micro-batch {micro}", measured)

    def _work(self) -> Path:
        self._runs += 1
        return self.root / f"run-{self._runs:03d}"

    def _shown(self, name: str, measured: Measured) -> Measured:
        shutil.rmtree(self.root / f"run-{self._runs:03d}", ignore_errors=True)
        parts = "".join(f", {part} {value:.1f} s" for part, value in measured.get("parts", {}).items() if value)
        print(
            f"  {name}: {measured['seconds']:.1f} s{parts}; rise {measured['rise']:.0f} MiB; mean loss "
            f"{measured['loss']:.4f} over {measured['steps']} steps", flush=True,
        )  # fmt: skip
        return measured


def screened(bench: Bench, kind: str, setup: Setup) -> dict[int, Measured]:
    """TRL once with each micro-batch, the one with the fewest processor seconds first; this round is not counted."""
    print("which micro-batch suits TRL best (a round that is not counted):")
    found = {micro: bench.trl(kind, setup, micro) for micro in bench.args.trl_micro}
    return dict(sorted(found.items(), key=lambda item: item[1]["cpu"]))


def dpo(bench: Bench) -> None:
    """Pairs against DPOTrainer."""
    args = bench.args
    spec = Spec(args.prompts, args.answers, seed=args.seed)
    tokens, pairs = Tokens.of(spec), args.prompts * args.answers // 2
    rows = write_pairs(bench.store, spec).to_json()
    setup = bench.setup(rows, args.batch_size, args.epochs)
    print(f"\n== DPO: {pairs} pairs, {args.batch_size} per step, {args.epochs} epochs; {describe(spec)}")
    of_pass = args.micro_tokens * pairs / tokens.total
    print(f"one of our forward passes takes {args.micro_tokens} tokens: {of_pass:.1f} pairs of the mean length")
    first = screened(bench, "dpo", setup)
    micro = next(iter(first))
    print("counted:")
    found = in_turn(
        {
            "ours": lambda: bench.ours("dpo", setup),
            f"TRL, micro {micro}": lambda: bench.trl("dpo", setup, micro),
            f"TRL precompute, micro {micro}": lambda: bench.trl("dpo", setup, micro, precompute=True),
        },
        args.repeats,
    )
    table(found, tokens, args.epochs)
    verdict(found, f"TRL, micro {micro}", 2.0, 0.6)
    verdict(found, f"TRL precompute, micro {micro}", 1.5)
    at_other_sizes(found["ours"], first)


def grpo(bench: Bench) -> None:
    """Groups against GRPOTrainer."""
    args = bench.args
    spec = Spec(args.prompts, args.answers, seed=args.seed)
    rows = write_groups(bench.store, spec, bench.root / "model").to_json()
    setup = bench.setup(rows, args.groups, args.epochs)
    print(f"\n== GRPO: {args.groups} groups of {args.answers} per step, {args.epochs} epochs; {describe(spec)}")
    first = screened(bench, "grpo", setup)
    micro = next(iter(first))
    print("counted:")
    found = in_turn(
        {
            "ours": lambda: bench.ours("grpo", setup),
            f"TRL, micro {micro}": lambda: bench.trl("grpo", setup, micro),
        },
        args.repeats,
    )
    table(found, Tokens.of(spec), args.epochs)
    verdict(found, f"TRL, micro {micro}", 1.5)
    at_other_sizes(found["ours"], first)


def rows(bench: Bench) -> None:
    """Is time linear in the rows, and memory constant?"""
    args = bench.args
    counts: list[int] = []
    times: dict[str, list[float]] = {"wall": [], "processor": []}
    print("\n== DPO, ours, by rows: one epoch; the same lengths 1, 2, 4 and 8 times over, with other tokens")
    for copies in ROWS:
        spec = Spec(args.rows_prompts, args.answers, seed=args.seed, copies=copies)
        ref = write_pairs(bench.store, spec)
        setup = bench.setup(ref.to_json(), args.batch_size, 1)
        runs = in_turn({"ours": lambda setup=setup: bench.ours("dpo", setup)}, args.rows_repeats)["ours"]
        counts.append(ref.rows)
        seconds, cpu, rise, most = (median(runs, key) for key in ("seconds", "cpu", "rise", "most"))
        times["wall"].append(seconds)
        times["processor"].append(cpu)
        tokens = Tokens.of(spec)
        print(
            f"{ref.rows:4} pairs {tokens.total:7} tokens: {seconds:7.1f} s ({cpu:.1f} s of processor), "
            f"{tokens.completion / seconds:.0f} trained tokens/s; rise {rise:.0f} MiB, most {most:.0f} MiB"
        )
    for clock, values in times.items():
        line(clock, counts, values)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", metavar="dpo | grpo | rows", help="Default: all three.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--answers", type=int, default=8, help="Per prompt: half as many pairs, or a group.")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8, help="Pairs per optimizer step.")
    parser.add_argument("--groups", type=int, default=2, help="GRPO: groups per optimizer step.")
    parser.add_argument("--micro-tokens", type=int, default=1792, help="Ours: tokens per forward pass.")
    parser.add_argument("--trl-micro", type=int, nargs="+", default=[1, 2, 4], help="Pairs (GRPO: answers) at once.")
    parser.add_argument("--no-checkpointing", action="store_true", help="Of activations; on by default with both.")
    parser.add_argument("--rows-prompts", type=int, default=2, help="rows: prompts of the smallest table.")
    parser.add_argument("--rows-repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    parts = {"dpo": dpo, "grpo": grpo, "rows": rows}
    if unknown := set(args.what) - set(parts):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    if args.prompts % args.groups:
        parser.error("--groups must divide --prompts: TRL leaves out what does not fill a step")
    if any(size % micro for micro in args.trl_micro for size in (args.batch_size, args.groups * args.answers)):
        parser.error("every --trl-micro must divide --batch-size and --groups x --answers")
    root = Path(tempfile.mkdtemp(prefix="odr-bench-"))
    print(f"load of the machine before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores; {args.threads} thread(s)")
    try:
        build_model(root / "model", MODEL)
        bench = Bench(root, args)
        for part in args.what or parts:
            parts[part](bench)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
