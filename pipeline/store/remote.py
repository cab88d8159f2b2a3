"""Stores on object storage, through fsspec and the driver of the URL's scheme (s3fs for `s3://`)."""

from __future__ import annotations

import zarr
from zarr.errors import GroupNotFoundError

from pipeline.console.errors import BadInput


def open_remote(url: str) -> zarr.Group:
    """The group at `url`, read-only; raises BadInput where there is no driver or no access."""
    try:
        return zarr.open_group(url, mode="r")
    except (GroupNotFoundError, FileNotFoundError):
        raise
    except ImportError:
        raise BadInput(
            f"{url} needs a driver of its scheme; `pip install -r requirements/remote.txt` brings that of S3."
        ) from None
    except Exception as error:  # each driver has exceptions of its own
        raise BadInput(
            f"{url} cannot be read ({_line(error)}); check the endpoint and credentials in the environment."
        ) from None


def keys(url: str) -> set[str]:
    """The keys below `url`, relative to it: some requests of a thousand keys instead of one per chunk."""
    import fsspec

    files, root = fsspec.core.url_to_fs(url)
    return {key.removeprefix(f"{root}/") for key in files.find(root)}


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
