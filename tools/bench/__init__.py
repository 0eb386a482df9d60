"""packstore next to its peers on one image, in one run: `make bench`.

__main__   the command line
rounds     what is measured, and in which order
report     medians, ratios and notes as Markdown
peer       what every program under test has to offer
peers/     one small file for each of them
scale      200 TiB, 50 million objects, ten thousand versions: `make bench-scale`; its parts are in scale_*.py
many_versions  a tool of its own: how long commands take on 200 versions of one large volume
"""
