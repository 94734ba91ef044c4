import pytest

from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.migrate.sources.fields import Fields
from server.migrate.sources.source import Broken


def test_a_text_alone_has_its_ordinal_for_id() -> None:
    assert Fields().record(3, "a") == Record(3, "3", "a")
    assert Fields().record(3, None) == Record(3, "3", None)


def test_fields_are_found_under_their_names() -> None:
    fields = Fields.of({"text_field": "body", "id_field": "key", "metadata_fields": "lang, year"})
    entry = {"key": 7, "body": "a", "lang": "en", "year": None, "other": 1}
    assert fields.record(0, entry) == Record(0, "7", "a", {"lang": "en"})


def test_an_id_is_taken_where_there_is_one_and_not_asked_for() -> None:
    assert Fields().record(1, {"id": "x", "text": "a"}).id == "x"
    assert Fields().record(1, {"text": "a"}).id == "1"


@pytest.mark.parametrize("bad", [None, "", True, 1.5, ["x"]])
def test_an_id_that_is_none_breaks_the_record(bad: object) -> None:
    record = Fields(id="key").record(1, {"key": bad, "text": "a"})
    assert isinstance(record.text, Broken)
    assert "(field key)" in record.text.reason


def test_a_wrong_name_is_told_at_the_first_entry_with_the_right_ones() -> None:
    with pytest.raises(MigrateError, match=r"--text-field text, --id-field key; it has: body, title"):
        Fields(id="key").record(0, {"body": "a", "title": "b"})
    assert Fields().record(1, {"body": "a"}).text == Broken("it has no field text")


def test_a_field_to_carry_along_may_lack_in_some_entries_but_not_in_all() -> None:
    some = [(None, {"text": "a"}), (None, {"text": "b", "lang": "en"})]
    assert [record.metadata for record in Fields(metadata=("lang",)).records(some)] == [{}, {"lang": "en"}]
    with pytest.raises(MigrateError, match=r"no entry has the field lnag; see --metadata-fields"):
        list(Fields(metadata=("lang", "lnag")).records(some))
    assert list(Fields(metadata=("lang",)).records([])) == []


def test_a_name_with_dots_leads_into_objects_where_no_field_has_it() -> None:
    fields = Fields(text="payload.text", id="_id.$oid", metadata=("payload.n",))
    entry = {"payload": {"text": "a", "n": 1}, "_id": {"$oid": "x"}}
    assert fields.record(0, entry) == Record(0, "x", "a", {"payload.n": 1})
    assert Fields(text="payload.text").record(0, {"payload.text": "b", "payload": {"text": "a"}}).text == "b"
    with pytest.raises(MigrateError, match=r"--text-field payload.body.*; it has: payload.text, payload.n, _id.\$oid"):
        Fields(text="payload.body").record(0, entry)
    assert fields.record(1, {"_id": {"$oid": "y"}, "payload": "a"}).text == Broken("it has no field payload.text")


def test_bytes_are_carried_as_base64_and_what_cannot_be_carried_breaks_the_record() -> None:
    fields = Fields(metadata=("raw",))
    assert fields.record(0, {"id": "x", "text": "a", "raw": b"\xff"}).metadata == {"raw": "/w=="}
    broken = fields.record(1, {"id": "y", "text": "a", "raw": 1 << 70})
    assert broken.text == Broken(
        "its field raw is a whole number of more than 64 bits, which cannot be carried along; "
        "leave it out of --metadata-fields"
    )


def test_columns_are_chosen_by_the_fields_in_them() -> None:
    fields = Fields(text="payload.text", metadata=("a.b", "n"))
    assert fields.columns(["n", "a.b", "payload", "a", "id", "rest"]) == ["n", "a.b", "payload", "id"]
    with pytest.raises(MigrateError, match=r"no such column: --text-field payload.text; there are: id, body"):
        fields.columns(["id", "body"])
    with pytest.raises(MigrateError, match="two columns are named x"):
        fields.columns(["x", "payload", "x"])
