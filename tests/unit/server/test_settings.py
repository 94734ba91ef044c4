from dataclasses import fields
from typing import get_args

import pytest

from server import settings
from server.model import manifest
from server.settings import SETTINGS, Settings, SettingsError, resolve


def test_unset_and_empty_mean_the_default() -> None:
    assert resolve({}).port == 8000
    assert dict(resolve({"PORT": " ", "API_KEY": ""}).items()) == dict(resolve({}).items())


def test_every_field_has_one_row_in_the_table() -> None:
    assert [row.name.lower() for row in SETTINGS] == [field.name for field in fields(Settings)]
    assert all(row.help for row in SETTINGS)


def test_precisions_are_those_of_the_manifest() -> None:
    assert (*manifest.PRECISIONS, "chosen") == settings.QUANTIZATIONS
    assert get_args(manifest.Precision) == manifest.PRECISIONS


def test_all_problems_are_reported_at_once_with_name_value_and_what_is_allowed() -> None:
    with pytest.raises(SettingsError) as caught:
        resolve({"PORT": "65536", "DEVICE": "tpu", "QUANTIZATION": "int4"})
    assert caught.value.problems == [
        "QUANTIZATION='int4': must be one of fp32, fp16, int8, int8-static, chosen",
        "DEVICE='tpu': must be one of auto, cpu, cuda",
        "PORT='65536': must be a whole number from 0 to 65535",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "-1"),
        ("PORT", "80.0"),
        ("PORT", "٣"),
        ("THREADS", "0"),
        ("MAX_BATCH_TOKENS", "many"),
        ("MAX_BATCH_TOKENS", "-5"),
        ("MAX_CLIENT_BATCH_SIZE", "0"),
        ("MAX_BODY_BYTES", "1" * 19),
        ("REQUEST_TIMEOUT_S", "0"),
        ("REQUEST_TIMEOUT_S", "nan"),
        ("REQUEST_TIMEOUT_S", "1e9"),
        ("AUTO_TRUNCATE", "yes"),
        ("MODEL", "../.."),
        ("MODEL", "a b"),
        ("HOST", "http://here"),
        ("CORS_ALLOW_ORIGIN", "example.org"),
        ("LOG_LEVEL", "loud"),
        ("BASE_PATH", "api"),
        ("BASE_PATH", "/a//b"),
        ("BASE_PATH", "/a/../b"),
        ("BASE_PATH", "/a b"),
        ("MODEL_ALIASES", "a,,b"),
        ("MODEL_ALIASES", "a b"),
        ("MODEL_ALIASES", "../a"),
        ("KEEP_ALIVE_S", "0"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}="):
        resolve({name: value})


def test_values_are_read() -> None:
    chosen = resolve(
        {"MODEL": "BAAI/bge-large-en-v1.5/", "THREADS": "3", "QUANTIZATION": "INT8", "AUTO_TRUNCATE": "False"}
    )
    assert (chosen.model, chosen.threads) == ("BAAI/bge-large-en-v1.5", 3)
    assert (chosen.quantization, chosen.auto_truncate) == ("int8", False)
    assert (resolve({"THREADS": "3"}).threads, resolve({"THREADS": "auto"}).threads) == (3, None)
    assert resolve({"CORS_ALLOW_ORIGIN": "https://a.org, *"}).cors_allow_origin == ("https://a.org", "*")


def test_keys_rotate_and_are_never_shown() -> None:
    chosen = resolve({"API_KEY": "old-key, new-key"})
    assert chosen.api_key.reveal() == ("old-key", "new-key")
    assert "key" not in f"{chosen.api_key!r}{chosen.api_key}"
    assert "old-key" not in repr(chosen) + repr(dict(chosen.items()))


@pytest.mark.parametrize("address", ["http://user:hidden@collector:4318", "http://collector:4318/?api_key=hidden"])
def test_a_collector_s_password_is_never_shown(address: str) -> None:
    chosen = resolve({"OTEL_EXPORTER_OTLP_ENDPOINT": address})
    assert chosen.otel_exporter_otlp_endpoint.reveal() == address
    assert "hidden" not in f"{chosen!r} {dict(chosen.items())}"
    assert "collector:4318" in dict(chosen.items())["OTEL_EXPORTER_OTLP_ENDPOINT"]


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "MODEL", "HOST", "PORT"])
@pytest.mark.parametrize("address", ["ftp://user:hidden@collector/x y", "http://user:hidden]@[collector"])
def test_an_address_in_a_wrong_place_is_refused_without_its_password(name: str, address: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}=") as caught:
        resolve({name: address})
    assert "hidden" not in str(caught.value)


def test_a_wrong_key_is_refused_without_showing_it() -> None:
    with pytest.raises(SettingsError) as caught:
        resolve({"API_KEY": "hunter2,with space"})
    assert "hunter2" not in str(caught.value)
    assert "API_KEY=***" in str(caught.value)
