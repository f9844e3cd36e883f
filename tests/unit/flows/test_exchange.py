"""`odr export`, `odr import` and `odr push` as a person meets them, on the tables and files of a finished campaign."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import data_roots
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
import yaml
from huggingface_hub import ModelCard
from typer.testing import CliRunner

from artifacts import Accepted, Grade, Group, Pair, Prompt, Rollout, checkpoints
from artifacts.modelfolder import model_files
from eval_math import benchmarks
from eval_math.adapters.verl import as_verl
from eval_math.rewards import boxed_correct
from flows.exchange import command
from tasks import prompts
from tasks.settings import Source, Template

APP = typer.Typer(pretty_exceptions_enable=False)
APP.command()(command.export)
APP.command(name="import")(command.import_)
APP.command()(command.push)

TEMPLATE = Template(system="Be brief.", suffix=" Put the answer into a box.")
PROBLEMS = [
    ("a", "What is 1 + 1?", ["2"]),
    ("b", "What is half of one?", [r"\frac{1}{2}", "0.5"]),
    ("c", "Solve for x.", []),
]
ANSWERS = {
    "a": [(r"1+1=2 \boxed{2}", True, "stop"), (r"\boxed{3}", False, "stop"), ("1+1", False, "length")],
    "b": [(r"\boxed{0.5}", True, "stop"), (r"\boxed{2}", False, "stop")],
    "c": [(r"\boxed{x}", None, "stop")],
}
SOLVED = r"1+1=2, so \boxed{2}"
TOKEN = "hf_do_not_show_me"


@pytest.fixture(autouse=True)
def alone(monkeypatch, workspace):
    """No token of the machine's owner, no wrapped lines."""
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("HF_TOKEN_PATH", "/nowhere")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", "/nowhere/token")
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


class Demo:
    """The campaign `demo`: a start and one iteration, with rows of the kind asked for."""

    def __init__(self, workspace, tokenizer, base: Path, kind: str = "pairs") -> None:
        from tasks.workers.template import prompt_ids

        store = workspace.store
        with store.writer(Prompt) as writer:
            for name, question, answers in PROBLEMS:
                writer.write(Prompt(prompt_id=name, question=question, answers=answers, solution=None, source="made"))
        asked_in = {"template": TEMPLATE.model_dump(mode="json")}
        self.asked = {name: prompt_ids(tokenizer, question, TEMPLATE) for name, question, _ in PROBLEMS}
        with (
            store.writer(Rollout, parents=[writer.ref.digest], producer=asked_in) as rollouts,
            store.writer(Grade) as grades,
        ):
            for name, sampled in ANSWERS.items():
                for index, (text, correct, reason) in enumerate(sampled):
                    key: Any = {"prompt_id": name, "sample_index": index}
                    row: Any = {"finish_reason": reason, "seed": index, "completion_ids": [2], "logprobs": [-0.5]}
                    rollouts.write(Rollout(**key, prompt_ids=self.asked[name], text=text, **row))
                    grades.write(Grade(**key, correct=correct, reward=float(correct or 0), reason="made", answer=None))
        with store.writer({"pairs": Pair, "accepted": Accepted, "groups": Group}[kind]) as rows:
            for row in getattr(self, f"_{kind}")():
                rows.write(row)
        start = checkpoints.register(base)
        made = workspace.work("train-1") / "output"
        made.mkdir()
        for name, content in data_roots.MODEL.items():
            (made / name).write_text(content)
        facts = {"objective": {"name": "dpo"}, "steps": 7, "parents": {"policy": start.digest, "rows": rows.ref.digest}}
        self.model = checkpoints.commit(made, workspace.checkpoints / "train-1", facts)
        values = [
            {"benchmark": name, "metric": metric, "value": value, "standard_error": error, "num_problems": n}
            for name, metric, value, error, n in (
                ("math500", "greedy", 0.5, 0.022, 500), ("amc23", "greedy", 0.25, None, 4),
                ("math500", "mean_tokens", 90.0, None, 500),
            )
        ]  # fmt: skip
        earlier = [{**value, "value": 0.25} for value in values]
        refs = {name: ref.to_json() for name, ref in
                (("rollouts", rollouts.ref), ("grades", grades.ref), ("rows", rows.ref))}  # fmt: skip
        iterations = [
            {"iteration": 0, "policy": start.to_json(), "values": earlier},
            {"iteration": 1, "policy": self.model.to_json(), "values": values, **refs},
        ]
        self.folder = workspace.root / "campaigns" / "demo"
        self.folder.mkdir(parents=True)
        (self.folder / "results.json").write_text(json.dumps({"campaign": "demo", "iterations": iterations}))
        (self.folder / "config.yaml").write_text(yaml.safe_dump({"model": str(base), "revision": None}))

    def _row(self, name: str, **fields: Any) -> dict[str, Any]:
        return {"prompt_id": name, "prompt_ids": self.asked[name], **fields}

    def _pairs(self) -> Iterator[Pair]:
        for name, rejected in (("a", 1), ("a", 2), ("b", 1)):
            of: Any = {"chosen_index": 0, "chosen_ids": [2], "chosen_logprobs": [-1.0], "chosen_reward": 1.0,
                       "rejected_index": rejected, "rejected_ids": [2], "rejected_logprobs": [-1.0],
                       "rejected_reward": 0.0}  # fmt: skip
            yield Pair(**self._row(name, **of))

    def _accepted(self) -> Iterator[Accepted]:
        yield Accepted(**self._row("b", sample_index=0, completion_ids=[2], logprobs=[-1.0]))

    def _groups(self) -> Iterator[Group]:
        for index, correct in ((0, True), (1, False)):
            of: Any = {"sample_index": index, "completion_ids": [2], "logprobs": [-1.0], "advantages": [0.5]}
            yield Group(**self._row("a", **of, reward=float(correct), correct=correct))


