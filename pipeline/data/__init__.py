"""Turn data sets into batches of images: download, read, prepare, augment."""
