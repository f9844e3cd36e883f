"""BRAIn: match the policy to the reward-conditioned posterior, by self-normalised importance sampling.

Pandey et al. 2024, arXiv:2402.02479, the self-normalised baseline estimator (authors' code):

    alpha_i = softmax_i(log p(o_i) - log q(o_i) + R_i / beta)          p the prior = reference, q the sampler
    b_i     = softmax_i(log pi(o_i) - log q(o_i))
    L       = (1 / prompts) sum_prompts KL(alpha || b),   alpha without gradient
    GC      = alpha_i - b_i

A listwise DPO: with q = p, two answers and alpha = (1, 0) it is DPO with beta 1. Weights of whole sequences collapse
onto one answer when answers are long: watch `ess` (effective sample size, answers) and raise beta. Shapes: N sequences,
T tokens, Q prompts.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.objectives import About, Batch, Loss, Objective


@dataclass(frozen=True, kw_only=True)
class Brain(Objective):
    """KL from the posterior over a prompt's answers to the policy."""

    rows = "groups"
    needs = ("old_logprobs", "ref_logprobs", "rewards")
    reference = "initial"
    advantage = "reward"
    whole_groups = True
    about = About("n from q = pi", "rule", "alpha - b", "1/prompts", "2402.02479")

    beta: float = 0.5
    """Temperature of the reward; smaller sharpens the posterior. Ours: the paper's value was not at hand."""

    def __post_init__(self) -> None:
        self.expect(self.beta > 0, "beta > 0")

    def loss(self, batch: Batch) -> Loss:
        """Return the KL per prompt of the step.

        Raises:
            ValueError: the batch does not say which answers are to the same prompt.
        """
        if batch.groups is None:
            raise ValueError("brain needs groups in the batch")
        policy_N, prior_N, proposal_N = (
            (part * batch.mask).sum(-1)
            for part in (batch.logprobs, self.column(batch, "ref_logprobs"), self.column(batch, "old_logprobs"))
        )
        log_alpha_N = _log_softmax(prior_N - proposal_N + self.column(batch, "rewards") / self.beta, batch.groups)
        log_b_N = _log_softmax(policy_N - proposal_N, batch.groups)
        alpha_N = log_alpha_N.exp()
        value = (alpha_N * (log_alpha_N - log_b_N) * batch.weights).sum() / batch.num_items
        squares_Q = alpha_N.new_zeros(int(batch.groups.max()) + 1).index_add(0, batch.groups, alpha_N**2)
        metrics = {"ess": 1 / squares_Q, "alpha/max": alpha_N, "logps/sequence": policy_N}
        return Loss(value, {name: tensor.detach() for name, tensor in metrics.items()})


def _log_softmax(score_N: Tensor, group_N: Tensor) -> Tensor:
    """[N] log of the softmax within each group."""
    same_NN = group_N[:, None] == group_N[None, :]
    return score_N - torch.where(same_NN, score_N[None, :], -torch.inf).logsumexp(-1)
