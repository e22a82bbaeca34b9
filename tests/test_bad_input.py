"""Bad arguments, bad data and bad files: one clear error each, and never a wrong table."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recd_format as recd
from recd_format.constants import POSTSCRIPT_BYTES
from recd_format.filesystem import MemorySource
from recd_format.reader.file import FileReader
from recd_format.reader.verify import verify_file
from tests.damage import SMALL_LIMITS, parts_of, reseal, small_file, write
from tests.helpers import assert_same_bits

LOG = pa.table(
    {
        "session": [1, 1, 2, 2],
        "ts": [1, 2, 3, 4],
        "ids": [[1, 2], [1, 2], [3], None],
        "x": [0.5, 0.5, None, 2.0],
    }
)
PLAN = recd.Plan((), ())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"session_key": "sesion"}, "session_key: there is no column 'sesion'; did you mean 'ses"),
        ({"session_key": None}, "session_key: there is no column None; the columns are"),
        ({"session_key": "ids"}, "column 'ids' of type list<item: int64> cannot be a session_key"),
        ({"session_key": "x"}, "column 'x' (session key) holds no nulls.*row 2 is null"),
        ({"order_key": "when"}, "order_key: there is no column 'when'"),
        ({"order_key": "x"}, "column 'x' (order key) holds no nulls.*row 2 is null"),
        ({"labels": ["y"]}, "labels: there is no column 'y'"),
        ({"labels": 5}, "labels=5: expected a list of column names"),
        ({"labels": ["session"]}, "column 'session' is named by both session_key and labels"),
        ({"sample_weight": "w"}, "sample_weight: there is no column 'w'"),
        ({"kinds": {"idz": "meta"}}, "kinds: there is no column 'idz'; did you mean 'ids'"),
        ({"kinds": {"x": "float"}}, "kinds['x'] is 'float'; it can be one of"),
        ({"kinds": {"ids": "dense"}}, "column 'ids' .* cannot be a dense; it can be one of"),
        ({"kinds": "meta"}, "kinds='meta': expected a kind for each column"),
        (
            {"dedup": "maybe"},
            "dedup='maybe': expected one of auto, none, adjacent, full, session, ",
        ),
        ({"dedup": {"idz": "none"}}, "dedup names 'idz', which is not a field"),
        ({"dedup": {"ids": "often"}}, "dedup['ids']='often': expected one of"),
        ({"dedup": {"x": "window"}}, "dedup['x']='window': only lists can be windows"),
        ({"dedup": 5}, "dedup=5: expected a word, or a mode for each column"),
        ({"profile": "tiny"}, "profile='tiny': expected one of gpu, balanced, small"),
        ({"stripe_rows": 0}, "stripe_rows=0: expected an integer from 1 to 8388608"),
        ({"stripe_rows": 1 << 40}, "stripe_rows=1099511627776: expected an integer from 1 to"),
        ({"stripe_rows": 1.5}, "stripe_rows=1.5: expected an integer"),
        ({"stripe_rows": "many"}, "stripe_rows='many': expected an integer"),
        ({"session_order": "time"}, "session_order='time': expected 'first_seen', 'key' or"),
        ({"session_gap": "30m"}, "session_gap and session_max_span need an order_key"),
        ({"order_key": "ts", "session_gap": "soon"}, "session_gap='soon': expected a number with"),
        ({"order_key": "ts", "session_gap": "30m"}, "neither a timestamp nor an epoch time"),
        ({"order_key": "ts", "session_gap": timedelta(-1)}, "expected a duration of at least 0"),
        ({"plan": PLAN, "dedup": "none"}, "dedup='none': a plan says how duplicates are looked"),
        ({"plan": PLAN, "dedup": {"ids": "session"}}, "a plan says how duplicates are looked for"),
        ({"order_key": "ts", "session_max_span": -1}, "session_max_span=-1: expected a duration"),
        ({"plan": "auto"}, "plan: expected a Plan, such as report.plan, found str"),
    ],
)
def test_bad_arguments_say_what_was_expected(options: dict[str, Any], message: str) -> None:
    pattern = (
        message.replace("[", r"\[").replace("]", r"\]").replace("(", r"\(").replace(")", r"\)")
    )
    with pytest.raises(recd.RecdInputError, match=pattern):
        write(LOG.rename_columns(["session", "ts", "ids", "x"]), **{"order_key": None, **options})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pa.table({"session": ["a", None]}), "'session' (session key) .* row 1 is null"),
        (pa.table({"session": [1.0, float("nan")]}), "session key 'session' is NaN in row 1"),
        (pa.table({"session": [1], "": [2]}), "column 1 has no name"),
        (pa.table({"session": [1], "n" * 70_000: [2]}), "a name of 70000 bytes, at most 65535 fit"),
        (pa.table({"session": [1], "n": pa.nulls(1)}), "column 'n' has type null"),
        (pa.table({"session": [1], "n": [[[1]]]}), "column 'n' has type list<item: list<"),
        (pa.table({"session": [1], "n": [[1, None]]}), "column 'n'.*null"),
        (pa.table([[1], [2], [3]], names=["session", "n", "n"]), "names must differ.*'n'"),
        (
            pa.table(
                [[1], pa.array([None], pa.int64())],
                schema=pa.schema([("session", pa.int64()), pa.field("n", pa.int64(), False)]),
            ),
            "column 'n' (id list) holds no nulls by its declaration, but row 0 is null",
        ),
        ([], "no rows: an empty list has no schema"),
        ({"session": [1]}, "found a mapping: pass pa.table"),
        (5, "expected Parquet paths, an Arrow table or stream.*found int"),
    ],
)
def test_data_that_cannot_be_kept_is_named(data: Any, message: str) -> None:
    with pytest.raises(recd.RecdInputError, match=message.replace("(", r"\(").replace(")", r"\)")):
        recd.write(data, io.BytesIO(), session_key="session")


def test_a_nan_order_key_is_named() -> None:
    table = pa.table({"session": [1, 1], "ts": [1.0, float("nan")]})
    with pytest.raises(recd.RecdInputError, match="order key 'ts' is NaN in row 1"):
        write(table)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda f: f.read(["idz"]), "there is no column 'idz'; did you mean 'ids'"),
        (lambda f: f.read([5]), "there is no column 5; the columns are"),
        (lambda f: f.read("ids"), "columns='ids': expected a list of names"),
        (lambda f: f.read(5), "columns=5: expected a list of names"),
        (lambda f: f.read(["x", "x"]), "a name is there twice"),
        (lambda f: f.read(rows=[4]), "row 4 of a file of 4 rows"),
        (lambda f: f.read(rows=[-5]), "row -5 of a file of 4 rows"),
        (lambda f: f.read(rows=np.array([2**64 - 1], np.uint64)), "of a file of 4 rows"),
        (lambda f: f.read(rows=[1.0]), "rows: expected integers, found float64"),
        (lambda f: f.read(rows="all"), "rows: expected integers"),
        (lambda f: f.read(rows=[True]), "a mask of 1 for 4 rows"),
        (lambda f: f.take([1.5]), "indices: expected row numbers, found float64"),
        (lambda f: f.take([True, False]), "indices: expected row numbers, found bool"),
        (lambda f: f.take(["a"]), "indices: expected row numbers"),
        (lambda f: next(f.iter_batches(0)), "batch_size=0: expected at least 1"),
        (lambda f: next(f.iter_batches(columns=["idz"])), "no column 'idz'"),
        (lambda f: f.to_dataset().to_table(columns=["idz"]), "idz"),
    ],
)
def test_bad_reads_say_what_was_expected(read: Any, message: str) -> None:
    with pytest.raises(recd.RecdInputError, match=message):
        read(recd.open(write(LOG)))


def test_batches_of_another_schema_or_kind() -> None:
    with recd.RecdWriter(io.BytesIO(), LOG.schema, session_key="session") as writer:
        with pytest.raises(recd.RecdInputError, match="expected a record batch or a table, found"):
            writer.write({"session": [1]})  # type: ignore[arg-type]
        writer.write(LOG)
        with pytest.raises(recd.RecdInputError, match="batch after row 4: its schema differs"):
            writer.write(LOG.drop(["x"]))
    with pytest.raises(recd.RecdInputError, match="the writer is closed"):
        writer.write(LOG)


def test_files_whose_schemas_disagree(tmp_path: Path) -> None:
    pq.write_table(LOG, tmp_path / "a.parquet")
    pq.write_table(LOG.set_column(3, "x", pa.array([1, 2, 3, 4])), tmp_path / "b.parquet")
    with pytest.raises(recd.RecdInputError, match="'x' is double in the first, int64 in the sec"):
        recd.write(str(tmp_path / "*.parquet"), tmp_path / "out.recd", session_key="session")
    assert not (tmp_path / "out.recd").exists()
    (tmp_path / "a.recd").write_bytes(write(LOG))
    (tmp_path / "b.recd").write_bytes(write(LOG.drop(["x"])))
    with pytest.raises(recd.RecdInputError, match=r"a.recd and .*b.recd differ: column 3 \('x'\)"):
        recd.dataset(tmp_path)


def test_a_plan_for_other_columns() -> None:
    plan = recd.write(LOG, io.BytesIO(), session_key="session").plan
    with pytest.raises(recd.RecdInputError, match="plan is for other columns; not in both: x"):
        write(LOG.drop(["x"]), plan=plan)
    windows = recd.write(LOG, io.BytesIO(), session_key="session", dedup={"ids": "window"}).plan
    scalars = LOG.set_column(2, "ids", pa.array([1, 2, 3, 4]))
    with pytest.raises(recd.RecdInputError, match="plan keeps 'ids' as windows, but it is no list"):
        write(scalars, plan=windows)


def test_a_session_that_returns_in_clustered_input() -> None:
    table = pa.table({"session": [1, 2, 1]})
    with pytest.raises(recd.RecdInputError, match="row 2: the session of 'session' with id 1 come"):
        write(table, clustered=True)


@pytest.mark.parametrize(
    ("data", "reason", "message"),
    [
        (b"", "truncated", "<bytes>, file: 0 bytes; the smallest file has 4224"),
        (b"PAR1" + bytes(9000) + b"PAR1", "not_recd", "not a recd file: starts with b'PAR1"),
        (b"ARROW1\0\0", "not_recd", "not a recd file: starts with b'ARROW1"),
        (bytes(10_000), "not_recd", "not a recd file"),
    ],
)
def test_foreign_files_are_told_apart(data: bytes, reason: str, message: str) -> None:
    with pytest.raises(recd.RecdFormatError, match=message) as caught:
        recd.open(data)
    assert caught.value.reason == reason


def test_places_that_are_no_file(tmp_path: Path) -> None:
    with pytest.raises(recd.RecdInputError, match="cannot be read: it is a folder"):
        recd.open(tmp_path)
    with pytest.raises(recd.RecdInputError, match="cannot be written: it is not a regular file"):
        recd.write(LOG, tmp_path, session_key="session")
    with pytest.raises(recd.RecdInputError, match="No such file"):
        recd.open(tmp_path / "none.recd")
    with pytest.raises(recd.RecdInputError, match="no file ending in .recd in the folder"):
        recd.dataset(tmp_path)


def test_a_file_cut_anywhere_is_an_error() -> None:
    data = small_file()
    view = memoryview(data)
    for size in range(len(data)):
        with pytest.raises(recd.RecdFormatError):
            recd.open(view[:size])


def test_bytes_after_the_end_are_an_error() -> None:
    with pytest.raises(recd.RecdFormatError, match="truncated"):
        recd.open(small_file() + b"\0")


class Touched(MemorySource):
    """Bytes that remember which of them were read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.read = np.zeros(len(data), np.bool_)

    def read_into(self, byte_offset: int, buffer: Any) -> None:
        self.read[byte_offset : byte_offset + len(buffer)] = True
        super().read_into(byte_offset, buffer)


