"""`odr objectives`: every algorithm in the unified view, and what a run must provide for it."""

from rich.table import Table
from rich.text import Text

from tasks import objectives
from tasks.objectives import Objective


def objectives_table() -> Table:
    """One line per algorithm; dL/dlogprob of a token is -norm * gradient coefficient."""
    table = Table(
        "objective", "data source", "reward", "gradient coefficient", "norm", "rows", "reference", "trains", "columns",
        "paper",
    )  # fmt: skip
    table.caption = (
        "dLoss/dlogprob = -norm * coefficient. s: sigmoid, m: margin, u: log-ratio to the reference, K: its divergence "
        "from pi, rho: ratio to the sampling policy, A: advantage, V, G: value and return, r: score; n answers, B "
        "pairs, N tokens, |o| tokens of an answer. Columns: what stands beside the tokens, as far as the default "
        "hyperparameters need it; ref_kl needs the reference in memory while training, values a critic, dpo_* the "
        "policy and the reference of an earlier DPO run"
    )
    for name in objectives.available():
        cls = objectives.find(name)
        about = cls.about
        cells = (about.data, about.reward, about.coefficient, about.norm, cls.rows, cls.reference, _trained(cls),
                 ", ".join(cls.needs) or "none", about.paper)  # fmt: skip
        table.add_row(name, *(Text(cell) for cell in cells))
    return table


def _trained(cls: type[Objective]) -> str:
    if cls.trains != "policy":
        return cls.trains.replace("_", " ")
    return f"policy, critic by {cls.critic}" if cls.critic else "policy"
