import numpy as np

from plusx.data import BATCHES, CLASSES
from plusx.data.records import decode, digest, encode, of_split


def test_encode_is_the_official_layout_byte_by_byte(fake):
    for name, content in fake.contents.items():
        assert encode(fake.images[name], fake.labels[name]) == content


def test_decode_undoes_encode(fake):
    images, labels = decode(fake.contents["test_batch"])
    np.testing.assert_array_equal(images, fake.images["test_batch"])
    np.testing.assert_array_equal(labels, fake.labels["test_batch"])
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert images.flags.c_contiguous


def test_digest_is_sha256():
    # The example of FIPS 180-4 for the message "abc".
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_splits_share_out_the_batches():
    train, test = of_split(BATCHES, "train"), of_split(BATCHES, "test")
    assert (len(train), list(test)) == (5, ["test_batch"])
    assert {**train, **test} == BATCHES
    assert len(CLASSES) == len(set(CLASSES)) == 10
