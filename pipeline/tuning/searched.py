"""Which methods were never tried on a profile: what the page can say from parameters that it has anyway."""

from __future__ import annotations

from pipeline.params import Params
from pipeline.params.experiment import variants
from pipeline.tuning.beds import profile_bed
from pipeline.tuning.record import path_of, read_trials


def never_tried(params: Params) -> list[str]:
    """The methods without a trial on the chosen profile as its sections are now; `check` says more."""
    bed = profile_bed(params, "")
    tried = {each.variant for each in read_trials(path_of(bed.name)) if each.basis == bed.basis}
    return [name for name in variants(params) if name not in tried]
