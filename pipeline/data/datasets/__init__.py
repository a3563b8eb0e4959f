"""Data sets, one file each, found by its name.

A data set has TITLE, CLASS_COUNT, IMAGE_SIZE, source(folder) -> Source, cheap and without decoding an image, and
read(folder, train, test) -> Raw, where `train` counts images besides the 1,000 held out; see `pipeline.data.sources`.
COUNTS, where they are known before it is read: how many images `train` and `test` can be; a plan is made with them.
"""
