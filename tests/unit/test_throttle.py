"""A rate of bytes, by a clock of its own; and what goes through a storage and a source that have one."""

from packstore.progress import StopRequest
from packstore.sources.limited import limited_source
from packstore.storage.limited import limited_storage
from packstore.storage.memory import MemoryStorage
from packstore.throttle import TokenBucket
from tests.support.devices import BytesSource


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self, stop: StopRequest | None = None) -> None:
        self.now = 1000.0
        self.naps = 0
        self._stop = stop

    def read(self) -> float:
        """The time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let it pass; whoever has given a StopRequest asks to stop meanwhile."""
        self.now += seconds
        self.naps += 1
        if self._stop:
            self._stop.request()


def bucket(rate: float, clock: Clock, stop: StopRequest | None = None) -> TokenBucket:
    """A bucket with this clock."""
    return TokenBucket(rate, stop or StopRequest(), clock.read, clock.sleep)


def test_as_much_time_passes_as_the_bytes_need() -> None:
    """A limit would let more pass than it says, or the first piece for nothing."""
    clock = Clock()
    limited = bucket(100, clock)
    for count in (50, 250, 0, 700):
        limited.take(count)
    assert abs(clock.now - 1010) < 1e-6


def test_a_pause_saves_nothing_up() -> None:
    """After an idle hour an hour's worth of bytes would pass at once."""
    clock = Clock()
    limited = bucket(100, clock)
    limited.take(100)
    clock.now += 3600
    limited.take(200)
    assert abs(clock.now - 1000 - 1 - 3600 - 2) < 1e-6


def test_who_waits_is_woken_by_a_request_to_stop() -> None:
    """Ctrl-C would be answered when the bandwidth allows it: after a minute, or an hour."""
    stop = StopRequest()
    clock = Clock(stop)
    bucket(1, clock, stop).take(1_000_000)
    assert clock.naps == 1


def test_what_a_storage_takes_and_gives_is_paid_for() -> None:
    """Packs, or what is read of them, would pass a limit by."""
    incoming, outgoing = Clock(), Clock()
    storage = limited_storage(MemoryStorage(), bucket(10, incoming), bucket(10, outgoing))
    storage.put("gc/a", bytes(10))
    storage.hold("gc/b", bytes(20)).release()
    file = storage.create("packs/c")
    file.write(bytes(30), bytes(40))
    file.publish()
    assert abs(outgoing.now - 1010) < 1e-6
    assert incoming.now == 1000
    assert len(storage.read("packs/c", 5, 20)) == 20
    assert abs(incoming.now - 1002) < 1e-6


def test_without_a_limit_nothing_is_in_between() -> None:
    """Every backup would pay for limits that nobody has asked for."""
    storage, source = MemoryStorage(), BytesSource(b"")
    assert limited_storage(storage, None, None) is storage
    assert limited_source(source, None) is source


def test_what_is_read_of_a_source_is_paid_for() -> None:
    """The disk of a busy database would be read at full speed."""
    clock = Clock()
    source = limited_source(BytesSource(bytes(100)), bucket(10, clock))
    assert source.size == 100
    assert source.read_into(50, memoryview(bytearray(50))) == 50
    assert abs(clock.now - 1005) < 1e-6
