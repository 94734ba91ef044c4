"""The fp32 graph in Netron: the file is served, and its nodes are named after the model's modules."""

import socket
import subprocess
import time

import httpx
import onnx_ir as ir

from tests.serving import MINILM, MODELS, ROOT

GRAPH = MODELS / f"{MINILM}.onnx"


def test_netron_serves_the_file() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [str(ROOT / ".venv-build/bin/netron"), "--host", "127.0.0.1", "--port", str(port), str(GRAPH)]
    with subprocess.Popen(command) as viewer:
        try:
            assert "Netron" in wait_for(url).text
            assert int(httpx.head(f"{url}/data/{GRAPH.name}").headers["content-length"]) == GRAPH.stat().st_size
        finally:
            viewer.kill()


def wait_for(url: str) -> httpx.Response:
    for _ in range(100):
        try:
            return httpx.get(url)
        except httpx.ConnectError:
            time.sleep(0.1)
    raise AssertionError(f"nothing answers at {url}")


def test_nodes_and_weights_read_as_module_paths() -> None:
    graph = ir.load(GRAPH).graph
    names = {node.name for node in graph}
    for layer in range(6):
        assert any(name.startswith(f"/encoder/layer.{layer}/attention/") for name in names)
        assert f"encoder.layer.{layer}.intermediate.dense.weight" in graph.initializers
        assert f"encoder.layer.{layer}.output.dense.weight" in graph.initializers
    assert not [name for name in graph.initializers if "::MatMul" in name]
