"""Kernels of `assemble`: which unique rows a batch has, and copying them."""

from __future__ import annotations

import numpy as np

from recd_format._jit import array_at, kernel

__all__ = ["EXTENT", "RANGE", "fill_batch", "find_rows", "place_sections"]

# Columns of the tables of a batch. A range is unique rows low:high of the stripe in a slot; an
# extent the part of its timeline that they look at.
RANGE = 3
EXTENT = 2

int64_at = array_at("int64")
int32_at = array_at("int32")
uint32_at = array_at("uint32")


@kernel()
def find_stamped(pieces, groups, g, table, count, out, place):  # type: ignore[no-untyped-def]
    """Number unique rows by first appearance, looking each up; returns (ranges, unique, sorted).

    Stamps of the stripes are -1 before and after.
    """
    first = count
    unique = np.int64(0)
    last = np.int64(-1)
    sorted_ = True
    for p in range(len(pieces)):
        slot, begin, end = pieces[p, 0], pieces[p, 1], pieces[p, 2]
        address, total, stamp_at = groups[slot, g, 0], groups[slot, g, 1], groups[slot, g, 3]
        codes = int32_at(address, end if address else 0)
        stamps = int32_at(stamp_at, total if stamp_at else 0)
        for row in range(begin, end):
            u = np.int64(codes[row]) if address else row
            # A stripe whose rows are its unique rows, or whose codes never fall, has no stamps.
            number = np.int64(stamps[u]) if stamp_at else np.int64(-1)
            if (
                not stamp_at and address and count > first
                and table[count - 1, 0] == slot and table[count - 1, 2] == u + 1
            ):  # fmt: skip
                number = unique - 1
            if number < 0:
                number = unique
                unique += 1
                if stamp_at:
                    stamps[u] = np.int32(number)
                if count > first and table[count - 1, 0] == slot and table[count - 1, 2] == u:
                    table[count - 1, 2] = u + 1
                else:
                    table[count, 0], table[count, 1], table[count, 2] = slot, u, u + 1
                    count += 1
            if number < last:
                sorted_ = False
            last = number
            out[place] = np.int32(number)
            place += 1
    for r in range(first, count):
        slot = table[r, 0]
        stamp_at = groups[slot, g, 3]
        if stamp_at:
            stamps = int32_at(stamp_at, groups[slot, g, 1])
            for u in range(table[r, 1], table[r, 2]):
                stamps[u] = np.int32(-1)
    return count, unique, sorted_


@kernel()
def find_ranges(pieces, groups, g, table, count, shifts):  # type: ignore[no-untyped-def]
    """The same where codes never fall within a stripe: unique rows of a piece are neighbours."""
    first = count
    unique = np.int64(0)
    for p in range(len(pieces)):
        slot, begin, end = pieces[p, 0], pieces[p, 1], pieces[p, 2]
        address = groups[slot, g, 0]
        codes = int32_at(address, end if address else 0)
        low = np.int64(codes[begin]) if address else begin
        high = np.int64(codes[end - 1]) + 1 if address else end
        if count > first and table[count - 1, 0] == slot:
            known = table[count - 1, 2]
            # The piece before ended on the same unique row, or just before it.
            if low == known or (address != 0 and low == known - 1):
                shifts[p] = unique - known
                unique += high - known
                table[count - 1, 2] = high
                continue
        shifts[p] = unique - low
        table[count, 0], table[count, 1], table[count, 2] = slot, low, high
        count += 1
        unique += high - low
    return count, unique


@kernel()
def find_extent(starts, lengths, count):  # type: ignore[no-untyped-def]
    """First and end of what windows look at, and how many values they have in all."""
    begin, end, total = np.int64(1) << 62, np.int64(0), np.int64(0)
    for u in range(count):
        if lengths[u] > 0:
            begin = min(begin, np.int64(starts[u]))
            end = max(end, np.int64(starts[u]) + np.int64(lengths[u]))
            total += np.int64(lengths[u])
    return (begin, end, total) if end > 0 else (np.int64(0), np.int64(0), np.int64(0))


@kernel()
def count_values(features, f, table, first, count, extents, held):  # type: ignore[no-untyped-def]
    """Values of a feature's unique rows, in the buffer and written out; of timelines, their
    extents go into the table."""
    total, plain = np.int64(0), np.int64(0)
    for r in range(first, count):
        slot, low, high = table[r, 0], table[r, 1], table[r, 2]
        width, starts_at = features[slot, f, 6], features[slot, f, 3]
        if starts_at:
            begin, end, own = find_extent(
                int32_at(starts_at + 4 * low, high - low),
                int32_at(features[slot, f, 2] + 4 * low, high - low),
                high - low,
            )
            extents[held, 0], extents[held, 1] = begin, end
            held += 1
            total += end - begin
            plain += own
            continue
        if features[slot, f, 4]:
            offsets = int64_at(features[slot, f, 4], high + 1)
            own = offsets[high] - offsets[low]
        else:
            own = width * (high - low)
        total += own
        plain += own
    return total, plain, held


