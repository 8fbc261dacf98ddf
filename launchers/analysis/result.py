"""Results of the parts of an analysis."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from launchers.common.html_report import Section


@dataclasses.dataclass
class Result:
    """A part's section of the report, its numbers, and its lines for a terminal."""

    section: Section
    numbers: dict[str, Any] = dataclasses.field(default_factory=dict)
    lines: list[str] = dataclasses.field(default_factory=list)


def finite(values: np.ndarray) -> list:
    """Returns nested lists for JSON, with None for NaN and infinity."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(v) for v in value]
        return value if math.isfinite(value) else None

    return plain(np.asarray(values, np.float64).tolist())
