"""Runs the real command line as processes, kills them when told to, and knows which ends are to be expected."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tools.soak.story import Story

HANGS_AFTER: Final = 300.0
"""Seconds. No command of a soak has so much to do, on whatever machine: it hangs, and is made to say where."""
DONE: Final = {0: "done"}
_SHOWN: Final = 3000
_HURRY: Final = """
import time
begin, real = {begin}, time.time_ns
time.time_ns = lambda: begin + 500 * (real() - begin)
"""
"""Read by every Python at its start: a clock on which a second is more than eight minutes.

A collector leaves alone what is younger than the writers that are at work, and an hour more, since it might be theirs
and would be copied for nothing. Without this, no soak of less than an hour would collect anything while others write.
"""
_ENDS: Final[dict[int, dict[int, str]]] = {
    signal.SIGKILL: {-signal.SIGKILL: "killed"},
    # Before the interpreter has come as far as to handle it, SIGTERM ends any process.
    signal.SIGTERM: {130: "stopped as asked", -signal.SIGTERM: "stopped before it could listen"},
}


@dataclass(frozen=True)
class Kill:
    """A signal to send so many seconds after the start, if the command runs for so long."""

    number: int
    after: float


@dataclass(frozen=True)
class Ended:
    """A command that has ended; `code` is negative if a signal ended it."""

    words: tuple[str, ...]
    code: int
    out: bytes
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document that it has printed."""
        loaded: dict[str, Any] = json.loads(self.out)
        return loaded

    @property
    def was_killed(self) -> bool:
        """Whether a signal ended it, or asked it to end."""
        return self.code < 0 or self.code == 130  # noqa: PLR2004  the exit code of `Interrupted`


@dataclass
class Commands:
    """Starts commands on one repository; `hosts` are homes with an index each, as different machines have."""

    directory: Path
    encrypted: bool
    story: Story
    _typical: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def repository(self) -> Path:
        """Where the repository lies."""
        return self.directory / "repository"

    def home(self, host: str) -> Path:
        """Return the home of a host; made if need be."""
        home = self.directory / f"host-{host}"
        home.mkdir(exist_ok=True)
        return home

    def hurry(self) -> None:
        """Make the clock of all commands run fast from now on."""
        self._site.mkdir()
        (self._site / "sitecustomize.py").write_text(_HURRY.format(begin=time.time_ns()))

    @property
    def _site(self) -> Path:
        return self.directory / "site"

    def run(
        self,
        who: str,
        host: str,
        words: tuple[str, ...],
        *,
        expected: Mapping[int, str] = DONE,
        kill: Kill | None = None,
    ) -> Ended:
        """Run a command to its end; one that is not in `expected` ends the soak.

        Raises:
            SoakFailureError: it ended with another code, with a traceback, or not at all.
        """
        begin = self.story.seconds()
        ended, sent = self._process(host, words, kill)
        seconds = self.story.seconds() - begin
        allowed = {**expected, **(_ENDS[kill.number] if kill and sent else {})}
        meaning = allowed.get(ended.code, "unexpected")
        told = f" {signal.Signals(kill.number).name} after {kill.after:.3f} s;" if kill and sent else ""
        text = f"packstore {' '.join(words)}:{told} exit code {ended.code} ({meaning}) after {seconds:.3f} s"
        self.story.tell(who, text + _indented(ended.err))
        self.story.count(commands=1)
        if ended.code not in allowed or "Traceback" in ended.err:
            raise self.story.failure(
                who, f"{text}{_indented(ended.err)}\n{ended.out[:_SHOWN].decode(errors='replace')}"
            )
        if not ended.was_killed:
            with self._lock:
                before = self._typical.get(words[0], seconds)
                self._typical[words[0]] = (3 * before + seconds) / 4
        return ended

    def draw_kill(self, rng: random.Random, command: str, probability: float, *numbers: int) -> Kill | None:
        """Draw whether a command is killed, by which signal and when: somewhere in the time that it takes here."""
        chosen, number, share = rng.random(), rng.choice(numbers), rng.random()
        with self._lock:
            typical = self._typical.get(command, 1.0)
        return Kill(number, 0.05 + 1.1 * share * typical) if chosen < probability else None

    def _process(self, host: str, words: tuple[str, ...], kill: Kill | None) -> tuple[Ended, bool]:
        # Files rather than pipes: nobody has to read along, so no command is held up by us.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = subprocess.Popen(
                self._command(words),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self._environment(host),
                cwd=self.home(host),
                start_new_session=True,
            )
            sent = _wait(process, kill)
            out.seek(0)
            err.seek(0)
            return Ended(words, process.returncode, out.read(), err.read().decode(errors="replace")), sent

    def _command(self, words: tuple[str, ...]) -> list[str]:
        key = ["--key-file", str(self.directory / "key")] if self.encrypted else []
        return [sys.executable, "-m", "packstore", "-r", str(self.repository), "--json", "-q", *key, *words]

    def _environment(self, host: str) -> dict[str, str]:
        home = self.home(host)
        return {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "HOME": str(home),
            "PACKSTORE_INDEX_DIR": str(home / "index"),
            "PYTHONFAULTHANDLER": "1",
            # Run from a working tree or from what is installed: the packstore that this program belongs to.
            "PYTHONPATH": os.pathsep.join((str(self._site), str(Path(__file__).resolve().parents[2]))),
        }


def _wait(process: "subprocess.Popen[bytes]", kill: Kill | None) -> bool:
    """Wait for the end; say whether the signal was sent."""
    sent = False
    try:
        if kill:
            try:
                process.wait(kill.after)
            except subprocess.TimeoutExpired:
                process.send_signal(kill.number)
                sent = True
        process.wait(HANGS_AFTER)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # Python shows then where each thread stands
        process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    return sent


def _indented(text: str) -> str:
    return "".join(f"\n{'':20}| {line}" for line in text[-_SHOWN:].splitlines())
