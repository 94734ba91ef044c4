"""Promises about inputs, vectors and migrations."""

from tests.reliability.evidence import Checks, Fuzz
from tests.reliability.row import CONTRACT, FAULTS, UNIT, Row, once, stores

_JOBS, _SINKS = f"{UNIT}/migrate/commands/test_run.py", f"{UNIT}/migrate/sinks"
_STORES, _FIDELITY = "tests/migrate/stores", "tests/numeric/test_fidelity.py"
_BODIES, _INPUT, _HTTP = (f"{CONTRACT}/test_{name}.py" for name in ("bad_bodies", "bad_input", "strange_http"))
_KILLED = stores(f"{_STORES}/test_killed.py")

INPUTS = (
    Row(
        "B1",
        "Bodies that are no JSON object, empty, malformed, nested 100,000 deep, NaN and 1e999, overflowing numbers, "
        "broken UTF-8, a byte order mark: 400, 413 or 422 with the place",
        (once(f"{_INPUT}::test_is_answered_with_a_clear_error", f"{_BODIES}::test_bodies_of_no_shape"),),
    ),
    Row(
        "B2",
        "Texts that are empty, blank, invisible, too long or too many, lone surrogates: 413 or 422 with the index",
        (
            once(
                f"{_BODIES}::test_texts_of_no_use",
                f"{_BODIES}::test_texts_without_content",
                f"{_BODIES}::test_lone_surrogates",
                f"{_BODIES}::test_too_many_tokens_are_refused_where_none_may_be_cut",
            ),
        ),
    ),
    Row(
        "B3",
        "Strange but legal texts (NUL, right to left, joiners, 5,000 accents, a word of 50,000 letters, `[CLS]`) and a "
        "key given twice get their vector",
        (
            once(
                f"{_INPUT}::test_strange_but_legal_text_gets_a_vector",
                f"{_INPUT}::test_of_a_key_given_twice_the_last_counts",
            ),
        ),
    ),
    Row(
        "B4",
        "Fields and values: unknown ones, `dimensions` of 0 or too many, unknown model or encoding: 404 or 422",
        (once(f"{_BODIES}::test_values_of_no_use"),),
    ),
    Row(
        "B5",
        "Content-Type and Content-Encoding, methods (405 with `Allow`), paths, keys that are wrong, doubled or missing",
        (
            once(
                f"{_INPUT}::test_content_type_and_encoding",
                f"{_INPUT}::test_wrong_method_and_path",
                f"{_BODIES}::test_wrong_methods",
                f"{_BODIES}::test_wrong_paths",
                f"{CONTRACT}/test_keys.py",
            ),
        ),
    ),
    Row(
        "B6",
        "Framing: two lengths, a negative one, chunks beside a length, bodies too short or endless, heads of 64 KiB "
        "and 10,000 headers, ids with line breaks",
        (once(_HTTP, f"{CONTRACT}/test_refusals.py", f"{UNIT}/api/test_instrumentation.py"),),
    ),
    Row(
        "B7",
        "Whatever schemathesis makes of /openapi.json: no 5xx, every answer as documented",
        (Checks(("tests/clients/test_schemathesis.py", "tests/clients/test_schema_agrees.py"), "clients"),),
    ),
    Row(
        "B8",
        "Any bytes as a body, in every dialect: read, or refused by one of the service's own errors",
        (Fuzz("bodies"), once("tests/fuzz/test_targets.py")),
    ),
    Row(
        "B9",
        "Any bytes as manifest, graph or tokenizer: opened, or refused as a start is",
        (Fuzz("artifacts"), once("tests/fuzz/test_targets.py")),
    ),
    Row(
        "B10",
        "Any texts in any order: the batch's budget holds, none is lost, doubled or starved",
        (once(f"{UNIT}/batching/test_planner.py"),),
    ),
    Row(
        "B11",
        "Any bytes on a connection, in pieces or behind a good request: answers that are HTTP, and the good one's",
        (once(f"{FAULTS}/test_fuzz_http.py"),),
    ),
    Row(
        "B12",
        "A page of another site posts without a Content-Type, JSON in another charset: 403 or 415",
        (once(f"{CONTRACT}/test_origins.py"),),
    ),
)

