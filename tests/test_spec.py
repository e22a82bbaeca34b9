"""Text and code held together: numbers, byte tables, rules and examples of `spec/`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import asdict
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from xxhash import xxh3_64_intdigest

import recd_format as recd
from recd_format import constants
from recd_format.codec import BATCH_CHAINS, ROLES, chain_name, check_sums, decode, legal_chains
from recd_format.codec.base import PRIVATE_CODECS, CodecId
from recd_format.codec.chain import block_sums, encode
from recd_format.codec.list_at import ListReference, Rows, pack_reference, resolve
from recd_format.dedup.exact import decode_codes, encode_codes, first_equal
from recd_format.dedup.window import find_windows
from recd_format.errors import Reason
from recd_format.format import (
    head,
    postscript,
    record,
    schema_block,
    statistics,
    stripe,
    tables,
    validate,
)
from recd_format.format.schema import Kind, Shape, ValueType
from recd_format.jagged import Column

ROOT = Path(__file__).parents[1]
SPEC = ROOT / "spec"
PAGES = sorted(SPEC.rglob("*.md"))


class MarkdownTable(NamedTuple):
    heading: str
    columns: tuple[str, ...]
    rows: list[dict[str, str]]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def markdown_tables(page: str) -> list[MarkdownTable]:
    """All tables of a page, each with the heading it stands under."""
    found: list[MarkdownTable] = []
    heading, inside = "", False
    for line in (SPEC / page).read_text().splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if not line.startswith("|"):
            inside = False
        elif not inside:
            found.append(MarkdownTable(heading, tuple(cells(line)), []))
            inside = True
        elif set(line) - set("|- "):
            found[-1].rows.append(dict(zip(found[-1].columns, cells(line), strict=True)))
    return found


def table(page: str, heading: str, first_column: str) -> list[dict[str, str]]:
    (found,) = (
        each
        for each in markdown_tables(page)
        if each.heading == heading and each.columns[0] == first_column
    )
    return found.rows


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", (SPEC / page).read_text(), re.M | re.S)


def keyed(block: str) -> dict[str, str]:
    """``key: value`` lines of a block."""
    return {
        key.strip(): value.strip()
        for key, value in (line.split(":", 1) for line in block.splitlines())
    }


def unhex(text: str) -> bytes:
    """``07 00*5`` to bytes."""
    data = bytearray()
    for token in text.split():
        byte, _, times = token.partition("*")
        data += bytes([int(byte, 16)]) * int(times or 1)
    return bytes(data)


def integers(text: str) -> list[int]:
    return [int(word) for word in text.split()]


def number(text: str) -> int:
    """Powers (less one) and numbers with thousands separators to integers."""
    power = re.fullmatch(r"(\d+)\^(\d+)(?: \u2212 (\d+))?", text)
    if power:
        return int(power[1]) ** int(power[2]) - int(power[3] or 0)
    return int(text.replace(",", ""))


# --- pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SPEC)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_page_is_linked_from_an_index() -> None:
    for folder in (SPEC, SPEC / "codecs"):
        index = (folder / "README.md").read_text()
        for page in folder.glob("*.md"):
            assert page.name == "README.md" or f"({page.name})" in index, page.name


# --- byte tables --------------------------------------------------------------------------------

LAYOUTS = {
    "Head": head.HEAD,
    "Schema block header": schema_block.HEADER,
    "Field": schema_block.FIELD,
    "Group": schema_block.GROUP,
    "Stripe header": stripe.HEADER,
    "Record": record.RECORD,
    "Tables header": tables.HEADER,
    "Stripe entry": tables.STRIPE,
    "Owner entry": tables.OWNER,
    "Section entry": tables.SECTION,
    "Statistic": statistics.STATISTIC,
    "Postscript": postscript.LAYOUT,
}


def layout_of(dtype: np.dtype[Any]) -> list[tuple[str, int, int, str]]:
    rows = []
    for name in dtype.names or ():
        field, offset = dtype.fields[name][:2]
        base, shape = field.subdtype or (field, ())
        kind = "bytes" if base.kind == "S" else f"{base.kind}{base.itemsize}"
        assert base.byteorder != ">"
        rows.append((name, offset, field.itemsize, kind + (f"[{shape[0]}]" if shape else "")))
    return rows


@pytest.mark.parametrize("heading", LAYOUTS)
def test_byte_tables_are_the_dtypes(heading: str) -> None:
    rows = table("file.md", heading, "offset")
    said = [(row["field"], int(row["offset"]), int(row["size"]), row["type"]) for row in rows]
    assert said == layout_of(LAYOUTS[heading])
    assert said[-1][1] + said[-1][2] == LAYOUTS[heading].itemsize


def test_all_byte_tables_are_known() -> None:
    found = [each.heading for each in markdown_tables("file.md") if each.columns[0] == "offset"]
    assert sorted(found) == sorted(LAYOUTS)


def magic(heading: str) -> bytes:
    (row,) = (row for row in table("file.md", heading, "offset") if row["field"] == "magic")
    return unhex(row["what"].split("`")[1])


def test_magics() -> None:
    assert magic("Head") == constants.HEAD_MAGIC
    assert magic("Stripe header") == constants.STRIPE_MAGIC
    assert magic("Postscript") == constants.POSTSCRIPT_MAGIC


def test_flags() -> None:
    assert record.CODES_MONOTONE == 1 << 0
    assert record.CODES_STRIPE_SCOPE == 1 << 1
    assert stripe.STRIPE_CONTINUES == 1 << 0
    assert statistics.HAS_RANGE == 1 << 0
    assert tables.SectionId.REQUIRED_FLAG == 1 << 0
    assert (schema_block.NULLABLE, schema_block._WINDOW) == (1 << 0, 1 << 0)
    assert f"{schema_block._NO_GROUP:x}" == "ffffffff"


# --- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("enum", [Kind, Shape, ValueType, record.StreamKind])
def test_enums_of_the_file(enum: type[IntEnum]) -> None:
    rows = table("file.md", enum.__name__, "number")
    assert {row[enum.__name__]: int(row["number"]) for row in rows} == {
        member.name: member.value for member in enum
    }


def test_sizes_of_value_types() -> None:
    for row in table("file.md", "ValueType", "number"):
        assert int(row["bytes"]) == ValueType[row["ValueType"]].dtype.itemsize


def test_roles_of_streams() -> None:
    for row in table("file.md", "StreamKind", "number"):
        kind = record.StreamKind[row["StreamKind"]]
        assert row["role of its chain"] == validate._ROLES[kind]
        assert ("group" in row["owner"]) == bool(validate._OF_GROUPS[kind])


@pytest.mark.parametrize("page", ["file.md", "versions.md"])
def test_section_ids(page: str) -> None:
    rows = table(page, "Sections", "number")
    said = {row["SectionId"]: int(row["number"]) for row in rows if row["SectionId"].isupper()}
    assert said == {
        name: value
        for name, value in vars(tables.SectionId).items()
        if isinstance(value, int) and name != "REQUIRED_FLAG"
    }
    assert set(said.values()) == tables.SectionId.KNOWN


def test_codec_ids() -> None:
    expected = {codec.name: codec.value for codec in CodecId}
    rows = table("versions.md", "Codecs", "number")
    assert {row["CodecId"]: int(row["number"]) for row in rows} == expected
    rows = table("codecs/README.md", "Codecs", "id")
    names = {re.sub(r"[\[\]]|\(.*\)", "", row["codec"]): int(row["id"]) for row in rows}
    assert names == expected
    assert (
        f"{PRIVATE_CODECS[0]} to {PRIVATE_CODECS[-1]} are private"
        in (SPEC / "versions.md").read_text()
    )
    for codec in CodecId:
        assert (SPEC / "codecs" / f"{codec.name.lower()}.md").is_file()


def said_chains(role: str, kind: str) -> set[str]:
    """Legal chains by the table of codecs/README.md."""
    found: set[str] = set()
    for row in table("codecs/README.md", "Legal chains", "chain"):
        roles = re.split(r", (?:whose|as) ", row["roles"])[0]
        if roles.startswith("all"):
            meant = role not in roles.removeprefix("all").removeprefix(" but ").split(", ")
        else:
            meant = role in roles.split(", ")
        if meant and ("`int`" not in row["chain"] or kind in "iu"):
            found |= {each.strip() for each in row["chain"].split("(")[0].split(";")}
    return found


@pytest.mark.parametrize("role", sorted(ROLES - {"reference"}))
def test_legal_chains(role: Any) -> None:
    for kind in "iuf":
        chains = {chain_name(chain).replace(">", " > ") for chain in legal_chains(role, kind)}
        assert said_chains(role, kind) == chains


def test_batch_chains_are_named() -> None:
    text = (SPEC / "codecs" / "README.md").read_text()
    (said,) = re.findall(r"batch kernel, decode: ([^.]*)\.", text)
    chains = {" ".join(each.split()) for each in said.split(",")}
    assert chains == {chain_name(chain).replace(">", " > ") for chain in BATCH_CHAINS}


def test_codes_are_never_constant() -> None:
    assert (int(CodecId.CONSTANT),) not in legal_chains("codes", "u")
    assert "CODES MUST NOT be CONSTANT" in (SPEC / "file.md").read_text()


def test_limits() -> None:
    rows = table("limits.md", "Caps on what a file may declare", "name")
    assert {row["name"]: number(row["value"]) for row in rows} == asdict(constants.Limits())
    rows = table("limits.md", "Fixed numbers", "name")
    assert {row["name"]: number(row["value"]) for row in rows} == {
        name: value
        for name, value in vars(constants).items()
        if name.isupper() and type(value) is int
    }


def test_checksum_of_nothing() -> None:
    assert f"{xxh3_64_intdigest(b''):016x}" in (SPEC / "README.md").read_text()


# --- rules --------------------------------------------------------------------------------------


def rules() -> Iterator[dict[str, str]]:
    for each in markdown_tables("validity.md"):
        yield from each.rows


def test_rules_are_numbered_once_and_in_order() -> None:
    numbers = [row["rule"] for row in rules()]
    assert numbers == sorted(set(numbers))
    assert all(re.fullmatch(r"V-\d{3}", number) for number in numbers)


def test_every_reason_has_a_checked_rule() -> None:
    checked = {row["reason"] for row in rules() if "where" in row}
    assert checked == {reason.value for reason in Reason}
    assert {row["reason"] for row in rules()} <= checked


def raised() -> set[tuple[str, str]]:
    """(module, reason) of every reason that the package's code names."""
    found = set()
    package = ROOT / "recd_format"
    for path in package.rglob("*.py"):
        module = ".".join(path.relative_to(package).with_suffix("").parts)
        if module == "errors":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "Reason":
                found.add((module, Reason[node.attr].value))
            elif (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") == "corrupt"
                and len(node.args) == 1
            ):
                found.add((module, Reason.ENCODING.value))
    return found


