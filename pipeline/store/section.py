"""The section `profiles.*.harvest`: what is kept of the language model, and how."""

from __future__ import annotations

from pydantic import Field

from pipeline.lm.core.site import SiteField
from pipeline.params.section import Section
from pipeline.store.schema import Codec, Dtype


class GateSection(Section):
    """What the activations must carry for the instrument to answer questions about slow signals."""

    slow_states: int = Field(4, ge=0, description="least number of slow states that are linear at the site")
    linear: float = Field(
        0.8, ge=0, description="of what the counting filter reaches above chance: from here a state is linear"
    )
    participation_ratio: float = Field(20.0, ge=1, description="least, of the covariance")
    token_share: float = Field(0.6, gt=0, le=1, description="most of the variance that the token explains")
    document_share: float = Field(0.15, ge=-1, le=1, description="least that the document explains")
    position_share: float = Field(0.05, ge=0, le=1, description="most that the position explains")
    autocorrelation: float = Field(0.2, ge=-1, le=1, description="least, at lag 10")


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
    gate: GateSection | None = Field(
        None, description="bounds on what the rows carry; null: measured and reported only"
    )
