"""Define the data sets, one file each; a declaration names a set by its file.

A data set has TITLE, CLASS_COUNT, IMAGE_SIZE, source(folder) -> Source, which is cheap and decodes no image, and
read(folder, train, test) -> Raw, where `train` counts images besides the 1,000 held out; see `pipeline.data.sources`. Where a
folder does not hold the set, source raises NotHere, and the next folder is asked.
COUNTS, where they are known before it is read, are the `train` and `test` of the whole set: the plan of a campaign uses them, and
more can't be declared. A set that is DRAWN has as many images as are asked for; its COUNTS are those where nothing is said.
"""