def test_every_flipped_bit_is_found() -> None:
    sound = write(LOG, dedup={"ids": "session"})
    # Reads of what is needed and no more: the tail alone would take the whole of a file so small.
    options = recd.ReadOptions(tail_bytes=POSTSCRIPT_BYTES, gap_bytes=0)
    touched = Touched(sound)
    table = recd.open(touched, options=options).read()
    data = bytearray(sound)
    source = MemorySource(data)
    missed, wrong = [], []
    for place in range(len(sound)):
        # A zero is padding, mostly, and is compared with zero: one bit of each will do.
        for bit in range(8) if sound[place] else (place % 8,):
            data[place] ^= 1 << bit
            try:
                verify_file(FileReader(source, options))
                missed.append((place, bit))
            except recd.RecdFormatError:
                pass
            # What a read never touches cannot change the table.
            if touched.read[place]:
                try:
                    if not recd.open(source, options=options).read().equals(table):
                        wrong.append((place, bit))
                except recd.RecdFormatError:
                    pass
            data[place] ^= 1 << bit
    assert not missed
    assert not wrong


USES: dict[str, Callable[[recd.RecdFile], object]] = {
    "read": lambda f: f.read(),
    "rows": lambda f: f.read(rows=slice(3, 9)),
    "late": lambda f: f.read(rows=slice(14, 23)),
    "dedup": lambda f: f.read(dedup=True),
    "take": lambda f: f.take([1, 20]),
    "verify": lambda f: f.verify(),
    "stats": lambda f: (f.stats(), f.metadata, f.schema),
    "filter": lambda f: f.to_dataset().to_table(filter=pc.field("item") > 5),
}


