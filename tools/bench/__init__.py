"""packstore next to its peers on the same images, in one run: `make bench`.

__main__       the command line
data, debian   the images: a real Debian system on two days, random bytes, nothing
provide        gets the peers' programs
peer           what every program under test has to offer
peers/         one small file for each of them
places         in memory, or on a disk of which nothing is cached
rounds         what is measured, and in which order
results        what was measured, as JSON
targets        what packstore is meant to reach
report, plots  medians, ratios and notes as Markdown; pictures
parameters     a tool of its own: block sizes, zstd levels and pack sizes compared
many_versions  a tool of its own: how long commands take on 200 versions of one large volume
scale          200 TiB, 50 million objects, ten thousand versions: `make bench-scale`; its parts are in scale_*.py
version_list   makes a repository with thousands of versions of next to nothing
"""
