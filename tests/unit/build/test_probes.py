"""Probe texts that reveal misread settings."""

import unicodedata

from build.probes import probes
from tests import tiny


def test_they_hold_what_settings_differ_in() -> None:
    made = tiny.tokenizer()
    made.no_truncation()
    made.add_tokens(["Zürich"])
    texts = probes(made, 64)
    assert any(text != text.lower() for text in texts)
    assert any(text != unicodedata.normalize("NFD", text) for text in texts)
    assert any("Zürich" in text for text in texts)
    assert sum(len(made.encode(text).ids) > 64 for text in texts) >= 2
