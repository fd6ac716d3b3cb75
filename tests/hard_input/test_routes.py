"""Routes: texts that are none, that are odd, and that are right, and routes that do not fit a network."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from tests.hard_input.runner import Call, equal, table
from unravelnet import Route, Step
from unravelnet.costs import MOST_MODULES
from unravelnet.errors import CostError, RouteError

NO_STEPS = (
    "", " ", ",", "0,", ",0", "0,,1", "-", "-1", "1-", "--1", "0--1", "1-2-3", "a", "s", "b", "3x", "3sb", "3bs",
    "3 s s", "3S", "3B", "0x1", "1e3", "1.5", "1.0", "+1", "1_000", "٣", "１", "²", "0–3", "0;1", "0 and 1", "[0]",
    "(0", "0)", "()", "(0,)", "((0,1),2)", "0[", "0]", "0[1", "0[1]2", "0[]", "[1]", "0s*", "0**2", "0*x", "0*.5", "0*1.",
    "0*nan", "0*inf", "0*1e", "(0,1)s", "(0,1)*2", "(0,1)[2]", "0-", "{0}", "None", "NONE", "null", "nan", "inf", "none,0", "0,none", "nones", "0\n1x", "0\t1", "\x00",
    "0\x1b[31m", "\ud800", "0/1", "0*", "*", "1234567890", "0-9999999999", "../0", "0'; DROP TABLE trials;--",
    "🙂", "0\u202e1", "0=1", "s0", "0s-3", "0-s3", "0-3 b b",
)  # fmt: skip

SAME = {
    "0": "0", "0-0": "0", "007": "7", "0-3": "0-3", "3-0": "3-0", " 0 - 3 ": "0-3", "0,1,2": "0-2", "2,1": "2,1",
    "2-1": "2,1", "0s,1s": "0-1s", "0s,1b": "0s,1b", "0-2s": "0-2s", "1 s": "1s", "none": "none", " none ": "none",
    "0,0,0": "0,0,0", "3-0b": "3-0b", "0-3,3-0": "0-3,3-0", "999999999": "999999999", "0,2,1,3s,4-6,7s,8b":
    "0,2,1,3s,4-6,7s,8b", "0*1": "0", "4-9*0": "4-9s", "0*0.50": "0*0.5", "0*2e0": "0*2", "0*-1": "0*-1", "(0)": "0",
    "(2,0-1)": "(0-2)", "(0),1": "0-1", "0[0]": "0[0]", "1-2[0,1s]b*0.5": "1-2[0,1s]b*0.5", "0[ none ]": "0[none]",
    "(1s,0*0.5),2[(1,0),2[0s]]": "(0*0.5,1s),2[(0-1),2[0s]]",
}  # fmt: skip

test_texts_that_are_no_routes = table(
    *(
        Call(f"{text!r}", lambda world, text=text: Route.parse(text), RouteError, "route")  # type: ignore[misc]
        for text in NO_STEPS
    ),
    Call("more steps than modules", lambda world: Route.parse("0-999999999"), RouteError, "more than 100000"),
    Call("many long runs", lambda world: Route.parse(",".join(["0-99998"] * 9)), RouteError, "more than"),
    Call(
        "nested without end",
        lambda world: Route.parse("0[" * 999 + "0" + "]" * 999),
        RouteError,
        "nested more than",
    ),
    Call("a scale without end", lambda world: Route.parse("0*1e999"), RouteError, "finite"),
    Call("scaled and deleted", lambda world: Route.parse("0s*2"), RouteError, "no branch to scale"),
    Call("nothing left", lambda world: Route.parse("0b*0"), RouteError, "nothing is left"),
    Call("deleted and entered", lambda world: Route.parse("0[1]s"), RouteError, "no route leads into it"),
    Call("no skip in a span", lambda world: Route.parse("(0,1b)"), RouteError, "share one skip"),
    Call("no text: None", lambda world: Route.parse(None), RouteError, "None"),
    Call("no text: 3", lambda world: Route.parse(3), RouteError, "3"),
    Call("no text: bytes", lambda world: Route.parse(b"0-3"), RouteError, "b'0-3'"),
)

test_texts_of_routes = table(
    *(
        Call(f"{text!r}", lambda world, text=text: str(Route.parse(text)), value=equal(same))  # type: ignore[misc]
        for text, same in SAME.items()
    ),
    *(
        Call(
            f"canonical {text!r}",
            lambda world, text=text: Route.parse(str(Route.parse(text))) == Route.parse(text),  # type: ignore[misc]
            value=equal(True),
        )
        for text in SAME
    ),
)

FULL = Route.full(4)
test_changes_of_routes = table(
    Call("delete what is not there", lambda world: FULL.delete(4), RouteError, "module 4"),
    Call("delete -1", lambda world: FULL.delete(-1), RouteError, "start at 0"),
    Call("delete a list", lambda world: FULL.delete([1, 2]), RouteError, "one by one"),
    Call("delete a text", lambda world: FULL.delete("1"), RouteError, "one by one"),
    Call("delete 1.0", lambda world: FULL.delete(1.0), RouteError, "one by one"),
    Call("delete NaN", lambda world: FULL.delete(float("nan")), RouteError, "one by one"),
    Call("delete 10^30", lambda world: FULL.delete(10**30), RouteError, "does not visit"),
    Call("delete nothing", lambda world: FULL.delete(), value=equal(FULL)),
    Call("delete a number of numpy", lambda world: str(FULL.delete(np.int8(2))), value=equal("0-1,2s,3")),
    Call("delete a tensor", lambda world: FULL.delete(torch.tensor(1)), RouteError, "one by one"),
    Call("keep nothing", lambda world: str(FULL.keep()), value=equal("0-3s")),
    Call("keep what is not there", lambda world: FULL.keep(9), RouteError, "module 9"),
    Call("scale by a word", lambda world: FULL.scale("half", 1), RouteError, "finite number"),
    Call("scale by NaN", lambda world: FULL.scale(float("nan"), 1), RouteError, "finite number"),
    Call("scale what is deleted", lambda world: FULL.delete(1).scale(2, 1), RouteError, "no branch to scale"),
    Call("scale by 0", lambda world: str(FULL.scale(0, 1)), value=equal("0,1s,2-3")),
    Call("scale by a number of numpy", lambda world: str(FULL.scale(np.float32(0.5), 1)), value=equal("0,1*0.5,2-3")),
    Call("one module side by side", lambda world: FULL.parallel(1), RouteError, "two visits or more"),
    Call("no neighbours side by side", lambda world: FULL.parallel(0, 2), RouteError, "do not follow each other"),
    Call("nothing side by side", lambda world: FULL.parallel(), RouteError, "two visits or more"),
    Call("a longer span", lambda world: str(FULL.parallel(1, 2).parallel(1, 2, 3)), value=equal("0,(1-3)")),
    Call("a text inside", lambda world: FULL.inside(1, "0-2"), RouteError, "Route.parse"),
    Call("inside of what is deleted", lambda world: FULL.delete(1).inside(1, FULL), RouteError, "no route leads into"),
    Call("swap with itself", lambda world: FULL.swap(1, 1), value=equal(FULL)),
    Call("swap with nothing", lambda world: FULL.swap(1, None), RouteError, "None"),
    Call("permute too few", lambda world: FULL.permute([0, 1]), RouteError, "not a permutation"),
    Call("permute words", lambda world: FULL.permute(["a", "b", "c", "d"]), RouteError, "not a permutation"),
    Call("permute words and numbers", lambda world: FULL.permute(["a", 1, 2, 3]), RouteError, "not a permutation"),
    Call("permute no list", lambda world: FULL.permute(3), RouteError, "3"),
    Call("repeat never", lambda world: FULL.repeat(0, times=0), RouteError, "times=1"),
    Call("repeat for ever", lambda world: FULL.repeat(0, 4, times=10**9), CostError, "too many"),
    Call("repeat backwards", lambda world: FULL.repeat(3, 1), RouteError, "half-open"),
    Call("repeat beyond the end", lambda world: FULL.repeat(0, 9), RouteError, "half-open"),
    Call("reverse nothing", lambda world: FULL.reverse(2, 2), RouteError, "half-open"),
    Call("drop with a chance of 2", lambda world: FULL.drop(2.0, _generator()), RouteError, "[0, 1]"),
    Call("drop with a chance of NaN", lambda world: FULL.drop(float("nan"), _generator()), RouteError, "[0, 1]"),
    Call("drop with too few chances", lambda world: FULL.drop([0.5] * 3, _generator()), RouteError, "4"),
    Call("drop with a word", lambda world: FULL.drop("half", _generator()), RouteError, "half"),
    Call("drop surely", lambda world: str(FULL.drop(1, _generator())), value=equal("0-3s")),
    Call("a network of -1 modules", lambda world: Route.full(-1), RouteError, "-1"),
    Call("a network of 10^12 modules", lambda world: Route.full(10**12), CostError, "too many"),
    Call("a network of 2.5 modules", lambda world: Route.full(2.5), CostError, "2.5"),
    Call("a network of no modules", lambda world: str(Route.full(0)), value=equal("none")),
    Call("the largest network", lambda world: len(Route.full(MOST_MODULES)), value=equal(MOST_MODULES)),
    Call("a step to -1", lambda world: Step(-1), RouteError, "start at 0"),
    Call("a step in no mode", lambda world: Step(0, "sideways"), RouteError, "sideways"),
    Call("a step to a word", lambda world: Step("a"), RouteError, "'a'"),
    Call("tau of modules side by side", lambda world: Route.parse("(0,1)").kendall_tau(), RouteError, "side by side"),
    Call("tau of a module twice", lambda world: Route.parse("0,0").kendall_tau(), RouteError, "once"),
    Call("tau of the reverse", lambda world: Route.parse("5-0").kendall_tau(), value=equal(-1.0)),
    Call("paths of nothing", lambda world: Route.parse("none").path_count, value=equal(1)),
    Call("paths of 200 modules", lambda world: Route.full(200).path_count, value=equal(2**200)),
)  # fmt: skip

X = torch.ones(2, 1, 8, 8)
test_routes_that_do_not_fit = table(
    Call("a module too many", lambda world: world.net(X, Route.full(4)), RouteError, "3"),
    Call("a module of another network", lambda world: world.net(X, Route.parse("999999999")), RouteError, "999999999"),
    Call("modules of other shapes swapped", lambda world: world.net(X, Route.parse("0,2,1")), RouteError, "1"),
    Call("a text", lambda world: world.net(X, "0-2"), RouteError, "Route.parse"),
    Call("a number", lambda world: world.net(X, 3), RouteError, "3"),
    Call("a list of steps", lambda world: world.net(X, [Step(0)]), RouteError, "Step"),
    Call(
        "the intact one is the network",
        lambda world: torch.equal(world.net(X, Route.full(3)), world.net(X)),
        value=equal(True),
    ),
    Call("no routes", lambda world: len(_evaluated(world, [])), value=equal(0)),
    Call("a route alone", lambda world: _evaluated(world, Route.full(3)), RouteError, "list"),
    Call("a text as routes", lambda world: _evaluated(world, "0-2"), RouteError, "list"),
    Call("texts as routes", lambda world: _evaluated(world, ["0-2"]), RouteError, "Route.parse"),
    Call("a number as routes", lambda world: _evaluated(world, 3), RouteError, "3"),
    Call("routes without end", lambda world: _evaluated(world, itertools.repeat(Route.full(3))), CostError, "more"),
    Call(
        "the same route thrice",
        lambda world: len({row["error_rate"] for row in _evaluated(world, [Route.full(3)] * 3)}),
        value=equal(1),
    ),
)  # fmt: skip


def _generator():
    return np.random.default_rng(0)


def _evaluated(world, routes):
    import unravelnet as un

    return un.evaluate(world.net, routes, (X, torch.zeros(2, dtype=torch.long)))
