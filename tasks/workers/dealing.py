"""How the rows of one optimizer step are dealt to forward passes: rows of a prompt together, tokens evenly.

A row costs its completion tokens, and its prompt unless a row of the same prompt stands beside it.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one prompt that share a forward pass."""

    rows: tuple[int, ...]
    cost: int
    """Tokens, the prompt counted once."""


def blocks_of(
    items: Iterable[Sequence[int]],
    answers: Sequence[int],
    prompts: Sequence[int],
    numbers: Sequence[int],
    budget: int,
    *,
    whole: bool = False,
) -> list[Block]:
    """Blocks within the budget, the costliest first.

    An item that fits is not split, nor is any if `whole`; a single row may cost more than the budget.

    Args:
        items: rows of each item; the rows of an item share a prompt.
        answers: completion tokens of each row.
        prompts: prompt tokens of each row.
        numbers: of each row, which prompt it has.
        budget: tokens of a forward pass.
        whole: no item is split.
    """  # fmt: skip
    by_prompt: dict[int, list[Sequence[int]]] = {}
    for item in items:
        by_prompt.setdefault(numbers[item[0]], []).append(item)
    found: list[Block] = []
    for same in by_prompt.values():
        prompt = max(prompts[row] for item in same for row in item)
        units: list[tuple[Sequence[int], int]] = []
        for item in same:
            cost = sum(answers[row] for row in item)
            split = prompt + cost > budget and not whole
            units += [([row], answers[row]) for row in item] if split else [(item, cost)]
        found += _filled(units, prompt, budget)
    return sorted(found, key=lambda block: (-block.cost, block.rows))


def _filled(units: Iterable[tuple[Sequence[int], int]], prompt: int, budget: int) -> list[Block]:
    """Units of one prompt, one after the other, into blocks."""
    found: list[Block] = []
    rows: list[int] = []
    cost = prompt
    for unit, tokens in units:
        if rows and cost + tokens > budget:
            found.append(Block(tuple(rows), cost))
            rows, cost = [], prompt
        rows.extend(unit)
        cost += tokens
    return [*found, Block(tuple(rows), cost)]


def deal(blocks: Sequence[Block], parts: int) -> list[list[Block]]:
    """Each block, costliest first, to the part that has the fewest tokens; parts may stay empty."""
    dealt: list[list[Block]] = [[] for _ in range(parts)]
    heap = [(0, part) for part in range(parts)]
    for block in blocks:
        load, part = heap[0]
        dealt[part].append(block)
        heapq.heapreplace(heap, (load + block.cost, part))
    return dealt


def fits(dealt: Iterable[Sequence[Block]], budget: int) -> bool:
    """Whether no part is above the budget, but for a block that is so by itself."""
    return all(len(part) < 2 or sum(block.cost for block in part) <= budget for part in dealt)


def parts_needed(steps: Sequence[Sequence[Block]], budget: int, processes: int) -> int:
    """The least number of parts, a multiple of the processes, for which every step fits."""
    return processes * max(_rounds(step, budget, processes) for step in steps)


def _rounds(step: Sequence[Block], budget: int, processes: int) -> int:
    """The least multiple for one step. What fits into some parts fits into more, so the number can be bisected."""
    alone = sum(block.cost >= budget for block in step)  # each fills a part, whatever it costs
    together = sum(block.cost for block in step if block.cost < budget)
    low = high = max(1, -(-(alone + -(-together // budget)) // processes))
    while not fits(deal(step, high * processes), budget):
        low, high = high + 1, 2 * high
    while low < high:
        middle = (low + high) // 2
        if fits(deal(step, middle * processes), budget):
            high = middle
        else:
            low = middle + 1
    return high
