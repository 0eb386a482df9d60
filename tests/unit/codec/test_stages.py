"""CPU time by stage: packstore.codec.stages."""

import threading
import time

import pytest

from packstore.codec.stages import READ, STORE, Stages


def burn(seconds: float) -> None:
    """Use CPU time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_adds_up_over_threads() -> None:
    """The share of each stage in a backup would be reported wrongly."""
    stages = Stages()

    def work() -> None:
        with stages.time("hash"):
            burn(0.02)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stages.seconds()["hash"] >= 0.06


def fail(stages: Stages) -> None:
    """Use CPU time in a stage that ends in an exception."""
    with stages.time("fail"):
        burn(0.02)
        raise KeyError


def test_waiting_is_not_work_and_failures_count() -> None:
    """A stage that sleeps would look busy, and one that fails would look free."""
    stages = Stages()
    with stages.time("wait"):
        time.sleep(0.05)
    with pytest.raises(KeyError):
        fail(stages)
    assert stages.seconds()["wait"] < 0.03
    assert stages.waits() == {}, "only input and output are waited for"
    assert stages.seconds()["fail"] >= 0.02


def test_waiting_for_input_is_told_apart() -> None:
    """Nobody would see that a slow disk, and not the processor, is what a backup takes its time for."""
    stages = Stages()
    with stages.time(READ):
        time.sleep(0.05)
    assert stages.waits()[READ] >= 0.04


def test_a_stage_inside_another_counts_once() -> None:
    """The shares would add up to more than there is."""
    stages = Stages()
    with stages.time(STORE):
        burn(0.01)
        with stages.time("compress"):
            burn(0.05)
            with pytest.raises(KeyError):
                fail(stages)
        burn(0.01)
    seconds = stages.seconds()
    assert 0.02 <= seconds[STORE] < 0.05
    assert 0.05 <= seconds["compress"] < 0.07
    assert 0.02 <= seconds["fail"] < 0.04
