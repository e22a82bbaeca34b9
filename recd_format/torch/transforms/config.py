"""Transforms as plain JSON, by the names of the operations; nothing is imported by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recd_format.errors import RecdInputError
from recd_format.torch.transforms.base import Operation, RowOperation, UniqueOperation
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
from recd_format.torch.transforms.vocabulary import Vocabulary

__all__ = ["OPERATIONS", "VERSION", "from_config", "to_config"]

VERSION = 1
"""Of configurations, and of what the operations do: it goes into fingerprints."""

OPERATIONS: dict[str, type[Operation]] = {
    made.__name__: made
    for made in (
        Bucketize,
        Clip,
        CrossHash,
        Fill,
        FirstN,
        HashBuckets,
        LastN,
        Log1p,
        Modulo,
        Normalize,
        Subtract,
        Vocabulary,
    )
}

Unique = dict[str | tuple[str, ...], Sequence[UniqueOperation]]
_KEYS = {"version", "unique", "rows", "aligned"}


def to_config(
    unique: Mapping[str | tuple[str, ...], Sequence[UniqueOperation]],
    rows: Sequence[RowOperation],
    aligned: Sequence[Sequence[str]],
) -> dict[str, Any]:
    """Return what `from_config` takes: lists, dicts, strings and numbers."""
    return {
        "version": VERSION,
        "unique": [
            {
                "features": names if isinstance(names, str) else list(names),
                "operations": [_described(operation) for operation in chain],
            }
            for names, chain in unique.items()
        ],
        "rows": [_described(operation) for operation in rows],
        "aligned": [list(names) for names in aligned],
    }


def from_config(
    config: Mapping[str, Any],
) -> tuple[Unique, list[Any], list[Any]]:
    """Return `unique`, `rows` and `aligned` of a configuration.

    Raises
    ------
    RecdInputError
        It is not of this version, or something in it is not known.
    """
    if not isinstance(config, Mapping):
        raise RecdInputError(f"config of transforms: expected a dict, found {config!r}")
    if config.get("version") != VERSION:
        raise RecdInputError(
            f"config of transforms: expected version {VERSION}, found {config.get('version')!r}"
        )
    unknown = sorted(set(config) - _KEYS)
    if unknown:
        raise RecdInputError(
            f"config of transforms: {unknown[0]!r} is not known; there are {sorted(_KEYS)}"
        )
    unique: Unique = {}
    for entry in _list(config, "unique"):
        if not isinstance(entry, Mapping) or set(entry) != {"features", "operations"}:
            raise RecdInputError(
                f"config of transforms: expected features and operations, found {entry!r}"
            )
        names = entry["features"]
        key = names if isinstance(names, str) else tuple(_list(entry, "features"))
        if key in unique:
            raise RecdInputError(f"unique: {key!r} is there twice")
        unique[key] = [_operation(each) for each in _list(entry, "operations")]
    rows = [_operation(each) for each in _list(config, "rows")]
    return unique, rows, _list(config, "aligned")


def _described(operation: Operation) -> dict[str, Any]:
    return {"op": operation.name, **operation.parameters()}


def _list(config: Mapping[str, Any], key: str) -> list[Any]:
    value = config.get(key, [])
    if not isinstance(value, list):
        raise RecdInputError(f"config of transforms: {key}={value!r}: expected a list")
    return value


def _operation(entry: Any) -> Any:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("op"), str):
        raise RecdInputError(f"config of transforms: expected an operation, found {entry!r}")
    made = OPERATIONS.get(entry["op"])
    if made is None:
        raise RecdInputError(
            f"config of transforms: no operation {entry['op']!r}; there are {', '.join(OPERATIONS)}"
        )
    return made.from_parameters({name: value for name, value in entry.items() if name != "op"})
