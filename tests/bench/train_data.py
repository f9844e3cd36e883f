"""What the training bench trains on: a random model of 20 million parameters, and seeded answers with a heavy tail.

Shape of the model: Qwen2, 6 layers of width 384 (6 heads of 64, 2 of them for keys and values, MLP 2048), a tied
vocabulary of 8192: 19.7 million parameters, 16 % of them in the head, as in Qwen2.5-1.5B (15 %).
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from artifacts import Group, Pair, Ref, Store

VOCABULARY = 8192
RESERVED = 1024
"""Ids below are the tokenizer's; answers are drawn from those above."""
SHORTEST, LONGEST = 64, 1024
"""Tokens of an answer."""
MODEL = {
    "vocab_size": VOCABULARY, "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 6,
    "num_key_value_heads": 2, "intermediate_size": 2048, "max_position_embeddings": 2048, "tie_word_embeddings": True,
}  # fmt: skip
TINY = MODEL | {
    "vocab_size": 2048, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128
}  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """How many answers, and how long."""

    prompts: int
    answers: int
    """Per prompt: a pair takes two."""
    median: float = 200.0
    """Of the log-normal law of an answer's tokens; what is outside 64 to 1024 is drawn again."""
    sigma: float = 0.8
    seed: int = 0
    vocabulary: int = VOCABULARY
    copies: int = 1
    """The same lengths so many times over, with other tokens: rows that cost exactly so much more."""

    def lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """[prompts] tokens of each prompt and [prompts, answers] of each answer of one copy."""
        rng = np.random.default_rng(self.seed)
        prompts = rng.integers(100, 201, self.prompts)
        drawn = np.rint(rng.lognormal(np.log(self.median), self.sigma, 100 * self.prompts * self.answers))
        kept = drawn[(drawn >= SHORTEST) & (drawn <= LONGEST)][: self.prompts * self.answers]
        return prompts, kept.astype(int).reshape(self.prompts, self.answers)

    def texts(self) -> Iterator[tuple[str, list[int], list[list[int]]]]:
        """Name, token ids and answers of each prompt."""
        prompts, answers = self.lengths()
        for copy in range(self.copies):
            rng = np.random.default_rng([self.seed, copy])
            for n, length in enumerate(prompts):
                prompt = rng.integers(RESERVED, self.vocabulary, length).tolist()
                yield (
                    f"{copy:02d}-{n:04d}",
                    prompt,
                    [rng.integers(RESERVED, self.vocabulary, tokens).tolist() for tokens in answers[n]],
                )


def build_model(folder: Path, shape: dict[str, int | bool], seed: int = 0) -> Path:
    """Save random weights of this shape, with the demo's tokenizer: no text is read or written here."""
    import torch
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    from flows.demo.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    tokenizer.model_max_length = int(shape["max_position_embeddings"])
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(Qwen2Config(**shape, **ids, attention_dropout=0.0))
    model.generation_config = GenerationConfig(**ids)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_pairs(store: Store, spec: Spec) -> Ref[Pair]:
    """Answers 0 and 1 of a prompt are its first pair, 2 and 3 its second, and so on.

    Pass rates fall from row to row, so `train.order=easy_first` takes the rows as they stand.
    """
    guess = float(-np.log(spec.vocabulary))
    num_pairs = spec.copies * spec.prompts * (spec.answers // 2)
    with store.writer(Pair) as writer:
        row = 0
        for name, prompt, answers in spec.texts():
            for i in range(0, spec.answers, 2):
                chosen, rejected = answers[i : i + 2]
                writer.write(
                    Pair(
                        prompt_id=name, prompt_ids=prompt, chosen_index=i, rejected_index=i + 1, chosen_ids=chosen,
                        rejected_ids=rejected, chosen_logprobs=[guess] * len(chosen),
                        rejected_logprobs=[guess] * len(rejected), chosen_reward=1.0, rejected_reward=0.0,
                        pass_rate=1 - row / num_pairs,
                    )
                )  # fmt: skip
                row += 1
    return writer.ref


def write_groups(store: Store, spec: Spec, model: Path) -> Ref[Group]:
    """Every second answer is right; the recorded log-probabilities are the model's own, as after sampling from it."""
    import torch
    from transformers import AutoModelForCausalLM

    policy = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    advantage = float(1 / (np.std([1.0, 0.0] * (spec.answers // 2), ddof=1) + 1e-4) / 2)
    with store.writer(Group) as writer, torch.inference_mode():
        for name, prompt, answers in spec.texts():
            for i, answer in enumerate(answers):
                ids = torch.tensor([prompt + answer])
                logits = policy(input_ids=ids, logits_to_keep=len(answer) + 1).logits[0, :-1]
                logprobs = logits.log_softmax(-1).gather(-1, ids[0, -len(answer) :, None])[:, 0]
                right = i % 2 == 0
                writer.write(
                    Group(
                        prompt_id=name, sample_index=i, prompt_ids=prompt, completion_ids=answer,
                        logprobs=logprobs.tolist(), reward=float(right), correct=right,
                        advantages=[advantage if right else -advantage] * len(answer), pass_rate=0.5,
                    )
                )  # fmt: skip
    return writer.ref


def describe(spec: Spec) -> str:
    """One line: how many tokens of what."""
    prompts, answers = spec.lengths()
    quantiles = ", ".join(f"{q:.0f}" for q in np.quantile(answers, [0, 0.5, 0.9, 1]))
    return (
        f"{spec.copies * spec.prompts} prompts of {prompts.min()} to {prompts.max()} tokens, {spec.answers} answers "
        f"each; tokens of an answer: mean {answers.mean():.0f}; least, median, 90 %, most: {quantiles}"
    )


@dataclass(frozen=True)
class Tokens:
    """Of one epoch over the rows."""

    completion: int
    """What is trained on."""
    total: int
    """With the prompt before each answer."""

    @classmethod
    def of(cls, spec: Spec) -> "Tokens":
        """Count them."""
        prompts, answers = spec.lengths()
        completion = int(answers.sum()) * spec.copies
        return cls(completion, completion + int(prompts.sum()) * spec.answers * spec.copies)


@dataclass(frozen=True)
class Setup:
    """One training run, as all contestants are told; JSON between processes."""

    folder: str
    """Work folder of the bench: the store and the model lie in it."""
    rows: dict[str, object]
    """Ref of the table."""
    answers: int
    """Per prompt."""
    batch_size: int
    """Pairs, or groups, per optimizer step."""
    epochs: int
    learning_rate: float
    checkpointing: bool
    """Of activations."""
    micro_tokens: int
    """Ours: tokens per forward pass."""
    micro: int = 1
    """TRL's: `per_device_train_batch_size`, in pairs or in answers."""
    precompute: bool = False
    """TRL's `precompute_ref_log_probs`."""
    order: str = "shuffled"

    def to_json(self) -> dict[str, object]:
        """Fields by name."""
        return asdict(self)
