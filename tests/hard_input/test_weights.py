"""Weights: files of every kind that can be written in a few bytes, and directories of transformers."""

from __future__ import annotations

import importlib.util
import json
import pickle
import struct

import pytest
import torch
from safetensors.torch import save
from torch import nn

from tests.hard_input.runner import MARK, Command, table

FILE = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x):
        return x + self.a(x).relu()


def make():
    return nn.Sequential(Block(), Block())
"""
torch.manual_seed(0)
STATE = {
    f"{n}.a.{name}": torch.randn(shape)
    for n in (0, 1)
    for name, shape in (("weight", (4, 4)), ("bias", (4,)))
}


class Payload:
    """Leaves a mark when it is unpickled."""

    mark = MARK

    def __init__(self, call="touch"):
        self.call = call

    def __reduce__(self):
        import pathlib

        if self.call == "touch":
            return pathlib.Path.touch, (pathlib.Path(self.mark),)
        return (
            (exec, (f"open({self.mark!r}, 'w')",))
            if self.call == "exec"
            else (eval, (f"open({self.mark!r}, 'w')",))
        )


def _saved(content, **options):
    """Write with torch, with payloads that leave the mark of the row."""

    def make(path):
        Payload.mark = str(path.parents[1] / "mark")
        torch.save(content, path, **options)

    return make


def _pickled(content, protocol=2):
    return pickle.dumps(content, protocol)


def _safetensors(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def _with(**changes):
    return {**STATE, **changes}


def _loop():
    content: dict[str, object] = {}
    content["state_dict"] = content
    return content


WHOLE = save(STATE)
INSPECT = "inspect m.py:make --input-shape 4 --json --weights w.pt"
REFUSED = {
    "nothing": b"",
    "one byte": b"\x80",
    "a text": b"weights\n",
    "HTML": b"<html>404</html>",
    "a pointer of Git": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
    "an empty archive": b"PK\x05\x06" + bytes(18),
    "half an archive": b"PK\x03\x04" + bytes(30),
    "half a pickle": _pickled({"a": 1})[:-3],
    "a pickle of a number": _pickled(3),
    "a pickle of weights in lists": _pickled({"0.a.weight": [[1.0]]}),
    "a pickle that runs": b"cposix\nsystem\n(S'touch " + MARK.encode() + b"'\ntR.",
    "a pickle that imports": b"cos.path\njoin\n(S'a'\nS'b'\ntR.",
    "numpy": b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n" + bytes(4),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(50),
    "GGUF": b"GGUF" + bytes(50),
    "ONNX": b"\x08\x07\x12\x07pytorch",
    "compressed": b"\x1f\x8b\x08\x00" + bytes(20),
    "half of safetensors": WHOLE[: len(WHOLE) // 2],
    "safetensors of no header": struct.pack("<Q", 0),
    "safetensors with a huge header": struct.pack("<Q", 2**62) + b"{}",
    "safetensors of no JSON": _safetensors(b"{{{"),
    "safetensors of nothing": _safetensors({}),
    "safetensors beyond their end": _safetensors(
        {"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}
    ),
    "safetensors of an unknown type": _safetensors(
        {"a": {"dtype": "F3", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)
    ),
    "safetensors of a shape below zero": _safetensors(
        {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, bytes(4)
    ),
    "an empty dict": _saved({}),
    "a list": _saved([torch.ones(3)]),
    "a tensor": _saved(torch.ones(3)),
    "None": _saved(None),
    "a text of torch": _saved("weights"),
    "a whole model": _saved(nn.Linear(4, 4)),
    "itself": _saved(_loop()),
    "a number under a key": _saved({"a": 3}),
    "without one": _saved({k: v for k, v in STATE.items() if k != "1.a.bias"}),
    "of another model": _saved({"layer.weight": torch.ones(2, 2)}),
    "of another shape": _saved(_with(**{"0.a.weight": torch.ones(5, 4)})),
    "NaN": _saved(_with(**{"0.a.weight": torch.full((4, 4), float("nan"))})),
    "without values": _saved(_with(**{"0.a.weight": torch.empty(4, 4, device="meta")})),
    "sparse": _saved(_with(**{"0.a.weight": torch.eye(4).to_sparse()})),
    "complex": _saved(_with(**{"0.a.weight": torch.ones(4, 4, dtype=torch.complex64)})),
    "numbers for tensors": _saved(dict.fromkeys(STATE, 3.0)),
    "keys of bytes": _saved({name.encode(): tensor for name, tensor in STATE.items()}),
    "two sets": _saved({"student": {k: v + 1 for k, v in STATE.items()}, "teacher": STATE}),
    "a payload beside that is a method": _saved({"state_dict": STATE, "trainer": Payload()}),
    "a payload for a tensor": _saved(_with(**{"0.a.weight": Payload()})),
    "an escape sequence as a name": _saved({"\x1b[31m": torch.ones(1)}),
    "a line break as a name": _saved({"a\nb": torch.ones(1)}),
    "a name that is code": _saved({"__class__": torch.ones(1), "../../x": torch.ones(1)}),
    "a very long name": _saved({"x" * 100_000: torch.ones(1)}),
}
LOADED = {
    "safetensors": WHOLE,
    "torch": _saved(STATE),
    "torch of old": _saved(STATE, _use_new_zipfile_serialization=False),
    "under a key": _saved({"state_dict": STATE, "epoch": 3}),
    "with a prefix": _saved({f"module.{name}": tensor for name, tensor in STATE.items()}),
    "with code beside": _saved({"state_dict": STATE, "trainer": Payload("exec")}),
    "with an expression beside": _saved({"state_dict": STATE, "trainer": Payload("eval")}),
    "with more tensors": _saved(_with(more=torch.ones(3))),
    "in half precision": _saved({name: tensor.half() for name, tensor in STATE.items()}),
    "transposed in memory": _saved(
        {name: tensor.T.contiguous().T for name, tensor in STATE.items() if tensor.dim() == 2}
        | {k: v for k, v in STATE.items() if v.dim() == 1}
    ),
}
test_weights_that_are_refused = table(
    *(
        Command(name, INSPECT, 2, "", files={"m.py": FILE, "w.pt": content}, leaves=("__pycache__",))
        for name, content in REFUSED.items()
    )
)
test_weights_that_load = table(
    *(
        Command(
            name,
            INSPECT,
            0,
            "",
            lambda v: "random" not in v["name"],
            {"m.py": FILE, "w.pt": content},
            ("__pycache__",),
        )
        for name, content in LOADED.items()
    )
)

CONFIG = {
    "model_type": "gpt2",
    "architectures": ["GPT2LMHeadModel"],
    "vocab_size": 20,
    "n_layer": 1,
    "n_embd": 8,
    "n_head": 2,
    "n_positions": 8,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
OWN = f"open({MARK!r}, 'w')\nfrom transformers import *\nclass Own: pass\n"


def _config(**changes):
    return json.dumps({key: value for key, value in {**CONFIG, **changes}.items() if value is not ...})


DIRECTORIES = {
    "no configuration": {"a": "x"},
    **{
        f"configuration: {name}": {"config.json": text}
        for name, text in {
            "nothing": "", "a list": "[]", "null": "null", "a number": "3", "no object": "{", "deep": '{"a":' * 20_000,
            "binary": b"\xff\xfe", "of nothing": "{}", "an unknown kind": _config(model_type="klingon"),
            "a kind that is a list": _config(model_type=["gpt2"]), "no kind": _config(model_type=...),
            "heads that do not divide": _config(n_head=3), "no layers": _config(n_layer=0, n_head=0),
            "layers below zero": _config(n_layer=-1), "a million layers": _config(n_layer=10**6),
            "a width in words": _config(n_embd="wide"), "a width beyond use": _config(n_embd=10**9),
            "no words": _config(vocab_size=0), "words below zero": _config(vocab_size=-5),
            "quantised": _config(quantization_config={"quant_method": "gptq", "bits": 4}),
            "an activation that is none": _config(activation_function="klingon"),
            "a type that is none": _config(torch_dtype="float7", dtype="float7"),
        }.items()
    },
    "code of its own": {"config.json": _config(model_type="own", auto_map={"AutoConfig": "own.Own", "AutoModel": "own.Own"}), "own.py": OWN},
    "code elsewhere": {"config.json": _config(model_type="own", auto_map={"AutoConfig": "evil/repo--own.Own"})},
    "weights that are none": {"config.json": _config(), "model.safetensors": b"x"},
    "half of the weights": {"config.json": _config(), "model.safetensors": WHOLE[:100]},
    "weights of another": {"config.json": _config(), "model.safetensors": save(STATE, {"format": "pt"})},
    "a pickle as weights": {"config.json": _config(), "pytorch_model.bin": b"cposix\nsystem\n(S'touch " + MARK.encode() + b"'\ntR."},
    "an index of nothing": {"config.json": _config(), "model.safetensors.index.json": '{"weight_map": {"a": "../../x.safetensors"}}'},
    "an index that is none": {"config.json": _config(), "model.safetensors.index.json": "["},
}  # fmt: skip
test_directories_of_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)(
    table(
        *(
            Command(name, "inspect hf:d --json", 2, "", files={f"d/{path}": content for path, content in files.items()})
            for name, files in DIRECTORIES.items()
        ),
        Command(
            "no weights, and code beside", "inspect hf:d --json", 0, "", lambda v: "random" in v["name"] and v["n_modules"] == 2,
            {"d/config.json": _config(auto_map={"AutoModelForCausalLM": "own.Own"}), "d/own.py": OWN},
        ),
    )
)  # fmt: skip
