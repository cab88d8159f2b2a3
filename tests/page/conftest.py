from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.stages import page
from tests.page.whole import whole

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
collect_ignore = [] if CHROMIUM else ["test_chromium.py"]
"""Without a Chromium in the system the HTML is still read by test_page.py (docs/page.md)."""


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up world with its page, reports/index.html below the returned folder. Not to be changed."""
    root = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        whole(root)
        page.run()
    return root
