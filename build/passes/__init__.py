"""Graph passes: each rewrites the exported graph in one way, says what it needs and proves that it did it.

`requires` and `ensures` are onnx_ir's own hooks: it calls them before and after every pass. A graph of another shape
is an `UnsupportedGraphError`; any other exception is a defect of a pass and ends the build, for what is shipped without
that pass would be slower, and its manifest would name another reason.
"""

from collections.abc import Sequence

import onnx_ir as ir

from build.errors import BuildError


class UnsupportedGraphError(BuildError, ir.passes.PreconditionError):  # type: ignore[misc]
    """The graph of this architecture is not of the shape that a pass needs."""


class GraphPass(ir.passes.InPlacePass):  # type: ignore[misc]
    """Base of every pass. `name` is what the manifest and the build report call it."""

    name: str = ""

    def requires(self, model: ir.Model) -> None:
        """Check what the pass needs; the model stays as it is.

        Raises:
            UnsupportedGraphError: the exported graph has another shape.
            PreconditionError: a pass that belongs before this one did not run, or this one ran already.
        """

    def rewrite(self, model: ir.Model) -> int:
        """Rewrite `model` in place and return how many places were changed.

        Raises:
            UnsupportedGraphError: it takes the rewriting itself to see that the exported graph has another shape.
        """
        raise NotImplementedError

    def ensures(self, model: ir.Model) -> None:
        """Check what the pass promises of the rewritten model.

        Raises:
            PostconditionError: the pass has a defect.
        """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass.

        Raises:
            PostconditionError: the graph is as the pass requires it, and nothing was rewritten.
        """
        if not self.rewrite(model):
            raise ir.passes.PostconditionError("it found nothing to rewrite")
        return ir.passes.PassResult(model, modified=True)


def apply(model: ir.Model, passes: Sequence[GraphPass]) -> list[str]:
    """Run `passes` in order on `model`, in place, and return their names.

    Whatever is raised names the pass and those that ran before it.

    Raises:
        UnsupportedGraphError: a pass does not know a graph of this shape; the model may be half rewritten.
    """
    done: list[str] = []
    for graph_pass in passes:
        where = f"pass {graph_pass.name!r}, passes before it: {', '.join(done) or 'none'}"
        try:
            graph_pass(model)
        except UnsupportedGraphError as error:
            raise UnsupportedGraphError(f"{error} ({where})") from error
        except Exception as error:
            error.add_note(where)
            raise
        done.append(graph_pass.name)
    return done
