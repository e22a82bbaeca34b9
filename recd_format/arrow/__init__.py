"""The edge to Arrow: rows in, rows out, and where they come from."""

from __future__ import annotations

from recd_format.arrow.columns_in import column_from_arrow, concat_columns, empty_column
from recd_format.arrow.columns_out import column_to_arrow, column_to_chunks, empty_array
from recd_format.arrow.keys import SessionCodes, order_image, session_codes
from recd_format.arrow.schema import (
    arrow_schema_of,
    check_arrow_schema,
    infer_schema,
    leak_warnings,
    schema_from_bytes,
    schema_to_bytes,
)
from recd_format.arrow.shared import shared_to_arrow, shared_type, windows_to_arrow
from recd_format.arrow.sources import Batches, batches
from recd_format.arrow.types import arrow_type_of

__all__ = [
    "Batches",
    "SessionCodes",
    "arrow_schema_of",
    "arrow_type_of",
    "batches",
    "check_arrow_schema",
    "column_from_arrow",
    "column_to_arrow",
    "column_to_chunks",
    "concat_columns",
    "empty_array",
    "empty_column",
    "infer_schema",
    "leak_warnings",
    "order_image",
    "schema_from_bytes",
    "schema_to_bytes",
    "session_codes",
    "shared_to_arrow",
    "shared_type",
    "windows_to_arrow",
]
