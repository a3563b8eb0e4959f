"""Define CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test colour images of 32x32, ten classes."""
# Tested in tests/pipeline/data/test_cifar.py

from pipeline.data.cifar import Cifar

CIFAR10 = Cifar(
    title="CIFAR-10",
    class_count=10,
    address="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    archive="cifar-10-python.tar.gz",
    archive_sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    folder="cifar-10-batches-py",
    md5={
        "train": {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        "test": {"test_batch": "40351d587109b95175f43aff81a1287e"},
    },
    label_key="labels",
    per_class={"train": 5000, "test": 1000},
)
TITLE, CLASS_COUNT, IMAGE_SIZE = CIFAR10.title, CIFAR10.class_count, 32
source, read, COUNTS = CIFAR10.source, CIFAR10.read, CIFAR10.counts
