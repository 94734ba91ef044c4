"""Promises about a server under load and under faults."""

from tests.reliability.evidence import Scenario
from tests.reliability.row import CONTRACT, FAULTS, UNIT, Row, often, once

_ENGINE, _CLIENTS, _START = (f"{FAULTS}/test_seeded_{name}.py" for name in ("engine", "clients", "start"))
_HTTP = f"{CONTRACT}/test_strange_http.py"

LOAD = (
    Row("L1", "70 % of capacity, mixed lengths: no error, p99 at most 5 times p50", (Scenario("steady"),)),
    Row(
        "L2",
        "Twice the capacity: goodput at least 95 % of the capacity measured beside as many refusals; the rest 429 or "
        "503 with `Retry-After`, within 10 ms; memory flat",
        (Scenario("overload"),),
    ),
    Row("L3", "Ten times the load of L1 for 5 s: 10 s later p99 is what it was", (Scenario("burst"),)),
    Row(
        "L4",
        "Half the capacity for long: memory within 2 % and 50 MB, as many open files as before; a server that leaks "
        "fails the same check",
        (Scenario("soak"), once(f"{CONTRACT}/test_load.py::test_a_server_that_leaks_fails_the_soak")),
    ),
    Row("L5", "5,000 idle connections: health p99 below 100 ms, embed p99 at most 10 % more", (Scenario("idle"),)),
    Row("L6", "Beside a caller who always sends 256 texts, short queries' p99 at most 3 times", (Scenario("bulk"),)),
    Row(
        "L7",
        "Ready within 3 s and what the graph takes to open; nobody is let in before the engine is warm",
        (Scenario("start"), once(f"{FAULTS}/test_warm.py")),
    ),
    Row(
        "L8",
        "Callers who do not wait long, at 1.5 to 10 times the capacity: at least 90 % of what they get at capacity is "
        "delivered in time, whether they announce their patience or hang up",
        (Scenario("impatient", brief=True), once(f"{UNIT}/batching/test_overload.py")),
    ),
)

