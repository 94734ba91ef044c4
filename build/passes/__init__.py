"""Graph passes: each rewrites the exported graph in one way, says what it needs and proves that it did it.

A pass that finds nothing to rewrite raises: a silent no-op would ship a graph that its manifest misdescribes.
"""

from collections.abc import Sequence

import onnx_ir as ir

from build.errors import BuildError


class GraphPass(ir.passes.InPlacePass):  # type: ignore[misc]
    """Base of every pass. `name` is what the manifest and the build report call it."""

    name: str = ""

    def rewrite(self, model: ir.Model) -> int:
        """Rewrite `model` in place and return how many places were changed."""
        raise NotImplementedError

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass.

        Raises:
            BuildError: the graph has nothing for this pass to rewrite.
        """
        if not self.rewrite(model):
            raise BuildError(f"pass {self.name!r} found nothing to rewrite in this graph")
        return ir.passes.PassResult(model, modified=True)


def apply(model: ir.Model, passes: Sequence[GraphPass]) -> list[str]:
    """Run `passes` in order on `model`, in place, and return their names.

    Raises:
        BuildError: a pass failed; the message names it and the passes that ran before it.
    """
    done: list[str] = []
    for graph_pass in passes:
        try:
            graph_pass(model)
        except BuildError as error:
            before = ", ".join(done) or "none"
            raise BuildError(f"{error} (passes before it: {before})") from error
        done.append(graph_pass.name)
    return done
