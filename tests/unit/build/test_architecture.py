"""The tables that are read from transformers' source are those that transformers has."""

from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from build import architecture


def test_the_tables_are_transformers_own() -> None:
    assert architecture.known() == set(CONFIG_MAPPING_NAMES)
    assert architecture.encoders() == set(MODEL_FOR_MASKED_LM_MAPPING_NAMES)
