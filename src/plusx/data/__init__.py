"""Data: CIFAR-10 fetched and verified, the embedded sample, and augmentation of whole batches.

>>> import plusx.data
>>> plusx.data.load("sample").train_images.shape
(800, 32, 32, 3)
"""

from plusx.data.augment import Augmentation, Draws, cutout, mirror, reflect_crop, shrink
from plusx.data.cache import Info, cache_folder, cifar10, fetch, info, verify
from plusx.data.dataset import Dataset
from plusx.data.decoding import sizes_of
from plusx.data.embedded import sample
from plusx.data.feed import Feed, MemoryFeed, Minibatch
from plusx.data.layouts import Batch
from plusx.data.loading import load
from plusx.data.own_pictures import load_folder
from plusx.data.picture import decode_picture, read_picture, square
from plusx.data.records import BATCHES, CLASSES
from plusx.data.shards import ShardFeed, load_shards, pack
from plusx.data.statistics import channel_statistics

__all__ = [
    "BATCHES",
    "CLASSES",
    "Augmentation",
    "Batch",
    "Dataset",
    "Draws",
    "Feed",
    "Info",
    "MemoryFeed",
    "Minibatch",
    "ShardFeed",
    "cache_folder",
    "channel_statistics",
    "cifar10",
    "cutout",
    "decode_picture",
    "fetch",
    "info",
    "load",
    "load_folder",
    "load_shards",
    "mirror",
    "pack",
    "read_picture",
    "reflect_crop",
    "sample",
    "shrink",
    "sizes_of",
    "square",
    "verify",
]
