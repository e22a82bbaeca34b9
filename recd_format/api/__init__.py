"""What users call: write, open, dataset. Arrow in, Arrow out.

Layer: above reader, writer, arrow and filesystem; below integrations, torch and cli.
"""

from __future__ import annotations

from recd_format.api.dataset import RecdDataset, dataset
from recd_format.api.file import RecdFile, open
from recd_format.api.report import WriteReport
from recd_format.api.write import write
from recd_format.api.writer import RecdWriter

__all__ = ["RecdDataset", "RecdFile", "RecdWriter", "WriteReport", "dataset", "open", "write"]