@pytest.fixture
def base(tmp_path, tokenizer) -> Path:
    """A base model's folder, with the tokenizer that sampled."""
    folder = tmp_path / "secret-place" / "tiny-base"
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text("weights")
    return folder


@pytest.fixture
def demo(workspace, tokenizer, base) -> Demo:
    return Demo(workspace, tokenizer, base)


def odr(*words: Any):
    result = CliRunner().invoke(APP, [*map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def done(*words: Any) -> str:
    result = odr(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*words: Any, code: int = 2) -> str:
    """The command ended with one sentence on standard error, and printed nothing else."""
    result = odr(*words)
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("error: ")
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert TOKEN not in result.stderr
    return result.stderr


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def chat(*said: str) -> list[dict[str, str]]:
    roles = ("user", "assistant") * len(said)
    return [{"role": role, "content": text} for role, text in zip(roles, said, strict=False)]


ASKED = [{"role": "system", "content": "Be brief."}, *chat("What is 1 + 1? Put the answer into a box.")]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_pairs_become_trls_preferences_and_cut_answers_are_left_out_and_counted(demo, tmp_path, suffix):
    out = tmp_path / f"out{suffix}"

    said = done("export", "demo/1", "--as", "trl", "--out", out)

    assert "2 pairs of demo/1" in said
    assert "left out   1 cut at the token limit" in said
    first, second = rows_of(out)
    chosen, rejected = chat("", r"1+1=2 \boxed{2}")[1:], chat("", r"\boxed{3}")[1:]
    assert first == {"prompt": ASKED, "chosen": chosen, "rejected": rejected}
    assert second["chosen"][0]["content"] == r"\boxed{0.5}"


def test_trls_own_code_renders_what_the_sampler_was_fed(demo, tmp_path, tokenizer):
    from trl.data_utils import apply_chat_template, is_conversational

    done("export", "demo/1", "--as", "trl", "--out", tmp_path / "chats.parquet")
    done("export", "demo/1", "--as", "trl", "--plain", "--out", tmp_path / "texts.parquet")

    chats, texts = rows_of(tmp_path / "chats.parquet"), rows_of(tmp_path / "texts.parquet")
    assert all(is_conversational(row) for row in chats)
    assert not any(is_conversational(row) for row in texts)
    for row, text, name in zip(chats, texts, "ab", strict=True):
        rendered = apply_chat_template(row, tokenizer)
        assert tokenizer(rendered["prompt"], add_special_tokens=False)["input_ids"] == demo.asked[name]
        assert text["prompt"] == rendered["prompt"]
        assert rendered["chosen"].startswith(text["chosen"])  # the template adds the end of the turn
        assert text["rejected"] == row["rejected"][0]["content"]


def test_rollouts_become_labelled_completions_and_those_without_a_verdict_do_not(demo, tmp_path):
    said = done("export", "demo/1", "--as", "trl", "--rows", "rollouts", "--out", tmp_path / "out.jsonl")

    assert [(row["completion"][0]["content"], row["label"]) for row in rows_of(tmp_path / "out.jsonl")] == [
        (r"1+1=2 \boxed{2}", True), (r"\boxed{3}", False), (r"\boxed{0.5}", True), (r"\boxed{2}", False),
    ]  # fmt: skip
    assert "1 without a verdict" in said


@pytest.mark.parametrize(
    ("kind", "tool", "expected"),
    [
        ("groups", "trl", [("completion", True), ("completion", False)]),
        ("accepted", "trl", [("completion", None)]),
        ("accepted", "open-instruct", [("messages", None)]),
        ("accepted", "verl", [("messages", None)]),
    ],
)
def test_the_rows_of_every_kind_of_training(workspace, tokenizer, base, tmp_path, kind, tool, expected):
    Demo(workspace, tokenizer, base, kind)

    done("export", "demo/1", "--as", tool, "--rows", kind, "--out", tmp_path / "out.parquet")

    rows = rows_of(tmp_path / "out.parquet")
    assert [row.get("label") for row in rows] == [label for _, label in expected]
    for row, (column, _) in zip(rows, expected, strict=True):
        name = "a" if kind == "groups" else "b"
        assert row[column][-1]["role"] == "assistant"
        assert row[column][-1]["content"] in [text for text, _, _ in ANSWERS[name]]


def test_open_instruct_gets_whole_chats_and_a_verifier(demo, tmp_path):
    done("export", "demo/1", "--as", "open-instruct", "--out", tmp_path / "pairs.jsonl")
    done("export", "demo/1", "--as", "open-instruct", "--rows", "problems", "--out", tmp_path / "problems.jsonl")

    pair, problem = rows_of(tmp_path / "pairs.jsonl")[0], rows_of(tmp_path / "problems.jsonl")[0]
    assert pair["chosen"][:-1] == pair["rejected"][:-1] == ASKED
    assert pair["rejected"][-1] == {"role": "assistant", "content": r"\boxed{3}"}
    assert problem == {"messages": ASKED, "ground_truth": "2", "dataset": "math"}


def test_verls_problems_are_graded_by_this_projects_reward_for_verl(demo, tmp_path):
    said = done("export", "demo/1", "--as", "verl", "--out", tmp_path / "out.parquet")

    rows = rows_of(tmp_path / "out.parquet")
    assert "left out   1 without a reference answer" in said
    assert [set(row) for row in rows] == [{"data_source", "prompt", "ability", "reward_model", "extra_info"}] * 2
    assert rows[0]["prompt"] == ASKED
    compute_score = as_verl(boxed_correct)
    for row, right in zip(rows, (r"\boxed{2}", r"\boxed{0.50}"), strict=True):
        asked = (row["data_source"], row["reward_model"]["ground_truth"], row["extra_info"])
        assert compute_score(asked[0], right, asked[1], asked[2])["score"] == 1.0
        assert compute_score(asked[0], r"\boxed{7}", asked[1], asked[2])["score"] == 0.0


def loaded(path: Path, workspace) -> list[tuple[str, list[str]]]:
    """Questions and answers as a campaign reads them."""
    ref = prompts.load(Source(path=path), 0, 0, workspace.store)
    return [(prompt.question, prompt.answers) for prompt in workspace.store.read(ref, Prompt)]


@pytest.mark.parametrize("tool", ["trl", "verl", "open-instruct"])
def test_problems_come_back_as_they_were(demo, tmp_path, workspace, tool):
    exported, back = tmp_path / "there.parquet", tmp_path / "back.jsonl"
    done("export", "demo/1", "--as", tool, "--rows", "problems", "--out", exported)

    said = done("import", exported, "--as", tool, "--suffix", TEMPLATE.suffix, "--out", back)

    # Two tools have no place for a second answer; verl's files have one.
    keep = None if tool == "verl" else 1
    expected = [(question, answers[:keep]) for _, question, answers in PROBLEMS if answers]
    assert loaded(back, workspace) == expected
    assert [problem.question for problem in benchmarks.load(back).problems] == [question for question, _ in expected]
    assert f"prompts:\n  path: {back}" in said


@pytest.mark.parametrize("tool", ["trl", "open-instruct"])
def test_the_chosen_answers_of_preferences_become_demonstrations(demo, tmp_path, tool, workspace):
    exported, back = tmp_path / "pairs.jsonl", tmp_path / "back.jsonl"
    done("export", "demo/1", "--as", tool, "--out", exported)

    said = done("import", exported, "--suffix", TEMPLATE.suffix, "--out", back)

    section = yaml.safe_load(said.split("\n\n")[1])["warmup"]["demonstrations"]
    ref = prompts.load(Source(**section), 0, 0, workspace.store)
    assert [(row.question, row.answers, row.solution) for row in workspace.store.read(ref, Prompt)] == [
        ("What is 1 + 1?", ["2"], r"1+1=2 \boxed{2}"), ("What is half of one?", ["0.5"], r"\boxed{0.5}"),
    ]  # fmt: skip


def test_a_warm_up_can_read_solutions_without_a_final_answer(tmp_path, workspace):
    chats = lines(tmp_path / "sft.jsonl", {"messages": chat("Prove it.", "It is so.")})

    said = done("import", chats, "--out", tmp_path / "out.jsonl")

    section = yaml.safe_load(said.split("\n\n")[1])["warmup"]["demonstrations"]
    assert "1 solutions have no final answer" in said
    ref = prompts.load(Source(**section), 0, 0, workspace.store)
    assert [row.solution for row in workspace.store.read(ref, Prompt)] == ["It is so."]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "1+1?", "chosen": chat("1+1?", SOLVED), "rejected": chat("1+1?", "no"), "score_chosen": 8.0},
        {"chosen": chat("1+1?", SOLVED), "rejected": chat("1+1?", "no")},
        {"prompt": "1+1?", "chosen": SOLVED, "rejected": "no"},
        {"prompt": chat("1+1?"), "completion": chat("", SOLVED)[1:], "label": True},
        {"prompt": "1+1?", "completion": SOLVED},
        {"messages": [{"role": "system", "content": "Be brief."}, *chat("1+1?", SOLVED)], "id": "x", "source": "y"},
    ],
)
def test_every_layout_that_others_write_gives_the_same_demonstration(tmp_path, row):
    done("import", lines(tmp_path / "in.jsonl", row), "--out", tmp_path / "out.jsonl")

    assert rows_of(tmp_path / "out.jsonl") == [{"question": "1+1?", "answer": "2", "solution": SOLVED}]


