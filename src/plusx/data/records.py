"""The official binary layout of CIFAR-10: what a batch is made of, and how to know that it is the real one.

A batch is a row of records, and a record is 1 label byte followed by 1 024 red, 1 024 green and 1 024 blue
bytes, each plane a 32×32 picture in row-major order (https://www.cs.toronto.edu/~kriz/cifar.html).
"""

import hashlib
from collections.abc import Mapping
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]  # (N, 32, 32, 3)
Labels = NDArray[np.int64]  # (N,)
Split = Literal["train", "test"]
T = TypeVar("T")

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
RECORD = 1 + 3 * SIDE * SIDE

# SHA-256 of each batch in this layout: whatever brought the data, these numbers decide.
BATCHES: Mapping[str, str] = {
    "data_batch_1": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}


def of_split(batches: Mapping[str, T], split: Split) -> dict[str, T]:
    """Return the part of a table of batches (by name) that belongs to the split.

    >>> list(of_split(BATCHES, "test"))
    ['test_batch']
    """
    return {name: batch for name, batch in batches.items() if name.startswith("test") == (split == "test")}


def digest(batch: bytes) -> str:
    """Return the SHA-256 of a batch, to compare with `BATCHES`."""
    return hashlib.sha256(batch).hexdigest()


def encode(images: Images, labels: NDArray[np.integer]) -> bytes:
    """Write pictures (N, 32, 32, 3) and labels (N,) as one batch of the official binary layout.

    >>> red = np.zeros((1, 32, 32, 3), np.uint8)
    >>> red[..., 0] = 255
    >>> batch = encode(red, np.array([9]))
    >>> len(batch), batch[0], batch[1], batch[1024], batch[1025]
    (3073, 9, 255, 255, 0)
    """
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.concatenate([labels.astype(np.uint8)[:, None], planes], axis=1).tobytes()


def decode(batch: bytes) -> tuple[Images, Labels]:
    """Read a batch of the official binary layout: the inverse of `encode`.

    >>> images, labels = decode(bytes([3]) + bytes(3072))
    >>> images.shape, labels
    ((1, 32, 32, 3), array([3]))
    """
    records = np.frombuffer(batch, np.uint8).reshape(-1, RECORD)
    planes = records[:, 1:].reshape(-1, 3, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].astype(np.int64)
