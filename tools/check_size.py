"""Refuse files and functions too long to be read in one go.

    python tools/check_size.py        lists offenders, exits with 1 if there are any

Lines are counted as an editor counts them: comments, docstrings and blank lines too.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = {"packstore": 400, "tools": 400, "tests": 600}
FUNCTION_LIMIT_IN = ("packstore", "tools")
"""A test may tell a long story; the programs may not."""

WAIVERS: dict[str, str] = {}
"""Offender -> date and reason, as "packstore/a.py" or "packstore/a.py:function". Empty is the goal."""


def offenders(root: Path) -> Iterator[tuple[str, str]]:
    """Yield what is too long under `root`, as (name for WAIVERS, what is wrong with it)."""
    for folder, limit in MAX_FILE_LINES.items():
        for path in sorted((root / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            name = str(path.relative_to(root))
            lines = len(text.splitlines())
            if lines > limit:
                yield name, f"{lines} lines, at most {limit}"
            if folder in FUNCTION_LIMIT_IN:
                yield from _long_functions(name, text)


def _long_functions(name: str, text: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{name}:{node.name}", f"{lines} lines (line {node.lineno}), at most {MAX_FUNCTION_LINES}"


def main() -> int:
    """Print every offender without a waiver, and every waiver without an offender."""
    found = dict(offenders(Path(__file__).resolve().parent.parent))
    complaints = [f"{name}: {what}" for name, what in found.items() if name not in WAIVERS]
    complaints += [f"{name}: waived in tools/check_size.py, but no longer too long" for name in WAIVERS.keys() - found]
    print("\n".join(complaints or ["sizes: ok"]))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