@pytest.mark.parametrize(
    ("solution", "answer"),
    [(SOLVED, "2"), ("$2$", "$2$"), (2.0, "2"), (["2", "two"], ["2", "two"])],
)
def test_a_problem_of_trl_has_its_answer_in_a_box_or_as_it_stands(tmp_path, solution, answer):
    row = {"prompt": chat("1+1?"), "solution": solution}

    done("import", lines(tmp_path / "in.jsonl", row), "--as", "trl", "--out", tmp_path / "out.jsonl")

    assert rows_of(tmp_path / "out.jsonl") == [{"question": "1+1?", "answer": answer}]


def test_rows_of_no_use_are_left_out_and_counted_by_reason(tmp_path):
    good = {"messages": chat("1+1?"), "ground_truth": ["2"], "dataset": ["MATH"]}
    file = lines(
        tmp_path / "rlvr.jsonl",
        good,
        {**good, "dataset": "ifeval"},
        {**good, "messages": chat("1+1?", "2", "And 2+2?")},
        {**good, "ground_truth": "(1, 2"},
        {**good, "ground_truth": None},
        {**good, "messages": chat("1+1?", "not part of the prompt"), "ground_truth": 2.0, "dataset": "gsm8k"},
    )

    said = done("import", file, "--as", "open-instruct", "--out", tmp_path / "out.jsonl")

    assert rows_of(tmp_path / "out.jsonl") == [{"question": "1+1?", "answer": "2"}] * 2
    for reason in ("verifier ifeval", "more than one question", "the grader can work with", "without a reference"):
        assert said.count(reason) == 1


