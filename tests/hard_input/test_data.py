"""Data: folders of images, directories of data sets, texts, and what Python hands over."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

import unravelnet as un
from tests.hard_input.runner import MARK, Call, Command, equal, table
from unravelnet.data import load
from unravelnet.errors import DataError, EvaluationError, UnravelError


def _image(form="PNG", size=(8, 8), mode="L", seed=0):
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], len(mode))
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels, mode if mode in ("L", "RGB", "RGBA") else None).save(file, form)
    return file.getvalue()


def _chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(width, height, *chunks):
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = b"".join(chunks) + _chunk(b"IDAT", zlib.compress(bytes(99))) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + body


GOOD = _image()
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>'
EPS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n("
    + MARK.encode()
    + b") (w) file closefile\nshowpage\n%%EOF\n"
)
BROKEN = {
    "nothing": b"",
    "one byte": b"\x89",
    "the signature alone": b"\x89PNG\r\n\x1a\n",
    "half an image": GOOD[: len(GOOD) // 2],
    "a flipped byte": GOOD[:40] + bytes([GOOD[40] ^ 255]) + GOOD[41:],
    "no size": _png(0, 0),
    "a size that cannot be": _png(2**31 - 1, 2**31 - 1),
    "a bomb": _png(60_000, 60_000),
    "a text chunk that unpacks to much": _png(8, 8, _chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**22)))),
    "a text": b"a cat",
    "HTML": b"<html><img src=x></html>",
    "SVG": SVG,
    "PostScript": EPS,
    "PDF": b"%PDF-1.4\n%%EOF\n",
    "an archive": b"PK\x05\x06" + bytes(18),
    "a pickle": b"cposix\nsystem\n(S'touch " + MARK.encode() + b"'\ntR.",
    "an icon": _image("ICO", (16, 16), "RGB"),
    "a PPM": b"P5 8 8 255\n" + bytes(64),
    "half a JPEG": _image("JPEG")[:200],
    "half a GIF": _image("GIF")[:30],
    "half a BMP": _image("BMP")[:60],
    "half a TIFF": _image("TIFF")[:50],
    "half a WebP": _image("WEBP", mode="RGB")[:40],
}
LESION = "lesion {net} --data pets --limit 2 --json"
# With as many classes as there are folders.
ACCEPTED = "lesion zoo:resnet8 --data pets --limit 2 --json"


def _folder(name, files, status=2, says="", value=None, words=LESION):
    return Command(
        name, words, status, says, value, {f"pets/{path}": content for path, content in files.items()}
    )


def _classes(**images):
    return {
        f"{label}/{number}.png": content
        for label, many in images.items()
        for number, content in enumerate(many)
    }


TWO = _classes(cat=[_image(seed=n) for n in range(4)], dog=[_image(seed=n + 9) for n in range(4)])


def _measured(value):
    return all(row["n_images"] == 2 for row in value["studies"]["delete_each"])


test_image_folders = table(
    *(_folder(f"{name}", {**TWO, "cat/0.png": content}, 2, "pets") for name, content in BROKEN.items()),
    *(
        _folder(f"{name}, everywhere", dict.fromkeys(TWO, content), 2, "pets")
        for name, content in BROKEN.items()
    ),
    _folder("one class", _classes(cat=[GOOD] * 4), 2, ""),
    _folder("a class without images", {**TWO, "eel/readme.txt": "none yet"}, 2, ""),
    _folder("no folders", {"0.png": GOOD, "1.png": GOOD}, 2, ""),
    _folder("an empty folder", {"cat": os.mkdir, "dog": os.mkdir}, 2, ""),
    _folder("images of several sizes", {**TWO, "cat/9.png": _image(size=(9, 7))}, 2, ""),
    _folder("images of several modes", {**TWO, "cat/9.png": _image(mode="RGB")}, 2, ""),
    _folder(
        "colour images for a grey network",
        _classes(cat=[_image(mode="RGB")] * 4, dog=[_image(mode="RGB")] * 4),
        2,
        "",
    ),
    _folder(
        "a link that leads nowhere", {**TWO, "cat/9.png": lambda path: path.symlink_to("nowhere")}, 2, ""
    ),
    _folder("a link to itself", {**TWO, "cat/9.png": lambda path: path.symlink_to("9.png")}, 2, ""),
    _folder("a pipe among images", {**TWO, "cat/9.png": os.mkfifo}, 2, ""),
    _folder("a link to a device", {**TWO, "cat/9.png": lambda path: path.symlink_to("/dev/zero")}, 2, ""),
    _folder("a folder called like an image", {**TWO, "cat/9.png": os.mkdir}, 0, "", _measured, ACCEPTED),
    _folder("a loading script", {**TWO, "pets.py": f"open({MARK!r}, 'w')"}, 2, "pets.py"),
    _folder("a text beside images", {**TWO, "cat/notes.txt": "x"}, 0, "", _measured, ACCEPTED),
    _folder(
        "hidden files", {**TWO, "cat/.DS_Store": b"\x00", ".git/config": "x"}, 0, "", _measured, ACCEPTED
    ),
    _folder(
        "a class named with a formula",
        {name.replace("cat", "=1+1"): c for name, c in TWO.items()},
        0,
        "",
        _measured,
        ACCEPTED,
    ),
    _folder(
        "a class named with an escape",
        {name.replace("cat", "\x1b[31m"): c for name, c in TWO.items()},
        0,
        "",
        _measured,
        ACCEPTED,
    ),
    _folder(
        "a class named with a break",
        {name.replace("cat", "a\nb"): c for name, c in TWO.items()},
        2,
        "leaves out the folder 'a\\nb' of pets, a class",
    ),
    _folder(
        "a class with a long name",
        {name.replace("cat", "x" * 250): c for name, c in TWO.items()},
        0,
        "",
        _measured,
        ACCEPTED,
    ),
    _folder(
        "upper-case suffixes",
        {name.replace("png", "PNG"): c for name, c in TWO.items()},
        0,
        "",
        _measured,
        ACCEPTED,
    ),
    _folder(
        "JPEG named PNG",
        {name: _image("JPEG", seed=n) for n, name in enumerate(TWO)},
        0,
        "",
        _measured,
        ACCEPTED,
    ),
)


def _card(text):
    return {**TWO, "README.md": text}


def _zip(**files):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return archive.getvalue()


test_data_directories = table(
    _folder("a card that is no YAML", _card("---\n: : :\n  - [\n---\n"), 2, "pets"),
    _folder(
        "a card that makes an object",
        _card(f"---\na: !!python/object/apply:os.system ['touch {MARK}']\n---\n"),
        2,
        "pets",
    ),
    _folder("a card that refers to itself", _card("---\na: &a [*a]\n---\n"), 0, "", _measured, ACCEPTED),
    _folder("a card of binary", {**TWO, "README.md": b"---\n\xff\xfe\n---\n"}, 2, "pets"),
    _folder("a card with unknown keys", _card("---\nnothing: 3\n---\n"), 0, "", _measured, ACCEPTED),
    _folder(
        "a card that names a script",
        _card("---\nconfigs:\n- config_name: a\n  data_files: ../../etc/passwd\n---\n"),
        2,
        "pets",
    ),
    _folder("a broken dataset_info", {"dataset_info.json": "{", "state.json": "{}"}, 2, "pets"),
    _folder(
        "a saved data set without its files",
        {"dataset_info.json": "{}", "state.json": '{"_data_files": [{"filename": "x.arrow"}]}'},
        2,
        "pets",
    ),
    _folder("a saved data set of nothing", {"dataset_dict.json": '{"splits": []}'}, 2, "pets"),
    _folder("Parquet that is none", {"test.parquet": b"PAR1"}, 2, "pets"),
    _folder("Parquet of nothing", {"test.parquet": b""}, 2, "pets"),
    _folder("Arrow that is none", {"data.arrow": b"ARROW1"}, 2, "pets"),
    _folder("an archive that is none", {"test.zip": b"PK\x03\x04"}, 2, "pets"),
    _folder("an archive of texts", {"test.zip": _zip(a="x")}, 2, "pets"),
    _folder("an archive that leaves its place", {"test.zip": _zip(**{"../../mark": "x"})}, 2, "pets"),
    _folder("CSV", {"test.csv": "a,b\n1,2\n"}, 2, "pets"),
    _folder("JSON that is none", {"test.json": "{"}, 2, "pets"),
    _folder("JSON lines", {"test.jsonl": '{"a": 1}\n'}, 2, "pets"),
    _folder("a script alone", {"pets.py": f"open({MARK!r}, 'w')"}, 2, "pets"),
    _folder("a pickle", {"test.pkl": f"cposix\nsystem\n(S'touch {MARK}'\ntR."}, 2, "pets"),
    _folder("another file", {"data.bin": b"\x00"}, 2, "pets"),
)

TEXTS = {
    "nothing": b"",
    "spaces": b"   \n\n\t",
    "one letter": b"a",
    "a short word": b"word",
    "no UTF-8": b"caf\xe9 " * 200,
    "UTF-16": ("a text " * 200).encode("utf-16"),
    "binary": bytes(range(256)) * 8,
}
test_texts = table(
    *(
        Command(
            f"{name}, for images", "lesion {net} --data book.txt --json", 2, "", files={"book.txt": content}
        )
        for name, content in TEXTS.items()
    ),
    *(
        Call(
            f"{name}, in Python",
            lambda world: un.evaluate(world.net, [], "book.txt"),
            UnravelError,
            "",
            files={"book.txt": content},
        )
        for name, content in TEXTS.items()
    ),
)

X = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(6)


class Items(Dataset):
    def __init__(self, item, length=lambda: 6):
        self.item, self.length = item, length

    def __len__(self):
        return self.length()

    def __getitem__(self, index):
        return self.item(index)


def _fails(error):
    def fail(*_):
        raise error

    return fail


def _stream(*batches):
    yield from batches


def _broken(error):
    yield X, Y
    raise error


def _evaluated(data, metrics=("error_rate",)):
    data = data() if callable(data) else data
    return lambda world: un.evaluate(world.net, [world.net.full_route], data, metrics=metrics)


def _no_data(name, data, says="", error=DataError):
    return Call(name, lambda world: _evaluated(data)(world), error, says)


def _like_plain(name, data):
    """The same data in a plain form must give the same rate."""

    def rates(world):
        return [_evaluated(form)(world)[0]["error_rate"] for form in (data, (X, Y))]

    return Call(name, rates, value=lambda pair: pair[0] == pair[1])


test_labels = table(
    *(
        _like_plain(f"labels of {str(dtype).removeprefix('torch.')}", (X, Y.to(dtype)))
        for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
    ),
    _like_plain("labels of numpy", (X, Y.numpy().astype(np.uint16))),
    _like_plain("a list of labels", (X, Y.tolist())),
    _like_plain("labels in a column", (X, Y[:, None])),
    *(
        _no_data(f"labels of {str(dtype).removeprefix('torch.')}", (X, Y.to(dtype)))
        for dtype in (torch.float16, torch.float32, torch.float64, torch.bfloat16, torch.complex64)
    ),
    _no_data("NaN as a label", (X, torch.full((6,), float("nan")))),
    _no_data("a label too large", (X, Y + 5), "10"),
    _no_data("labels of 2^40", (X, Y + 2**40)),
    _no_data("a label of -1", (X, Y - 1), "-1"),
    _no_data("labels of -100 only", (X, Y * 0 - 100), "", UnravelError),
    _no_data("156 as a byte", (X, torch.full((6,), 156, dtype=torch.uint8)), "156"),
    _no_data("labels as truth values", (X, Y > 2)),
    _no_data("labels in two dimensions", (X, torch.zeros(6, 10).long()), "", UnravelError),
    _no_data("one label", (X, torch.tensor(3))),
    _no_data("too many labels", (X, torch.zeros(7).long()), "differ in length"),
    _no_data("words", (X, list("abcdef"))),
    _no_data("None as labels", (X, None), "", UnravelError),
    _no_data("no labels", X, "", UnravelError),
)

test_python_data = table(
    _no_data("NaN", (X * float("nan"), Y), "NaN", EvaluationError),
    _no_data("infinite", (X / 0, Y), "", EvaluationError),
    _no_data("no images", (X[:0], Y[:0]), "empty"),
    _no_data("no rows", (X[:, :, :0], Y)),
    _no_data("a dict of words", {"a": "b"}),
    _no_data("a text that is no name", "no such data", "no such data", UnravelError),
    _no_data("an empty text", "", "", UnravelError),
    _no_data("a set", {1, 2}),
    _no_data("an object", object()),
    _no_data("a class", lambda: Items, ""),
    _no_data("a range", range(3)),
    _no_data("a number of numpy", np.float64(3)),
    _no_data("a generator that fails", lambda: _broken(ValueError("no")), "ValueError"),
    _no_data("a generator that fails at once", lambda: (1 / 0 for _ in range(3)), "ZeroDivisionError"),
    _no_data("a generator of nothing", lambda: _stream(), "empty"),
    _no_data("a generator of None", lambda: _stream(None)),
    _no_data("batches of other sizes", lambda: _stream((X, Y), (X.repeat(1, 2, 1, 1), Y))),
    _no_data("a batch of three", lambda: _stream((X, Y, Y))),
    _no_data("an empty batch", lambda: _stream((X[:0], Y[:0]))),
    *(
        _no_data(
            f"items that raise {error.__name__}",
            lambda error=error: Items(_fails(error("no"))),
            error.__name__,
        )
        for error in (
            ValueError,
            KeyError,
            OSError,
            RuntimeError,
            RecursionError,
            StopIteration,
            AssertionError,
        )
    ),
    _no_data("items of None", lambda: Items(lambda index: None)),
    _no_data("items of text", lambda: Items(lambda index: "cat")),
    _no_data(
        "items of images alone in a list", lambda: Items(lambda index: [X[index]]), "targets", UnravelError
    ),
    _no_data("no length", lambda: Items(lambda index: (X[index], 0), _fails(TypeError("no length")))),
    _no_data("a length of 0", lambda: Items(lambda index: (X[index], 0), lambda: 0), "empty"),
    _no_data("a length below 0", lambda: Items(lambda index: (X[index], 0), lambda: -1)),
    _no_data("a length too large", lambda: Items(lambda index: (X[index], 0), lambda: 9), "6"),
    _like_plain("arrays", (X.numpy(), Y.numpy())),
    _like_plain("a list of two", [X, Y]),
    _like_plain("a data set", lambda: Items(lambda index: (X[index], int(Y[index])))),
    _like_plain("two batches", lambda: _stream((X[:1], Y[:1]), (X[1:], Y[1:]))),
    _like_plain("not contiguous", lambda: (X.transpose(2, 3).contiguous().transpose(2, 3), Y)),
    _like_plain("with a gradient", lambda: (X.clone().requires_grad_(), Y)),
    Call(
        "digits twice the same",
        lambda world: (
            load("digits", limit=5, seed=1).fingerprint() == load("digits", limit=5, seed=1).fingerprint()
        ),
        value=equal(True),
    ),
)
