"""One holder per key, in threads and processes, and none left behind by a process that was killed."""

import asyncio
import copy
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tasks import locking
from tasks.locking import FlockLockManager

HOLDER = Path(__file__).with_name("lock_holder.py")


@pytest.fixture(autouse=True)
def fast_polling(monkeypatch):
    monkeypatch.setattr(locking, "POLL_SECONDS", 0.01)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `key`."""
    process = subprocess.Popen([sys.executable, str(HOLDER), str(tmp_path), "key"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_lock_has_one_holder_until_it_is_released(tmp_path):
    manager = FlockLockManager(tmp_path / "locks")

    assert manager.acquire_lock("key", "a")
    assert manager.is_lock_holder("key", "a")
    assert not manager.is_lock_holder("key", "b")
    assert not manager.acquire_lock("key", "b", acquire_timeout=0.05)
    manager.release_lock("key", "a")
    assert not manager.is_locked("key")
    assert manager.acquire_lock("key", "b", acquire_timeout=0.05)
    manager.release_lock("key", "b")


def test_a_holder_may_ask_again(tmp_path):
    manager = FlockLockManager(tmp_path)
    manager.acquire_lock("key", "a")

    assert manager.acquire_lock("key", "a", acquire_timeout=0.05)
    manager.release_lock("key", "a")
    assert not manager.is_locked("key")


def test_keys_do_not_disturb_each_other(tmp_path):
    manager = FlockLockManager(tmp_path)
    manager.acquire_lock("one", "a")

    assert manager.acquire_lock("two", "b", acquire_timeout=0.05)
    assert not manager.is_locked("three")


@pytest.mark.parametrize("holder_name", ["b", "nobody"])
def test_only_the_holder_may_release(tmp_path, holder_name):
    manager = FlockLockManager(tmp_path)
    manager.acquire_lock("key", "a")

    with pytest.raises(ValueError, match=f"{holder_name} does not hold the lock of key"):
        manager.release_lock("key", holder_name)
    assert manager.is_lock_holder("key", "a")


def test_two_managers_in_one_process_exclude_each_other(tmp_path):
    first, second = FlockLockManager(tmp_path), FlockLockManager(tmp_path)
    first.acquire_lock("key", "a")

    assert second.is_locked("key")
    assert not second.acquire_lock("key", "b", acquire_timeout=0.05)
    first.release_lock("key", "a")
    assert second.acquire_lock("key", "b", acquire_timeout=0.05)


def test_a_copied_policy_keeps_the_lock_it_holds(tmp_path):
    manager = FlockLockManager(tmp_path)
    manager.acquire_lock("key", "a")

    assert copy.deepcopy(manager).is_lock_holder("key", "a")


def test_threads_take_turns(tmp_path):
    inside, most, turns = 0, 0, 0

    def work(number):
        nonlocal inside, most, turns
        manager = FlockLockManager(tmp_path)  # as each stage call makes its own
        manager.acquire_lock("key", f"thread {number}")
        inside += 1
        most = max(most, inside)
        time.sleep(0.01)
        inside -= 1
        turns += 1
        manager.release_lock("key", f"thread {number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (turns, most) == (8, 1)


def test_another_process_is_waited_for_and_named(tmp_path, holder, caplog):
    caplog.set_level("INFO", logger="tasks.locking")
    manager = FlockLockManager(tmp_path)
    assert manager.is_locked("key")
    assert not manager.acquire_lock("key", "here", acquire_timeout=0.1)

    waiting = [record.getMessage() for record in caplog.records]

    assert waiting == [f"key is being computed by another run (process {holder.pid}); waiting for it"]


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path, holder):
    manager = FlockLockManager(tmp_path)
    assert not manager.acquire_lock("key", "here", acquire_timeout=0.05)

    holder.kill()
    started = time.monotonic()

    assert manager.acquire_lock("key", "here", acquire_timeout=5)
    assert time.monotonic() - started < 2


def test_waiting_ends_when_the_lock_is_free(tmp_path, holder):
    manager = FlockLockManager(tmp_path)
    assert not manager.wait_for_lock("key", timeout=0.05)
    threading.Timer(0.1, holder.kill).start()

    assert manager.wait_for_lock("key", timeout=5)
    assert manager.wait_for_lock("never locked", timeout=0)


def test_looking_at_a_lock_does_not_take_it(tmp_path):
    first, second = FlockLockManager(tmp_path), FlockLockManager(tmp_path)
    first.acquire_lock("key", "a")
    first.release_lock("key", "a")

    assert not second.is_locked("key")
    assert first.acquire_lock("key", "a", acquire_timeout=0)


def test_the_asynchronous_forms_do_the_same(tmp_path):
    async def use():
        first, second = FlockLockManager(tmp_path), FlockLockManager(tmp_path)
        assert await first.aacquire_lock("key", "a")
        assert not await second.aacquire_lock("key", "b", acquire_timeout=0.05)
        assert not await second.await_for_lock("key", timeout=0.05)
        first.release_lock("key", "a")
        assert await second.await_for_lock("key", timeout=1)

    asyncio.run(use())


def test_a_lock_is_not_inherited_by_children(tmp_path):
    manager = FlockLockManager(tmp_path)
    manager.acquire_lock("key", "a")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], close_fds=False)
    try:
        manager.release_lock("key", "a")

        assert FlockLockManager(tmp_path).acquire_lock("key", "b", acquire_timeout=0.05)
    finally:
        child.kill()
        child.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["key.lock"]
