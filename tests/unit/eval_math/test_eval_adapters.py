"""Rewards in the signatures of TRL and verl, and theirs as ours; TRL's part runs through TRL's own code."""

import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from eval_math import Policy, Reason, grade, rewards
from eval_math.adapters.references import AdapterError
from eval_math.adapters.trl import as_trl, from_trl
from eval_math.adapters.verl import as_verl, from_verl
from eval_math.verdict import Grade

UNREADABLE = r"\frac{1}{"
UNKNOWN = Grade(None, Reason.GOLD_UNREADABLE, 0)


def graded(response: str, gold: str = "5") -> Grade:
    return grade(response, gold, Policy.reward())


# --- TRL ----------------------------------------------------------------------------------------------------------


def test_a_reward_as_a_trl_reward_function() -> None:
    function = as_trl(rewards.load("seed_rule"))
    chat = [{"role": "assistant", "content": "let me see"}, {"role": "assistant", "content": r"\boxed{5}"}]

    found = function(
        prompts=["q"] * 6,
        completions=[chat, r"\boxed{6}", "5", r"\boxed{0.5}", r"\boxed{5}", r"\boxed{5}"],
        completion_ids=[[1]] * 6,
        solution=["5", 5.0, "5", ["1", r"\frac12"], r"We find \boxed{5}.", UNREADABLE],
        trainer_state=None,
    )

    assert found == [1.0, -0.5, -1.0, 1.0, 1.0, None]


def test_another_column_and_policy_may_be_named() -> None:
    function = as_trl(rewards.boxed_correct, column="answer", policy=Policy.benchmark())

    assert function(completions=["The answer is 5."], answer=["5"]) == [1.0]


def test_the_parts_of_a_message_and_a_mere_tool_call_are_texts() -> None:
    parts = [{"role": "assistant", "content": [{"type": "text", "text": r"\boxed"}, {"type": "text", "text": "{5}"}]}]

    assert as_trl(rewards.boxed_correct)(
        completions=[parts, [{"role": "assistant", "content": None}]], solution=["5", "5"]
    ) == [1.0, 0.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"completions": ["x"], "answer": ["5"]}, "no column 'solution' with the reference answers; found answer"),
        ({"completions": ["x"], "solution": []}, "1 completions, but 0 'solution'"),
        ({"completions": [7], "solution": ["5"]}, "expected a completion as a string or as messages .* found 7"),
        ({"completions": [[]], "solution": ["5"]}, r"found \[\]"),
    ],
)
def test_what_trl_hands_over_is_checked(call: dict[str, Any], message: str) -> None:
    with pytest.raises(AdapterError, match=message):
        as_trl(rewards.boxed_correct)(**call)


def test_the_adapters_can_be_sent_to_another_process() -> None:
    for adapter in (
        as_trl(rewards.load("length_penalty", {"max_chars": 9, "cache_chars": 1})),
        as_verl(rewards.seed_rule),
    ):
        assert pickle.loads(pickle.dumps(adapter)) is not adapter


@pytest.mark.slow  # the import alone takes seconds
def test_trls_trainer_takes_the_reward_and_leaves_out_what_has_none() -> None:
    """`GRPOTrainer._calculate_rewards`, on a stand-in for the trainer: no model, no device but the CPU."""
    torch = pytest.importorskip("torch")
    grpo = pytest.importorskip("trl.trainer.grpo_trainer")
    utils = pytest.importorskip("trl.trainer.utils")
    state = pytest.importorskip("accelerate").PartialState
    function = as_trl(rewards.load("seed_rule"))
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(device=torch.device("cpu"), is_main_process=True),
        reward_funcs=[function],
        reward_func_names=[utils.get_callable_name(function)],
        reward_processing_classes=[None],
        state=SimpleNamespace(global_step=1),
        args=SimpleNamespace(report_to=[]),
        environments=None,
        _log_completion_extra=lambda *_: None,
        _log_metric=lambda *_: None,
    )
    texts = [r"\boxed{5}", r"\boxed{6}", r"\boxed{5}"]
    completions = [[{"role": "assistant", "content": text}] for text in texts]
    prompts = [[{"role": "user", "content": "q"}]] * 3
    inputs = [
        {"prompt": prompt, "solution": gold} for prompt, gold in zip(prompts, ["5", "5", UNREADABLE], strict=True)
    ]
    calculate = grpo.GRPOTrainer._calculate_rewards
    grpo_gather, grpo.gather = grpo.gather, lambda tensor: tensor

    try:
        state(cpu=True)  # TRL's warning about rows without a reward asks for it
        found = calculate(trainer, inputs, prompts, completions, [[1]] * 3)
    finally:
        grpo.gather = grpo_gather
        state._reset_state()

    assert trainer.reward_func_names == ["seed_rule"]
    assert found[:2, 0].tolist() == [1.0, -0.5]
    assert bool(torch.isnan(found[2, 0]))


def test_trls_functions_as_rewards() -> None:
    trl_rewards = pytest.importorskip("trl.rewards")
    thought = r"<think>five</think>\boxed{5}"

    form = from_trl(trl_rewards.think_format_reward)
    length = from_trl(trl_rewards.get_soft_overlong_punishment(100, 20), tokenize=list)

    assert [form(graded(text), text) for text in (thought, r"\boxed{5}")] == [1.0, 0.0]
    assert length(graded("x"), "x" * 90) == pytest.approx(-0.5)
    assert form(UNKNOWN, thought) is None