@kernel()
def find_sessions(pieces, sessions, ids, rows):  # type: ignore[no-untyped-def]
    """Runs of rows of one session; returns how many."""
    count = np.int64(0)
    last_slot, last_session = np.int64(-1), np.int64(-1)
    for p in range(len(pieces)):
        slot = pieces[p, 0]
        address, columns, base = sessions[slot, 0], sessions[slot, 1], sessions[slot, 2]
        table = int64_at(address, 2 * columns)
        begin, end = pieces[p, 1] + base, pieces[p, 2] + base
        low, high = np.int64(0), columns - 1
        while high - low > 1:
            middle = (low + high) >> 1
            if table[middle] <= begin:
                low = middle
            else:
                high = middle
        while begin < end:
            stop = min(end, table[low + 1])
            if slot == last_slot and low == last_session:
                rows[count - 1] += np.int32(stop - begin)
            else:
                ids[count] = table[columns + low]
                rows[count] = np.int32(stop - begin)
                count += 1
            last_slot, last_session = slot, low
            begin = stop
            low += 1
    return count


# Rows and sizes of the sections of a batch's buffer, in the order of `layout.Layout`.
@kernel(
    "void(int64[::1], boolean[::1], int64[::1], int64[::1], int64[::1], boolean[::1], "
    "boolean[::1], int64, int64, int64, int64, int64[:,::1], int64[:,::1], int64[::1], int64[::1])"
)
def place_sections(  # type: ignore[no-untyped-def]
    roles, windowed, group_of_feature, unique, values, identity, monotone, rows, sessions,
    id_bytes, factors, sections, places, inverse_row, csr_start,
):  # fmt: skip
    """Byte offset and items of every section, and where in the buffer each feature's parts go.

    Sections are: 0 inverse, 1 csr; of each jagged role r, from 2 + 4 r on: values, weights,
    lengths, starts; 14 dense, 15 labels, 16 weights, 17 session ids, 18 session rows, 19 factor.
    """
    stored, sorted_ = np.int64(0), np.int64(0)
    for g in range(len(unique)):
        inverse_row[g], csr_start[g] = -1, -1
        if not identity[g]:
            inverse_row[g] = stored
            stored += 1
            if not monotone[g]:
                csr_start[g] = sorted_
                sorted_ += unique[g] + 1 + rows
    for s in range(len(sections)):
        sections[s, 1] = 0
    sections[0, 1], sections[1, 1] = stored * rows, sorted_
    for f in range(len(roles)):
        role, number = roles[f], unique[group_of_feature[f]]
        if role > 2:
            places[f, 0] = sections[11 + role, 1]
            sections[11 + role, 1] += values[f]
            continue
        first = 2 + 4 * role
        for part in range(4):
            places[f, part] = sections[first + part, 1]
        sections[first, 1] += values[f]
        if role == 1:
            sections[first + 1, 1] += values[f]
        sections[first + 2, 1] += number
        if windowed[f]:
            sections[first + 3, 1] += number
    sections[17, 1], sections[18, 1], sections[19, 1] = sessions, sessions, factors
    end = np.int64(0)
    for s in range(len(sections)):
        size = id_bytes if s == 2 or s == 6 else np.int64(8 if s == 17 else 4)
        sections[s, 0] = end
        end = (end + size * sections[s, 1] + 63) // 64 * 64
    for f in range(len(roles)):
        role = roles[f]
        if role > 2:
            places[f, 0] = sections[11 + role, 0] + 4 * places[f, 0]
            continue
        first = 2 + 4 * role
        for part in range(4):
            size = id_bytes if part == 0 and role < 2 else np.int64(4)
            places[f, part] = sections[first + part, 0] + size * places[f, part]


