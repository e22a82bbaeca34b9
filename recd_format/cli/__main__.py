"""`python -m recd_format.cli`: the same as `recd`."""

from __future__ import annotations

import sys

from recd_format.cli import main

sys.exit(main())
