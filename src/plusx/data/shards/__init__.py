"""Shards: pictures in tar files, as WebDataset lays them out, for more pictures than fit into memory.

A shard is a tar file of samples, and a sample is the files that share the part of their name before the first
dot: `000017.jpg` (any format that Pillow reads) with `000017.cls`, the number of its class as text. Beside
the shards may lie `classes.txt`, the classes' names, a line each, and `index.json`, how many samples each
shard has; `plusx data pack` writes all of it.

The library webdataset reads a shard as a stream. Its order comes from a buffer, its split among processes
from which shard goes to whom: neither can be entered in the middle, or says beforehand which minibatch a
picture is in. A run that resumes exactly needs both. So webdataset's notation is used (braces, how names make
samples, writing), while reading goes by an index of where each file lies in its tar file: an epoch's order is
then drawn beforehand, and any picture of it can be read without those before it.
"""

from plusx.data.shards.dataset import load_shards
from plusx.data.shards.feed import ShardFeed
from plusx.data.shards.files import is_shards, list_shards
from plusx.data.shards.pack import Packed, notation, pack

__all__ = ["Packed", "ShardFeed", "is_shards", "list_shards", "load_shards", "notation", "pack"]