@kernel(
    "int64(int64[:,::1], int64[:,:,::1], int64[:,:,::1], int64[:,::1], int64[::1], int64[::1], "
    "boolean[::1], int64[:,::1], int64[:,::1], int32[::1], int64[::1], int64[::1], int64[::1], "
    "boolean[::1], boolean[::1], int64[::1], int64[:,::1], int64[::1], int32[::1])"
)
def find_rows(  # type: ignore[no-untyped-def]
    pieces, groups, features, sessions, members, member_offsets, stamped, table, extents, scratch,
    unique, values, plain, identity, monotone, range_offsets, shifts, session_ids,
    session_rows,
):  # fmt: skip
    """Find the unique rows of a batch and count their values; returns the runs of sessions.

    Rows of `pieces` are relative to what is staged of their stripe.
    """
    rows = np.int64(0)
    for p in range(len(pieces)):
        rows += pieces[p, 2] - pieces[p, 1]
    count, held, place = np.int64(0), np.int64(0), np.int64(0)
    for g in range(len(unique)):
        first = count
        coded = False
        for p in range(len(pieces)):
            if groups[pieces[p, 0], g, 0] != 0:
                coded = True
                break
        sorted_ = True
        if stamped[g]:
            count, unique[g], sorted_ = find_stamped(
                pieces, groups, g, table, count, scratch, place
            )
            place += rows
        else:
            count, unique[g] = find_ranges(pieces, groups, g, table, count, shifts[g])
        identity[g] = not coded
        monotone[g] = sorted_
        range_offsets[g + 1] = count
        for m in range(member_offsets[g], member_offsets[g + 1]):
            f = members[m]
            values[f], plain[f], held = count_values(
                features, f, table, first, count, extents, held
            )
    return find_sessions(pieces, sessions, session_ids, session_rows)


@kernel()
def sort_rows(inverse, rows, unique, out):  # type: ignore[no-untyped-def]
    """Rows by unique row, stable: offsets [unique + 1], then rows [rows]."""
    for u in range(unique + 1):
        out[u] = np.int32(0)
    for i in range(rows):
        out[inverse[i] + 1] += np.int32(1)
    for u in range(unique):
        out[u + 1] += out[u]
    # Each offset moves on to the next one's place while rows are dealt out, and is put back.
    base = unique + 1
    for i in range(rows):
        u = inverse[i]
        out[base + out[u]] = np.int32(i)
        out[u] += np.int32(1)
    for k in range(unique):
        u = unique - k
        out[u] = out[u - 1]
    out[0] = np.int32(0)


@kernel()
def fill_groups(  # type: ignore[no-untyped-def]
    pieces, groups, stamped, identity, unique, shifts, scratch, inverse, sorted_rows, csr, rows
):
    """Write the inverse lookups, and the order of rows by unique row where they fall.

    `inverse` and `sorted_rows` are addresses; `csr` where in the latter a group begins.
    """
    kept = np.int64(0)
    for g in range(len(unique)):
        source = kept
        if stamped[g]:
            kept += rows
        if identity[g]:
            continue
        if stamped[g]:
            out = int32_at(inverse, rows)
            for i in range(rows):
                out[i] = scratch[source + i]
            if csr[g] >= 0:
                count = unique[g] + 1 + rows
                sort_rows(out, rows, unique[g], int32_at(sorted_rows + 4 * csr[g], count))
        else:
            at = inverse
            for p in range(len(pieces)):
                slot, begin, end = pieces[p, 0], pieces[p, 1], pieces[p, 2]
                address = groups[slot, g, 0]
                shift = np.int32(shifts[g, p])
                count = end - begin
                out = int32_at(at, count)
                if address:
                    codes = int32_at(address + 4 * begin, count)
                    for i in range(count):
                        out[i] = codes[i] + shift
                else:
                    shift += np.int32(begin)
                    for i in range(count):
                        out[i] = np.int32(i) + shift
                at += 4 * count
        inverse += 4 * rows


@kernel()
def copy_values(kind, source, target, count):  # type: ignore[no-untyped-def]
    """Copy values between addresses: 0 int64, 1 int64 to int32, others of 4 bytes."""
    # Loops from 0 over arrays of their own become plain copies; with offsets inside they do not.
    if kind == 0:
        ids, wide = int64_at(source, count), int64_at(target, count)
        for i in range(count):
            wide[i] = ids[i]
    elif kind == 1:
        ids, narrow = int64_at(source, count), int32_at(target, count)
        for i in range(count):
            narrow[i] = np.int32(ids[i])
    else:
        words, copies = int32_at(source, count), int32_at(target, count)
        for i in range(count):
            copies[i] = words[i]


@kernel()
def look_up(kind, source, entries_at, num_entries, target, count):  # type: ignore[no-untyped-def]
    """Copy entries of 8 bytes by their numbers: 0 as int64, else as int32."""
    # The decoder has seen to it that every number is one of an entry.
    numbers, entries = uint32_at(source, count), int64_at(entries_at, num_entries)
    if kind == 0:
        wide = int64_at(target, count)
        for i in range(count):
            wide[i] = entries[np.uint64(numbers[i])]
    else:
        narrow = int32_at(target, count)
        for i in range(count):
            narrow[i] = np.int32(entries[np.uint64(numbers[i])])


