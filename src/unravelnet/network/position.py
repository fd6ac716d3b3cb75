"""Which modules fit where: follows a route through chains and shapes, without computing anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unravelnet.errors import RouteError
from unravelnet.network.identity import compute_the_same
from unravelnet.network.inputs import Shape, shape_text
from unravelnet.network.module import ResidualModule
from unravelnet.routes.step import AnyStep, Step

if TYPE_CHECKING:
    from unravelnet.network.row import Row


def module_at(row: Row, index: int) -> ResidualModule:
    """Return a residual module by its index. Raises RouteError where there is none."""
    if not 0 <= index < len(row.residual_modules):
        raise RouteError(
            f"There is no module {index}: {row.title} has {len(row.residual_modules)} "
            f"residual modules, numbered 0 to {len(row.residual_modules) - 1}."
        )
    return row.residual_modules[index]


class Position:
    """Follows a route through chains and shapes, without computing anything."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.chain = 0
        self.shape: Shape | None = None
        self.last: ResidualModule | None = None

    def visit(self, step: AnyStep) -> None:
        modules = [module_at(self.row, one.module) for one in step.visits]
        self._arrive(modules[0])
        if len(modules) > 1:
            _check_span(modules)
        for module, one in zip(modules, step.visits, strict=True):
            self._check_step(module, one)
        self.shape, self.last = modules[-1].output_shape, modules[-1]

    def _arrive(self, module: ResidualModule) -> None:
        if module.chain < self.chain:
            raise self._misfit(module, "its chain has been left, and a transition is passed only once")
        while self.chain < module.chain:
            self._leave_chain(module)
        expected = self._chain_entry(module.chain) if self.shape is None else self.shape
        if module.input_shape != expected:
            raise self._misfit(module, f"its input would have the shape {shape_text(expected)}")

    def _check_step(self, module: ResidualModule, step: Step) -> None:
        if step.mode == "skip" and not module.is_deletable:
            raise RouteError(
                f"Cannot delete {module}: a plain layer has no skip to take, and its input and output shapes "
                f"differ. Plain layers that can be deleted: {self._removable()}."
            )
        if step.scale != 1.0:
            _check_scale(module, step)
        if step.mode == "mean":
            _check_mean(module)
        if step.inside is not None:
            inside = module.inside
            try:
                inside.check(step.inside)
            except RouteError as error:
                raise RouteError(f"Inside {module}: {error}") from error

    def finish(self) -> None:
        while self.chain < len(self.row.transitions):
            self._leave_chain(None)
        self._leave_chain(None)

    def _leave_chain(self, towards: ResidualModule | None) -> None:
        modules = [m for m in self.row.residual_modules if m.chain == self.chain]
        if modules:
            arrived = self._chain_entry(self.chain) if self.shape is None else self.shape
            if arrived != modules[-1].output_shape:
                raise self._misfit(
                    towards,
                    f"what follows {modules[-1]} expects {shape_text(modules[-1].output_shape)}, "
                    f"and {shape_text(arrived)} arrives",
                )
        self.chain, self.shape = self.chain + 1, None

    def _chain_entry(self, chain: int) -> Shape:
        return next(m.input_shape for m in self.row.residual_modules if m.chain == chain)

    def _misfit(self, module: ResidualModule | None, reason: str) -> RouteError:
        place = "at the start" if self.last is None else f"after {self.last}"
        subject = "Cannot leave the last modules" if module is None else f"Cannot visit {module}"
        hint = ""
        if self.last is not None:
            index = self.last.index
            fitting = self.row.compatible_with(index)
            hint = f" `net.compatible_with({index})` lists what may stand in for module {index}: " + (
                ", ".join(map(str, fitting)) + "." if fitting else "none."
            )
        return RouteError(f"{subject} {place}: {reason}.{hint}")

    def _removable(self) -> str:
        plain = [m.index for m in self.row.residual_modules if m.is_deletable]
        return ", ".join(map(str, plain)) or "none"


def _check_mean(module: ResidualModule) -> None:
    if module.kind == "plain":
        raise RouteError(
            f"{module} is a plain layer: with its mean in its place, nothing of the input would be left. Plain layers "
            "can be deleted."
        )


def _check_scale(module: ResidualModule, step: Step) -> None:
    if module.kind == "plain":
        raise RouteError(
            f"Cannot scale {module}: a plain layer has no skip beside which its branch could weigh more or less."
        )
    if step.mode == "branch" and not module.junction.is_linear:
        raise RouteError(
            f"Cannot scale {module} without its skip: its junction is a {module.junction.kind}, which passes the "
            "branch whole where there is no skip."
        )


def _check_span(modules: Sequence[ResidualModule]) -> None:
    for module in modules:
        reason = _why_not_beside(module, modules[0])
        if reason:
            numbers = ", ".join(str(other.index) for other in modules)
            raise RouteError(f"Cannot put {module} into the parallel span of modules {numbers}: {reason}.")


def _why_not_beside(module: ResidualModule, first: ResidualModule) -> str:
    """Say why a module cannot read the same input as the first of a span; empty if it can."""
    if module.kind == "plain":
        return "it is a plain layer, and a span needs a skip around each of its modules"
    if module.kind == "projection":
        return "its skip computes something, and the skip of a span is the identity"
    if module.chain != first.chain:
        return f"it is in another chain than module {first.index}, so something stands between them"
    if not module.keeps_shape:
        return f"its {module.junction.kind} gives another shape than it reads, so nothing can be added up"
    if module.input_shape != first.input_shape:
        return f"module {first.index} has an input of another shape, {shape_text(first.input_shape)}"
    if not compute_the_same(module.after, first.after):
        return f"what comes after its junction is not what comes after that of module {first.index}"
    return ""