def test_verl_files_of_others_keep_the_question_without_its_instruction(tmp_path):
    row = {
        "data_source": "openai/gsm8k",
        "prompt": chat('1+1? End in "####".'),
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "2"},
        "extra_info": {"index": 0, "question": "1+1?"},
    }
    rows = [
        row,
        {**row, "extra_info": {"index": 1, "question": "Another one"}},
        {**row, "ability": "code"},
        {**row, "reward_model": {"style": "model", "ground_truth": "2"}},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "gsm8k.parquet")

    said = done("import", tmp_path / "gsm8k.parquet", "--out", tmp_path / "out.jsonl")

    assert [row["question"] for row in rows_of(tmp_path / "out.jsonl")] == ["1+1?", '1+1? End in "####".']
    assert "1 ability code, not math" in said
    assert "1 reward of style model, not rule" in said


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ({"messages": "text", "ground_truth": {"a": 1}}, ["row 2", "'ground_truth'", "'dict'", "an answer as text"]),
        ({"messages": 3, "ground_truth": "2"}, ["row 2", "'messages'", "'int'", "a list of messages"]),
        ({"messages": [{"role": "user"}], "ground_truth": "2"}, ["row 2", "whose content is text"]),
        ({"messages": [["user", "hi"]], "ground_truth": "2"}, ["row 2", "messages with role and content"]),
        ({"messages": "\ud800", "ground_truth": "2"}, ["row 2", "valid Unicode"]),
        ({"messages": "1+1?", "ground_truth": "2", "dataset": [1]}, ["row 2", "'dataset'", "name of a verifier"]),
        ({"question": "1+1?"}, ["row 2", "no column 'ground_truth'", "question"]),
    ],
)
def test_a_malformed_row_is_named_and_nothing_is_written(tmp_path, row, parts):
    file = lines(tmp_path / "bad.jsonl", {"messages": "1+1?", "ground_truth": "2"}, row)

    said = refused("import", file, "--out", tmp_path / "out.jsonl")

    assert all(part in said for part in parts), said
    assert [path.name for path in tmp_path.glob("*out*")] == []


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b'{"a": 1}', ["columns a", "prompt, reward_model", "messages"]),
        (b"", ["holds no rows"]),
        (b"\x80\x04\x95 a pickle", ["line 1", "not JSON"]),
        (b'{"messages": "' + b"a" * (33 << 20), ["line 1 is longer"]),
        (b'{"prompt": "?", "completion": "no", "label": false}', ["no row can be used (1 labelled as bad)"]),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path, content, parts):
    (tmp_path / "bad.jsonl").write_bytes(content)

    said = refused("import", tmp_path / "bad.jsonl", "--out", tmp_path / "out.jsonl")

    assert all(part in said for part in parts), said
    assert len(said) < 1000


