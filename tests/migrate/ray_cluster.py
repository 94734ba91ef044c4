"""`python -m tests.migrate.ray_cluster FLAGS`: a migration on a Ray cluster of three nodes, one of which dies.

The node is killed when the first vectors are in the output, which is printed with what is left to be written.
"""

import sys
import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from server.migrate import options
from server.migrate.__main__ import main


def kill_half_way(cluster: Cluster, node: object, output: Path) -> None:
    """Kill a node as soon as something has been written."""
    while not list(output.glob("*.parquet")):
        time.sleep(0.05)
    sys.stdout.write(f"killed a node when {len(list(output.glob('*.parquet')))} files were written\n")
    cluster.remove_node(node, allow_graceful=False)


def run(arguments: list[str]) -> int:
    """Run the migration on a cluster of one head and two workers."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        workers = [cluster.add_node(num_cpus=2) for _ in range(2)]
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False)
        output = Path(options.parse(arguments).output)
        killer = threading.Thread(target=kill_half_way, args=(cluster, workers[0], output), daemon=True)
        killer.start()
        status = main(arguments)
        killer.join(1)
        alive = sum(node["Alive"] for node in ray.nodes())
        sys.stdout.write(f"{alive} of 3 nodes are left\n")
        return status
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:]))
