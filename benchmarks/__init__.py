"""Benchmarks: recd_format beside the formats people use today. ``python -m benchmarks --help``."""
