"""The run page says what a campaign came to, and shows a model's text without ever letting it act."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import data_roots
import pytest
import yaml

from artifacts import Accepted, Grade, Group, Pair, Prompt, Rollout, Score
from flows.page import published, write_page
from flows.page.answers import answers_of
from flows.page.charts import number, ticks
from flows.page.lineage import lineage
from flows.page.source import read
from flows.page.training import POINTS, panels

HOSTILE = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    '"><svg onload=alert(1)><a href="javascript:alert(1)">x</a>',
    "</pre></style></title><iframe src=https://example.com></iframe>",
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "<!-- ]]> <style>@import url(https://example.com)</style>",
    "\x00\x07\x1b[31mred\u202eright to left\u2066\u200b\ufeff\x85",
]
BASE = {"prompt_ids": [1, 2], "completion_ids": [3, 4, 5], "logprobs": [-0.5, -1.0, -1.5]}


class Page(HTMLParser):
    """What a browser would build: elements with their attributes, and the text in each kind of element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_data(self, data):
        self.pieces.append(data)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.pieces).split())


def graded(workspace, verdicts, texts=("7",), reason="different", question="What is 3 + 4?", policy=""):
    """Rollouts and grades: `verdicts` by problem; the texts in turn."""
    with workspace.store.writer(Prompt) as prompts:
        for name in verdicts:
            prompts.write(Prompt(prompt_id=name, question=question, answers=["7", "seven"], solution=None, source="t"))
    turn = 0
    with (
        workspace.store.writer(Rollout, parents=[prompts.ref.digest], producer={"policy": policy}) as rollouts,
        workspace.store.writer(Grade, parents=["0" * 64, prompts.ref.digest]) as grades,
    ):
        for name, found in verdicts.items():
            for index, correct in enumerate(found):
                key = {"prompt_id": name, "sample_index": index}
                text = texts[turn % len(texts)]
                turn += 1
                rollouts.write(Rollout(**key, **BASE, text=text, finish_reason="stop", seed=turn))
                reward = None if correct is None else float(correct)
                grades.write(Grade(**key, correct=correct, reward=reward, reason=reason, answer=text[:50]))
    return {"rollouts": rollouts.ref.to_json(), "grades": grades.ref.to_json()}


def training_rows(workspace, kind, name):
    sides = ("chosen", "rejected")
    rows = {
        Pair: {f"{side}_{field}": BASE[of] for side in sides for field, of in
               (("ids", "completion_ids"), ("logprobs", "logprobs"))}
        | {"chosen_index": 0, "rejected_index": 1, "chosen_reward": 1.0, "rejected_reward": 0.0, "prompt_ids": [1]},
        Accepted: {**BASE, "sample_index": 0},
        Group: {**BASE, "sample_index": 0, "reward": 1.0, "correct": True, "advantages": [1.0] * 3},
    }  # fmt: skip
    with workspace.store.writer(kind) as writer:
        writer.write(kind(prompt_id=name, **rows[kind]))
        writer.summary.update({"prompts": 9, "all right": 5, "all wrong": 3, "answers: truncated": 2})
    return writer.ref.to_json()


def scored(workspace, kept, values):
    with workspace.store.writer(Score, allow_empty=True) as writer:
        for value in values:
            writer.write(Score(num_samples=1, **value))
        writer.summary.update({"generations": kept})
    return writer.ref.to_json()


def curve(model, steps=12, metrics=("loss", "rewards/chosen", "rewards/rejected", "grad_norm")):
    lines = [json.dumps({"step": step, **dict.fromkeys(metrics, 1 / step)}) for step in range(1, steps + 1)]
    (Path(model.path) / "training.jsonl").write_text("\n".join(lines))