def test_rules_say_where_the_code_checks() -> None:
    said = {
        (module, row["reason"]) for row in rules() if "where" in row
        for module in row["where"].split(", ")
    }  # fmt: skip
    assert said == raised()


# --- examples -----------------------------------------------------------------------------------


def lists(text: str) -> Column:
    parts = [integers(part) for part in text.split("|")]
    offsets = np.cumsum([0, *map(len, parts)]).astype(np.int64)
    return Column(np.array([x for part in parts for x in part], np.int64), offsets)


@pytest.mark.parametrize("block", blocks("dedup.md", "codes"))
def test_examples_of_codes(block: str) -> None:
    said = keyed(block)
    rows = np.array(integers(said["rows"]), np.int64)
    sessions = np.cumsum([0, *integers(said["sessions"])]).astype(np.int64)
    scope: Any = said["mode"]
    first = first_equal(Column(rows), np.arange(len(rows)), sessions, scope)
    codes = encode_codes(first, sessions, scope)
    assert codes.codes.tolist() == integers(said["codes"])
    lookup = np.empty(len(rows), np.int32)
    assert decode_codes(codes.codes, 0, lookup, len(codes.unique_rows)) == -1
    assert lookup.tolist() == integers(said["lookup"])
    assert plain_lookup(integers(said["codes"]), len(codes.unique_rows)) == lookup.tolist()


