"""The section `profiles.*.harvest`: what is kept of the language model, and how."""

from __future__ import annotations

from pydantic import Field

from pipeline.lm.core.site import SiteField
from pipeline.params.section import Section
from pipeline.store.schema import Codec, Dtype


class HarvestSection(Section):
    """Site, row precision and layout of the activation store."""

    site: SiteField = Field(description="what is kept: `resid_post.LAYER`, the stream after a block")
    dtype: Dtype = Field("float32", description="precision of the stored rows")
    batch_contexts: int = Field(32, ge=1, description="contexts per forward pass; changes the last bits")
    chunk_mib: float = Field(
        8.0, gt=0, le=1024, description="MiB per chunk file before compression, rounded to whole contexts"
    )
    codec: Codec = Field(
        "none", description="compression of the rows; `bitround` loses bits (10 of 23 mantissa bits stay)"
    )
