"""Freed blocks leave the process: measured on a child of its own, since the tests' own heap is anyone's."""

import subprocess
import sys

import pytest

from tasks.workers import hostmemory

SCRIPT = """
import ctypes, re, sys
from tasks.workers import hostmemory

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) >> 10

c = ctypes.CDLL(None)
c.malloc.restype = ctypes.c_void_p
blocks = [c.malloc(ctypes.c_size_t(100_000)) for _ in range(int(sys.argv[1]))]
for block in blocks:
    ctypes.memset(block, 1, 100_000)
for block in blocks[:-1]:  # the last one holds the heap's end
    c.free(ctypes.c_void_p(block))
before = resident()
hostmemory.trim()
print(before - resident())
"""


@pytest.mark.parametrize(("blocks", "least", "most"), [(1000, 80, 100), (300, -5, 5)], ids=["much", "little"])
def test_freed_blocks_go_back_to_the_system_if_they_are_many(blocks, least, most):
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(blocks)], capture_output=True, text=True, check=True)

    assert least < int(done.stdout) < most  # MiB, of 95 and of 29


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(hostmemory, "_glibc", lambda: None)

    hostmemory.trim()