@kernel()
def copy_starts(source, lengths_at, target, count, shift):  # type: ignore[no-untyped-def]
    """Starts of windows, moved; an empty window may stand anywhere."""
    starts, lengths, out = (
        int32_at(source, count),
        int32_at(lengths_at, count),
        int32_at(target, count),
    )
    for u in range(count):
        out[u] = np.int32(starts[u] + shift) if lengths[u] > 0 else np.int32(0)


@kernel()
def fill_starts(offsets_at, width, target, count, begin, shift):  # type: ignore[no-untyped-def]
    """Starts of rows that are no windows, in a feature that has some elsewhere."""
    out = int32_at(target, count)
    if offsets_at:
        offsets = int64_at(offsets_at, count)
        for u in range(count):
            out[u] = np.int32(offsets[u] - begin + shift)
    else:
        for u in range(count):
            out[u] = np.int32(u * width + shift)


@kernel()
def fill_features(  # type: ignore[no-untyped-def]
    features, members, member_offsets, windowed, kinds, table, range_offsets, extents, places, data
):
    """Copy the values, weights, lengths and starts of the ranges that `find_rows` found.

    `places` are bytes from the address `data` on.
    """
    held = np.int64(0)
    for g in range(len(member_offsets) - 1):
        for m in range(member_offsets[g], member_offsets[g + 1]):
            f = members[m]
            kind = kinds[f]
            size = 8 if kind == 0 else 4
            stored = 8 if kind < 2 else 4
            value_at, weight_at = data + places[f, 0], data + places[f, 1]
            length_at, start_at = data + places[f, 2], data + places[f, 3]
            filled = np.int64(0)
            for r in range(range_offsets[g], range_offsets[g + 1]):
                slot, low, high = table[r, 0], table[r, 1], table[r, 2]
                values_at, lengths_at = features[slot, f, 0], features[slot, f, 2]
                starts_at, offsets_at = features[slot, f, 3], features[slot, f, 4]
                weights_at, width = features[slot, f, 5], features[slot, f, 6]
                number = high - low
                begin = low * width
                count = number * width
                if starts_at:
                    begin, end = extents[held, 0], extents[held, 1]
                    held += 1
                    count = end - begin
                    lengths = lengths_at + 4 * low
                    copy_starts(starts_at + 4 * low, lengths, start_at, number, filled - begin)
                else:
                    if offsets_at:
                        offsets = int64_at(offsets_at, high + 1)
                        begin = offsets[low]
                        count = offsets[high] - begin
                    if windowed[f]:
                        own = offsets_at + 8 * low if offsets_at else 0
                        fill_starts(own, width, start_at, number, begin, filled)
                if windowed[f]:
                    start_at += 4 * number
                if kind < 3:
                    if lengths_at:
                        copy_values(2, lengths_at + 4 * low, length_at, number)
                    else:
                        out = int32_at(length_at, number)
                        for u in range(number):
                            out[u] = np.int32(width)
                    length_at += 4 * number
                if count > 0:
                    entries_at = features[slot, f, 7]
                    to = value_at + size * filled
                    if entries_at:
                        held_entries = features[slot, f, 8]
                        at = values_at + 4 * begin
                        look_up(kind, at, entries_at, held_entries, to, count)
                    else:
                        copy_values(kind, values_at + stored * begin, to, count)
                    if weights_at:
                        copy_values(2, weights_at + 4 * begin, weight_at + 4 * filled, count)
                    filled += count


@kernel(
    "void(int64[:,::1], int64[:,:,::1], int64[:,:,::1], int64[::1], int64[::1], boolean[::1], "
    "int64[::1], boolean[::1], boolean[::1], int64[::1], int64[:,::1], int64[:,::1], int64[::1], "
    "int64[:,::1], int32[::1], int64[::1], int32[::1], int64, int64[:,::1], int64[:,::1], "
    "int64[::1], int64, int64)"
)
def fill_batch(  # type: ignore[no-untyped-def]
    pieces, groups, features, members, member_offsets, windowed, kinds, stamped, identity, unique,
    shifts, table, range_offsets, extents, scratch, session_ids, session_rows, sessions, sections,
    places, csr_start, rows, data,
):  # fmt: skip
    """Write everything that `find_rows` found to its place from the address `data` on."""
    ids = int64_at(data + sections[17, 0], sessions)
    counts = int32_at(data + sections[18, 0], sessions)
    for i in range(sessions):
        ids[i], counts[i] = session_ids[i], session_rows[i]
    fill_groups(
        pieces, groups, stamped, identity, unique, shifts, scratch, data + sections[0, 0],
        data + sections[1, 0], csr_start, rows,
    )  # fmt: skip
    fill_features(
        features, members, member_offsets, windowed, kinds, table, range_offsets, extents, places,
        data,
    )  # fmt: skip
