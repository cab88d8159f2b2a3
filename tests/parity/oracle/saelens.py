"""python -m tests.parity.oracle.saelens FOLDER: each SAE folder in FOLDER, encoded and decoded by SAELens.

Reads x from FOLDER/x.safetensors; writes f and x_hat to answer.safetensors and the class that SAELens made
of the folder to answer.json beside each SAE's cfg.json.
"""

import importlib.machinery
import json
import sys
import types
from pathlib import Path


def run(folder: Path) -> None:
    # a logger that sae_lens imports and only its trainer calls
    wandb = types.ModuleType("wandb")
    wandb.__spec__ = importlib.machinery.ModuleSpec("wandb", None)
    sys.modules.setdefault("wandb", wandb)
    import torch
    from sae_lens import SAE
    from safetensors.torch import load_file, save_file

    x = load_file(folder / "x.safetensors")["x"]
    for cfg in sorted(folder.glob("*/cfg.json")):
        with torch.no_grad():
            sae = SAE.load_from_disk(cfg.parent, device="cpu")
            f = sae.encode(x)
            answer = {"f": f, "x_hat": sae.decode(f)}
        save_file(
            {name: tensor.contiguous() for name, tensor in answer.items()}, cfg.parent / "answer.safetensors"
        )
        said = {"class": type(sae).__name__, "metadata": {"model_name": sae.cfg.metadata.model_name,
                "hook_name": sae.cfg.metadata.hook_name}}  # fmt: skip
        (cfg.parent / "answer.json").write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    run(Path(sys.argv[1]))