def campaign(
    workspace, name="demo", *, outcomes=((0, 1), (1, 1)), benchmarks=("heldout",), kind=Pair, texts=("7",), config=None,
    steps=12, **words,
):  # fmt: skip
    """A finished campaign; `outcomes[i][p]` tells whether iteration i solves problem p of every benchmark."""
    rows = []
    for number_, right in enumerate(outcomes):
        model = data_roots.model(workspace, f"train-{name}-{number_}".replace("/", "-"), f"{name}{number_}")
        curve(model, steps)
        kept, values = {}, []
        for benchmark in benchmarks:
            verdicts = {f"{benchmark} {p}": [bool(value)] for p, value in enumerate(right)}
            kept[f"{benchmark}/greedy"] = graded(workspace, verdicts, texts, policy=model.digest, **words)
            values.append({
                "benchmark": benchmark, "metric": "greedy", "value": sum(right) / len(right), "standard_error": 0.02,
                "num_problems": len(right),
            })  # fmt: skip
        row = {"iteration": number_, "policy": model.to_json(), "scores": scored(workspace, kept, values)}
        child = {"name": "sampler", "seconds": 8.0, "start_up": 3.0}
        stage = {"label": f"iteration {number_}", "stage": "sample", "cached": number_ == 0}
        row |= {"stages": [{**stage, "seconds": 9.0, "children": [child]}], "values": values, "generations": kept}
        if number_:
            verdicts = {f"p{number_}-{p}": [True, False, None] for p in range(3)}
            row |= {**graded(workspace, verdicts, texts, **words), "critic": None}
            row |= {"rows": training_rows(workspace, kind, f"p{number_}"), "seconds": 9.0}
            counts = {"rollouts": 9, "right": 3, "wrong": 3, "unknown": 3, "reason/different": 9}
            row["summaries"] = {"grades": counts, "rows": {"prompts": 9, "all right": 5, "answers: truncated": 2}}
        rows.append(row)
    folder = workspace.root / "campaigns" / name
    folder.mkdir(parents=True)
    facts = {"campaign": name, "objective": "dpo", "seed": 0, "iterations": rows}
    (folder / "results.json").write_text(json.dumps(facts))
    (folder / "config.yaml").write_text(yaml.safe_dump(config or {"model": "m", "objective": {"name": "dpo"}}))
    return facts


def page_of(workspace, name="demo"):
    text = write_page(workspace, name).read_text(encoding="utf-8")
    return text, Page(text)


def harmless(text: str) -> None:
    """Nothing can run, nothing is fetched, and no character changes how the others read."""
    page = Page(text)
    tags = {tag for tag, _ in page.elements}
    attributes = {(name, value) for _, found in page.elements for name, value in found.items()}
    places = {"href", "src", "srcset", "action", "data", "xlink:href", "background", "poster", "formaction"}
    style = text[text.index("<style>") : text.index("</style>")]

    assert not tags & {"script", "iframe", "object", "embed", "base", "form", "link", "img", "a:", "foreignobject"}
    assert [name for name, _ in attributes if name.startswith("on") or name == "style"] == []
    assert [value for name, value in attributes if name in places and not str(value).startswith("#")] == []
    assert "url(" not in style
    assert "@import" not in style
    assert [tag for tag, found in page.elements if found.get("http-equiv")] == ["meta"]
    assert re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]", text) == []


def test_the_scan_sees_what_acts() -> None:
    start = "<meta http-equiv=x><style></style>"
    for wrong in ("<script>", "<b onclick=x>", "<a href=https://example.com>", "<b style=x>", "<img>", "\u202e"):
        with pytest.raises(AssertionError):
            harmless(start + wrong)


def test_hostile_answers_are_shown_and_do_nothing(workspace):
    campaign(workspace, texts=HOSTILE, reason="<script>reason</script>", question="<b onclick=x>\u202eWhat?")

    text, page = page_of(workspace)

    harmless(text)
    assert "<b onclick=x>\u27e8U+202E\u27e9What?" in page.text
    assert all(text in page.text for text in HOSTILE[:-1])  # what a reader sees is what the model wrote
    assert "\u27e8U+0000\u27e9\u27e8U+0007\u27e9\u27e8U+001B\u27e9[31mred\u27e8U+202E\u27e9right to left" in page.text


def test_hostile_names_do_nothing_either(workspace):
    name = "<script>x"
    config = {"model": HOSTILE[1], "objective": {"name": HOSTILE[0], "beta": HOSTILE[4]},
              "prompts": {"path": HOSTILE[7], "per_iteration": 3}}  # fmt: skip
    campaign(workspace, name, benchmarks=("<img onerror=x>\u202e", "</title><script>"), config=config)

    text, page = page_of(workspace, name)

    harmless(text)
    assert HOSTILE[1] in page.text


def test_a_very_long_answer_is_cut_in_its_middle(workspace):
    campaign(workspace, texts=("start " + "\u202e" * 1_000_000 + " the end",))

    text, page = page_of(workspace)

    assert len(text) < 400_000
    assert "998,414 of 1,000,014 characters left out" in page.text
    assert re.search(r"start \u27e8U\+202E\u27e9", page.text)
    assert "the end" in page.text


