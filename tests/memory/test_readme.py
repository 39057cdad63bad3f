"""The example of the package's own page runs as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "memory" / "README.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the page stands in the repository")
def test_the_example_runs_as_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (source,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(source, PAGE.name, "exec"), {"__name__": "__example__"})  # noqa: S102 - our own page
    said = capsys.readouterr().out
    assert "Group folds by customer" in said
    assert "please review run 17" in said
