"""RFT: rejection-sampling fine-tuning, on the right answers of one fixed policy.

Shao et al. 2024 (DeepSeekMath), arXiv:2402.03300, appendix A.1.2, equation 8:

    L  = - (1 / n) sum_i I(o_i) (1 / |o_i|) sum_t log pi(o_it | q_i, o_i<t),   o_i ~ pi_sft, I = 1[right]
    GC = I(o_i)

The mean is over all n answers, as the paper has it; the form on accepted answers alone (the learning rate not
multiplied by the acceptance rate) is `raft` with `pair.accepted_per_prompt=null`. The sampler is pi_sft in the first
iteration only: more iterations make this Online RFT. `pair.distinct` drops repeated texts, without which easy prompts
dominate. Shapes: N sequences, T tokens.
"""

from dataclasses import dataclass

from tasks.objectives import About, Batch, Loss, Objective
from tasks.objectives._likelihood import weighted_likelihood


@dataclass(frozen=True, kw_only=True)
class Rft(Objective):
    """Likelihood of right answers, averaged over all answers."""

    rows = "groups"
    needs = ("advantages",)
    advantage = "right"
    about = About("all of K from pi_sft, fixed", "rule", "I(o)", "1/(n|o|)", "2402.03300 eq. 8")

    def loss(self, batch: Batch) -> Loss:
        """Return the loss over the answers of the step."""
        return weighted_likelihood(self, batch)