@pytest.mark.parametrize("block", blocks("dedup.md", "window"))
def test_examples_of_windows(block: str) -> None:
    said = keyed(block)
    rows = lists(said["rows"])
    sessions = np.cumsum([0, *integers(said["sessions"])]).astype(np.int64)
    found = find_windows([rows], np.arange(rows.num_rows), sessions)
    values = rows.values[found.timeline].tolist()
    assert found.codes.tolist() == integers(said["codes"])
    assert found.lengths.tolist() == integers(said["lengths"])
    assert found.starts.tolist() == integers(said["starts"])
    assert values == integers(said["values"])
    read = [
        values[start : start + length]
        for start, length in zip(found.starts.tolist(), found.lengths.tolist(), strict=True)
    ]
    lookup = plain_lookup(found.codes.tolist(), len(read))
    assert [read[u] for u in lookup] == [integers(part) for part in said["rows"].split("|")]


def test_examples_of_references() -> None:
    (block,) = blocks("dedup.md", "reference")
    said = keyed(block)
    held = lists(said["list"])
    found = resolve(
        Rows(held.offsets[:-1]),
        held.lengths.astype(np.int32),
        held.values,
        Rows(np.array(integers(said["index"]))),
        base=int(said["base"]),
    )
    assert found.tolist() == integers(said["values"])
    (block,) = blocks("dedup.md", "params")
    said = keyed(block)
    fields = (int(said[name]) for name in ("list_field", "index_field", "base"))
    assert pack_reference(ListReference(*fields)) == int(said["params"])


