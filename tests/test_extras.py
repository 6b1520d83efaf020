import json
from types import SimpleNamespace
from typing import Any

import pytest

from incoder import extras
from incoder.extras import missing_extra

REQUIREMENTS = ["torch>=2.9", "libcst>=1.8.6; extra == 'editing'", "mypy>=1.13; extra == 'editing'"]


@pytest.mark.parametrize(
    ("origin", "advice"),
    [
        (
            {"url": "file:///home/ada/my%20clone", "dir_info": {"editable": True}},
            "-e '.[editing]' in /home/ada/my clone",
        ),
        ({"url": "file:///clone", "dir_info": {}}, "'.[editing]' in /clone"),
        ({"url": "file:///incoder-1.whl", "archive_info": {}}, "'libcst>=1.8.6' 'mypy>=1.13'"),
        (None, "'libcst>=1.8.6' 'mypy>=1.13'"),
    ],
)
def test_the_advice_fits_how_incoder_was_installed(
    monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any] | None, advice: str
) -> None:
    def read_text(name: str) -> str | None:
        assert name == "direct_url.json"
        return None if origin is None else json.dumps(origin)

    installed = SimpleNamespace(read_text=read_text, requires=REQUIREMENTS)
    monkeypatch.setattr(extras, "distribution", lambda _: installed)
    assert (
        str(missing_extra("renaming needs libcst", "editing"))
        == f"renaming needs libcst: pip install {advice}"
    )
