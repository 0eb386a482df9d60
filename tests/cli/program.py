"""Runs the real command line in a process of its own, and looks at what it leaves behind."""

import hashlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMEOUT = 60
WITHOUT_PRIVILEGES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"] if os.geteuid() == 0 else []
"""Before a command: root without capabilities, so that permissions count for it as for anybody."""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        """What was printed, as text."""
        return self.raw.decode()

    @property
    def json(self) -> dict[str, Any]:
        """The one document on stdout."""
        document: dict[str, Any] = json.loads(self.raw)
        assert document["schema"] == 1
        return document

    def expect(self, code: int) -> "Done":
        """Require an exit code, and what holds for every command: no traceback."""
        assert self.code == code, f"exit code {self.code}, not {code}\n{self.raw[:2000]!r}\n{self.err}"
        assert "Traceback" not in self.err
        return self

    def refused(self, code: int, *words: str) -> "Done":
        """Require a refusal in one or two lines that say all of `words`, and nothing on stdout."""
        self.expect(code)
        lines = self.err.splitlines()
        assert 1 <= len(lines) <= 2, self.err
        assert all(line.startswith("packstore: ") for line in lines), self.err
        assert not self.raw
        for word in words:
            assert word in self.err, self.err
        return self


@dataclass
class Program:
    """The command line with a home, an index and a repository of its own."""

    home: Path
    repo: Path
    key: Path
    env: dict[str, str] = field(default_factory=dict)

    def environment(self, **more: str) -> dict[str, str]:
        """All the variables a command sees."""
        base = {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.home),
            "PACKSTORE_INDEX_DIR": str(self.home / "index"),
        }
        return base | self.env | more

    def command(self, *args: str | Path) -> list[str]:
        """The command line that opens this repository by its key file."""
        return [*self.bare(*args), "-r", str(self.repo), "--key-file", str(self.key)]

    @staticmethod
    def bare(*args: str | Path) -> list[str]:
        """The command line as given."""
        return [sys.executable, "-m", "packstore", *map(str, args)]

    def __call__(self, *args: str | Path, **options: Any) -> Done:
        """Run a command on this repository."""
        return self.run(self.command(*args), **options)

    def plain(self, *args: str | Path, **options: Any) -> Done:
        """Run a command without naming the repository or the key."""
        return self.run(self.bare(*args), **options)

    def run(
        self,
        command: list[str],
        *,
        data: bytes | None = None,
        env: dict[str, str] | None = None,
        before: list[str] | None = None,
    ) -> Done:
        """Run a command; `data` is its standard input, `before` stands in front of it."""
        done = subprocess.run(
            [*(before or []), *command],
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            env=self.environment(**(env or {})),
            cwd=self.home,
            timeout=TIMEOUT,
            start_new_session=True,  # no terminal to ask on
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr.decode())

    def json(self, *args: str | Path, **options: Any) -> dict[str, Any]:
        """Run a command that must succeed; return its document."""
        return self("--json", *args, **options).expect(0).json

    @contextmanager
    def running(self, *args: str | Path, **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
        """Start a command; it does not outlive the block."""
        process = subprocess.Popen(
            self.command(*args),
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "env": self.environment(),
                "cwd": self.home,
                "start_new_session": True,
            }
            | options,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def only(self, pattern: str) -> Path:
        """The only file of the repository that matches."""
        (found,) = self.repo.glob(pattern)
        return found


class Terminal:
    """A command with a terminal of its own, typed into and read from."""

    def __init__(self, command: list[str], env: dict[str, str], cwd: Path) -> None:
        self._master, slave = pty.openpty()
        # A session's first process gets the terminal that it opens as its own.
        script = 'tty=$1; shift; exec "$@" <"$tty" >"$tty" 2>&1'
        self.process = subprocess.Popen(
            ["sh", "-c", script, "sh", os.ttyname(slave), *command],
            env=env | {"TERM": "xterm", "COLUMNS": "100", "LINES": "24"},
            cwd=cwd,
            start_new_session=True,
        )
        self._slave = slave
        self.shown = ""

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._master, text.encode())

    def wait_for(self, text: str, *, times: int = 1) -> None:
        """Read until `text` was shown so many times."""
        wait_until(lambda: self._read() and self.shown.count(text) >= times, lambda: f"{text!r} in {self.shown!r}")

    def _read(self) -> bool:
        while select.select([self._master], [], [], 0.02)[0]:
            self.shown += os.read(self._master, 65536).decode(errors="replace")
        return True

    def end(self) -> int:
        """Wait for the end; return the exit code."""
        wait_until(lambda: self._read() and self.process.poll() is not None, lambda: f"the end of {self.shown!r}")
        self._read()
        return self.process.wait()

    def close(self) -> None:
        """End the command if it still runs, and take the terminal away."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._slave)
        os.close(self._master)


def wait_until(happened: Callable[[], object], what: Callable[[], str]) -> None:
    """Look until it has happened."""
    deadline = time.monotonic() + TIMEOUT
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain for {what()}"
        time.sleep(0.005)


def tree_of(root: Path) -> dict[str, str]:
    """Every name below `root`, with its mode and content: what must not change when a command refuses."""
    if not root.exists():
        return {}
    found = {}
    for path in [root, *sorted(root.rglob("*"))]:
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else ""
        found[str(path.relative_to(root))] = f"{status.st_mode:o} {content}"
    return found
