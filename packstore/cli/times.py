"""Dates and durations as people write them: 30d, 2026-12-24, 2026-12-24T12:00."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from packstore.cli.versions import iso_date
from packstore.errors import UsageError

_DURATION: Final = re.compile(r"(\d{1,6})\s*([a-z]+)")
_UNITS: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}
_DURATION_ADVICE: Final = "write 90min, 12h, 30d, 2w or 1y"
_DATE_ADVICE: Final = "write 2026-12-24, 2026-12-24T12:00, or 30d for so long from now"


def parse_duration(text: str) -> timedelta:
    """Turn 90min, 12h, 30d, 2w or 1y into a duration; several may follow one another (1d12h).

    Raises:
        UsageError: it is none.
    """
    found = _parse_duration(text)
    if found is None:
        raise UsageError(f"not a duration: {text!r}", advice=_DURATION_ADVICE)
    return found


def _parse_duration(text: str) -> timedelta | None:
    text = text.strip().lower()
    parts = list(_DURATION.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text or any(part[2] not in _UNITS for part in parts):
        return None
    try:
        return sum((int(part[1]) * _UNITS[part[2]] for part in parts), timedelta())
    except OverflowError:
        return None


def parse_end(text: str, now: datetime) -> datetime:
    """Turn a date into its last second, a date with a time into that, and a duration into so long from now.

    A date without a zone is local.

    Raises:
        UsageError: it is neither.
    """
    return _parse(text, now, +1)


def parse_begin(text: str, now: datetime) -> datetime:
    """Turn a date into its first moment, a date with a time into that, and a duration into so long ago.

    Raises:
        UsageError: it is neither.
    """
    return _parse(text, now, -1)


def _parse(text: str, now: datetime, direction: int) -> datetime:
    duration = _parse_duration(text)
    try:
        if duration is not None:
            return now + direction * duration
        moment = datetime.fromisoformat(text)
        if direction > 0 and len(text) <= len("2026-12-24"):
            moment += timedelta(days=1, seconds=-1)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"not a date: {text!r}", advice=_DATE_ADVICE) from None


def parse_expiry(text: str, now: datetime) -> str | None:
    """Turn what `expire` takes into the value of its event: RFC 3339 in UTC, None for never.

    Raises:
        UsageError: it is neither a date, nor a duration, nor `never`.
    """
    if text.lower() == "never":
        return None
    return iso_date(parse_end(text, now))


def duration(length: timedelta) -> str:
    """Return a duration as people read it: 6 days, 2.5 h, 30 min."""
    hours = length / timedelta(hours=1)
    if abs(hours) >= 48:  # noqa: PLR2004
        return f"{hours / 24:.3g} days"
    return f"{hours:.3g} h" if abs(hours) >= 2 else f"{hours * 60:.0f} min"  # noqa: PLR2004
