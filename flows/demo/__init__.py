"""A model that learns arithmetic from its own attempts on two CPU cores: its problems, tokenizer and weights."""

from flows.demo.build import DemoFiles, build, is_heldout, question_digest

__all__ = ["DemoFiles", "build", "is_heldout", "question_digest"]
