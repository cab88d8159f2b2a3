"""All that git keeps of the study, read and judged: what its page, README and picture are written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.params import Params, read_params
from pipeline.study import gather, items, plan, provenance
from pipeline.study.findings import Finding, findings
from pipeline.study.section import FILE, Study, read_study


@dataclass(frozen=True)
class Answers:
    """The study, its tables and every finding."""

    study: Study
    params: Params  # of today, not those that the rows were made with
    tables: Mapping[str, pd.DataFrame]
    plan: pd.DataFrame
    provenance: Sequence[Mapping[str, Any]]
    findings: Mapping[str, Sequence[Finding]]  # by block

    @classmethod
    def read(cls, root: Path = Path()) -> Answers:
        """Those of the repository at `root`; raises BadInput for a missing or damaged file."""
        study, params = read_study(root / FILE), read_params(root / "params.yaml")
        tables, margins = gather.read(root), params.value("compare.margins")
        drawn = items.read(root)
        found = {name: findings(name, block, tables, margins, drawn) for name, block in study.blocks.items()}
        return cls(study, params, tables, plan.read(root), provenance.read(root), found)

    def of(self, method: str) -> dict[str, list[Finding]]:
        """Its findings by block, without blocks that ask nothing of it."""
        every = self.findings.items()
        own = {name: [each for each in found if each.method == method] for name, found in every}
        return {name: found for name, found in own.items() if found}

    @property
    def known(self) -> list[Finding]:
        """Those with an estimate."""
        return [each for found in self.findings.values() for each in found if each.estimate is not None]
