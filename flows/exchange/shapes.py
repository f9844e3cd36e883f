"""Rows of other tools, told apart by their columns, and what a campaign can use of each.

The columns are those of `trl`, `verl` and `open_instruct`.
A row that breaks its format is an error. A row of another kind (a conversation, code, an answer labelled as bad) is no
mistake of the file: it is `Unsuited`, left out and counted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eval_math.extraction.extract import extract
from eval_math.files.messages import shown
from flows.exchange import chats
from flows.exchange.chats import Malformed, Unsuited

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What a row holds: a problem with its answers, or one with a solution to imitate."""

    question: str
    answers: list[str]
    """Any of them is right; may be empty beside a solution."""
    solution: str | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of row."""

    name: str
    tools: tuple[str, ...]
    columns: frozenset[str]
    """Those that tell it from others."""
    kind: str
    """problems or demonstrations."""
    read: Callable[[Row], Found]


def _verl_problem(row: Row) -> Found:
    ability, reward, extra = row.get("ability"), row["reward_model"], row.get("extra_info")
    if isinstance(ability, str) and "math" not in ability.lower():
        raise Unsuited(f"ability {shown(ability, 30)}, not math")
    if not isinstance(reward, dict) or "ground_truth" not in reward:
        raise Malformed("reward_model", "an object with style and ground_truth", reward)
    if reward.get("style", "rule") != "rule":
        raise Unsuited(f"reward of style {shown(str(reward['style']), 30)}, not rule")
    question, _ = chats.turns(row["prompt"], "prompt")
    extra = extra if isinstance(extra, dict) else {}
    raw, every = extra.get("question"), extra.get("answers")
    if isinstance(raw, str) and raw and question.startswith(raw):
        question = raw  # without the instruction that the file's author has put behind it
    answers = chats.answers(every if every else reward["ground_truth"], "reward_model.ground_truth")
    return Found(question, answers)


def _verified(row: Row) -> Found:
    question, _ = chats.turns(row["messages"], "messages")
    truth, verifier = row["ground_truth"], row.get("dataset", "math")
    truths, verifiers = ([each] if isinstance(each, str) else each for each in (truth, verifier))
    if not isinstance(verifiers, list) or not all(isinstance(each, str) for each in verifiers):
        raise Malformed("dataset", "the name of a verifier, or a list of names", verifier)
    if not any(word in verifiers[0].lower() for word in ("math", "gsm")) or len(verifiers) > 1:
        raise Unsuited(f"verifier {shown(', '.join(verifiers), 30)}, not for mathematics")
    return Found(question, chats.answers(truths, "ground_truth"))


def _preferred(row: Row) -> Found:
    chosen = row["chosen"]
    whole = isinstance(chosen, list) and chosen and isinstance(chosen[0], dict) and chosen[0].get("role") != "assistant"
    if whole or (isinstance(chosen, list) and "prompt" not in row):
        return _solved(*chats.turns(chosen, "chosen"))
    if "prompt" not in row:
        raise Unsuited("texts with the prompt inside, which cannot be told apart")
    return _continued(row["prompt"], chosen, "chosen")


def _completed(row: Row) -> Found:
    label = row.get("label")
    if label is not None and not isinstance(label, bool):
        raise Malformed("label", "true or false", label)
    if label is False:
        raise Unsuited("labelled as bad")
    return _continued(row["prompt"], row["completion"], "completion")


def _chat(row: Row) -> Found:
    return _solved(*chats.turns(row["messages"], "messages"))


def _rewarded(row: Row) -> Found:
    name = next(name for name in ("solution", "answer", "ground_truth") if row.get(name) is not None)
    question, _ = chats.turns(row["prompt"], "prompt")
    every = chats.answers(row[name], name)
    return Found(question, [found.text if (found := extract(each, "strict")) else each for each in every])


def _continued(prompt: Any, completion: Any, column: str) -> Found:
    question, _ = chats.turns(prompt, "prompt")
    _, reply = ("", chats.text(completion)) if isinstance(completion, str) else chats.turns(completion, column)
    return _solved(question, reply)


def _solved(question: str, reply: str | None) -> Found:
    if not reply or not reply.strip():
        raise Unsuited("without a reply to imitate")
    found = extract(reply, "strict")
    return Found(question, [found.text] if found else [], reply)


def _shape(name: str, tools: str, columns: str, kind: str, read: Callable[[Row], Found]) -> Shape:
    return Shape(name, tuple(tools.split()), frozenset(columns.split()), kind, read)


SHAPES = (
    _shape("verl problems", "verl", "data_source prompt reward_model", "problems", _verl_problem),
    _shape("RLVR problems", "open-instruct", "messages ground_truth", "problems", _verified),
    _shape("preferences", "trl open-instruct", "chosen rejected", "demonstrations", _preferred),
    _shape("completions", "trl", "prompt completion", "demonstrations", _completed),
    _shape("chats", "trl verl open-instruct", "messages", "demonstrations", _chat),
    _shape("prompts with a solution", "trl", "prompt solution", "problems", _rewarded),
    _shape("prompts with an answer", "trl", "prompt answer", "problems", _rewarded),
    _shape("prompts with a ground truth", "trl", "prompt ground_truth", "problems", _rewarded),
)
"""The first one whose columns are all there holds."""
