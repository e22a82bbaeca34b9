"""Stripes for tests of plans, and a plain model of what a plan gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from recd_format.loader.options import LoaderOptions
from recd_format.loader.plan import plan_rank
from recd_format.loader.segments import Segments, StripeInfo


@dataclass(frozen=True)
class Row:
    """A wanted row, known by its stripe and its number in it."""

    stripe: int
    row: int
    session: int  # of all files
    factor: float


class Log:
    """Stripes with their sessions, their wanted rows, and the stripes that were asked for.

    Parameters
    ----------
    stripes
        Of each: its file, whether its first session began in the stripe before, and its sessions,
        each a list with one number per row: the row's factor, 0 where it is not wanted.
    """

    def __init__(self, stripes: list[tuple[int, bool, list[list[float]]]]) -> None:
        self.asked: list[int] = []
        self.infos: list[StripeInfo] = []
        self.rows: list[list[Row]] = []
        self._segments: list[Segments] = []
        session, in_file = -1, 0
        for number, (file, continues, sessions) in enumerate(stripes):
            new_file = number == 0 or file != stripes[number - 1][0]
            continues = continues and not new_file
            in_file = 0 if new_file else in_file + 1
            rows, found, at = [], [], 0
            for ordinal, factors in enumerate(sessions):
                session += not (continues and ordinal == 0)
                previous = 0.0
                for factor in factors:
                    if factor:
                        rows.append(Row(number, at, session, factor))
                        if factor == previous:
                            found[-1][1] = at + 1
                        else:
                            found.append([at, at + 1, ordinal, factor])
                    previous = factor
                    at += 1
            self.rows.append(rows)
            self.infos.append(StripeInfo(file, in_file, len(rows), continues))
            begin, end, ordinals, factors = (
                np.array([each[column] for each in found], dtype)
                for column, dtype in enumerate((np.int64, np.int64, np.int64, np.float32))
            )
            plain = bool((factors == 1).all())
            self._segments.append(
                Segments(begin, end, ordinals, None if plain else factors, len(sessions))
            )

    def segments(self, number: int) -> Segments:
        self.asked.append(number)
        return self._segments[number]

    @property
    def wanted(self) -> list[Row]:
        """Wanted rows in file order."""
        return [row for rows in self.rows for row in rows]

    def session_rows(self) -> dict[int, list[Row]]:
        """Wanted rows of each session."""
        found: dict[int, list[Row]] = {}
        for row in self.wanted:
            found.setdefault(row.session, []).append(row)
        return found

    def longest(self) -> int:
        """Wanted rows of the longest session."""
        return max((len(rows) for rows in self.session_rows().values()), default=0)

    def plan(self, options: LoaderOptions, *, epoch=0, rank=0, world=1):
        return plan_rank(self.infos, self.segments, options, epoch=epoch, rank=rank, world=world)

    def window_rows(self, plan, number: int) -> list[Row]:
        """Rows of a window in the order they are given."""
        window = plan.window(number)
        return self.as_rows(window.stripes, window.rows(0, window.num_rows))

    def as_rows(self, stripes, ranges) -> list[Row]:
        place, begin, end, factors = ranges
        if factors is None:
            factors = np.ones(len(place), np.float32)
        known = {(row.stripe, row.row): row for row in self.wanted}
        given = []
        for at, low, high, factor in zip(place, begin, end, factors, strict=True):
            for number in range(low, high):
                row = known[stripes[at], number]
                assert row.factor == factor
                given.append(row)
        return given

    def share(self, plan) -> list[Row]:
        """All rows of the rank, in order."""
        return [row for j in range(plan.num_windows) for row in self.window_rows(plan, j)]

    def batches(self, plan) -> list[list[Row]]:
        """Rows of each of the plan's batches."""
        share = self.share(plan)
        return [
            [row for begin, end in plan.batch_rows(k) for row in share[begin:end]]
            for k in range(plan.num_batches)
        ]


def whole_log(*stripes: list[int], continues: tuple[int, ...] = ()) -> Log:
    """A log of one file of which all is wanted, given the session lengths of each stripe."""
    return Log(
        [
            (0, number in continues, [[1.0] * rows for rows in sessions])
            for number, sessions in enumerate(stripes)
        ]
    )


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Logs of a few files: sessions over several stripes, unwanted rows, sessions and stripes."""
    selection = draw(st.sampled_from(["all", "sessions", "rows"]))
    factors = {
        "all": st.just(1.0),
        "sessions": st.just(1.0),
        "rows": st.sampled_from([0.0, 0.0, 1.0, 4.0]),
    }[selection]
    stripes = []
    file = 0
    for _ in range(draw(st.integers(0, 9))):
        file += draw(st.integers(0, 5)) == 0
        sessions = draw(st.lists(st.lists(factors, min_size=1, max_size=6), min_size=1, max_size=5))
        if selection == "sessions":
            sessions = [
                session if draw(st.booleans()) else [0.0] * len(session) for session in sessions
            ]
        if draw(st.integers(0, 7)) == 0:
            sessions = [[0.0] * len(session) for session in sessions]
        stripes.append((file, draw(st.booleans()), sessions))
    return Log(stripes)
