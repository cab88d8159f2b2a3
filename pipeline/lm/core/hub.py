"""Questions to the Hugging Face hub, and its failures as sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.console.errors import BadInput


def hub_commit(name: str, revision: str) -> tuple[str, list[str]]:
    """The commit that `revision` of model `name` points at, and the names of its files."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    try:
        info = HfApi().model_info(name, revision=revision)
    except HFValidationError:
        raise BadInput(f"`{name}` is not the name of a hub model; it has the form owner/name.") from None
    except Exception as error:
        raise hub_error(error, name, revision) from None
    return str(info.sha), [file.rfilename for file in info.siblings or []]


def hub_snapshot(name: str, commit: str, files: Sequence[str]) -> Path:
    """The folder of the hub's cache that holds `files` (patterns) of model `name` at `commit`."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=commit, allow_patterns=list(files)))
    except Exception as error:
        raise hub_error(error, name, commit) from None


def hub_error(error: Exception, name: str, revision: str) -> Exception:
    """A failed hub call as the sentence a user needs; anything else comes back as it is."""
    from huggingface_hub import errors

    if isinstance(error.__cause__, errors.HfHubHTTPError):
        error = error.__cause__  # transformers wraps it in an OSError
    if isinstance(error, errors.GatedRepoError):
        return BadInput(
            f"hub model {name} is gated: accept its licence on its page and set HF_TOKEN to a token "
            "that may read it."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return BadInput(f"hub model {name} has no revision {revision}; name a commit, branch or tag of it.")
    if isinstance(error, errors.RepositoryNotFoundError):
        return BadInput(
            f"hub model {name} does not exist or is private; check the name, or set HF_TOKEN to a token "
            "that may read it."
        )
    # errors.HTTPError: that of whichever HTTP library the client is built on
    if isinstance(error, (errors.HTTPError, OSError)):  # type: ignore[attr-defined]
        return BadInput(
            f"the hub could not be reached for model {name} ({first_line(error)}); "
            "check the network, or use profile local with a downloaded folder."
        )
    return error


def first_line(error: BaseException) -> str:
    """The first line of an error's text, to put in a sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
