"""Finding what repeats: pure functions over NumPy arrays, for the writer."""

from __future__ import annotations
