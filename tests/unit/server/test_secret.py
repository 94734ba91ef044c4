"""Secrets are masked, wherever they occur and however they are encoded."""

import json
import logging
import pickle
from urllib.parse import quote, quote_plus, unquote

import pytest
from hypothesis import example, given

from server import secret
from server.secret import Location, Secret, mask, remember, remember_given, scrub, scrubbed
from server.telemetry.logs import JsonFormatter, TextFormatter
from tests.unit.server.addresses import HEAD, TAIL, addresses, leaks, secrets


@given(address=addresses)
@example(address="postgresql://me:S3cr3tHead%zzT4ilOfIt@db/app#docs")
@example(address="lancedb:s3://KEY:S3cr3tHead/T4ilOfIt@bucket/folder#docs")
def test_an_address_shows_no_secret_however_broken_it_is(address: str) -> None:
    secret.forget()
    where = Location(address)
    assert not leaks(f"{where} {where!r} {[where]} {mask(address)}")
    assert where.reveal() == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "embeddings.npy", "folder/a@b.json", "/data/key=1/x.parquet", "s3://bucket/folder/x.parquet"),
        *("qdrant:/data/a@b#docs", "chroma+http://localhost:8000#docs", "postgresql:///app?host=/run/pg#docs"),
    ],
)
def test_what_holds_no_secret_is_shown_as_it_is(text: str) -> None:
    assert str(Location(text)) == text
    assert scrub(text) == text


@given(secret_=secrets)
@example(secret_=f"{HEAD}\\\t\\\\n{TAIL}")
def test_no_form_of_a_secret_passes(secret_: str) -> None:
    secret.forget()
    remember(secret_)
    forms = (secret_, unquote(secret_), quote(secret_), quote(secret_, ""), quote_plus(secret_), repr(secret_))
    written = (*forms, json.dumps(secret_), json.dumps(secret_, ensure_ascii=False), secret_.upper())
    assert not leaks(scrub(" ".join(f"cannot read <{form}>" for form in written)))


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
@given(address=addresses)
def test_no_log_line_shows_what_a_library_quotes_of_an_address(formatter: logging.Formatter, address: str) -> None:
    secret.forget()
    Location(address)
    try:
        try:
            raise ValueError(f"invalid address {address!r}")
        except ValueError as error:
            raise KeyError(f"{error} from {address}") from error
    except KeyError as error:
        record = logging.LogRecord("x", logging.ERROR, "", 1, "%s", (address,), (KeyError, error, error.__traceback__))
    record.fields = {"where": address}
    assert not leaks(formatter.format(record))


def test_secrets_of_the_environment_and_the_command_line_are_known() -> None:
    environ = {
        "PGPASSWORD": "secret-one",
        "MY_API_KEY": "secret-two,secret-three",
        "HTTPS_PROXY": "http://user:secret-four@proxy:3128",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20secret-five,x=secret-six",
        "SSL_KEY": "/etc/tls/key.pem",
        "USE_TOKEN": "no",
    }
    remember_given(environ, ["--api-key", "secret-seven", "--token=secret-eight", "--output=s3://k:secret-nine@b/x"])
    names = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    assert scrub(" ".join(f"<secret-{name}>" for name in names)) == " ".join(["<***>"] * len(names))
    assert scrub("/etc/tls/key.pem: no such file") == "/etc/tls/key.pem: no such file"


def test_a_short_secret_is_taken_out_as_a_word_only() -> None:
    Secret(["pw"])
    assert scrub("u:pw@h, 'pw', pwd") == "u:***@h, '***', pwd"


def test_names_and_numbers_of_a_summary_stay() -> None:
    remember("1234", "rows")
    assert scrubbed({"rows": 1234, "files": [{"name": "x/1234/rows"}]}) == {
        "rows": 1234,
        "files": [{"name": "x/***/***"}],
    }


def test_a_location_is_known_where_it_is_sent_to() -> None:
    sent = pickle.dumps(Location(f"s3://key:{HEAD}{TAIL}@bucket/x"))
    secret.forget()
    again = pickle.loads(sent)  # noqa: S301 - made here
    assert again == Location(again.reveal())
    assert not leaks(scrub(f"no bucket for {HEAD}{TAIL}"))
