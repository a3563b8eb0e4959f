"""Define CIFAR-100 (Krizhevsky 2009): 50,000 training and 10,000 test colour images of 32x32, 100 classes."""
# Tested in tests/pipeline/data/test_cifar.py

from pipeline.data.cifar import Cifar

CIFAR100 = Cifar(
    title="CIFAR-100",
    class_count=100,
    address="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    archive="cifar-100-python.tar.gz",
    archive_sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    folder="cifar-100-python",
    md5={
        "train": {"train": "16019d7e3df5f24257cddd939b257f8d"},
        "test": {"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    },
    label_key="fine_labels",
    per_class={"train": 500, "test": 100},
)
TITLE, CLASS_COUNT, IMAGE_SIZE = CIFAR100.title, CIFAR100.class_count, 32
source, read, COUNTS = CIFAR100.source, CIFAR100.read, CIFAR100.counts
