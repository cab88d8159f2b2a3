"""The embedded model's files as they ship with the package, and what they were made with.

Training gives other weights on another CPU, and headline numbers move with them. So the trained model lies
beside this file: Hugging Face's files and the report of its training, byte for byte, and `shipped.json`
with their hashes and the params that made them. `python -m pipeline ship` writes all of it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.console.errors import BadInput
from pipeline.lm.core.hashes import sha256
from pipeline.lm.section import EmbeddedModel
from pipeline.text.embedded.vocabulary import vocabulary
from pipeline.text.section import EmbeddedText

FILES = ("config.json", "generation_config.json", "model.safetensors", "report.json")
"""What is copied to models/lm; the tokenizer is made from the text section."""
FREE = {"retrain", "gate", "train_contexts", "validation_contexts", "test_contexts"}
"""Keys of both sections that say nothing about the weights: `gate` is compared with the shipped report."""
COMMAND = "dvc repro model (with model.retrain: true), then python -m pipeline ship"


class Shipped(BaseModel):
    """The content of shipped.json."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: int = 1
    command: str = COMMAND
    vocabulary_sha256: str
    sha256: dict[str, str]  # of each of FILES
    model: dict[str, Any]  # the section profiles.*.model that made the weights
    text: dict[str, Any]  # and the section profiles.*.text


class ShippedModel:
    """The shipped files in `folder`."""

    def __init__(self, folder: Path = Path(__file__).parent) -> None:
        self.folder = folder

    def write(self, trained: Path, model: EmbeddedModel, text: EmbeddedText) -> None:
        """Ship the model in the folder `trained`, which the sections `model` and `text` made."""
        for name in FILES:
            shutil.copyfile(trained / name, self.folder / name)
        about = Shipped(
            vocabulary_sha256=_vocabulary_sha256(text),
            sha256={name: sha256(trained / name) for name in FILES},
            model=model.model_dump(),
            text=text.model_dump(),
        )
        content = json.dumps(about.model_dump(), indent=1, sort_keys=True)
        (self.folder / "shipped.json").write_text(content + "\n", encoding="utf-8")

    def require(self, model: EmbeddedModel, text: EmbeddedText, profile: str) -> None:
        """Raise BadInput unless the shipped weights, undamaged, are those that both sections describe.

        Names the key of `profile` that differs from what the weights were made with.
        """
        about = self._about()
        made = EmbeddedModel.parse(about.model, "model"), EmbeddedText.parse(about.text, "text")
        for name, asked, shipped in zip(("model", "text"), (model, text), made, strict=True):
            for key in type(asked).model_fields:
                if key not in FREE and getattr(asked, key) != getattr(shipped, key):
                    raise BadInput(
                        f"params.yaml: `{profile}.{name}.{key}` is {getattr(asked, key)}, but the shipped "
                        f"language model was made with {getattr(shipped, key)}: set it back, or train "
                        f"a model with `{profile}.model.retrain=true`."
                    )
        if _vocabulary_sha256(text) != about.vocabulary_sha256:
            raise BadInput(
                "pipeline/text/embedded gives another vocabulary than that of the shipped language model: "
                f"train a model with `{profile}.model.retrain=true`, and ship it."
            )
        for name in FILES:
            if not (self.folder / name).is_file() or sha256(self.folder / name) != about.sha256.get(name):
                raise _damaged(name)

    @property
    def report(self) -> dict[str, Any]:
        """The report of the training: first-letter accuracy, cross-entropy."""
        report: dict[str, Any] = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        return report

    @property
    def weights_sha256(self) -> str:
        """Of the weights, as resolved.json of a model folder has it."""
        return self._about().sha256["model.safetensors"]

    def copy(self, out: Path) -> None:
        """Copy the files, byte for byte, to the existing folder `out`."""
        for name in FILES:
            shutil.copyfile(self.folder / name, out / name)

    def _about(self) -> Shipped:
        try:
            return Shipped.model_validate_json((self.folder / "shipped.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValidationError):
            raise _damaged("shipped.json") from None


def _damaged(name: str) -> BadInput:
    return BadInput(
        f"{name} of the shipped language model is missing or damaged: install the package again "
        "(`git checkout pipeline/lm/shipped` in a clone)."
    )


def _vocabulary_sha256(text: EmbeddedText) -> str:
    return hashlib.sha256("\0".join(vocabulary(text).tokens).encode()).hexdigest()
