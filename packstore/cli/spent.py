"""What `-v` and `--json` say of where the time went."""

import time
from typing import Any

from packstore.codec.stages import WAITING, Stages

_REST = "Python and the rest"


def spent_document(stages: Stages) -> dict[str, Any]:
    """Return the keys for `--json`: processor seconds by stage and in all, and seconds waited, summed over threads."""
    return {
        "stages": _rounded(stages.seconds()),
        "waits": _rounded(stages.waits()),
        "cpu_total": round(time.process_time(), 3),
    }


def spent_lines(stages: Stages) -> list[str]:
    """Return the lines for `-v`."""
    used, total = stages.seconds(), time.process_time()
    used[_REST] = max(total - sum(used.values()), 0.0)
    ranked = sorted(used.items(), key=lambda item: -item[1])
    shares = ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in ranked if seconds / total >= 0.005)  # noqa: PLR2004
    lines = [f"  processor time {total:.1f} s: {shares}"]
    waits: dict[str, float] = {}
    for stage, seconds in stages.waits().items():
        waits[WAITING[stage]] = waits.get(WAITING[stage], 0.0) + seconds
    if waits:
        waited = ", ".join(f"for {what} {seconds:.1f} s" for what, seconds in waits.items())
        lines.append(f"  threads waited {waited}")
    return lines


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {name: round(each, 3) for name, each in sorted(seconds.items())}
