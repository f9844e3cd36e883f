"""Which GPUs a child sees: each exactly once, and only those that this process was given."""

import pytest
import torch

from tasks.devices import engine_environments, gpus, train_processes
from tasks.machine import Machine


@pytest.fixture(autouse=True)
def no_outer_choice(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def present(monkeypatch):
    """Pretend that the machine has so many GPUs."""

    def pretend(count):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    pretend(0)
    return pretend


def visible(machine):
    return [environment.get("CUDA_VISIBLE_DEVICES") for environment in engine_environments(machine)]


def test_auto_takes_all_gpus_one_engine_each(present):
    present(3)

    assert gpus(Machine()) == [0, 1, 2]
    assert visible(Machine()) == ["0", "1", "2"]


def test_a_list_takes_those_in_that_order(present):
    present(8)

    assert visible(Machine(devices=(5, 2))) == ["5", "2"]
    assert train_processes(Machine(devices=(5, 2))) == 2


@pytest.mark.parametrize(("size", "expected"), [(1, 4), (2, 2), (4, 1)])
def test_tensor_parallel_engines_share_no_gpu(present, size, expected):
    present(4)

    groups = [group.split(",") for group in visible(Machine(tensor_parallel=size))]

    assert len(groups) == expected
    assert sorted(index for group in groups for index in group) == ["0", "1", "2", "3"]
    assert all(len(group) == size for group in groups)


def test_gpus_that_cannot_be_split_evenly_are_refused(present):
    present(3)

    with pytest.raises(ValueError, match=r"3 GPUs cannot be split into engines of machine\.tensor_parallel=2"):
        engine_environments(Machine(tensor_parallel=2))


def test_more_gpus_per_engine_than_there_are_is_refused(present):
    present(2)

    with pytest.raises(ValueError, match="2 GPUs cannot be split"):
        engine_environments(Machine(tensor_parallel=4))


@pytest.mark.parametrize("count", [0, 2])
def test_a_gpu_that_is_not_there_is_named(present, count):
    present(count)

    with pytest.raises(ValueError, match=rf"machine\.devices names GPU 2, but this machine has {count}"):
        gpus(Machine(devices=(2,)))


@pytest.mark.parametrize("devices", [(-1,), (0, 0)], ids=["negative", "twice"])
def test_a_device_list_that_makes_no_sense_is_refused(present, devices):
    present(4)

    with pytest.raises(ValueError, match="devices"):
        engine_environments(Machine(devices=devices))


def test_a_machine_without_gpus_runs_engines_on_the_cpu(present):
    machine = Machine(cpu_engines=3, threads=2)

    assert engine_environments(machine) == [{"OMP_NUM_THREADS": "2"}] * 3
    assert train_processes(machine) == 1


def test_every_engine_gets_its_share_of_threads(present):
    present(2)

    assert {e["OMP_NUM_THREADS"] for e in engine_environments(Machine(threads=4))} == {"4"}


def test_training_processes_can_be_set(present):
    present(8)

    assert train_processes(Machine()) == 8
    assert train_processes(Machine(train_processes=2)) == 2


@pytest.mark.parametrize("outer", ["2,3", "GPU-aa,GPU-bb"])
def test_gpus_are_counted_among_those_this_process_may_use(present, monkeypatch, outer):
    """On a shared machine the scheduler hands out GPUs by this variable; index 0 is its first entry."""
    present(2)  # what torch reports under CUDA_VISIBLE_DEVICES=2,3
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", outer)

    assert visible(Machine()) == outer.split(",")
    assert visible(Machine(devices=(1,))) == outer.split(",")[1:]
