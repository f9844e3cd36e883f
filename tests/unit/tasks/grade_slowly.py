"""A process to kill: grades a table with the slow reward of `counted_reward`.

python grade_slowly.py ROOT WORKDIR ROLLOUTS PROMPTS    # the tables as the JSON of their refs
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from artifacts import Ref
from tasks.caching import Run
from tasks.grade import grade
from tasks.machine import Machine
from tasks.settings import Grading
from tasks.workspace import Workspace

root, workdir, *tables = sys.argv[1:]
run = Run(Workspace(Path(root)), Machine(grade_workers=0), "test", workdir=Path(workdir))
rollouts, prompts = (Ref.from_json(json.loads(table)) for table in tables)
grade.fn(rollouts, prompts, Grading(reward="counted_reward:rate"), 0, run)
