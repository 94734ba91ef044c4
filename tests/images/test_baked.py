"""Dockerfile.cpu with the model built in: the build stage runs in the image's own builder, and nothing is mounted."""

import pytest

from tests.images.container import isolated
from tests.images.storage import Storage

TAG = "localhost/embedding-service:baked-test"

pytestmark = [pytest.mark.timeout(3600), pytest.mark.usefixtures("every_image")]


def test_the_baked_model_is_served(storage: Storage) -> None:
    given = {"MODEL": "all-MiniLM-L6-v2", "PRECISIONS": "int8", "QUANTIZATION": "int8", "EXTRAS": "otel"}
    storage.build("Dockerfile.cpu", TAG, **given)
    with isolated(storage, TAG) as container:
        command = container.config()["Cmd"]
        collector = "http://127.0.0.1:9"
        with container.start(*command, OTEL_EXPORTER_OTLP_ENDPOINT=collector) as process:
            assert process.stdout is not None
            assert any("ready, listening" in line for line in process.stdout)
            assert container.run("python", "-m", "server.smoke", "http://127.0.0.1:8000")[0] == 0
