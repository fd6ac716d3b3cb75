"""Which modules fit where: follows a route through chains and shapes, without computing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unravelnet.errors import RouteError
from unravelnet.network.inputs import Shape, shape_text
from unravelnet.network.module import ResidualModule
from unravelnet.routes.route import Step

if TYPE_CHECKING:
    from unravelnet.network.network import UnraveledNetwork


def module_at(net: UnraveledNetwork, index: int) -> ResidualModule:
    """Return a residual module by its index. Raises RouteError where there is none."""
    if not 0 <= index < len(net.residual_modules):
        raise RouteError(
            f"There is no module {index}: {net.name or 'the network'} has {len(net.residual_modules)} "
            f"residual modules, numbered 0 to {len(net.residual_modules) - 1}."
        )
    return net.residual_modules[index]


class Position:
    """Follows a route through chains and shapes, without computing anything."""

    def __init__(self, net: UnraveledNetwork) -> None:
        self.net = net
        self.chain = 0
        self.shape: Shape | None = None
        self.last: ResidualModule | None = None

    def visit(self, step: Step) -> None:
        module = module_at(self.net, step.module)
        if module.chain < self.chain:
            raise self._misfit(module, "its chain has been left, and a transition is passed only once")
        while self.chain < module.chain:
            self._leave_chain(module)
        expected = self._chain_entry(module.chain) if self.shape is None else self.shape
        if module.input_shape != expected:
            raise self._misfit(module, f"its input would have the shape {shape_text(expected)}")
        if step.mode == "skip" and not module.is_deletable:
            raise RouteError(
                f"Cannot delete {module}: a plain layer has no skip to take, and its input and output shapes "
                f"differ. Plain layers that can be deleted: {self._removable()}."
            )
        self.shape, self.last = module.output_shape, module

    def finish(self) -> None:
        while self.chain < len(self.net.transitions):
            self._leave_chain(None)
        self._leave_chain(None)

    def _leave_chain(self, towards: ResidualModule | None) -> None:
        modules = [m for m in self.net.residual_modules if m.chain == self.chain]
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
        return next(m.input_shape for m in self.net.residual_modules if m.chain == chain)

    def _misfit(self, module: ResidualModule | None, reason: str) -> RouteError:
        place = "at the start" if self.last is None else f"after {self.last}"
        subject = "Cannot leave the last modules" if module is None else f"Cannot visit {module}"
        hint = ""
        if self.last is not None:
            index = self.last.index
            fitting = self.net.compatible_with(index)
            hint = f" `net.compatible_with({index})` lists what may stand in for module {index}: " + (
                ", ".join(map(str, fitting)) + "." if fitting else "none."
            )
        return RouteError(f"{subject} {place}: {reason}.{hint}")

    def _removable(self) -> str:
        plain = [m.index for m in self.net.residual_modules if m.is_deletable]
        return ", ".join(map(str, plain)) or "none"
