"""Grade a file: JSONL or Parquet of any shape in, the same rows with verdicts out. What `odr grade` runs.

    >>> from eval_math.files import Task, grade_file          # doctest: +SKIP
    >>> grade_file(Task(Path("answers.jsonl"), "response", "gold", out=Path("grades.parquet"))).summary

Rows are streamed both ways and keep their order, so the file may be larger than memory; the output appears
under its name only when it is complete. pyarrow and rich are imported where they are used, not before.
"""

from eval_math.files.messages import BadInput
from eval_math.files.run import Report, Task, grade_file

__all__ = ["BadInput", "Report", "Task", "grade_file"]
