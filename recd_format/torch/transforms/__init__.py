"""Preprocessing on unique rows: what a reader takes as `transforms=`.

One operation a file; the class name is its name in configurations. Elementwise operations work on
each stored value once, timelines included, whatever the number of rows that refer to it.

Importing this package does not import torch.
"""

from recd_format.torch.transforms.bucketize import Bucketize
from recd_format.torch.transforms.clip import Clip
from recd_format.torch.transforms.cross_hash import CrossHash
from recd_format.torch.transforms.fill import Fill
from recd_format.torch.transforms.first_n import FirstN
from recd_format.torch.transforms.hash_buckets import HashBuckets
from recd_format.torch.transforms.last_n import LastN
from recd_format.torch.transforms.log1p import Log1p
from recd_format.torch.transforms.modulo import Modulo
from recd_format.torch.transforms.normalize import Normalize
from recd_format.torch.transforms.subtract import Subtract
from recd_format.torch.transforms.transforms import Transforms
from recd_format.torch.transforms.vocabulary import Vocabulary

__all__ = [
    "Bucketize",
    "Clip",
    "CrossHash",
    "Fill",
    "FirstN",
    "HashBuckets",
    "LastN",
    "Log1p",
    "Modulo",
    "Normalize",
    "Subtract",
    "Transforms",
    "Vocabulary",
]