def test_trls_accuracy_finds_the_reference_of_the_grade() -> None:
    trl_rewards = pytest.importorskip("trl.rewards")
    pytest.importorskip("math_verify")
    reward = from_trl(trl_rewards.accuracy_reward)

    found = [reward(graded(text, r"\frac{1}{2}"), text) for text in (r"$\boxed{0.5}$", r"$\boxed{2}$", "no idea")]

    assert found == [1.0, 0.0, 0.0]


def test_a_trl_function_gets_what_it_asks_for() -> None:
    seen: list[dict[str, Any]] = []

    def function(completions: list[Any], answer: list[str], level: list[int], **rest: Any) -> list[float | None]:
        seen.append({"completions": completions, "answer": answer, "level": level})
        return [None]

    reward = from_trl(function, column="answer", level=3, dollars=False)

    assert reward(graded(r"\boxed{6}"), r"\boxed{6}") is None
    assert reward(graded("none"), "none") == 0.0
    assert from_trl(function, column="answer", level=3, without_gold=None)(graded("none"), "none") is None
    assert seen == [{"completions": [[{"role": "assistant", "content": r"\boxed{6}"}]], "answer": ["5"], "level": [3]}]


def test_a_trl_function_that_cannot_be_served_is_refused_at_once() -> None:
    async def later(completions: list[Any]) -> list[float]:
        return [1.0]

    def picky(completions: list[Any], completion_ids: list[Any], level: list[int]) -> list[float]:
        return [1.0, 2.0]

    with pytest.raises(AdapterError, match="later is asynchronous"):
        from_trl(later)  # type: ignore[arg-type]
    with pytest.raises(AdapterError, match="picky needs completion_ids, level; give tokenize="):
        from_trl(picky)
    # It takes no prompts and no solution, so it is given none.
    with pytest.raises(AdapterError, match="picky returned 2 rewards for one completion"):
        from_trl(picky, tokenize=list, level=1)(graded("x"), "x")


# --- verl ---------------------------------------------------------------------------------------------------------


def test_a_reward_as_verls_compute_score() -> None:
    compute_score = as_verl(rewards.load("seed_rule"))

    right = compute_score(
        data_source="math",
        solution_str=r"\boxed{5}",
        ground_truth="5",
        extra_info={"index": 1},
        sandbox_fusion_url=None,
    )
    wrong = compute_score("math", "five", ["5", "6"])

    assert right == {"score": 1.0, "acc": True, "pred": "5"}
    assert wrong == {"score": -1.0, "acc": False, "pred": ""}


def test_a_column_of_numpy_is_a_list_of_golds() -> None:
    numpy = pytest.importorskip("numpy")

    assert as_verl(rewards.boxed_correct)("math", r"\boxed{6}", numpy.array(["5", "6"], dtype=object))["acc"] is True


def test_no_verdict_is_an_error_for_verl_unless_its_worth_is_said() -> None:
    with pytest.raises(AdapterError, match=r"math: no verdict \(gold_unreadable\) .* unknown="):
        as_verl(rewards.boxed_correct)("math", r"\boxed{5}", UNREADABLE)

    assert as_verl(rewards.boxed_correct, unknown=-0.1)("math", r"\boxed{5}", UNREADABLE)["score"] == -0.1


@pytest.mark.parametrize(
    ("returned", "expected"),
    [(1, 1.0), (True, 1.0), ({"score": 0.5, "acc": True}, 0.5), (float("nan"), None), (None, None)],
)
def test_verls_compute_score_as_a_reward(returned: Any, expected: float | None) -> None:
    seen: list[dict[str, Any]] = []

    def compute_score(**given: Any) -> Any:
        seen.append(given)
        return returned

    reward = from_verl(compute_score, "openai/gsm8k")

    assert reward(graded(r"\boxed{6}"), r"\boxed{6}") == expected
    assert reward(UNKNOWN, "x") is None
    assert reward(graded("none"), "none") == 0.0
    assert seen == [
        {"data_source": "openai/gsm8k", "solution_str": r"\boxed{6}", "ground_truth": "5", "extra_info": {}}
    ]


@pytest.mark.parametrize(
    ("returned", "message"), [({"reward": 1.0}, "expected a key 'score'"), ("good", "expected a number or None")]
)
def test_what_verl_returns_is_checked(returned: Any, message: str) -> None:
    with pytest.raises(AdapterError, match=message):
        from_verl(lambda **_: returned, "math")(graded(r"\boxed{6}"), r"\boxed{6}")


def test_there_and_back_is_the_same_reward() -> None:
    for name in ("boxed_correct", "seed_rule", "format"):
        reward = rewards.load(name)
        for text in (r"\boxed{5}", r"\boxed{6}", r"</think>\boxed{ 5.0 }"):
            assert from_trl(as_trl(reward), dollars=False, solution="5")(graded(text), text) == reward(
                graded(text), text
            )
            assert from_verl(as_verl(reward), "math")(graded(text), text) == reward(graded(text), text)
