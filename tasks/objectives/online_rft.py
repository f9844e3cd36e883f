"""Online RFT: rejection-sampling fine-tuning with answers of the current policy.

Shao et al. 2024 (DeepSeekMath), arXiv:2402.03300, appendix A.1.3, equation 11:

    L  = - (1 / n) sum_i I(o_i) (1 / |o_i|) sum_t log pi(o_it | q_i, o_i<t),   o_i ~ pi, I = 1[right]
    GC = I(o_i)

The paper takes one optimizer step per sampled batch: set `train.batch_size` to the prompts of an iteration. With more
steps the answers grow stale, and `raft_pp` has the ratio for it. Shapes: N sequences, T tokens.
"""

from dataclasses import dataclass

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._likelihood import weighted_likelihood


@dataclass(frozen=True, kw_only=True)
class OnlineRft(Objective):
    """Likelihood of the current policy's right answers, averaged over all its answers."""

    rows = "groups"
    needs = ("advantages",)
    advantage = "right"
    about = About("all of K from pi", "rule", "I(o)", "1/(n|o|)", "2402.03300 eq. 11")

    def loss(self, batch: Batch) -> Loss:
        """Return the loss over the answers of the step."""
        return weighted_likelihood(self, batch)
