"""Keys on paper: a page of HTML with QR codes. The only module that imports segno.

After: cli.key_export.
"""

from datetime import UTC, datetime
from html import escape
from typing import Final

import segno

from packstore.cli.keys import day, short
from packstore.codec.slots import KIND_WORDS
from packstore.format.document import SlotHeader
from packstore.format.export import chunks

_LINES_PER_CODE: Final = 12
"""Nearly 800 characters: dense enough to be few, and still read by a telephone from a page that was folded."""
_STYLE: Final = (
    "body{font-family:sans-serif;max-width:18cm;margin:1cm auto}"
    "pre{font-size:9pt;line-height:1.5}"
    "figure{display:inline-block;margin:3mm;text-align:center;break-inside:avoid}"
    "td,th{padding:1mm 4mm 1mm 0;text-align:left}"
)


def paper(repository: str, location: str, slots: list[SlotHeader], lines: list[str]) -> str:
    """Return a page with `lines` of an export, as text and as QR codes."""
    codes = list(chunks(lines, _LINES_PER_CODE))
    rows = "".join(
        f"<tr><td>{short(slot)}</td><td>{KIND_WORDS[slot.kind]}</td><td>{escape(slot.label)}</td>"
        f"<td>{day(slot.date_ms)}</td></tr>"
        for slot in slots
    )
    figures = "".join(
        f'<figure><img alt="QR code {number}" src="{_png(code)}">'
        f"<figcaption>{number} of {len(codes)}</figcaption></figure>"
        for number, code in enumerate(codes, 1)
    )
    made = datetime.now(UTC).date()
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Keys of packstore repository {repository[:8]}</title>
<style>{_STYLE}</style></head><body>
<h1>Keys of a packstore repository</h1>
<p>Repository {repository}, at {escape(location)}. Printed from an export of {made}.</p>
<p>This page opens nothing by itself: it takes a passphrase, key file or recovery key of one of these slots.
It is for when the files in <code>keys/</code> of the repository are lost. Scan the codes, or type the lines, into one
file in any order, and run <code>packstore -r REPOSITORY key import FILE</code>. Each line has check digits; O and 0,
I, L and 1, and capital and small letters are the same.</p>
<table><tr><th>Slot</th><th>Opened by</th><th>Label</th><th>Made</th></tr>{rows}</table>
<p>{figures}</p>
<pre>
{chr(10).join(lines)}
</pre>
</body></html>
"""


def _png(text: str) -> str:
    code = segno.make(text, error="m", micro=False)
    uri: str = code.png_data_uri(scale=3)
    return uri
