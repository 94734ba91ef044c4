"""`python -m tests.migrate.ray_cluster JOBS`: migrations on a Ray cluster of three nodes, one of which dies.

JOBS is a JSON list with the flags of each job. A node is killed when the first job has written its first vectors. The
result of each job is printed as a line of JSON.
"""

import contextlib
import io
import json
import sys
import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from server.migrate import options
from server.migrate.__main__ import main


class Killer(threading.Thread):
    """Kills a node once a file has been written; `written` is the number of files at that time."""

    def __init__(self, cluster: Cluster, node: object, output: Path) -> None:
        super().__init__(daemon=True)
        self.written = 0
        self._cluster, self._node, self._output = cluster, node, output

    def run(self) -> None:
        """Wait for a file, then kill the node."""
        while not (written := len(list(self._output.glob("*.parquet")))):
            time.sleep(0.05)
        self._cluster.remove_node(self._node, allow_graceful=False)
        self.written = written


def run(jobs: list[list[str]]) -> None:
    """Run migrations on a cluster of one head node and two workers."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        workers = [cluster.add_node(num_cpus=2) for _ in range(2)]
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False)
        killer = Killer(cluster, workers[0], Path(options.parse(jobs[0]).output.reveal()))
        killer.start()
        for flags in jobs:
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                status = main(flags)
            alive = sum(node["Alive"] for node in ray.nodes())
            result = {"status": status, "said": said.getvalue(), "alive": alive, "killed_at": killer.written}
            sys.stdout.write(f"{json.dumps(result)}\n")
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