CODEC_EXAMPLES = [
    (page.name, block)
    for page in sorted((SPEC / "codecs").glob("*.md"))
    for block in blocks(f"codecs/{page.name}", "example")
]


@pytest.mark.parametrize(("page", "block"), CODEC_EXAMPLES)
def test_examples_of_codecs(page: str, block: str) -> None:
    said = keyed(block)
    dtype = np.dtype(said["dtype"])
    chain = tuple(integers(said["chain"]))
    values = np.array(said["values"].split(), "f8" if dtype.kind == "f" else object).astype(dtype)
    entries = said.get("dictionary")
    dictionary = None if entries is None else np.array(entries.split(), dtype)
    payload, params = unhex(said["payload"]), int(said.get("params", 0))
    found = decode(chain, payload, len(values), params, dtype, dictionary=dictionary)
    assert found.tobytes() == values.tobytes(), page
    sums: Any = said.get("sums")
    if sums:
        stored = block_sums(payload, chain, len(values), params)
        assert stored is not None
        check_sums(found, stored, ones=sums == "ones")
    if said.get("decode only") != "yes":
        encoded = encode(values, chain, sums=sums, params=params)
        assert encoded.payload.tobytes() == payload
        assert encoded.params == params


# --- a reader written from the text -------------------------------------------------------------


def plain_lookup(codes: list[int], unique_rows: int) -> list[int]:
    """dedup.md, Codes."""
    newest, lookup = -1, []
    for code in codes:
        newest += code == 1
        lookup.append(newest if code == 1 else newest - max(code - 1, 0))
        assert lookup[-1] >= 0
        assert newest < unique_rows
    assert newest == unique_rows - 1
    return lookup


