"""What all batches of a reader share: names, keys and groups, worked out once."""

from __future__ import annotations

import pickle
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recd_format.errors import RecdInputError
from recd_format.loader.columns import BatchSchema
from recd_format.loader.layout import JAGGED
from recd_format.loader.preparation import Role
from recd_format.torch._keys import Keys
from recd_format.torch.fixed import FixedColumns

__all__ = ["BatchForm", "JaggedForm"]


class JaggedForm(NamedTuple):
    """Features of one jagged role: their keys, and the batch's number of each of their groups."""

    keys: Keys
    groups: NDArray[np.int64]


class BatchForm:
    """What all batches of a reader share.

    Parameters
    ----------
    schema
        Features and groups.
    output : {"ikjt", "kjt", "torchrec"}
        What jagged features come as.
    """

    def __init__(self, schema: BatchSchema, output: str = "ikjt") -> None:
        self.schema = schema
        self.output = output
        self.jagged = {role: _jagged_form(schema, role) for role in JAGGED if schema.of_role(role)}
        self.dense = FixedColumns.of(schema, Role.DENSE)
        self.labels = FixedColumns.of(schema, Role.LABEL)
        self.weights = FixedColumns.of(schema, Role.WEIGHT)
        if len(self.weights.names) > 1:
            raise RecdInputError(
                f"columns {', '.join(map(repr, self.weights.names))} are all weights: batches have "
                "one; choose it with columns="
            )

    @cached_property
    def _pickled(self) -> bytes:
        return pickle.dumps((self.schema, self.output), pickle.HIGHEST_PROTOCOL)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_form, (self._pickled,))


@lru_cache(maxsize=32)
def _form(pickled: bytes) -> BatchForm:
    # Every batch from a worker brings its form: the same bytes give the same object.
    return BatchForm(*pickle.loads(pickled))


def _jagged_form(schema: BatchSchema, role: Role) -> JaggedForm:
    features = [schema.features[number] for number in schema.of_role(role)]
    members: dict[int, list[str]] = {}
    for feature in features:
        members.setdefault(feature.group, []).append(feature.name)
    keys = Keys.of(
        [feature.name for feature in features],
        list(members.values()),
        [feature.name for feature in features if feature.windowed],
    )
    return JaggedForm(keys, np.array(list(members), np.int64))
