"""The effects of the study as a picture: those of the first block that was run."""

from __future__ import annotations

import pandas as pd

from pipeline.charts.effects import effects
from pipeline.compare.paired.verdict import RESOLVED
from pipeline.study.answers import Answers


def picture(answers: Answers) -> bytes | None:
    """A PNG of every effect of the first block with one; None where no block has any."""
    known = answers.known
    rows = [
        {
            "label": each.row, "name": f"{each.row} against {each.against}", "title": each.title,
            "better": each.better, "y": each.estimate.value, "low": each.estimate.low,
            "high": each.estimate.high, "resolved": each.verdict in RESOLVED,
        }
        for each in known if each.block == known[0].block and each.estimate is not None
    ]  # fmt: skip
    return effects(pd.DataFrame(rows)) if rows else None
