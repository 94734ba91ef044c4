"""Tests of the schemas alone; tests/clients checks with a validator that they agree with the server."""

import json
from pathlib import Path

import pytest

from server.api.schemas import components
from server.model.artifact import open_artifact
from tests.unit.server import tiny
from tests.unit.server.service.test_service import load


@pytest.mark.parametrize("prompts", [{"query": "query: "}, {}])
def test_limits_are_the_running_server_s(models_dir: Path, prompts: dict[str, str]) -> None:
    tiny.write_model(models_dir, changes={"prompts": prompts})
    loaded = load(open_artifact(models_dir, tiny.NAME, "fp32"), MAX_CLIENT_BATCH_SIZE="7", MAX_TEXT_CHARS="70")
    schemas = components(loaded)
    assert schemas["Texts"]["maxItems"] == 7
    assert schemas["Text"]["maxLength"] == 70
    assert schemas["Dimensions"]["maximum"] == schemas["Vector"]["maxItems"] == tiny.DIMENSION
    assert schemas["TokenIds"]["prefixItems"] == [{"const": tiny.CLS}]
    assert schemas["TokenIds"]["items"]["maximum"] == len(tiny.WORDS) - 1
    assert schemas["PromptName"].get("enum", []) == list(prompts)


def test_every_reference_leads_somewhere(models_dir: Path) -> None:
    schemas = components(load(open_artifact(models_dir, tiny.NAME, "fp32")))
    referred = {part.split('"')[0] for part in json.dumps(schemas).split("#/components/schemas/")[1:]}
    assert referred <= schemas.keys()
