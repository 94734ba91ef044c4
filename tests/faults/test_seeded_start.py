"""Stops and kills at random times; random defects of models, manifests and settings."""

import json
import random
import signal
import time
from pathlib import Path

from tests.faults.test_start import GRAPH, MANIFEST, models
from tests.faults.test_stop import SLOW, in_flight, turns_unready
from tests.serving import MINILM, free_port, refused, serve, start

__all__ = ["models"]
TOKENIZER = f"{MINILM}.tokenizer.json"
BAD = {
    "PORT": ("70000", "-1", "http", "80.5"),
    "QUANTIZATION": ("int4", "fp64", "8"),
    "THREADS": ("0", "-1", "two", "1e3"),
    "STREAMS": ("0", "-2"),
    "MAX_BATCH_TOKENS": ("0", "-1"),
    "MAX_QUEUE_TOKENS": ("-1", "0", "few"),
    "MAX_CLIENT_BATCH_SIZE": ("0", "-1", "x"),
    "MAX_TEXT_CHARS": ("0", "-5"),
    "MAX_BODY_BYTES": ("0", "-1", "1MB"),
    "MAX_CONNECTIONS": ("0", "-1"),
    "REQUEST_TIMEOUT_S": ("0", "-1", "nan", "inf"),
    "RECEIVE_TIMEOUT_S": ("0", "-1", "nan"),
    "AUTO_TRUNCATE": ("perhaps", "2"),
    "LOG_FORMAT": ("xml",),
    "LOG_LEVEL": ("loud",),
}


def test_a_stop_at_any_moment_answers_all_that_was_accepted(chance: random.Random) -> None:
    with serve("-c", SLOW, quantization="int8") as served, in_flight(served) as callers:
        time.sleep(chance.uniform(0, 0.3))
        served.process.send_signal(signal.SIGTERM)
        assert turns_unready(served)
        assert {answer.status for caller in callers if (answer := caller.answer())} == {200}
        assert served.process.wait(60) == 0


def test_a_second_signal_at_any_moment_ends_the_process_at_once(chance: random.Random) -> None:
    second = chance.choice((signal.SIGTERM, signal.SIGINT))
    with serve("-c", SLOW, quantization="int8") as served, in_flight(served):
        served.process.send_signal(signal.SIGTERM)
        assert turns_unready(served)
        time.sleep(chance.uniform(0, 0.2))
        served.process.send_signal(second)
        assert served.process.wait(10) == 128 + second


def test_killed_at_any_moment_a_server_starts_again(models: Path, chance: random.Random) -> None:
    port, before = free_port(), sorted(path.name for path in models.iterdir())
    with start(quantization="int8", models_dir=models, port=port) as process:
        time.sleep(chance.uniform(0, 2.5))
        process.kill()
    with serve(quantization="int8", models_dir=models, port=port) as served:
        assert served.embed(["a text"])
    assert sorted(path.name for path in models.iterdir()) == before


def test_a_model_file_that_is_not_whole_is_refused_by_name(models: Path, chance: random.Random) -> None:
    path = models / chance.choice((GRAPH, TOKENIZER))
    content = bytearray(path.read_bytes())
    place = chance.randrange(len(content))
    how = chance.choice(("flip", "cut", "longer", "gone", "link", "hard link"))
    if how == "flip":
        content[place] ^= 1 << chance.randrange(8)
    path.unlink()
    elsewhere = models / "elsewhere"
    if how != "gone":
        (elsewhere if "link" in how else path).write_bytes(content[:place] if how == "cut" else content)
    if how == "longer":
        path.write_bytes(content + b"\0")
    if how == "link":
        path.symlink_to(elsewhere)
    if how == "hard link":
        path.hardlink_to(elsewhere)
    status, said = refused(quantization="int8", models_dir=models)
    assert (status, path.name in said, "Traceback" in said) == (3, True, False), f"{how} at {place}: {said}"


def test_a_manifest_that_is_wrong_anywhere_is_refused(models: Path, chance: random.Random) -> None:
    path = models / MANIFEST
    fields = json.loads(path.read_text())
    key = chance.choice(("schema", "name", "dimension", "max_tokens", "pooling", "prompts", "tokenizer", "variants"))
    how = chance.choice(("gone", "null", "other", "unknown"))
    if how == "gone":
        del fields[key]
    elif how == "unknown":
        fields[f"{key}s_of_old"] = 1
    else:
        fields[key] = None if how == "null" else {"a": 1} if not isinstance(fields[key], dict) else [1]
    path.write_text(json.dumps(fields))
    status, said = refused(quantization="int8", models_dir=models)
    assert (status, "listening" in said, "Traceback" in said) == (3, False, False), f"{key} {how}: {said}"


def test_a_setting_that_cannot_be_is_refused_by_name(chance: random.Random) -> None:
    names = chance.sample(sorted(BAD), chance.randint(1, 3))
    settings = {name: chance.choice(BAD[name]) for name in names}
    status, said = refused(**settings)
    assert status == 3
    assert [name for name in names if name not in said] == []


def test_cuda_is_refused_where_there_is_none(chance: random.Random) -> None:
    status, said = refused(device="cuda", quantization=chance.choice(("fp32", "fp16", "int8")))
    assert status == 3
    assert "DEVICE=cpu" in said