class PlainReader:
    """A file of PLAIN streams and LIST_AT, read by the tables of file.md alone."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.layouts = {heading: table("file.md", heading, "offset") for heading in LAYOUTS}
        self.types = {
            int(row["number"]): (int(row["bytes"]), row["what"].startswith("signed"))
            for row in table("file.md", "ValueType", "number")
        }
        last = self.entry("Postscript", len(data) - 128)
        assert last["magic"] == magic("Postscript")
        assert last["xxh3"] == xxh3_64_intdigest(data[-128:-16])
        assert last["file_bytes"] == len(data)
        at, size = last["tables_offset"], last["tables_bytes"]
        assert last["tables_xxh3"] == xxh3_64_intdigest(data[at : at + size])
        self.postscript = last
        self._read_tables(at)
        self._check_head()
        self._read_directory()

    def size(self, heading: str) -> int:
        row = self.layouts[heading][-1]
        return int(row["offset"]) + int(row["size"])

    def entry(self, heading: str, at: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for row in self.layouts[heading]:
            start = at + int(row["offset"])
            raw = self.data[start : start + int(row["size"])]
            width = int(row["type"][1]) if row["type"] != "bytes" else 0
            parts = [raw[i : i + width] for i in range(0, len(raw), width)] if width else []
            values = [int.from_bytes(part, "little") for part in parts]
            found[row["field"]] = values if "[" in row["type"] else values[0] if width else raw
        return found

    def entries(self, heading: str, at: int, count: int) -> tuple[list[dict[str, Any]], int]:
        size = self.size(heading)
        return [self.entry(heading, at + i * size) for i in range(count)], at + count * size

    def _read_tables(self, at: int) -> None:
        self.header, at = self.entry("Tables header", at), at + self.size("Tables header")
        self.block = self.data[at : at + self.header["schema_bytes"]]
        counts = self.entry("Schema block header", at)
        place = at + self.size("Schema block header")
        self.fields, place = self.entries("Field", place, counts["fields"])
        self.groups, place = self.entries("Group", place, counts["groups"])
        heap = self.data[place : place + counts["heap_bytes"]]
        for field in self.fields:
            name = heap[field["name_offset"] : field["name_offset"] + field["name_bytes"]]
            assert field["name_hash"] == xxh3_64_intdigest(name)
            field["name"] = name.decode()
        at += len(self.block)
        self.stripes, at = self.entries("Stripe entry", at, self.header["stripes"])
        owners = len(self.fields) + len(self.groups) + 1
        self.owners, at = self.entries("Owner entry", at, owners)
        self.sections, at = self.entries("Section entry", at, self.header["sections"])
        self.pages = np.frombuffer(self.data, "<u8", self.header["pages"], at).tolist()
        at += 8 * len(self.pages)
        self.names = np.frombuffer(self.data, "<u4", len(self.fields), at).tolist()
        at += 4 * len(self.names)
        assert at + -at % 8 == len(self.data) - 128
        hashes = [self.fields[index]["name_hash"] for index in self.names]
        assert hashes == sorted(hashes)
        for section in self.sections:
            at = section["byte_offset"]
            assert section["xxh3"] == xxh3_64_intdigest(self.data[at : at + section["bytes"]])

    def _check_head(self) -> None:
        first, at = self.entry("Head", 0), self.size("Head")
        assert first["magic"] == magic("Head")
        assert (first["major"], first["minor"], first["required"]) == (1, 0, 0)
        assert self.data[at : at + first["schema_bytes"]] == self.block
        at += len(self.block)
        assert int.from_bytes(self.data[at : at + 8], "little") == xxh3_64_intdigest(self.data[:at])

    def _read_directory(self) -> None:
        at, size = self.postscript["directory_offset"], self.postscript["directory_bytes"]
        for page, stored in enumerate(self.pages):
            start = at + 65_536 * page
            assert stored == xxh3_64_intdigest(self.data[start : min(start + 65_536, at + size)])
        self.records, _ = self.entries("Record", at, self.header["records"])
        assert len(self.records) * 64 == size

    def stripe(self, number: int) -> dict[str, list[Any]]:
        """Columns of a stripe."""
        self.start = self.stripes[number]["byte_offset"]
        header = self.entry("Stripe header", self.start)
        assert header["magic"] == magic("Stripe header")
        self.streams = {
            (row["owner"], row["kind"]): row for row in self.records if row["stripe"] == number
        }
        own, at = self.entries("Record", self.start + 64, header["records"])
        assert own == list(self.streams.values())
        stored = int.from_bytes(self.data[at : at + 8], "little")
        assert stored == xxh3_64_intdigest(self.data[self.start : at])
        rows = self.values(0xFFFFFFFE, 1, 13, 4)
        sessions = [s for s, count in enumerate(rows) for _ in range(count)]
        columns: dict[str, list[Any]] = {}
        for index in sorted(range(len(self.fields)), key=self.is_reference):
            field = self.fields[index]
            if field["group"] == 0xFFFFFFFF:
                keys = self.values(index, 2, field["value_type"])
                columns[field["name"]] = [keys[s] for s in sessions]
                continue
            owner = len(self.fields) + field["group"]
            codes = self.streams.get((owner, 4))
            lookup = list(range(len(sessions)))
            if codes:
                lookup = plain_lookup(self.values(owner, 4, 13, 4), codes["params"])
            if self.is_reference(index):
                unique = self.references(index, columns)
            else:
                unique = self.unique_rows(index, owner)
            valid = [True] * len(unique)
            if (index, 9) in self.streams:
                valid = [bool(bit) for bit in self.values(index, 9, 6)]
            columns[field["name"]] = [unique[u] if valid[u] else None for u in lookup]
        return {field["name"]: columns[field["name"]] for field in self.fields}

    def is_reference(self, index: int) -> bool:
        return self.streams.get((index, 7), {"chain": [0]})["chain"][0] == 7

    def values(self, owner: int, kind: int, value_type: int, size: int = 0) -> list[int]:
        row = self.streams[owner, kind]
        width, signed = (size, False) if size else self.types[value_type]
        at = self.start + row["byte_offset"]
        padded = self.data[at : at + row["stored"] + -row["stored"] % 64]
        assert row["chain"] == [1, 0, 0, 0]
        assert row["xxh3"] == xxh3_64_intdigest(padded)
        assert row["stored"] == row["decoded"] == row["count"] * width
        return [
            int.from_bytes(padded[i : i + width], "little", signed=signed)
            for i in range(0, row["stored"], width)
        ]

    def unique_rows(self, index: int, owner: int) -> list[Any]:
        values = self.values(index, 7, self.fields[index]["value_type"])
        if self.fields[index]["shape"] == 1:
            return values
        if (owner, 6) in self.streams:
            starts, lengths = self.values(owner, 6, 13, 4), self.values(owner, 5, 13, 4)
        else:
            lengths = self.values(index, 5, 13, 4)
            starts = [sum(lengths[:u]) for u in range(len(lengths))]
        return [values[s : s + n] for s, n in zip(starts, lengths, strict=True)]

    def references(self, index: int, columns: dict[str, list[Any]]) -> list[Any]:
        params = self.streams[index, 7]["params"]
        held = columns[self.fields[params & 0x7FFFFFFF]["name"]]
        places = columns[self.fields[(params >> 31 & 0x7FFFFFFF) - 1]["name"]]
        base = params >> 62
        return [
            row[place - base] if 0 <= place - base < len(row or ()) else 0
            for row, place in zip(held, places, strict=True)
        ]


def example_file() -> bytes:
    data = bytearray()
    for block in blocks("example.md", "file"):
        for part in re.split(r"^(?= *\d+ +\d+  #)", block, flags=re.M):
            if part.strip():
                title, *body = part.splitlines()
                place, size = integers(title.split("#")[0])
                assert place == len(data), title
                data += unhex(" ".join(body))
                assert size == len(data) - place, title
    return bytes(data)


def example_rows() -> dict[str, list[Any]]:
    rows = table("example.md", "Example: a whole file", "session")
    return {
        name: [ast.literal_eval(row[name].replace("null", "None")) for row in rows]
        for name in rows[0]
    }


def test_the_example_file_is_read_by_the_package() -> None:
    file = recd.open(example_file())
    assert file.read().to_pydict() == example_rows()
    assert file.read(dedup=True).num_rows == 5
    assert file.verify().stripes == 1
    assert file.metadata == {b"owner": b"ads"}


def test_the_example_file_is_read_by_the_text_alone() -> None:
    reader = PlainReader(example_file())
    assert reader.stripe(0) == example_rows()
    assert f"{len(reader.data):,} bytes" in (SPEC / "example.md").read_text()
