"""Graph passes: rewrites of the exported graph with preconditions and postconditions.

onnx_ir calls `requires` before and `ensures` after every pass. `UnsupportedGraphError` means that the graph's structure
is not supported. Any other exception is a bug in a pass and aborts the build: a model built without that pass would be
slower, and its manifest would give a wrong reason.
"""

from collections.abc import Sequence

import onnx_ir as ir

from build.errors import BuildError


class UnsupportedGraphError(BuildError, ir.passes.PreconditionError):  # type: ignore[misc]
    """The graph of this architecture does not have the structure that a pass needs."""


class GraphPass(ir.passes.InPlacePass):  # type: ignore[misc]
    """Base class of passes. `name` appears in the manifest and the build report."""

    name: str = ""

    def needed(self, model: ir.Model) -> bool:  # noqa: ARG002
        """Return whether there is anything to rewrite; `apply` skips the pass if not."""
        return True

    def requires(self, model: ir.Model) -> None:
        """Check preconditions without changing the model.

        Raises:
            UnsupportedGraphError: the exported graph has another structure.
            PreconditionError: a required earlier pass did not run, or this one already ran.
        """

    def rewrite(self, model: ir.Model) -> int:
        """Rewrite `model` in place and return the number of changes.

        Raises:
            UnsupportedGraphError: an unsupported structure that only the rewrite detects.
        """
        raise NotImplementedError

    def ensures(self, model: ir.Model) -> None:
        """Check postconditions on the rewritten model.

        Raises:
            PostconditionError: the pass has a bug.
        """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass.

        Raises:
            PostconditionError: the preconditions held, but nothing was rewritten.
        """
        if not self.rewrite(model):
            raise ir.passes.PostconditionError("it found nothing to rewrite")
        return ir.passes.PassResult(model, modified=True)


def apply(model: ir.Model, passes: Sequence[GraphPass]) -> list[str]:
    """Run `passes` in order on `model`, in place, and return the names of those that were needed.

    Exceptions name the failed pass and those before it.

    Raises:
        UnsupportedGraphError: a pass does not support this graph; the model may be partly rewritten.
    """
    done: list[str] = []
    for graph_pass in passes:
        where = f"pass {graph_pass.name!r}, passes before it: {', '.join(done) or 'none'}"
        try:
            if not graph_pass.needed(model):
                continue
            graph_pass(model)
        except UnsupportedGraphError as error:
            raise UnsupportedGraphError(f"{error} ({where})") from error
        except Exception as error:
            error.add_note(where)
            raise
        done.append(graph_pass.name)
    return done
