"""What is known of a process."""

import os
import subprocess
import sys

import pytest

from packstore.repository.runtime import is_gone, process_start


def test_a_process_is_gone_when_it_is_over() -> None:
    """A writer that has died would count as alive, or a new process with its number be taken for it."""
    with subprocess.Popen(["sleep", "60"]) as process:
        start = process_start(process.pid)
        assert start is not None
        assert not is_gone(process.pid, start)
        assert is_gone(process.pid, start + 1)
        process.kill()
        process.wait()
        assert is_gone(process.pid, start)
    assert is_gone(2**40, 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_process_that_is_hidden_is_not_gone() -> None:
    """Where /proc shows nobody else's processes, packstore's own among them, a live writer would be taken for dead."""
    code = (
        "import os, sys; from packstore.repository.runtime import is_gone, process_start\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "assert process_start(int(sys.argv[1])) is None\n"
        "sys.exit(is_gone(int(sys.argv[1]), 1))"
    )
    script = 'mount -t proc -o hidepid=2 proc /proc && "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", code, str(os.getpid())]
    subprocess.run(command, check=True)
