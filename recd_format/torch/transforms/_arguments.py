"""The arguments of Transforms, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recd_format.errors import RecdInputError
from recd_format.torch.transforms._cut import Cut
from recd_format.torch.transforms.base import RowOperation, UniqueOperation

__all__ = ["Chain", "align", "as_aligned", "as_outputs", "as_unique", "names_of"]

Chain = tuple[UniqueOperation, ...]


def names_of(key: str | tuple[str, ...]) -> tuple[str, ...]:
    """Names that a key of `unique` stands for."""
    return (key,) if isinstance(key, str) else key


def as_unique(given: Any) -> dict[str | tuple[str, ...], Chain]:
    """`unique` with tuples of operations, or RecdInputError."""
    if not isinstance(given, Mapping):
        raise RecdInputError(f"unique={given!r}: expected a dict of names to operations")
    seen: set[str] = set()
    for key, chain in given.items():
        names = (key,) if isinstance(key, str) else key
        if not isinstance(names, tuple) or not all(isinstance(n, str) and n for n in names):
            raise RecdInputError(f"unique: key {key!r}: expected a name or a tuple of names")
        for name in names:
            if name in seen:
                raise RecdInputError(f"unique: {name!r} is there twice")
            seen.add(name)
        if not isinstance(chain, Sequence) or isinstance(chain, str):
            raise RecdInputError(f"unique[{key!r}]={chain!r}: expected a list of operations")
        for operation in chain:
            if not isinstance(operation, UniqueOperation):
                other = " (it belongs into rows=)" if isinstance(operation, RowOperation) else ""
                raise RecdInputError(
                    f"unique[{key!r}]: {operation!r} is no operation on unique rows{other}"
                )
    return {key: tuple(chain) for key, chain in given.items()}


def as_outputs(given: Any) -> dict[str, RowOperation]:
    """Row operations by the name of their output, or RecdInputError."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise RecdInputError(f"rows={given!r}: expected a list of row operations")
    outputs: dict[str, RowOperation] = {}
    for operation in given:
        if not isinstance(operation, RowOperation):
            other = " (it belongs into unique=)" if isinstance(operation, UniqueOperation) else ""
            raise RecdInputError(f"rows: {operation!r} is no row operation{other}")
        if operation.output in outputs:
            raise RecdInputError(f"rows: output {operation.output!r} is there twice")
        outputs[operation.output] = operation
    for operation in outputs.values():
        for column in operation.inputs:
            if column in outputs:
                raise RecdInputError(
                    f"{operation.name} {operation.output!r}: {column!r} is an output itself; "
                    "expected columns of the files"
                )
    return outputs


def as_aligned(given: Any, outputs: Mapping[str, RowOperation]) -> tuple[tuple[str, ...], ...]:
    """`aligned` as tuples, or RecdInputError."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise RecdInputError(f"aligned={given!r}: expected a list of lists of names")
    seen: set[str] = set()
    for names in given:
        if not isinstance(names, Sequence) or isinstance(names, str) or len(names) < 2:
            raise RecdInputError(f"aligned: {names!r}: expected a list of at least two names")
        for name in names:
            if not isinstance(name, str) or name in seen or name in outputs:
                raise RecdInputError(
                    f"aligned: {name!r}: expected a name, once, and of no row output"
                )
            seen.add(name)
    return tuple(tuple(names) for names in given)


def align(chains: dict[str, Chain], names: Sequence[str]) -> None:
    """Give every one of `names` the cuts that some of them have, ahead of all else."""
    cuts = {name: _cuts(chains.get(name, ())) for name in names}
    first = next((name for name in names if cuts[name]), None)
    if first is None:
        return
    for name in names:
        if not cuts[name]:
            chains[name] = (*cuts[first], *chains.get(name, ()))
        elif cuts[name] != cuts[first]:
            raise RecdInputError(
                f"aligned {first!r} and {name!r} are cut differently: {list(cuts[first])} and "
                f"{list(cuts[name])}; one of them is enough"
            )


def _cuts(chain: Chain) -> Chain:
    return tuple(operation for operation in chain if isinstance(operation, Cut))
