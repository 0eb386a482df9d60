"""Tables of the configuration file, read strictly: each mistake is noted with its line, and none hides the next. Pure.

Before: cli.config_lines. After: cli.config_sections.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, NamedTuple, TypeVar

from packstore.cli.config_lines import KeyPath
from packstore.cli.options import size_of
from packstore.cli.times import parse_duration
from packstore.errors import UsageError

Value = TypeVar("Value")
NOTHING: Final = timedelta()


class Mistake(NamedTuple):
    """What is wrong at a key."""

    path: KeyPath
    what: str

    @property
    def where(self) -> str:
        """The key as a person writes it."""
        return ".".join(self.path)


@dataclass(frozen=True)
class Table:
    """One table of the file. What is wrong is noted in `mistakes`, and the default returned instead."""

    path: KeyPath
    values: Mapping[str, Any]
    mistakes: list[Mistake] = field(default_factory=list)

    def fault(self, key: str, what: str) -> None:
        """Note what is wrong with a key."""
        self.mistakes.append(Mistake((*self.path, key), what))

    def name_fault(self, what: str) -> None:
        """Note what is wrong with the name of this table."""
        self.mistakes.append(Mistake(self.path, what))

    def only(self, *keys: str) -> None:
        """Refuse other keys than these."""
        for key in self.values:
            if key not in keys:
                self.fault(key, f"is not known; known here: {', '.join(keys)}")

    def table(self, key: str) -> "Table":
        """Return a table below this one; an empty one if it is not there."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            self.fault(key, "must be a table")
            value = {}
        return Table((*self.path, key), value, self.mistakes)

    def tables(self) -> dict[str, "Table"]:
        """Return the tables in this one, by name; what is none is noted and left out."""
        found = {key: self.table(key) for key in self.values}
        return {key: table for key, table in found.items() if isinstance(self.values[key], dict)}

    def _value(self, key: str, default: Value, read: Callable[[Any], Value | None], what: str) -> Value:
        if key not in self.values:
            return default
        found = read(self.values[key])
        if found is None:
            self.fault(key, what)
            return default
        return found

    def duration(self, key: str, default: timedelta | None) -> timedelta:
        """Return a duration; without a default it must be there, and be longer than nothing."""
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            self.fault(key, 'must be a duration, as "1d" or "12h"')
            return NOTHING
        try:
            found = parse_duration(value)
        except UsageError as error:
            self.fault(key, f"is {error.message}; {error.advice}")
            return NOTHING
        if default is None and not found:
            self.fault(key, "must be longer than nothing")
        return found

    def number(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """Return a whole number within bounds; without a default it must be there."""
        what = f"must be a number from {low} to {high}"
        if default is None and key not in self.values:
            self.fault(key, what)
        return self._value(
            key, default or 0, lambda value: value if type(value) is int and low <= value <= high else None, what
        )

    def percent(self, key: str, default: float) -> float:
        """Return a percentage from 0 to 100."""

        def read(value: object) -> float | None:
            return float(value) if type(value) in {int, float} and 0 <= value <= 100 else None  # type: ignore[operator,arg-type]  # noqa: PLR2004

        return self._value(key, default, read, "must be a number from 0 to 100, in percent")

    def size(self, key: str) -> int | None:
        """Return a size in bytes."""
        if key not in self.values:
            return None
        return self._value(
            key,
            0,
            lambda value: size_of(value) if isinstance(value, str) else None,
            'must be a size, as "10GiB" or "512MiB"',
        )

    def flag(self, key: str) -> bool:
        """Return true or false; false if it is not there."""
        # Wrapped, because None stands for a mistake and false does not.
        return self._value(
            key, [False], lambda value: [value] if isinstance(value, bool) else None, "must be true or false"
        )[0]

    def text(self, key: str, default: str) -> str:
        """Return a string."""
        return self._value(key, default, lambda value: value if isinstance(value, str) else None, "must be a string")

    def texts(self, key: str, default: Sequence[str], example: str) -> tuple[str, ...]:
        """Return a list of strings, none of them empty."""

        def read(value: object) -> Sequence[str] | None:
            good = isinstance(value, list) and value and all(isinstance(text, str) and text for text in value)
            return value if good else None  # type: ignore[return-value]

        return tuple(self._value(key, default, read, f"must be a list of strings, as {example}"))
