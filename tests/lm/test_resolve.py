from __future__ import annotations

import importlib
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors

from pipeline.console.errors import BadInput
from pipeline.lm.core.hub import hub_error
from pipeline.lm.core.load import load_lm
from pipeline.lm.core.resolved import read_resolved
from pipeline.lm.core.tokenizer import bos_id, load_tokenizer, special_ids, tokenizer_sha256
from pipeline.lm.resolve import resolve_hub, resolve_local, write_resolved
from tests.lm import tiny

http = importlib.import_module(errors.HTTPError.__module__.split(".")[0])
"""The HTTP library that the hub's client is built on."""

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save("gpt2", tmp_path_factory.mktemp("models") / "my-model")


def test_a_local_model_is_copied_and_described(source: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(source, tmp_path / "my-model")
    (folder / "modeling_custom.py").write_text("raise SystemExit")
    (folder / "optimizer.pt").write_bytes(b"\x80")
    resolve_local(folder, tmp_path / "lm")
    resolved = read_resolved(tmp_path / "lm")
    assert resolved.model_dump(exclude={"weights_sha256", "tokenizer_sha256"}) == {
        "version": 1, "source": "local", "model_id": "my-model", "revision": None, "architecture": "gpt2",
        "d": 16, "layers": 3, "vocab_size": tiny.VOCABULARY, "bos_id": tiny.BOS,
        "special_ids": [tiny.BOS, tiny.EOS, tiny.PAD],
    }  # fmt: skip
    names = {path.name for path in (tmp_path / "lm").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "resolved.json"} <= names
    assert not names & {"modeling_custom.py", "optimizer.pt"}
    assert str(tmp_path) not in (tmp_path / "lm/resolved.json").read_text()


def test_the_same_model_elsewhere_is_the_same_model(source: Path, tmp_path: Path) -> None:
    resolve_local(source, tmp_path / "a")
    other = shutil.copytree(source, tmp_path / "elsewhere/my-model")
    resolve_local(other, tmp_path / "b")
    assert (tmp_path / "a/resolved.json").read_bytes() == (tmp_path / "b/resolved.json").read_bytes()


def test_weights_in_several_files_are_copied_and_hashed(tmp_path: Path) -> None:
    tiny.save("llama", tmp_path / "m", max_shard_size="10KB")
    assert len(list((tmp_path / "m").glob("*.safetensors"))) > 1
    resolve_local(tmp_path / "m", tmp_path / "lm")
    before = read_resolved(tmp_path / "lm").weights_sha256
    assert load_lm(tmp_path / "lm", "cpu").layers == 3
    last = sorted((tmp_path / "m").glob("*.safetensors"))[-1]
    content = bytearray(last.read_bytes())
    content[-1] ^= 1
    last.write_bytes(bytes(content))
    resolve_local(tmp_path / "m", tmp_path / "lm")
    assert read_resolved(tmp_path / "lm").weights_sha256 != before


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"not a Hugging Face model folder"):
        resolve_local(tmp_path, tmp_path / "lm")


def test_pickled_weights_are_refused(source: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(source, tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(BadInput, match="pickled weights"):
        resolve_local(folder, tmp_path / "lm")
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(BadInput, match="has no weights"):
        resolve_local(folder, tmp_path / "lm")
    assert not (tmp_path / "lm").exists()


def test_an_unknown_architecture(source: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(source, tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "opt"}))
    with pytest.raises(BadInput, match=r"m is a `opt` model; this pipeline knows gemma2, llama"):
        resolve_local(folder, tmp_path / "lm")
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "of-its-own"}))
    with pytest.raises(BadInput, match=r"config\.json is none that transformers knows"):
        resolve_local(folder, tmp_path / "lm")


