import hashlib

import numpy as np

from pipeline.data.datasets import shapes

GOLDEN = (1, "990e8abd1fadc0f7")


def test_an_image_depends_on_seed_and_index_alone():
    few, many = shapes.draw(30, seed=3), shapes.draw(300, seed=3)
    assert all(np.array_equal(a, b[:30]) for a, b in zip(few, many))
    assert not np.array_equal(few[0], shapes.draw(30, seed=4)[0])


def test_the_drawing_is_the_one_that_the_version_names():
    """Another digest is another data set: raise shapes.VERSION with it."""
    drawn = hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in shapes.draw(100, seed=0))).hexdigest()
    assert (shapes.VERSION, drawn[:16]) == GOLDEN


def test_masks_cover_the_object_and_labels_are_balanced():
    images, labels, masks = shapes.draw(200, seed=0)
    assert images.shape == (200, 32, 32, 3) and images.dtype == np.uint8 and masks.dtype == bool
    assert np.array_equal(np.bincount(labels), [20] * 10)
    area = masks.mean((1, 2))
    assert 0.08 < area.min() and area.max() < 0.35
    inside, outside = ((images.mean(-1) * m).sum((1, 2)) / m.sum((1, 2)) for m in (masks, ~masks))
    assert (abs(inside - outside) > 25).all(), "the object must be visible"
