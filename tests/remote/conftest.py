"""An S3 server on this machine, and credentials for it in the environment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import fsspec
import pytest
from moto.server import ThreadedMotoServer

SETTINGS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": "none",
    "AWS_SHARED_CREDENTIALS_FILE": "none",
}


@pytest.fixture(scope="session")
def _server() -> Iterator[None]:
    """One server and one client for all tests: dropped clients complain about their open sessions."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SETTINGS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
            patch.setenv(name, value)
        yield
    server.stop()


@pytest.fixture
def bucket(_server: None, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty bucket."""
    files, name = fsspec.filesystem("s3"), f"saeline-{uuid5(NAMESPACE_URL, str(tmp_path))}"
    files.mkdir(name)
    yield f"s3://{name}"
    files.invalidate_cache()
    files.rm(name, recursive=True)