@cache
def sound_file(profile: str) -> tuple[bytes, dict[str, range]]:
    sound = small_file(profile=profile)
    return sound, dict(parts_of(sound).named())


@settings(max_examples=400)
@given(st.data(), st.sampled_from(["balanced", "small"]), st.sampled_from(sorted(USES)))
def test_resealed_damage_is_an_error_or_a_table(
    data: st.DataObject, profile: str, use: str
) -> None:
    """With checksums right, what bytes say is checked before it is used: no other exception."""
    sound, parts = sound_file(profile)
    damaged = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 3))):
        part = parts[data.draw(st.sampled_from(sorted(parts)))]
        place = data.draw(st.integers(part.start, part.stop - 1))
        damaged[place] = data.draw(st.one_of(st.sampled_from([0, 1, 255]), st.integers(0, 255)))
    resealed = reseal(damaged, sound)
    with suppress(recd.RecdError), recd.open(resealed, options=SMALL_LIMITS) as file:
        USES[use](file)


@settings(max_examples=100)
@given(st.integers(0, 20_000), st.binary(min_size=1, max_size=64))
def test_unsealed_damage_is_found_by_verify(place: int, patch: bytes) -> None:
    sound, _ = sound_file("balanced")
    place %= len(sound)
    damaged = (sound[:place] + patch + sound[place + len(patch) :])[: len(sound)]
    if damaged == sound:
        return
    with pytest.raises(recd.RecdFormatError):
        recd.open(damaged).verify()
    try:
        found = recd.open(damaged).read()
    except recd.RecdFormatError:
        return
    assert_same_bits(recd.open(sound).read(), found)
