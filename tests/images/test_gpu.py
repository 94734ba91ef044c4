"""Dockerfile.gpu on a machine without a GPU: it builds, and its start says what is missing."""

import pytest

from tests.images.container import isolated
from tests.images.storage import Storage
from tests.serving import MINILM, MODELS

TAG = "localhost/embedding-service:gpu-test"

pytestmark = [pytest.mark.timeout(3600), pytest.mark.usefixtures("every_image")]


def test_without_a_gpu_the_start_is_refused_in_words(storage: Storage) -> None:
    storage.build("Dockerfile.gpu", TAG, MODELS="none")
    with isolated(storage, TAG, MODELS) as container:
        with container.start(*container.config()["Cmd"], MODEL=MINILM) as process:
            said, _ = process.communicate(timeout=120)
        assert process.returncode == 3
        assert "cannot start: DEVICE=cuda" in said
        assert "Traceback" not in said