def test_a_file_that_is_there_is_replaced_only_by_force(demo, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("mine")

    assert "--force" in refused("export", "demo/1", "--as", "trl", "--out", out)
    assert out.read_text() == "mine"
    done("export", "demo/1", "--as", "trl", "--out", out, "--force")
    assert len(rows_of(out)) == 2
    assert "input itself" in refused("import", out, "--out", out, "--force")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["demo/1", "--as", "verl", "--rows", "pairs", "--out", "o.parquet"], "verl has no table for pairs"),
        (["demo/1", "--as", "verl", "--out", "o.jsonl"], ".parquet"),
        (["demo/1", "--as", "trl", "--rows", "groups", "--out", "o.jsonl"], "trained on pairs, not on groups"),
        (["demo/1", "--as", "open-instruct", "--plain", "--out", "o.jsonl"], "--plain is for TRL's tables"),
        (["demo/0", "--as", "trl", "--out", "o.jsonl"], "the model at the start"),
        (["demo/2", "--as", "trl", "--out", "o.jsonl"], "iterations 0 to 1, not 2"),
        (["demo", "--as", "trl", "--out", "o.jsonl"], "expected CAMPAIGN/ITERATION"),
        (["../demo/1", "--as", "trl", "--out", "o.jsonl"], "expected CAMPAIGN/ITERATION"),
        (["other/1", "--as", "trl", "--out", "o.jsonl"], "no finished campaign 'other'"),
        (["demo/1", "--as", "trl", "--out", "no/o.jsonl"], "cannot be written"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_sentence(demo, tmp_path, monkeypatch, words, part):
    monkeypatch.chdir(tmp_path)

    assert part in refused("export", *words)
    assert list(tmp_path.glob("o.*")) == []


def front_matter(shown: str) -> dict[str, Any]:
    """As the hub's own library reads it."""
    return ModelCard(shown[shown.index("---\n") :]).data.to_dict()


def test_looking_for_a_campaign_makes_no_data_root(workspace, tmp_path):
    assert "no finished campaign" in refused("export", "demo/1", "--as", "trl", "--out", tmp_path / "o.jsonl")
    assert "no finished campaign" in refused("push", "demo/1", "me/demo", "--dry-run")
    assert not workspace.root.exists()


APACHE = "\n                                 Apache License\n                           Version 2.0, January 2004\n"


@pytest.mark.parametrize(
    ("files", "fields", "said"),
    [
        ({}, {}, "unknown: see the base model"),
        ({"LICENSE": APACHE}, {"license": "apache-2.0"}, "apache-2.0"),
        ({"LICENSE": "All rights reserved."}, {"license": "other"}, "other"),
        ({"README.md": "---\nlicense: mit\n---\n# Base"}, {"license": "mit"}, "mit"),
        ({"README.md": "---\nlicense: mit\n---\n", "LICENSE": APACHE}, {"license": "mit"}, "mit"),
        ({"README.md": "The licence is mit."}, {}, "unknown"),
        ({"README.md": "---\nlicense: [mit]\n---\n"}, {}, "unknown"),
        ({"README.md": "---\nlicense: !!python/object/apply:os.getcwd []\n---\n"}, {}, "unknown"),
        (
            {"README.md": "---\nlicense: other\nlicense_name: own\nlicense_link: LICENSE\n---\n"},
            {"license": "other", "license_name": "own"},
            "own",
        ),
    ],
)
def test_the_card_has_the_licence_that_the_base_model_states_and_no_other(demo, base, files, fields, said):
    for name, content in files.items():
        (base / name).write_text(content)

    shown = done("push", "demo/1", "me/demo", "--dry-run")

    data = front_matter(shown)
    assert {name: value for name, value in data.items() if name.startswith("license")} == fields
    assert f"Licence: {said}" in shown
    assert ("LICENSE\n" in shown) == ("LICENSE" in files)


def test_a_dry_run_shows_files_and_a_card_with_lineage_and_scores(demo, base):
    shown = done("push", "demo/1", "me/demo", "--dry-run")

    files, _, card = shown.partition("\n\n---\n")
    assert [line.split()[-1] for line in files.splitlines()] == [*sorted(data_roots.MODEL), "README.md"]
    read: Any = ModelCard(f"---\n{card}")
    [result] = read.data.eval_results
    assert (result.dataset_type, result.metric_value) == ("HuggingFaceH4/MATH-500", 0.5)  # amc23 was not all asked
    assert read.data.tags == ["math", "preference-optimization", "dpo"]
    assert "base_model" not in read.data.to_dict()  # a folder of this machine is no model of the hub
    assert "| math500 | greedy | 50.0 ± 2.2 | 25.0 | 500 |" in card
    assert "mean_tokens" not in card
    assert f"1. tiny-base: `{checkpoints.register(base).digest}`" in card
    assert f"2. demo/1: `{demo.model.digest}`" in card
    assert "secret-place" not in shown
    assert "would go to me/demo, private" in shown


def test_a_base_model_of_the_hub_is_named_and_its_licence_unknown_without_network(demo):
    (demo.folder / "config.yaml").write_text(yaml.safe_dump({"model": "Qwen/Qwen2.5-Math-7B", "revision": None}))

    shown = done("push", "demo/1", "me/demo", "--dry-run")

    assert front_matter(shown)["base_model"] == "Qwen/Qwen2.5-Math-7B"
    assert "Licence: unknown" in shown


def test_what_cannot_be_pushed_is_said_before_anything_is_sent(demo, monkeypatch):
    assert "no token for the hub" in refused("push", "demo/1", "me/demo")
    assert "expected OWNER/NAME" in refused("push", "demo/1", "me/de mo", "--dry-run")
    assert "the base model itself" in refused("push", "demo/0", "me/demo", "--dry-run")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert "HF_HUB_OFFLINE is set" in refused("push", "demo/1", "me/demo", code=1)
    (Path(demo.model.path) / "model.safetensors").write_text("altered")
    assert "model.safetensors differs" in refused("push", "demo/1", "me/demo", "--dry-run")


class FakeHub(ThreadingHTTPServer):
    """A stand-in for the hub, not the hub: it answers the requests of the real client, and keeps what came."""

    private = True
    refusal = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.created: list[dict[str, Any]] = []
        self.there: list[str] = []
        self.files: dict[str, bytes] = {}
        self.deleted: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: FakeHub

    def do_GET(self) -> None:
        there = [{"rfilename": name} for name in self.server.there]
        self._answer({"id": "me/demo", "private": self.server.private, "siblings": there, "tags": []})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.refusal:
            self._answer({"error": f"no, {self.headers['Authorization']}"}, self.server.refusal)
        elif self.path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            self._answer({"url": f"{self.server.address}/me/demo"})
        elif self.path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif self.path.endswith("/preupload/main"):
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
            self._answer({"files": modes})
        else:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "deletedFile":
                    self.server.deleted.append(line["value"]["path"])
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            commit = "0" * 40
            address = f"{self.server.address}/me/demo/commit/{commit}"
            self._answer({"commitUrl": address, "commitOid": commit, "success": True})

    def _answer(self, fields: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(fields).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def hub(monkeypatch) -> Iterator[FakeHub]:
    server = FakeHub()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.address)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_real_client_sends_the_model_the_card_and_the_licence_and_nothing_else(demo, base, hub):
    (base / "LICENSE").write_text(APACHE)
    model = Path(demo.model.path)
    (model / "training.jsonl").write_text("{}")

    said = done("push", "demo/1", "me/demo")

    assert f"{hub.address}/me/demo/commit/" in said
    assert TOKEN not in said
    assert hub.created[0]["visibility"] == "private"
    card = hub.files.pop("README.md").decode()
    assert front_matter(card)["license"] == "apache-2.0"
    expected = {path.name: path.read_bytes() for path in model_files(model)}
    assert hub.files == {**expected, "LICENSE": APACHE.encode()}


def test_a_repository_that_everybody_can_read_is_not_written_to_unasked(demo, hub):
    hub.private = False

    assert "everybody can read it" in refused("push", "demo/1", "me/demo")
    assert hub.files == {}
    done("push", "demo/1", "me/demo", "--public")
    assert "README.md" in hub.files
    assert hub.created[-1]["visibility"] == "public"


def test_weights_of_an_earlier_model_go_with_the_same_commit(demo, hub):
    old = ["model-00001-of-00002.safetensors", "model.safetensors.index.json"]
    hub.there = [*old, "model.safetensors", "notes.md"]

    done("push", "demo/1", "me/demo")

    assert hub.deleted == old
    assert "model.safetensors" in hub.files


@pytest.mark.parametrize(("status", "part"), [(401, "not valid"), (403, "may not write to me/demo"), (500, "later")])
def test_a_refusal_of_the_hub_is_one_sentence_without_the_token(demo, hub, status, part):
    hub.refusal = status

    assert part in refused("push", "demo/1", "me/demo", code=1)


def test_a_hub_that_does_not_answer_is_one_sentence(demo, hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")

    assert "the hub does not answer" in refused("push", "demo/1", "me/demo", code=1)