def test_a_folder_without_a_tokenizer(source: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(source, tmp_path / "m")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(BadInput, match=r"holds no tokenizer; add its tokenizer\.json"):
        resolve_local(folder, tmp_path / "lm")


def test_a_tokenizer_that_cannot_be_read(source: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(source, tmp_path / "m")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(BadInput, match="no tokenizer that transformers can load"):
        resolve_local(folder, tmp_path / "lm")


def test_write_resolved_for_a_model_trained_here(source: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(source, tmp_path / "lm")
    resolved = write_resolved(folder, "embedded", "embedded-gemma2", None)
    assert resolved == read_resolved(folder)
    assert (resolved.source, resolved.model_id) == ("embedded", "embedded-gemma2")


def test_the_tokenizer_s_hash_is_its_content(tmp_path: Path) -> None:
    tokenizer = tiny.tokenizer()
    before = tokenizer_sha256(tokenizer)
    tokenizer.save_pretrained(tmp_path / "t")
    copy = load_tokenizer(tmp_path / "t")
    copy(["w5 w6", "w7"], padding=True, truncation=True, max_length=4)
    assert tokenizer_sha256(copy) == before
    copy.add_tokens(["new"])
    assert tokenizer_sha256(copy) != before


def test_special_tokens_of_a_tokenizer() -> None:
    tokenizer = SimpleNamespace(bos_token_id=None, eos_token_id=7, pad_token_id=7)
    assert special_ids(tokenizer) == [7]
    assert bos_id(tokenizer, "m") == 7
    with pytest.raises(BadInput, match="neither a BOS nor an EOS"):
        bos_id(SimpleNamespace(bos_token_id=None, eos_token_id=None), "m")


class Hub:
    """A hub with one model, in a folder."""

    def __init__(self, snapshot: Path, files: list[str] | None = None) -> None:
        self.snapshot = snapshot
        self.files = files or [path.name for path in snapshot.iterdir()]
        self.asked: list[Any] = []

    def model_info(self, name: str, revision: str) -> Any:
        self.asked.append((name, revision))
        return SimpleNamespace(sha=COMMIT, siblings=[SimpleNamespace(rfilename=file) for file in self.files])

    def snapshot_download(self, name: str, revision: str, allow_patterns: list[str]) -> str:
        self.asked.append((name, revision, tuple(allow_patterns)))
        return str(self.snapshot)

    def install(self, patch: pytest.MonkeyPatch) -> Hub:
        patch.setattr(huggingface_hub, "HfApi", lambda: self)
        patch.setattr(huggingface_hub, "snapshot_download", self.snapshot_download)
        return self


def test_a_hub_model_is_pinned_and_its_weights_stay_where_they_are(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(source).install(monkeypatch)
    resolve_hub("someone/my-model", "main", tmp_path / "lm")
    resolved = read_resolved(tmp_path / "lm")
    assert (resolved.source, resolved.model_id, resolved.revision) == ("hub", "someone/my-model", COMMIT)
    assert not list((tmp_path / "lm").glob("*.safetensors"))
    assert hub.asked[0] == ("someone/my-model", "main")
    assert hub.asked[1][:2] == ("someone/my-model", COMMIT)
    assert "*.safetensors" in hub.asked[1][2]
    assert not any("bin" in pattern or "py" in pattern for pattern in hub.asked[1][2])
    resolve_local(source, tmp_path / "local")
    assert resolved.weights_sha256 == read_resolved(tmp_path / "local").weights_sha256


def test_hub_weights_are_loaded_at_the_pinned_commit(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers

    Hub(source).install(monkeypatch)
    resolve_hub("someone/my-model", "main", tmp_path / "lm")
    asked: dict[str, Any] = {}
    real = transformers.AutoModelForCausalLM.from_pretrained

    def from_pretrained(name: str, **how: Any) -> Any:
        asked.update(how, name=name)
        return real(source, **(how | {"revision": "main", "local_files_only": True}))

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", from_pretrained)
    assert load_lm(tmp_path / "lm", "cpu").model_id == "someone/my-model"
    assert (asked["name"], asked["revision"]) == ("someone/my-model", COMMIT)
    assert asked["use_safetensors"] is True
    assert asked["trust_remote_code"] is False


def test_a_hub_model_with_pickled_weights_only(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Hub(source, ["config.json", "pytorch_model.bin"]).install(monkeypatch)
    with pytest.raises(BadInput, match="hub model a/b has pickled weights"):
        resolve_hub("a/b", "main", tmp_path / "lm")


def test_a_hub_that_cannot_be_reached(tmp_path: Path) -> None:
    """Tests run with HF_HUB_OFFLINE=1: the real client, no network."""
    with pytest.raises(BadInput, match=r"the hub could not be reached for model a/b"):
        resolve_hub("a/b", "main", tmp_path / "lm")
    assert not (tmp_path / "lm").exists()


def test_a_name_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not the name of a hub model"):
        resolve_hub("a/b/c", "main", tmp_path / "lm")


def response(code: int) -> Any:
    return http.Response(code, request=http.Request("GET", "https://hub.invalid"))


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (errors.GatedRepoError("gated", response=response(403)), "is gated: .* HF_TOKEN"),
        (errors.RevisionNotFoundError("no", response=response(404)), "no revision v9"),
        (errors.RepositoryNotFoundError("no", response=response(404)), "does not exist or is private"),
        (errors.HfHubHTTPError("503 down", response=response(503)), r"could not be reached .*503 down"),
        (errors.LocalEntryNotFoundError("offline"), "could not be reached"),
        (http.ConnectError("refused"), r"could not be reached .*refused"),
        (OSError("no such host"), r"could not be reached .*no such host"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_can_go_wrong_at_the_hub_is_one_sentence(error: Exception, sentence: str) -> None:
    found = hub_error(error, "a/b", "v9")
    assert isinstance(found, BadInput)
    assert re.search(sentence, str(found))
    assert "a/b" in str(found)


def test_the_hub_s_own_error_is_found_inside_that_of_transformers() -> None:
    wrapped = OSError("You are trying to access a gated repo.")
    wrapped.__cause__ = errors.GatedRepoError("gated", response=response(403))
    assert "is gated: accept its licence" in str(hub_error(wrapped, "a/b", "main"))


def test_a_fault_of_ours_is_not_blamed_on_the_hub() -> None:
    fault = TypeError("ours")
    assert hub_error(fault, "a/b", "main") is fault