def test_the_browser_is_told_to_run_and_fetch_nothing(workspace):
    campaign(workspace)

    _, page = page_of(workspace)

    policy = next(found["content"] for tag, found in page.elements if found.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_every_digest_of_the_results_has_a_place_that_its_children_link_to(workspace):
    facts = campaign(workspace)

    _, page = page_of(workspace)

    named = {found["title"] for tag, found in page.elements if tag == "code" and "title" in found}
    places = {found["id"] for _, found in page.elements if "id" in found}
    links = {str(found["href"])[1:] for tag, found in page.elements if tag == "a"}
    digests = set(re.findall(r"[0-9a-f]{64}", json.dumps(facts)))
    assert len(digests) == 10
    assert digests <= named
    assert links <= places


def test_lineage_leads_from_scores_to_the_model_that_answered_and_the_problems(workspace):
    first = campaign(workspace)["iterations"][0]
    answers = first["generations"]["heldout/greedy"]

    found, more = lineage(read(workspace, "demo"))

    artifacts = {artifact.digest: artifact for artifact in found}
    sampled = artifacts[answers["rollouts"]["digest"]]
    problems, model = sampled.parents
    assert (artifacts[problems].kind, artifacts[problems].rows, artifacts[problems].role) == ("prompts", 2, "")
    assert sampled.role == "0 · heldout/greedy rollouts, 1 · heldout/greedy rollouts"  # equal content is one artifact
    assert model in {row.digest for row in found if row.kind == "checkpoint"}
    assert artifacts["0" * 64].kind == "model or table from elsewhere"
    assert more == 0


def test_the_headline_has_the_paired_difference_with_its_interval(workspace):
    before, after = [1] * 10 + [0] * 30, [1] * 30 + [0] * 10  # 20 of 40 problems more
    campaign(workspace, "good", outcomes=(before, after))
    campaign(workspace, "bad", outcomes=(after, before))
    campaign(workspace, "same", outcomes=([1, 0] * 20, [0, 1] * 20))

    good, bad, same = (page_of(workspace, name)[1].words for name in ("good", "bad", "same"))

    found = re.search(r"It got better over 1 iteration: heldout greedy went from 25.0 % to 75.0 %, \+50.0 points "
                      r"\[\+(\d+\.\d), \+(\d+\.\d)\] on 40 problems\.", good)  # fmt: skip
    assert found
    # The normal interval of 20 ones among 40: 50 ± 1.96 * 100 * sqrt(0.25 / 39) = [34.3, 65.7].
    assert [float(bound) for bound in found.groups()] == pytest.approx([34.3, 65.7], abs=3)
    assert "It got worse over 1 iteration: heldout greedy went from 75.0 % to 25.0 %, -50.0 points" in bad
    assert re.search(r"No change beyond noise .* \+0.0 points .* on 40 problems, within noise\.", same)


def test_several_benchmarks_are_counted_in_one_sentence(workspace):
    campaign(workspace, outcomes=([0] * 20, [1] * 20), benchmarks=("one", "two"))

    _, page = page_of(workspace)

    assert "better on 2 of 2 benchmarks, worse on 0, and 0 stayed within noise: one +100.0 points" in page.words


@pytest.mark.parametrize(
    ("kind", "words"), [(Pair, "pairs"), (Accepted, "accepted answers"), (Group, "answers in groups")]
)
def test_each_kind_of_row_has_its_page(workspace, kind, words):
    campaign(workspace, kind=kind)

    text, page = page_of(workspace)

    harmless(text)
    assert f"right wrong unknown {words} per problem" in page.words
    assert "problems: all right 5" in page.words
    assert "answers: truncated 2" in page.words


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"benchmarks": ()}, "measured on no benchmark"),
        ({"outcomes": ((1, 0),)}, "only the starting model was measured"),
    ],
)
def test_a_campaign_that_measured_little_says_so(workspace, changes, sentence):
    campaign(workspace, **changes)

    text, page = page_of(workspace)

    harmless(text)
    assert sentence in page.words


def test_a_single_iteration_is_not_compared_with_itself(workspace):
    campaign(workspace)

    _, page = page_of(workspace)

    assert "The last model against the first" in page.words
    assert "was it worth it?" not in page.words


def test_an_unknown_name_is_answered_with_the_nearest(workspace):
    campaign(workspace, "demo")

    with pytest.raises(FileNotFoundError, match=r"no finished campaign 'dmo' under .*; did you mean 'demo'\?$"):
        write_page(workspace, "dmo")


def test_results_that_are_none_are_one_sentence(workspace):
    (workspace.root / "campaigns" / "demo").mkdir(parents=True)
    workspace.results("demo").write_text("{")

    with pytest.raises(ValueError, match=r"results.json is not what a campaign writes .*; run the campaign again"):
        write_page(workspace, "demo")


def test_the_page_goes_where_it_is_wanted(workspace, tmp_path):
    campaign(workspace)

    assert write_page(workspace, "demo") == workspace.root / "campaigns" / "demo" / "report.html"
    assert write_page(workspace, "demo", tmp_path / "a.html").read_text().startswith("<!DOCTYPE html>")
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere: make it"):
        write_page(workspace, "demo", tmp_path / "nowhere" / "a.html")


