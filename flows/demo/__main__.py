"""Write the demo's untrained model and its tokenizer: python -m flows.demo FOLDER SEED."""

import sys
from pathlib import Path

from flows.demo.model import build_model
from flows.demo.tokenizer import build_tokenizer

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
tokenizer = build_tokenizer()
build_model(tokenizer, seed).save_pretrained(folder)
tokenizer.save_pretrained(folder)
