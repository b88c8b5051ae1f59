"""Our own code counts in the key of what it made."""

from pathlib import Path

import pytest

from animcli.pipeline.record import code_of


def test_the_code_of_subpackages_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "animcli_finders" / "networks" / "one.py"
    inner.parent.mkdir(parents=True)
    inner.write_text("STEP = 1")
    monkeypatch.syspath_prepend(tmp_path)
    before = code_of("animcli_finders")
    inner.write_text("STEP = 2")
    code_of.cache_clear()  # as in another process
    assert code_of("animcli_finders") != before