VECTORS = (
    Row(
        "C1",
        "A vector does not depend on what else is in its batch",
        (
            once(
                f"{_FIDELITY}::test_a_vector_does_not_depend_on_its_batch",
                f"{_FIDELITY}::test_alone_as_in_company",
            ),
        ),
    ),
    Row(
        "C2",
        "Every precision stays near fp32, and fp32 near the source model",
        (once(f"{_FIDELITY}::test_stays_near_fp32"),),
    ),
    Row("C3", "Vectors come in the order of the texts, each caller's own", (once(f"{CONTRACT}/test_embed.py"),)),
    Row(
        "C4",
        "The same vector from every route, as floats or base64, and from a migration",
        (once(f"{CONTRACT}/test_dialects.py"), stores(f"{_STORES}/test_server_vectors.py")),
    ),
)

MIGRATIONS = (
    Row(
        "D1",
        "Rows out are rows in, with the same ids",
        (_KILLED, once(f"{_JOBS}::test_the_receipt_holds_counts_that_add_up_and_hashes")),
    ),
    Row(
        "D2",
        "Vectors equal those of an uninterrupted run, bit for bit",
        (_KILLED, once(f"{_JOBS}::test_killed_at_any_moment_and_run_again_it_gives_the_uninterrupted_result")),
    ),
    Row("D3", "No duplicates", (_KILLED, once(f"{_JOBS}::test_a_sink_that_loses_its_answer_makes_no_duplicates"))),
    Row(
        "D4",
        "A crash repeats one window at most",
        (once(f"{_JOBS}::test_killed_again_and_again_no_window_is_done_twice"),),
    ),
    Row(
        "D5",
        "Killed between write and journal, between journal and flush, between two renames: D1 to D3 hold",
        (
            once(f"{_SINKS}/test_json_lines.py", f"{_SINKS}/test_npy.py", f"{_SINKS}/test_npz.py"),
            stores(f"{_STORES}/test_sinks.py::test_a_job_killed_between_write_and_journal_goes_on"),
        ),
    ),
    Row(
        "D6",
        "A journal cut, flipped, with lines lost, doubled or swapped: its last whole entry, or a refusal",
        (once(f"{UNIT}/migrate/job/test_journal.py"),),
    ),
    Row(
        "D7",
        "Another input, model, prompt or output than before: refused with what changed",
        (
            once(
                f"{_JOBS}::test_another_job_is_refused_with_what_changed",
                f"{_JOBS}::test_another_input_or_model_is_refused_with_what_changed",
            ),
        ),
    ),
    Row(
        "D8",
        "A store that is overloaded, times out, or loses its answer: tried again, no duplicate",
        (stores(f"{_STORES}/test_faults.py", f"{_STORES}/test_retry.py"),),
    ),
    Row(
        "D9",
        "A full disk, a folder that is read-only: it stops with the reason, and goes on once there is room",
        (
            once(
                f"{FAULTS}/test_migrate_stopped.py::test_a_limit_on_disk_space_stops_it_with_the_reason_and_lifted_it_goes_on",
                f"{FAULTS}/test_migrate_stopped.py::test_a_folder_that_cannot_be_written_is_named",
                f"{_JOBS}::test_after_a_full_disk_it_goes_on",
            ),
        ),
    ),
    Row(
        "D10",
        "Records without a usable text: the job stops, or lists them; in is out and rejected",
        (
            once(
                f"{_JOBS}::test_a_record_that_cannot_be_embedded_stops_the_job_and_is_named",
                f"{_JOBS}::test_records_that_cannot_be_embedded_are_left_out_and_listed",
                f"{UNIT}/migrate/pipeline/test_prepare.py",
            ),
        ),
    ),
    Row(
        "D11",
        "Two processes on one job: the second is refused",
        (
            once(
                f"{FAULTS}/test_migrate_stopped.py::test_two_runs_of_one_job_the_second_is_refused",
                f"{UNIT}/migrate/job/test_workspace.py",
            ),
        ),
    ),
    Row(
        "D12",
        "Shards of which one dies: the others are whole, and a merge verifies that none is missing",
        (once(f"{UNIT}/migrate/commands/test_merge.py"),),
    ),
    Row(
        "D13",
        "Nothing is removed, followed or overwritten that the same job did not make; one output has one job at a time",
        (
            once(f"{UNIT}/migrate/ownership/test_ownership.py", f"{FAULTS}/test_migrate_ownership.py"),
            stores(f"{_STORES}/test_locks.py"),
        ),
    ),
    Row(
        "D14",
        "A record that can only be read in part (a comma too many, two fields of one name) is refused or rejected",
        (once(f"{UNIT}/migrate/sources"),),
    ),
    Row(
        "D15",
        "Passwords and keys are in no error, log, receipt, journal or name of a file",
        (
            once(f"{UNIT}/migrate/test_secrets.py", f"{UNIT}/test_secret.py"),
            stores(f"{_STORES}/test_secrets.py"),
        ),
    ),
)
