"""What a write did, as a value and as a table."""

from __future__ import annotations

from dataclasses import dataclass

from recd_format.dedup.plan import Plan
from recd_format.reader.stats import FieldStats, FileStats

__all__ = ["WriteReport", "group_warnings", "span_warning"]

_DAY_SECONDS = 86_400
# A group whose rows are nearly all unique pays for codes and shares nothing.
_POOR_FACTOR = 1.2


@dataclass(frozen=True, slots=True)
class WriteReport:
    """Result of a write.

    Attributes
    ----------
    rows, sessions : int
    bytes_in : int
        Size of the input: of its files, or of its Arrow buffers.
    bytes_out : int
        Size of the file written.
    seconds : float
    span_p99_seconds : float or None
        99th percentile of the sessions' spans; None where the order key has no known unit.
    stats : FileStats
    plan : Plan
        Can be passed to the next write.
    warnings : tuple of str
    """

    rows: int
    sessions: int
    bytes_in: int
    bytes_out: int
    seconds: float
    span_p99_seconds: float | None
    stats: FileStats
    plan: Plan
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        header = ("feature", "kind", "mode", "group", "factor", "chain", "bytes", "share")
        rows: list[tuple[str, ...]] = [header]
        largest_first = sorted(self.stats.fields, key=lambda field: -field.bytes)
        rows += [_row(field, self.bytes_out) for field in largest_first]
        widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
        right = {3, 4, 6, 7}
        lines = [
            "  ".join(
                cell.rjust(width) if column in right else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([self._summary(), *lines, *(f"warning: {w}" for w in self.warnings)])

    def _summary(self) -> str:
        size = f"{self.bytes_out:,} bytes"
        if self.bytes_in:
            size += f" from {self.bytes_in:,} (1/{self.bytes_in / self.bytes_out:.2f})"
        per_session = self.rows / self.sessions if self.sessions else 0
        return (
            f"{self.rows:,} rows in {self.sessions:,} sessions ({per_session:.1f} a session), "
            f"{size}, {self.stats.stripes} stripes, {self.seconds:.2f} s"
        )


def _row(field: FieldStats, total: int) -> tuple[str, ...]:
    chain = field.chains.get("values") or field.chains.get("session_key", "")
    return (
        field.name,
        field.kind,
        field.mode,
        "" if field.group < 0 else str(field.group),
        f"{field.dedup_factor:.2f}",
        chain,
        f"{field.bytes:,}",
        f"{field.bytes / total:.1%}",
    )


def span_warning(span_p99_seconds: float | None) -> tuple[str, ...]:
    """Warn of sessions that last longer than a day."""
    if span_p99_seconds is None or span_p99_seconds <= _DAY_SECONDS:
        return ()
    return (
        f"1 % of the sessions span more than {span_p99_seconds / _DAY_SECONDS:.1f} days: the rows "
        "of a session stand together, so such a file is far from time order; split long-lived "
        'keys with session_gap="30m" or session_max_span="1d"',
    )


def group_warnings(stats: FileStats) -> tuple[str, ...]:
    """Warn of groups where one field, new in every row, keeps the others from sharing."""
    found = []
    for group in stats.groups:
        if len(group.fields) < 2 or group.mode == "none":
            continue
        factor = stats.rows / group.unique_rows if group.unique_rows else 1.0
        if factor < _POOR_FACTOR:
            found.append(
                f"group {group.index} ({', '.join(group.fields[:5])}) has a dedup factor of "
                f"{factor:.2f}: a field that changes in every row keeps the others from being "
                "shared; give it a mode of its own"
            )
    return tuple(found)
