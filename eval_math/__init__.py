r"""Mathematical answers: extraction, equivalence, rewards, benchmarks and metrics; knows nothing of the rest.

    >>> from eval_math import Policy, grade
    >>> grade(r"So it is \boxed{\frac{2}{4}}.", "0.5", Policy.reward()).correct
    True

A verdict is right, wrong or unknown (None): an unreadable answer is wrong, an unreadable gold or a failed
grader is unknown, counted, and never trained on. Text of a model is never executed.
"""

from eval_math.extraction.extract import Extraction, extract
from eval_math.grade import grade
from eval_math.judging.gold import Gold, compile_gold
from eval_math.policy import Policy
from eval_math.verdict import Grade, Reason
from eval_math.workers.pool import grade_many

__all__ = ["Extraction", "Gold", "Grade", "Policy", "Reason", "compile_gold", "extract", "grade", "grade_many"]
