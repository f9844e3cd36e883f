"""`odr objectives`: every algorithm in the unified view, and what a run must provide for it."""

from rich.table import Table
from rich.text import Text

from tasks import objectives


def objectives_table() -> Table:
    """One line per algorithm; dL/dlogprob of a token is -norm * gradient coefficient."""
    table = Table("objective", "data source", "reward", "gradient coefficient", "norm", "rows", "reference", "paper")
    table.caption = (
        "dLoss/dlogprob = -norm * coefficient. s: sigmoid, m: margin, u: log-ratio to the reference, rho: ratio to the "
        "sampling policy, A: advantage; n answers, B pairs, N tokens, |o| tokens of an answer"
    )
    for name in objectives.available():
        cls = objectives.find(name)
        about = cls.about
        cells = (about.data, about.reward, about.coefficient, about.norm, cls.rows, cls.reference, about.paper)
        table.add_row(name, *(Text(cell) for cell in cells))
    return table
