"""The README.md of a checkpoint: what it is and how it came to be."""

import json
from typing import Any


def model_card(campaign: str, label: str, lineage: dict[str, Any]) -> str:
    """Markdown with the front matter that the hub reads; the licence is inherited from the base model."""
    objective = lineage["objective"]
    return f"""---
library_name: transformers
pipeline_tag: text-generation
tags: [math, preference-optimization, {objective["name"]}]
---

# {campaign} · {label}

Trained with the objective `{objective["name"]}` for {lineage["steps"]} optimizer steps
on the model's own graded answers. The licence of the base model applies.

```json
{json.dumps(lineage, indent=2, sort_keys=True)}
```
"""
