"""`recd vocab`: what it counts, what it writes, what it refuses."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import recd_format as recd
from recd_format.cli import main
from recd_format.torch.transforms import Vocabulary
from recd_format.torch.transforms.vocabulary import load_vocabulary
from tests.cli.small_log import ROWS

Capture = pytest.CaptureFixture[str]


def counted(path: Path, column: str) -> Counter[int]:
    """Ids of all rows, written out."""
    counts: Counter[int] = Counter()
    for value in recd.open(path).read([column])[column].to_pylist():
        counts.update([value] if isinstance(value, int) else (value or []))
    return counts


def ranked(counts: Counter[int]) -> list[tuple[int, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


@pytest.mark.parametrize("column", ["clicks", "item"])
def test_ids_are_counted_in_rows(recd_file: Path, tmp_path: Path, column: str) -> None:
    out = tmp_path / "v.npz"
    assert main(["vocab", str(recd_file), "--column", column, "-o", str(out)]) == 0
    ids, counts = load_vocabulary(out)
    expected = ranked(counted(recd_file, column))
    assert list(zip(ids.tolist(), counts.tolist(), strict=True)) == expected
    assert Vocabulary(out).ids.tolist() == ids.tolist()


def test_windows_nulls_and_weights_count_in_rows(tmp_path: Path) -> None:
    rows = 60
    history = [None if i % 20 == 3 else list(range(i // 2, i // 2 + 8)) for i in range(rows)]
    weighted = [[(i % 3, 0.5), (i // 30, 1.0)] for i in range(rows)]
    table = pa.table(
        {
            "s": [i // 30 for i in range(rows)],
            "t": list(range(rows)),
            "history": pa.array(history, pa.list_(pa.int64())),
            "scored": pa.array(weighted, pa.map_(pa.int64(), pa.float32())),
            "item": pa.array([None if i % 7 == 0 else i % 2 for i in range(rows)], pa.int32()),
        }
    )
    path, out = tmp_path / "w.recd", tmp_path / "v.npz"
    recd.write(table, path, session_key="s", order_key="t", dedup={"history": "window"})
    expected = {
        "history": Counter(id_ for row in history for id_ in row or []),
        "scored": Counter(id_ for row in weighted for id_, _ in row),
        "item": Counter(i % 2 for i in range(rows) if i % 7),
    }
    for column, counts in expected.items():
        assert main(["vocab", str(path), "--column", column, "-o", str(out)]) == 0
        found = load_vocabulary(out)
        assert list(zip(*(each.tolist() for each in found), strict=True)) == ranked(counts)


def test_rare_ids_are_left_out_and_json_says_so(
    recd_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "v.npz"
    counts = counted(recd_file, "clicks")
    least = sorted(counts.values())[len(counts) // 2]
    options = ["--min-count", str(least), "--max-size", "20", "--json"]
    assert main(["vocab", str(recd_file), "--column", "clicks", "-o", str(out), *options]) == 0
    kept = [item for item in ranked(counts) if item[1] >= least][:20]
    assert load_vocabulary(out)[0].tolist() == [id_ for id_, _ in kept]
    assert json.loads(capsys.readouterr().out) == {
        "column": "clicks",
        "rows": ROWS,
        "ids": len(counts),
        "kept": len(kept),
        "occurrences": sum(counts.values()),
        "covered": sum(n for _, n in kept),
    }


def test_it_says_what_it_wrote(recd_file: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "clicks"
    assert main(["vocab", str(recd_file), "--column", "clicks", "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "100.0% of all occurrences" in printed
    # No ending is added to the name.
    assert out.is_file()


def test_several_files_count_as_one(recd_file: Path, tmp_path: Path) -> None:
    for name in ("a.recd", "b.recd"):
        (tmp_path / name).write_bytes(recd_file.read_bytes())
    out = tmp_path / "v.npz"
    assert main(["vocab", str(tmp_path), "--column", "clicks", "-o", str(out)]) == 0
    ids, counts = load_vocabulary(out)
    expected = ranked(counted(recd_file, "clicks"))
    assert list(zip(ids.tolist(), counts.tolist(), strict=True)) == [
        (id_, 2 * n) for id_, n in expected
    ]


def test_the_same_ids_give_the_same_bytes(recd_file: Path, tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        main(["vocab", str(recd_file), "--column", "clicks", "-o", str(tmp_path / name)])
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("clikcs", "clikcs"),
        ("price", "column 'price' is dense, expected id_list or id_score_list"),
        ("session_id", "column 'session_id' is session_key"),
        ("label", "column 'label' is label"),
    ],
)
def test_columns_without_ids_are_refused(
    recd_file: Path, tmp_path: Path, capsys: Capture, column: str, message: str
) -> None:
    out = tmp_path / "v.npz"
    assert main(["vocab", str(recd_file), "--column", column, "-o", str(out)]) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("option", ["--min-count", "--max-size"])
def test_counts_below_1_are_wrong_usage(
    option: str, recd_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    arguments = ["vocab", str(recd_file), "--column", "clicks", "-o", str(tmp_path / "v")]
    assert main([*arguments, option, "0"]) == 2
    assert f"argument {option}: expected at least 1, got 0" in capsys.readouterr().err


def test_an_input_is_not_written_over(recd_file: Path, capsys: Capture) -> None:
    before = recd_file.read_bytes()
    assert main(["vocab", str(recd_file), "--column", "clicks", "-o", str(recd_file)]) == 2
    assert "is also an input" in capsys.readouterr().err
    assert recd_file.read_bytes() == before


def test_a_column_of_nulls_has_no_ids(tmp_path: Path, capsys: Capture) -> None:
    table = pa.table({"s": [1, 1], "ids": pa.array([None, []], pa.list_(pa.int64()))})
    path, out = tmp_path / "n.recd", tmp_path / "v.npz"
    recd.write(table, path, session_key="s")
    assert main(["vocab", str(path), "--column", "ids", "-o", str(out)]) == 0
    assert np.array_equal(Vocabulary(out).ids, [])
    assert "kept" in capsys.readouterr().out
