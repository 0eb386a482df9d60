"""packstore next to its peers on one image, in one run: `make bench`.

__main__   the command line
rounds     what is measured, and in which order
report     medians, ratios and notes as Markdown
peer       what every program under test has to offer
peers/     one small file for each of them
many_versions  a tool of its own: how long commands take on 200 versions of one large volume
"""
