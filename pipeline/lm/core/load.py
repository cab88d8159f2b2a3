"""A language model whose forward pass can stop at a block and go on from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.lm.core.architectures import architecture
from pipeline.lm.core.cut import first_blocks, last_blocks
from pipeline.lm.core.hub import first_line, hub_error
from pipeline.lm.core.resolved import Resolved, read_resolved
from pipeline.lm.core.site import Site
from pipeline.lm.core.tokenizer import load_tokenizer


class LanguageModel:
    """A frozen decoder, cut in two at any block.

    Masks are (B, T), true (1) at tokens and false (0) at padding, on either side; positions count
    tokens, so padding does not move them. What comes out at padding is meaningless.
    """

    def __init__(self, model: Any, tokenizer: Any, resolved: Resolved) -> None:
        self.model, self.tokenizer, self.resolved = model, tokenizer, resolved
        self._architecture = architecture(resolved.architecture, resolved.model_id)

    @property
    def model_id(self) -> str:
        """Hub name, or the name of the local folder."""
        return self.resolved.model_id

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights."""
        return self.resolved.weights_sha256

    @property
    def d(self) -> int:
        """Width of the residual stream."""
        return self.resolved.d

    @property
    def layers(self) -> int:
        """Number of blocks."""
        return self.resolved.layers

    @property
    def special_ids(self) -> list[int]:
        """BOS, EOS and PAD, sorted."""
        return self.resolved.special_ids

    @property
    def bos_id(self) -> int:
        """The token that begins a context."""
        return self.resolved.bos_id

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.model.device
        return device

    def require(self, site: Site) -> None:
        """Raise BadInput unless the model has `site`."""
        if not 0 <= site.layer < self.layers:
            raise BadInput(
                f"layer {site.layer} does not exist: {self.model_id} has {self.layers} blocks; "
                f"set `harvest.site` to {site.kind}.0 to {site.kind}.{self.layers - 1}."
            )

    @torch.no_grad()
    def forward_to(self, ids: Tensor, site: Site, mask: Tensor | None = None) -> Tensor:
        """The activations (B, T, d) float32 at `site` of ids (B, T) int64.

        transformers' hidden_states[layer + 1], except that its last entry is after the final norm. No
        later block runs. Raises BadInput for a site that does not exist.
        """
        self.require(site)
        base = self.model.base_model
        with first_blocks(base, self._architecture, site.layer + 1):
            out = base(input_ids=ids.to(self.device), use_cache=False, **self._masked(mask))
        hidden: Tensor = out.last_hidden_state
        return hidden.float()

    @torch.no_grad()
    def forward_from(self, residual: Tensor, site: Site, mask: Tensor | None = None, last: int = 0) -> Tensor:
        """Logits (B, T, V) float32 of the rest of the model, from residual (B, T, d) at `site`.

        forward_from(forward_to(ids, site), site) are the model's logits; with `last` above zero those of
        the last positions alone, (B, last, V). Raises BadInput for a site that does not exist.
        """
        self.require(site)
        residual = residual.to(self.device, self.model.dtype)
        with last_blocks(self.model.base_model, self._architecture, site.layer + 1, residual):
            out = self.model(
                inputs_embeds=residual, use_cache=False, logits_to_keep=last, **self._masked(mask)
            )
        logits: Tensor = out.logits
        return logits.float()

    def _masked(self, mask: Tensor | None) -> dict[str, Tensor]:
        if mask is None:
            return {}
        mask = mask.to(self.device, torch.int64)
        return {"attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}


def load_lm(
    folder: Path, device: torch.device | str, dtype: Literal["float32", "bfloat16"] = "float32"
) -> LanguageModel:
    """The language model of a resolved `folder`, frozen, on `device`, its weights in `dtype`.

    Hub weights come from the hub's cache at the pinned commit. Raises BadInput when the folder is not
    resolved, weights are missing, or the hub cannot be reached.
    """
    resolved = read_resolved(folder)
    model, loading = _pretrained(folder, resolved, dtype)
    if loading["missing_keys"]:
        # transformers would fill them with random numbers
        raise BadInput(
            f"the weights of {resolved.model_id} lack {len(loading['missing_keys'])} tensors "
            f"({min(loading['missing_keys'])}, ...); they belong to another model."
        )
    model.to(device).eval().requires_grad_(False)
    return LanguageModel(model, load_tokenizer(folder), resolved)


def _pretrained(folder: Path, resolved: Resolved, dtype: str) -> tuple[Any, dict[str, Any]]:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # a bar per file of weights, even where there is no terminal
    hub = resolved.source == "hub"
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            resolved.model_id if hub else folder, revision=resolved.revision if hub else "main",
            local_files_only=not hub, dtype=getattr(torch, dtype), use_safetensors=True,
            attn_implementation=architecture(resolved.architecture, resolved.model_id).attention,
            output_loading_info=True, trust_remote_code=False,
        )  # fmt: skip
    except Exception as error:
        if hub:
            raise hub_error(error, resolved.model_id, str(resolved.revision)) from None
        raise BadInput(
            f"the weights in {folder} cannot be loaded ({first_line(error)}); run `dvc repro -f model`."
        ) from None
    return loaded[0], loaded[1]