def test_what_is_gone_is_named_and_the_rest_is_shown(workspace):
    facts = campaign(workspace)
    last = facts["iterations"][-1]
    shutil.rmtree(workspace.root / "store" / last["rollouts"]["path"])
    shutil.rmtree(last["policy"]["path"])

    text, page = page_of(workspace)

    harmless(text)
    assert "Left out, as it cannot be read:" in page.words
    assert last["rollouts"]["digest"][:12] in page.words
    assert f"{last['policy']['path']} is gone, and the curves of its training with it" in page.words
    assert "It got better" in page.words or "No change beyond noise" in page.words


def test_published_figures_stand_beside_the_same_benchmarks_only():
    whole, part = {"name": "math500"}, {"name": "aime24", "limit": 3}

    assert published.shared({"evaluate": {"benchmarks": [{"name": "heldout"}, part]}}) is None
    found = published.shared({"evaluate": {"benchmarks": [whole, part]}})
    assert found is not None
    assert found.benchmarks == ["math500"]
    assert dict(found.rows)["DPO-Zero"] == [76.8]


def test_the_published_figures_are_those_whose_means_the_same_table_states():
    stated = {"Qwen2.5-Math-7B": 33.9, "SFT": 44.4, "RAFT-Zero": 44.4, "DPO-MATH7500-Zero": 44.1, "DPO-NLL-Zero": 46.2,
              "DPO-Zero": 47.0, "DPO-R1 (after SFT)": 51.8, "PPO-MATH7500": 50.5, "PPO-Zero": 51.8}  # fmt: skip

    assert {name: round(sum(values) / 5, 1) for name, values in published.ROWS.items()} == stated


def test_the_published_table_is_on_the_page_of_such_a_campaign(workspace):
    config = {"evaluate": {"benchmarks": [{"name": "math500"}]}}
    campaign(workspace, benchmarks=("math500",), config=config, outcomes=([0, 0], [1, 0]))

    _, page = page_of(workspace)

    assert "this run, start 0.0 this run, last 50.0 Qwen2.5-Math-7B 65.4 SFT 73.2" in page.words


def test_answers_are_counted_by_verdict_length_and_pass_rate(workspace):
    facts = campaign(workspace)
    source = read(workspace, "demo")
    row = {"iteration": 1, **graded(workspace, {"a": [True] * 3, "b": [True, False, None], "c": [None] * 3})}

    found = answers_of(source, row)

    assert found is not None
    assert (found.verdicts[True], found.verdicts[False], found.verdicts[None]) == (4, 1, 4)
    assert found.pass_rates() == [("0/3", 0), ("1/3", 0), ("2/3", 1), ("3/3", 1)]  # 1 of 2; c has no verdict at all
    assert found.mean_length == found.quantile(0.5) == 3
    assert found.entropy == pytest.approx(1.0)  # of -log p 0.5, 1.0 and 1.5
    assert answers_of(source, facts["iterations"][0]) is None


def test_long_curves_are_thinned_and_keep_their_mean(workspace):
    facts = campaign(workspace, steps=5000)

    (loss,) = (p for p in panels(read(workspace, "demo"), slice(1, None))["Learning"] if p.name == "loss")

    line = loss.lines[""][0]
    assert len(line) <= POINTS
    assert line[0][1] == pytest.approx(sum(1 / step for step in range(1, 14)) / 13)
    assert Path(facts["iterations"][1]["policy"]["path"], "training.jsonl").read_text().count("\n") == 4999


def test_a_long_campaign_has_a_page_that_opens(workspace):
    campaign(
        workspace, outcomes=[[number_ > p for p in range(8)] for number_ in range(9)], benchmarks=("a", "b"),
        texts=("\u202e" * 5000,), steps=1500,
    )  # fmt: skip

    text, page = page_of(workspace)

    assert len(text.encode()) < 1_500_000
    assert sum(tag == "article" for tag, _ in page.elements) >= 3


def test_time_is_drawn_for_what_ran_and_said_of_what_was_cached(workspace):
    campaign(workspace)

    _, page = page_of(workspace)

    assert "All 1 stages were cached." in page.words  # of the starting model
    assert "9 s, start-up 3 s of it" in page.words


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.5, "0.5"), (4.75e-5, "4.75e-5"), (1234, "1,234"), (2e7, "2e7")]
)
def test_figures_are_short(value, text):
    assert number(value) == text


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 97), (1, 3), (1e-7, 9e-7), (0.2, 0.21)])
def test_axes_have_a_few_round_ticks_inside(low, high):
    found = ticks(low, high)

    assert 3 <= len(found) <= 6
    assert all(low - 1e-12 <= tick <= high + 1e-12 for tick in found)


def test_results_that_say_little_and_no_config_still_make_a_page(workspace):
    made = data_roots.Campaign(workspace, "old")

    text, page = page_of(workspace, "old")

    harmless(text)
    assert made.model.digest in text
    assert "The resolved config is not beside the results." in page.words
    assert "measured on no benchmark" in page.words
