"""The report's pictures: SVG, small, the same bytes for the same figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

_COLOURS = ("#0072b2", "#e69f00", "#cc79a7", "#009e73", "#56b4e9", "#d55e00", "#999999")
"""Told apart by everybody, also by those who do not see all colours (Okabe and Ito)."""
_BAR = 0.22
"""Height of a bar, in inches."""


def bars(path: Path, title: str, groups: Sequence[str], series: Mapping[str, Sequence[float | None]]) -> None:
    """Write a plot: a group of horizontal bars for each of `groups`, one for each of `series`; None is no bar."""
    style = {
        "svg.fonttype": "none",  # text remains text: small, and can be searched
        "svg.hashsalt": "packstore",  # the same names inside the file every time
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with mpl.rc_context(style):
        height = len(groups) * (len(series) + 1) * _BAR + 1.0
        figure, axes = plt.subplots(figsize=(8, height), layout="constrained")
        most = max((value for values in series.values() for value in values if value is not None), default=1.0)
        for number, (name, values) in enumerate(series.items()):
            known = [(at, value) for at, value in enumerate(values) if value is not None]
            if not known:  # it keeps its colour, so that it has the same one in all pictures
                continue
            offset = (number - (len(series) - 1) / 2) / (len(series) + 1)
            axes.barh(
                [at + offset for at, _ in known],
                [value for _, value in known],
                height=1 / (len(series) + 1),
                color=_COLOURS[number % len(_COLOURS)],
                label=name,
            )
            for at, value in known:
                axes.text(value + most / 150, at + offset, f"{value:,.3g}", va="center", fontsize=7)
        axes.set_yticks(range(len(groups)), groups)
        axes.invert_yaxis()
        axes.set_title(title, loc="left")
        axes.legend(frameon=False, loc="lower right")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
