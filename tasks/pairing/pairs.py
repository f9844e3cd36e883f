"""Pairs of a better and a worse answer to one prompt.

    rule             chosen                      rejected
    max_min          best                        worst
    max_random       best                        any
    max_max          best                        best of the others: the hardest to tell apart
    max_min_length   best, by reward less a price per token       worst, by the same

Further pairs of a prompt take the next of both; no answer is used twice, and ties are drawn. Chosen is always right and
rejected always wrong, whatever the reward, unless `right_over_wrong` is off: a boxed wrong answer that a reward prefers
to an unboxed one would otherwise be taught.
"""

import random
from collections import Counter

from artifacts import Pair
from tasks.pairing.answers import Graded, pass_rate, reward_of
from tasks.settings import Pairing


def pairs_of(
    graded: list[Graded],
    pairing: Pairing,
    rng: random.Random,
    counts: "Counter[str] | None" = None,
    rate: float | None = None,
) -> list[Pair]:
    """At most `pairs_per_prompt` pairs; what is dropped is counted. `rate` is the prompt's pass rate."""
    counts = Counter() if counts is None else counts
    rate = pass_rate(graded) if rate is None else rate
    found: list[Pair] = []
    for chosen, rejected in _candidates(rng.sample(graded, len(graded)), pairing)[: pairing.pairs_per_prompt]:
        if reward_of(chosen) <= reward_of(rejected):
            counts["pairs: chosen reward not above the rejected one"] += 1
        elif _score(chosen, pairing) - _score(rejected, pairing) < pairing.min_margin:
            counts["pairs: margin below min_margin"] += 1
        else:
            found.append(_pair(chosen, rejected, rate))
    return found


def _candidates(shuffled: list[Graded], pairing: Pairing) -> list[tuple[Graded, Graded]]:
    """Chosen and rejected, first pair first, no answer twice."""
    guarded = pairing.right_over_wrong
    right = sorted((g for g in shuffled if g[1].correct or not guarded), key=lambda g: _score(g, pairing), reverse=True)
    wrong = _by_rule([g for g in shuffled if not (guarded and g[1].correct)], pairing)
    if guarded:
        return list(zip(right, wrong, strict=False))
    pairs: list[tuple[Graded, Graded]] = []
    while len(right) > 1:
        chosen = right.pop(0)
        rejected = next(g for g in wrong if g is not chosen)
        pairs.append((chosen, rejected))
        right = [g for g in right if g is not rejected]
        wrong = [g for g in wrong if g is not chosen and g is not rejected]
    return pairs


def _by_rule(answers: list[Graded], pairing: Pairing) -> list[Graded]:
    """Candidates for rejection, the first to be taken first."""
    if pairing.rule == "max_random":
        return answers  # they come shuffled
    return sorted(answers, key=lambda g: _score(g, pairing), reverse=pairing.rule == "max_max")


def _score(graded: Graded, pairing: Pairing) -> float:
    """What best and worst are measured in."""
    price = pairing.length_penalty if pairing.rule == "max_min_length" else 0.0
    return reward_of(graded) - price * len(graded[0].completion_ids)


def _pair(chosen: Graded, rejected: Graded, rate: float | None) -> Pair:
    return Pair(
        prompt_id=chosen[0].prompt_id,
        prompt_ids=chosen[0].prompt_ids,
        chosen_index=chosen[0].sample_index,
        rejected_index=rejected[0].sample_index,
        chosen_ids=chosen[0].completion_ids,
        rejected_ids=rejected[0].completion_ids,
        chosen_logprobs=chosen[0].logprobs,
        rejected_logprobs=rejected[0].logprobs,
        chosen_reward=reward_of(chosen),
        rejected_reward=reward_of(rejected),
        pass_rate=rate,
    )
