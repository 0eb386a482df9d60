"""On which line of a TOML file a key stands: what `tomllib` knows and does not tell. Pure.

`tomllib` also decides where a statement ends: at the first line with which it can be read by itself. So there is no
second reader of TOML here that might see the file with other eyes.
After: cli.config_table.
"""

import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

KeyPath = tuple[str, ...]
_LINE: Final = re.compile(r"\(at line (\d+),")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, on which each table and each key of a valid file begins."""
    found: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, statement in _statements(text):
        document = tomllib.loads(statement)
        if statement.startswith("["):
            (table,) = _paths(document)[-1:] or [()]
            paths = _paths(document)
        else:
            paths = [table + path for path in _paths(document)]
        for path in paths:
            found.setdefault(path, number)
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield headers of tables and keys with their values, each with its first line."""
    begun = 0
    lines = text.splitlines()
    for end in range(1, len(lines) + 1):
        statement = "\n".join(lines[begun:end]).strip()
        try:
            tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # goes on at the next line
        if statement and not statement.startswith("#"):
            yield begun + 1, statement
        begun = end


def _paths(value: Any) -> list[KeyPath]:  # noqa: ANN401  whatever TOML has
    """Return the paths of all keys in a value, the outer before the inner; those of tables in an array as one."""
    if isinstance(value, list):
        return [path for item in value for path in _paths(item)]
    if not isinstance(value, dict):
        return []
    return [path for key, inner in value.items() for path in [(key,), *((key, *below) for below in _paths(inner))]]


def line_of(lines: dict[KeyPath, int], path: KeyPath) -> int:
    """Return the line of a key; of one that is missing, the line of the table that should have it, else 1."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def syntax_line(text: str, error: Exception) -> int:
    """Return the line that an error of `tomllib` speaks of; the last one where that is the end of the file."""
    match = _LINE.search(str(error))
    return int(match[1]) if match else max(len(text.splitlines()), 1)
