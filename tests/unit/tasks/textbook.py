"""Every loss and its gradient as the paper writes them: plain Python, one token at a time, no tensors, no autograd.

Each function returns the loss of the whole batch and d loss / d logprob of every token, which is -norm * GC of the
unified view; of a critic or a reward model it is d loss / d prediction. `KL_SLOPES` has d loss / d ref_kl of the losses
that read it. A new objective comes with its own entry in `TEXTBOOK`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tasks.objectives import Batch

Slopes = list[list[float]]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@dataclass
class Answer:
    """One sequence as lists of its real tokens."""

    logp: list[float]
    ref: list[float]
    old: list[float]
    advantage: list[float]
    kl: list[float]
    value: list[float]
    target: list[float]
    predicted: list[float]
    reward: float
    group: int

    def __len__(self) -> int:
        return len(self.logp)

    @property
    def u(self) -> float:
        return sum(self.logp) - sum(self.ref)


def answers(batch: Batch) -> list[Answer]:
    assert batch.ref_logprobs is not None
    assert batch.old_logprobs is not None
    assert batch.advantages is not None
    assert batch.rewards is not None
    assert batch.groups is not None
    assert batch.ref_kl is not None
    assert batch.values is not None
    assert batch.returns is not None
    assert batch.predicted is not None
    found = []
    for n in range(len(batch.mask)):
        tokens = [t for t in range(batch.mask.shape[1]) if batch.mask[n, t]]
        parts = (batch.logprobs.detach(), batch.ref_logprobs, batch.old_logprobs, batch.advantages,
                 batch.ref_kl.detach(), batch.values, batch.returns, batch.predicted.detach())  # fmt: skip
        rows = [[float(part[n, t]) for t in tokens] for part in parts]
        found.append(Answer(*rows, float(batch.rewards[n]), int(batch.groups[n])))  # type: ignore[arg-type]
    return found


# --- pairs: (loss, slope on a chosen token, slope on a rejected token), before the mean over pairs -------------------


def logistic(m: float, eps: float = 0.0) -> tuple[float, float]:
    """-(1 - eps) log s(m) - eps log s(-m), and its derivative."""
    return -(1 - eps) * math.log(sigmoid(m)) - eps * math.log(sigmoid(-m)), -(
        (1 - eps) * sigmoid(-m) - eps * sigmoid(m)
    )


def dpo(o: Any, w: Answer, r: Answer) -> tuple[float, float, float]:
    a, b = (len(w), len(r)) if o.length_averaged else (1, 1)
    loss, slope = logistic(o.beta * (w.u / a - r.u / b), o.label_smoothing)
    return loss, slope * o.beta / a, -slope * o.beta / b


def ipo(o: Any, w: Answer, r: Answer) -> tuple[float, float, float]:
    a, b = (len(w), len(r)) if o.length_averaged else (1, 1)
    miss = w.u / a - r.u / b - 1 / (2 * o.beta)
    return miss**2, 2 * miss / a, -2 * miss / b


def rdpo(o: Any, w: Answer, r: Answer) -> tuple[float, float, float]:
    m, e = o.beta * (w.u - r.u), o.eps
    loss = (-(1 - e) * math.log(sigmoid(m)) + e * math.log(sigmoid(-m))) / (1 - 2 * e)
    coefficient = o.beta * ((1 - e) * sigmoid(-m) + e * sigmoid(m)) / (1 - 2 * e)
    return loss, -coefficient, coefficient


def r_dpo(o: Any, w: Answer, r: Answer) -> tuple[float, float, float]:
    loss, slope = logistic(o.beta * (w.u - r.u) + o.alpha * (len(w) - len(r)))
    return loss, slope * o.beta, -slope * o.beta


def simpo(o: Any, w: Answer, r: Answer) -> tuple[float, float, float]:
    mean_w, mean_r = sum(w.logp) / len(w), sum(r.logp) / len(r)
    loss, slope = logistic(o.beta * (mean_w - mean_r - o.gamma_beta_ratio))
    return loss, slope * o.beta / len(w), -slope * o.beta / len(r)


def nca(o: Any, w: Answer, r: Answer) -> tuple[float, float, float]:
    a, b = o.beta * w.u, o.beta * r.u
    loss = -math.log(sigmoid(a)) - 0.5 * math.log(sigmoid(-a)) - 0.5 * math.log(sigmoid(-b))
    return loss, -o.beta * (sigmoid(-a) - sigmoid(a) / 2), o.beta * sigmoid(b) / 2


def sppo(o: Any, w: Answer, r: Answer) -> tuple[float, float, float]:
    target = 1 / (2 * o.beta)
    return (w.u - target) ** 2 + (r.u + target) ** 2, 2 * (w.u - target), 2 * (r.u + target)


def slic(o: Any, w: Answer, r: Answer) -> tuple[float, float, float]:
    short = o.delta - o.beta * (w.u - r.u)
    return max(0.0, short), -o.beta * (short > 0), o.beta * (short > 0)


def tdpo1(o: Any, w: Answer, r: Answer) -> tuple[float, float, float]:
    loss, slope = logistic(o.beta * (w.u - r.u) - o.beta * (sum(r.kl) - sum(w.kl)))
    return loss, slope * o.beta, -slope * o.beta


def tdpo2(o: Any, w: Answer, r: Answer) -> tuple[float, float, float]:
    loss, slope = logistic(o.beta * (w.u - r.u) - o.beta * o.alpha * (sum(r.kl) - sum(w.kl)))
    return loss, slope * o.beta, -slope * o.beta


def tdpo1_kl(o: Any, w: Answer, r: Answer) -> tuple[float, float, float]:
    return tdpo1(o, w, r)


def tdpo2_kl(o: Any, w: Answer, r: Answer) -> tuple[float, float, float]:
    loss, _, rejected = tdpo2(o, w, r)
    return loss, 0.0, o.alpha * rejected


def over_pairs(of_pair: Callable[..., tuple[float, float, float]]) -> Callable[[Batch, Any], tuple[float, Slopes]]:
    def whole(batch: Batch, objective: Any) -> tuple[float, Slopes]:
        rows = answers(batch)
        pairs = [of_pair(objective, rows[i], rows[i + 1]) for i in range(0, len(rows), 2)]
        sides = [slope for _, chosen, rejected in pairs for slope in (chosen, rejected)]
        slopes = [[side / len(pairs)] * len(row) for side, row in zip(sides, rows, strict=True)]
        return sum(loss for loss, _, _ in pairs) / len(pairs), slopes

    return whole


def dpo_nll(batch: Batch, o: Any) -> tuple[float, Slopes]:
    loss, slopes = over_pairs(lambda _, w, r: rdpo(_Plain(o.beta), w, r))(batch, o)
    rows, pairs = answers(batch), len(batch.mask) // 2
    chosen_tokens = sum(len(row) for row in rows[0::2])
    for i in range(0, len(rows), 2):
        weight = 1 / (pairs * len(rows[i])) if o.nll == "sequence" else 1 / chosen_tokens
        loss -= o.alpha * weight * sum(rows[i].logp)
        slopes[i] = [slope - o.alpha * weight for slope in slopes[i]]
    return loss, slopes


@dataclass
class _Plain:
    beta: float
    eps: float = 0.0


# --- answers and groups ----------------------------------------------------------------------------------------------


def clipped(ratio: float, advantage: float, low: float, high: float) -> tuple[float, float]:
    """-min(rho A, clip(rho) A), and its slope by rho."""
    if advantage >= 0:
        return -min(ratio, 1 + high) * advantage, -advantage if ratio < 1 + high else 0.0
    return -max(ratio, 1 - low) * advantage, -advantage if ratio > 1 - low else 0.0


def weight_of_a_token(o: Any, norm: str, row: Answer, rows: list[Answer]) -> float:
    """1/N (token), 1/(n|o|) (sequence), 1/(n C) (constant)."""
    if norm == "token":
        return 1 / sum(map(len, rows))
    return 1 / (len(rows) * (len(row) if norm == "sequence" else o.max_tokens))


def per_token(of_token: Callable[..., tuple[float, float]], norm: str) -> Callable[[Batch, Any], tuple[float, Slopes]]:
    def whole(batch: Batch, o: Any) -> tuple[float, Slopes]:
        rows, loss, slopes = answers(batch), 0.0, []
        for row in rows:
            weight = weight_of_a_token(o, getattr(o, "reduction", norm), row, rows)
            found = [of_token(o, *each) for each in zip(row.logp, row.ref, row.old, row.advantage, strict=True)]
            loss += weight * sum(value for value, _ in found)
            slopes.append([weight * slope for _, slope in found])
        return loss, slopes

    return whole


def likelihood(o: Any, logp: float, ref: float, old: float, advantage: float) -> tuple[float, float]:
    return -logp, -1.0


def weighted(o: Any, logp: float, ref: float, old: float, advantage: float) -> tuple[float, float]:
    return -advantage * logp, -advantage


def surrogate(o: Any, logp: float, ref: float, old: float, advantage: float) -> tuple[float, float]:
    ratio = math.exp(logp - old)
    low, high = (o.clip_eps, o.clip_eps) if hasattr(o, "clip_eps") else (o.clip_low, o.clip_high)
    loss, slope = clipped(ratio, advantage, low, high)
    beta = getattr(o, "beta_kl", 0.0)
    return loss + beta * (math.exp(ref - logp) - (ref - logp) - 1), slope * ratio - beta * (math.exp(ref - logp) - 1)


def mirror(o: Any, logp: float, ref: float, old: float, advantage: float) -> tuple[float, float]:
    ratio = math.exp(logp - old)
    return -ratio * advantage + (ratio * math.log(ratio) - ratio + 1) / o.t_k, -(
        ratio * advantage - ratio * math.log(ratio) / o.t_k
    )


def per_sequence(averaged: bool) -> Callable[[Batch, Any], tuple[float, Slopes]]:
    """One ratio per answer: of the whole (RLOO), or its geometric mean over tokens (GSPO)."""

    def whole(batch: Batch, o: Any) -> tuple[float, Slopes]:
        rows, loss, slopes = answers(batch), 0.0, []
        low, high = (o.clip_low, o.clip_high) if averaged else (o.clip_eps, o.clip_eps)
        for row in rows:
            length = len(row) if averaged else 1
            ratio = math.exp((sum(row.logp) - sum(row.old)) / length)
            value, slope = clipped(ratio, row.advantage[0], low, high)
            loss += value / len(rows)
            slopes.append([slope * ratio / length / len(rows)] * len(row))
        return loss, slopes

    return whole


# --- critics and reward models: slopes by the prediction -----------------------------------------------------------


def critic(norm: str) -> Callable[[Batch, Any], tuple[float, Slopes]]:
    def whole(batch: Batch, o: Any) -> tuple[float, Slopes]:
        rows, loss, slopes = answers(batch), 0.0, []
        for row in rows:
            weight, found = weight_of_a_token(o, norm, row, rows), []
            for v, before, target in zip(row.predicted, row.value, row.target, strict=True):
                held = min(max(v, before - o.value_clip), before + o.value_clip)
                outside = held != v
                worse = (held - target) ** 2 > (v - target) ** 2
                loss += weight * 0.5 * max((v - target) ** 2, (held - target) ** 2)
                found.append(0.0 if outside and worse else weight * (v - target))
            slopes.append(found)
        return loss, slopes

    return whole


def reward_model(batch: Batch, o: Any) -> tuple[float, Slopes]:
    rows = answers(batch)
    pairs, loss, slopes = len(rows) // 2, 0.0, [[0.0] * len(row) for row in rows]
    for i in range(0, len(rows), 2):
        good, bad = rows[i].predicted[-1], rows[i + 1].predicted[-1]
        value, slope = logistic(good - bad)
        loss += (value + o.center * (good + bad) ** 2) / pairs
        slopes[i][-1] = (slope + 2 * o.center * (good + bad)) / pairs
        slopes[i + 1][-1] = (-slope + 2 * o.center * (good + bad)) / pairs
    return loss, slopes


def brain(batch: Batch, o: Any) -> tuple[float, Slopes]:
    rows = answers(batch)
    groups = sorted({row.group for row in rows})
    loss, slopes = 0.0, [[0.0]] * len(rows)
    for group in groups:
        members = [i for i, row in enumerate(rows) if row.group == group]
        posterior = [math.exp(sum(rows[i].ref) - sum(rows[i].old) + rows[i].reward / o.beta) for i in members]
        policy = [math.exp(sum(rows[i].logp) - sum(rows[i].old)) for i in members]
        for i, p, b in zip(members, posterior, policy, strict=True):
            alpha, share = p / sum(posterior), b / sum(policy)
            loss += alpha * math.log(alpha / share) / len(groups)
            slopes[i] = [-(alpha - share) / len(groups)] * len(rows[i])
    return loss, slopes


TEXTBOOK: dict[str, Callable[[Batch, Any], tuple[float, Slopes]]] = {
    "brain": brain,
    "dapo_clip": per_token(surrogate, "token"),
    "dpo": over_pairs(dpo),
    "dpo_nll": dpo_nll,
    "dr_grpo": per_token(surrogate, "constant"),
    "grpo": per_token(surrogate, "sequence"),
    "grpo_process": per_token(surrogate, "sequence"),
    "gspo": per_sequence(averaged=True),
    "ipo": over_pairs(ipo),
    "mdpo_on": per_token(mirror, "token"),
    "nca": over_pairs(nca),
    "online_rft": per_token(weighted, "sequence"),
    "ppo": per_token(surrogate, "token"),
    "ppo_critic": critic("token"),
    "r_dpo": over_pairs(r_dpo),
    "raft": per_token(likelihood, "token"),
    "raft_pp": per_token(surrogate, "token"),
    "rdpo": over_pairs(rdpo),
    "reinforce_pp": per_token(surrogate, "token"),
    "reward_model": reward_model,
    "rft": per_token(weighted, "sequence"),
    "rloo": per_sequence(averaged=False),
    "rto": per_token(surrogate, "sequence"),
    "rto_critic": critic("sequence"),
    "sft": per_token(likelihood, "token"),
    "simpo": over_pairs(simpo),
    "slic": over_pairs(slic),
    "sppo": over_pairs(sppo),
    "tdpo1": over_pairs(tdpo1),
    "tdpo2": over_pairs(tdpo2),
}

KL_SLOPES: dict[str, Callable[[Batch, Any], tuple[float, Slopes]]] = {
    "tdpo1": over_pairs(tdpo1_kl),
    "tdpo2": over_pairs(tdpo2_kl),
}

HYPERPARAMETERS: dict[str, list[dict[str, Any]]] = {
    "brain": [{"beta": 0.5}, {"beta": 2.0}],
    "dapo_clip": [{}, {"clip_low": 0.1, "clip_high": 0.4}],
    "dpo": [{}, {"beta": 0.7, "label_smoothing": 0.2}, {"length_averaged": True, "beta": 2.0}],
    "dpo_nll": [{}, {"beta": 0.3, "alpha": 0.5, "nll": "token"}],
    "dr_grpo": [{"max_tokens": 6}, {"max_tokens": 100, "clip_eps": 0.1}],
    "grpo": [{}, {"clip_eps": 0.1, "beta_kl": 0.0}, {"beta_kl": 1.0}],
    "grpo_process": [{}, {"clip_eps": 0.1, "beta_kl": 0.0}],
    "gspo": [{}, {"clip_low": 0.1, "clip_high": 0.2}],
    "ipo": [{}, {"beta": 0.5, "length_averaged": True}],
    "mdpo_on": [{}, {"t_k": 0.3}],
    "nca": [{}, {"beta": 0.05}],
    "online_rft": [{}],
    "ppo": [{}, {"clip_eps": 0.1}],
    "ppo_critic": [{}, {"value_clip": 0.5}],
    "r_dpo": [{}, {"beta": 0.5, "alpha": 0.2}],
    "raft": [{}],
    "raft_pp": [{}, {"clip_eps": 0.05}],
    "rdpo": [{}, {"beta": 0.5, "eps": 0.3}],
    "reinforce_pp": [{}, {"kl_coef": 0.0, "clip_eps": 0.1}],
    "reward_model": [{}, {"center": 0.3}],
    "rft": [{}],
    "rloo": [{}, {"kl_coef": 0.0, "clip_eps": 0.5}],
    "rto": [{}, {"clip_eps": 0.1}],
    "rto_critic": [{}, {"value_clip": 0.5}],
    "sft": [{}, {"reduction": "sequence"}],
    "simpo": [{}, {"beta": 5.0, "gamma_beta_ratio": 0.2}],
    "slic": [{}, {"beta": 0.5, "delta": 0.2}],
    "sppo": [{}, {"beta": 0.5}],
    "tdpo1": [{}, {"beta": 2.0}],
    "tdpo2": [{}, {"beta": 2.0, "alpha": 1.5}],
}
"""What each is tested with: its defaults, and others that bring out every term."""
