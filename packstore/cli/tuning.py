"""Options that commands which move a lot of data have in common."""

import click

from packstore.codec.compression import DEFAULT_COMPRESSION

threads_option = click.option(
    "--threads", type=click.IntRange(1, 64), metavar="N", help="Worker threads; the number of processors by default."
)
compression_option = click.option(
    "--compression",
    default=DEFAULT_COMPRESSION,
    show_default=True,
    metavar="C",
    help="none, or zstd:LEVEL from 1 to 22.",
)