FAULT = (
    Row(
        "F1", "A batch that raises fails alone, with 500", (often(f"{_ENGINE}::test_a_batch_that_raises_fails_alone"),)
    ),
    Row(
        "F2",
        "NaN, a wrong norm or shape: 500, never NaN in an answer; unready after three in a row, ready once it is well",
        (
            often(f"{_ENGINE}::test_vectors_that_cannot_be_right_are_never_answered"),
            once(f"{FAULTS}/test_engine_fails.py::test_vectors_that_are_not_the_model_s_make_the_server_unready"),
        ),
    ),
    Row(
        "F3",
        "Inference hangs: 504 at the deadline, liveness and readiness fail, the queue stays bounded",
        (
            often(f"{_ENGINE}::test_a_hang_costs_its_callers_their_deadline"),
            once(f"{FAULTS}/test_engine_fails.py::test_a_queue_behind_a_hanging_engine_stays_bounded"),
        ),
    ),
    Row(
        "F4",
        "Inference dies (a crash in the runtime, a dead thread): the process ends, not with 0",
        (often(f"{_ENGINE}::test_a_death_in_inference_ends_the_process"),),
    ),
    Row(
        "F5",
        "Callers hang up: what waits is not computed, and the queue's gauges return to 0",
        (often(f"{_ENGINE}::test_callers_that_hang_up_leave_nothing_behind"), once(f"{FAULTS}/test_hang_up.py")),
    ),
    Row(
        "F6",
        "A thousand callers that send nothing, half a head, half a body or a byte at a time: closed at the deadline, "
        "others are served",
        (
            often(f"{_CLIENTS}::test_slow_callers_in_a_crowd_are_closed_and_others_are_served"),
            once(f"{FAULTS}/test_slow_clients.py"),
        ),
    ),
    Row(
        "F7",
        "An answer that is hardly read: its connection is dropped, and all that wait to be read are bounded together",
        (
            often(f"{_CLIENTS}::test_an_answer_that_is_hardly_read_is_dropped"),
            once(f"{FAULTS}/test_slow_clients.py::test_answers_that_nobody_reads_take_bounded_memory"),
        ),
    ),
    Row(
        "F8",
        "SIGTERM with 200 requests in flight: unready at once, all answered, exit with 0; a second signal ends it now",
        (
            often(f"{_START}::test_a_stop_at_any_moment_answers_all_that_was_accepted"),
            once(f"{FAULTS}/test_stop.py", f"{_START}::test_a_second_signal_at_any_moment_ends_the_process_at_once"),
        ),
    ),
    Row(
        "F9",
        "SIGKILL at any moment: the next start serves, and no file is left behind",
        (often(f"{_START}::test_killed_at_any_moment_a_server_starts_again"),),
    ),
    Row(
        "F10",
        "A model's file with a bit flipped, cut, longer, missing, a link: the start is refused with 3, the file named",
        (
            often(f"{_START}::test_a_model_file_that_is_not_whole_is_refused_by_name"),
            once(f"{FAULTS}/test_start.py", f"{UNIT}/model/test_artifact.py"),
        ),
    ),
    Row(
        "F11",
        "A manifest with a wrong or unknown field, or another dimension than the graph: refused before anyone connects",
        (
            often(f"{_START}::test_a_manifest_that_is_wrong_anywhere_is_refused"),
            once(f"{FAULTS}/test_start.py::test_a_manifest_that_does_not_describe_the_model"),
        ),
    ),
    Row(
        "F12",
        "A full disk for log and temporary files, a log that nobody reads: serving goes on, stopping is clean",
        (often(f"{FAULTS}/test_small_disk.py"), once(f"{FAULTS}/test_logs.py")),
    ),
    Row(
        "F13",
        "Memory capped at 110 % of what the server says it needs: the largest requests of each kind are answered; more "
        "than fits is refused with 429, and refusals keep nothing",
        (once(f"{FAULTS}/test_memory.py", f"{UNIT}/system/test_memory.py", f"{UNIT}/api/test_released.py"),),
    ),
    Row(
        "F14",
        "Half a core, and stops of up to 3 s: no probe of liveness fails, deadlines hold",
        (often(f"{FAULTS}/test_seeded_stalls.py"), once(f"{FAULTS}/test_stalls.py")),
    ),
    Row(
        "F15",
        "The wall clock jumps by up to an hour, either way: no request, deadline or figure changes",
        (
            often(f"{FAULTS}/test_clock.py::test_a_clock_that_jumps_for_an_hour_changes_nothing"),
            once(f"{FAULTS}/test_clock.py"),
        ),
    ),
    Row(
        "F16",
        "A GPU that is lost ends the process; CUDA that is missing refuses the start, never the CPU in its place",
        (often(f"{_ENGINE}::test_a_lost_gpu_ends_the_process", f"{_START}::test_cuda_is_refused_where_there_is_none"),),
    ),
    Row(
        "F17",
        "No open files left: connections wait or are closed, nothing spins, later ones are served",
        (
            often(f"{_CLIENTS}::test_without_open_files_connections_wait_and_later_ones_are_served"),
            once(f"{FAULTS}/test_connections.py"),
        ),
    ),
    Row(
        "F18",
        "A thousand scrapes with any `Accept` header: all answered, others served, memory bounded",
        (often(f"{_CLIENTS}::test_a_thousand_scrapes_with_any_accept_header_cost_no_one_else"),),
    ),
    Row(
        "F19",
        "TLS, HTTP/2's preface, upgrades, pipelining, HTTP/1.0: a clean 4xx or the right answer",
        (often(_HTTP),),
    ),
    Row(
        "F20",
        "Settings that cannot be: refused with their names and status 3",
        (
            often(f"{_START}::test_a_setting_that_cannot_be_is_refused_by_name"),
            once(f"{FAULTS}/test_start.py::test_a_setting_out_of_range_names_itself"),
        ),
    ),
    Row(
        "F21",
        "Every connection taken: idle ones give way, the one idle longest first, and probes always get in",
        (once(f"{FAULTS}/test_connections.py"),),
    ),
    Row(
        "F22",
        "Requests that were refused, given up or answered leave nothing behind that waits for the garbage collector",
        (once(f"{UNIT}/api/test_released.py", f"{CONTRACT}/test_refusals.py"),),
    ),
)
