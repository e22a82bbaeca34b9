"""Files to batches: what the plugin for torch calls, and nothing of torch in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format.errors import RecdInputError
from recd_format.filesystem import is_path, list_files, open_source
from recd_format.format.schema import Kind
from recd_format.io import Source
from recd_format.loader.assemble import Assembler, Piece
from recd_format.loader.columns import BatchSchema, Columns, resolve_columns
from recd_format.loader.cursor import Cursor, worker_block
from recd_format.loader.layout import BatchBuffer
from recd_format.loader.meta import MetaColumns
from recd_format.loader.options import LoaderOptions
from recd_format.loader.pipeline import ahead, batches
from recd_format.loader.plan import RankPlan, plan_rank
from recd_format.loader.sessions import OPEN_FILES, StripeSessions
from recd_format.loader.stage import StagedStripe, stage
from recd_format.reader.file import FileReader
from recd_format.reader.options import ReadOptions

__all__ = ["Loader"]

_VERSION = 1


class Loader:
    """Batches of files.

    Parameters
    ----------
    where
        A path, URI, folder or glob of ``.recd`` files, a file as bytes or a binary file object,
        or a list of these.
    options
        How they become batches.
    filesystem
        pyarrow.fs or fsspec file system that they are in.

    Attributes
    ----------
    options : LoaderOptions
    schema : BatchSchema
        What batches have.
    fingerprint : str
        Of the files' content and of every option that decides what is in a batch.

    Raises
    ------
    RecdInputError
        Nothing is there, a column is nowhere or differs between files, an option does not fit
        the files.
    RecdFormatError
        A file is damaged.
    """

    def __init__(self, where: Any, options: LoaderOptions, filesystem: Any = None) -> None:
        mmap = (options.read or ReadOptions()).mmap
        places = _places(where, filesystem)
        self._open([open_source(place, mmap=mmap) for place in places], options)

    def _open(self, sources: Sequence[Source], options: LoaderOptions) -> None:
        self.options = options
        self._readers = []
        for source in sources:
            self._readers.append(FileReader(source, options.read or ReadOptions()))
            if len(sources) > 1:
                source.close()
        self._columns: Columns = resolve_columns(
            [reader.name for reader in self._readers],
            [reader.schema for reader in self._readers],
            options,
        )
        self.schema: BatchSchema = self._columns.schema
        self.fingerprint = self._fingerprint()
        self._sessions = StripeSessions(self._readers, options)
        self._meta = MetaColumns(self._readers, self._columns)
        self._plans: dict[tuple[int, int, int], RankPlan] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return (_reopened, ([reader.source for reader in self._readers], self.options))

    def close(self) -> None:
        """Let go of the files; a later read opens them again."""
        for reader in self._readers:
            reader.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Paths or URIs of the files."""
        return tuple(reader.name for reader in self._readers)

    def rank_plan(self, epoch: int, rank: int, world: int) -> RankPlan:
        """Return what a rank reads in an epoch; the last few are kept."""
        key = (epoch, rank, world)
        plan = self._plans.get(key)
        if plan is None:
            plan = plan_rank(
                self._sessions.stripes(),
                self._sessions.segments,
                self.options,
                epoch=epoch,
                rank=rank,
                world=world,
                file_names=self.names,
            )
            # Callers may be several threads: no step here depends on the one before.
            for old in list(self._plans)[:-1]:
                self._plans.pop(old, None)
            self._plans[key] = plan
        return plan

    def run(
        self,
        epoch: int,
        *,
        rank: int = 0,
        world: int = 1,
        worker: int = 0,
        workers: int = 1,
        remaining: Sequence[Sequence[int]] | None = None,
        allocate: Callable[[int], NDArray[np.uint8]] | None = None,
    ) -> Iterator[BatchBuffer]:
        """Yield the batches of one worker of one rank.

        Closing the iterator ends its threads.

        Parameters
        ----------
        epoch
            Number of the epoch.
        rank, world
            This process and how many there are.
        worker, workers
            This worker of the process and how many there are.
        remaining
            Intervals of the rank's batch numbers that are left of the epoch; None: all.
        allocate
            Gives a batch its memory: uint8 [n], 64-byte aligned. None: memory that is used again
            once nobody refers to it.
        """
        plan = self.rank_plan(epoch, rank, world)
        begun = [(0, plan.num_batches)] if remaining is None else remaining
        intervals = tuple((int(first), int(end)) for first, end in begun)
        turn = _Turn(self, plan, epoch, rank, world, worker, workers, intervals)
        made = batches(
            plan,
            worker_block(intervals, worker, workers),
            turn,
            Assembler(self.schema, allocate, self._readers[0].options.limits),
            threads=self.options.threads,
            prefetch=self.options.prefetch,
        )
        if self.options.threads and self.options.prefetch:
            made = ahead(made, self.options.prefetch)
        try:
            yield from made
        finally:
            made.close()  # type: ignore[attr-defined]
            self.close()

    def read_stripe(self, number: int, begin: int, end: int) -> StagedStripe:
        """Decode at least rows ``begin:end`` of a stripe of the plan, and stage them."""
        info = self._sessions.stripes()[number]
        reader = self._readers[info.file]
        columns = self._columns
        fields = [index for index in columns.files[info.file].fields if index >= 0]
        key = self._sessions.session_key(info.file)
        projection = reader.project(sorted({*fields, key, *self._meta.fields(info.file)}))
        rows = int(reader.stripe_rows[info.stripe])
        if 2 * (end - begin) > rows:
            # Most of the stripe: decoding all of it in one pass takes less than a range of it.
            begin, end = 0, rows
        data = reader.read_stripe(
            info.stripe, projection, begin, end, self._wide_fields(info.file, reader)
        )
        if len(self._readers) > OPEN_FILES:
            reader.close()
        try:
            return stage(
                data,
                columns,
                info.file,
                key,
                reader.options.limits,
                self.options.transforms,
                scattered=self.options.shuffle and self.options.mix == "rows",
            )
        except RecdInputError as error:
            raise RecdInputError(f"{reader.name}, stripe {info.stripe}: {error}") from error

    def meta_rows(self, piece: Piece, assembler: Assembler) -> dict[str, Any]:
        """Return the meta columns of a batch."""
        return self._meta.rows(piece, assembler)

    def _wide_fields(self, file: int, reader: FileReader) -> NDArray[np.bool_]:
        """Ids, decoded to the 8 bytes that tensors have; not where Arrow needs them as stored."""
        kinds = reader.metadata.tables.schema.fields["kind"]
        wide = np.isin(kinds, (int(Kind.ID_LIST), int(Kind.ID_SCORE_LIST)))
        wide[list(self._meta.fields(file))] = False
        found: NDArray[np.bool_] = wide
        return found

    def _fingerprint(self) -> str:
        options = self.options
        transforms = options.transforms
        parts = [
            _VERSION,
            [reader.metadata.postscript.tables_xxh3 for reader in self._readers],
            [
                [feature.name, int(feature.role), feature.width]
                for feature in self.schema.features
            ],
            [
                repr(getattr(options, name))
                for name in (
                    "batch_size", "shuffle", "window", "shuffle_run", "mix", "drop_last",
                    "cut_sessions", "time_range", "session_hash", "downsample", "uneven",
                )
            ],
            None if transforms is None else transforms.fingerprint,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


class _Turn:
    """One worker's way through an epoch: what the pipeline asks of the files."""

    def __init__(
        self,
        loader: Loader,
        plan: RankPlan,
        epoch: int,
        rank: int,
        world: int,
        worker: int,
        workers: int,
        begun: tuple[tuple[int, int], ...],
    ) -> None:
        self._loader = loader
        self._plan = plan
        self._cursor = (
            loader.fingerprint, epoch, loader.options.seed, rank, world, worker, workers, begun,
        )  # fmt: skip
        self._given = 0

    def read(self, stripe: int, begin: int, end: int) -> StagedStripe:
        return self._loader.read_stripe(stripe, begin, end)

    def finish(self, piece: Piece, assembler: Assembler, batch: int) -> tuple[dict[str, Any], Any]:
        self._given += 1
        return self._loader.meta_rows(piece, assembler), Cursor(*self._cursor, batch, self._given)


def _places(where: Any, filesystem: Any) -> list[Any]:
    """Files that `where` names, or is."""
    if isinstance(where, (list, tuple)) and not all(is_path(each) for each in where):
        return [place for each in where for place in _places(each, filesystem)]
    if is_path(where) or isinstance(where, (list, tuple)):
        return list(list_files(where, suffix=".recd", filesystem=filesystem))
    return [where]


def _reopened(sources: Sequence[Source], options: LoaderOptions) -> Loader:
    loader = Loader.__new__(Loader)
    loader._open(sources, options)
    return loader
