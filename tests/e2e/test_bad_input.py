"""What cannot work ends with one clear sentence, a non-zero exit code, and finished work kept."""

from pathlib import Path

import pytest

from tests.e2e.small_campaign import SMALL, odr

pytestmark = pytest.mark.slow


def test_an_engine_that_does_not_fit_names_the_knobs(home: Path) -> None:
    done = odr(home, "demo", *SMALL, "name=large", "seed=5", "warmup=null", "machine.kv_cache_gib=4000")

    assert done.returncode == 1
    assert "the sampling engine does not fit" in done.stderr
    assert "lower sample.max_model_len, machine.max_num_seqs or machine.kv_cache_gib" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_right_answer_there_are_no_pairs_and_the_rollouts_are_kept(home: Path) -> None:
    untaught = ["name=untaught", "warmup=null", "prompts.per_iteration=16", "evaluate.benchmarks=[]"]

    done = odr(home, "demo", *SMALL, *untaught)

    kept = Path(done.stderr.rpartition("The rollouts are kept: ")[2].strip())
    assert done.returncode == 2
    assert "no pairs from 16 prompts (dropped: all wrong 16" in done.stderr
    assert "warm up first" in done.stderr
    assert (kept / "manifest.json").exists()
    assert "Traceback" not in done.stderr


def test_a_prompt_that_fills_the_context_is_named_with_its_length(home: Path) -> None:
    short = ["name=short", "warmup=null", "sample.max_model_len=10", "evaluate.benchmarks=[]"]

    done = odr(home, "demo", *SMALL, *short)

    assert done.returncode == 2
    assert "tokens and fills the context of 10. To fix: raise sample.max_model_len" in done.stderr
    assert "Traceback" not in done.stderr
