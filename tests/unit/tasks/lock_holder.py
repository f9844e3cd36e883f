"""Run as a child: takes a lock, says so, and holds it until it is ended. `lock_holder.py FOLDER KEY`."""

import sys
import time
from pathlib import Path

from tasks.locking import FlockLockManager

if __name__ == "__main__":
    FlockLockManager(Path(sys.argv[1])).acquire_lock(sys.argv[2], "child")
    print("locked", flush=True)
    time.sleep(60)
