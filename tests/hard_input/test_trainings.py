"""Trainings that are gone on with: damaged on disk, of another network or other settings, or killed at odd moments."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

import unravelnet as un
from tests.hard_input.runner import Call, table
from unravelnet.errors import UnravelError

X = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(6)


class Stopped(Exception):
    """As a callback raises it."""


def _train(depth=8, data=(X, Y), **options):
    net = un.zoo.resnet(depth, input_shape=(1, 8, 8), seed=0)
    settings = {"epochs": 2, "learning_rate": 0.01, "augment": False, **options}
    return un.train(net, data, validation=data, out="out", **settings)


def _stop(status):
    if status.epoch == 2:
        raise Stopped


def _begun(*_):
    """Train one epoch of two, as a training that was stopped."""
    try:
        _train(on_batch=_stop)
    except Stopped:
        return
    raise AssertionError("it was not stopped")


def _resumed(change, **options):
    def do(world):
        _begun()
        change(Path("out"))
        before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
        try:
            return _train(**options)
        except UnravelError:
            after = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
            assert after == before, "a refusal changes nothing"
            raise

    return do


def _files(pattern):
    found = [path for path in sorted(Path("out").rglob(pattern)) if path.is_file()]
    assert found, pattern
    return found


def _cut(pattern, share=0.5):
    def change(out):
        for path in _files(pattern):
            content = path.read_bytes()
            path.write_bytes(content[: int(len(content) * share)])

    return change


def _written(pattern, content):
    def change(out):
        for path in _files(pattern):
            path.write_bytes(content)

    return change


def _removed(pattern):
    return lambda out: [path.unlink() for path in _files(pattern)]


def _flipped(pattern):
    def change(out):
        for path in _files(pattern):
            content = bytearray(path.read_bytes())
            content[len(content) // 3] ^= 0xFF
            path.write_bytes(bytes(content))

    return change


def _nothing(out):
    pass


def _refused(name, change, says="", **options):
    return Call(name, _resumed(change, **options), UnravelError, says, leaves=("out",))


def _same_as_whole(history):
    """Whether a training that went on gives the losses of one that was never stopped."""
    shutil.rmtree("out")
    whole = _train()
    return [row["train_loss"] for row in history] == [row["train_loss"] for row in whole]


test_resumed_trainings = table(
    *(
        _refused(f"{name} of {pattern}", change)
        for pattern in ("*.json", "*.safetensors")
        for name, change in {
            "nothing": _written(pattern, b""),
            "half": _cut(pattern),
            "all but a byte": _cut(pattern, 0.999),
            "zeros": _written(pattern, bytes(200)),
            "another JSON": _written(pattern, b'{"a": 1}'),
            "a list": _written(pattern, b"[]"),
            "no UTF-8": _written(pattern, b"\xff\xfe"),
            "very deep": _written(pattern, b"[" * 20_000),
        }.items()
    ),
    _refused("no weights", _removed("*.safetensors")),
    _refused("a flipped byte of the description", _flipped("*.json")),
    _refused("another network", _nothing, "", depth=14),
    _refused("another seed", _nothing, "", seed=1),
    _refused("another rate", _nothing, "", learning_rate=0.02),
    _refused("more epochs", _nothing, "", epochs=3),
    _refused("other routes", _nothing, "", routes="uniform"),
    _refused("other images", _nothing, "", data=(X + 1, Y)),
    _refused("other labels", _nothing, "", data=(X, (Y + 1) % 10)),
    _refused("fewer images", _nothing, "", data=(X[:5], Y[:5])),
    Call("as it was", _resumed(_nothing), value=_same_as_whole, leaves=("out",)),
    Call("with other files beside", _resumed(lambda out: (out / "notes.txt").write_text("x")), value=_same_as_whole, leaves=("out",)),
    Call(
        "with a temporary file of a killed one",
        _resumed(lambda out: (out / ".history-0.csv").write_text("half")),
        value=_same_as_whole, leaves=("out",),
    ),
)  # fmt: skip
