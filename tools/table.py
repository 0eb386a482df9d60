"""Tables that are readable in a terminal and are Markdown too."""

from collections.abc import Sequence

from tools.measure import MIB


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows under a header: the first column to the left, all others to the right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(row, widths) for row in (header, rule, *rows))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    aligned = [
        cells[0].ljust(widths[0]),
        *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)),
    ]
    return f"| {' | '.join(aligned)} |"


def mib(count: float) -> str:
    """Return bytes as MiB, with a decimal where the number is small."""
    value = count / MIB
    return f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:.2f}"  # noqa: PLR2004 (no limit, just looks)


def rate(count: float, seconds: float) -> str:
    """Return bytes in so many seconds as MiB/s."""
    return f"{count / MIB / max(seconds, 0.001):,.0f}"
