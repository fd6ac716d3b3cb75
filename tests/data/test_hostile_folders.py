"""Folders that are damaged, odd or meant to do harm: each ends as a sentence of ours, and nothing of theirs runs."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unravelnet.data import load
from unravelnet.data.text_loading import load_text
from unravelnet.errors import DataError, MissingExtraError, PathError, UnravelError


def png(seed: int = 0, size: int = 6) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return encoded(pixels, "PNG")


def encoded(pixels: np.ndarray, form: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of_size(width: int, height: int) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def png_with_long_text() -> bytes:
    plain, head = png(), 33
    return plain[:head] + chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**22))) + plain[head:]


def put(directory: Path, files: Mapping[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return directory


PETS = {f"{label}/{number}.png": png(number) for label in ("cat", "dog") for number in range(4)}
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 6\n%%EndComments\nshowpage\n%%EOF\n"
OTHER_FORMATS = {
    "portable grey map": b"P5 6 6 255\n" + bytes(36),
    "icon": encoded(np.zeros((16, 16, 3), np.uint8), "ICO"),
    "JPEG 2000": encoded(np.zeros((6, 6, 3), np.uint8), "JPEG2000"),
    "TGA": encoded(np.zeros((6, 6, 3), np.uint8), "TGA"),
    "Windows metafile": b"\xd7\xcd\xc6\x9a" + bytes(40),
    "HTML": b"<html>",
    "nothing": b"",
}


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))


# -- nothing runs --


@pytest.fixture
def ghostscript(tmp_path, monkeypatch):
    """A Ghostscript that leaves a mark when it is started; as Pillow finds it, on the path."""
    from PIL import EpsImagePlugin

    mark, program = tmp_path / "mark", tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    return mark


def test_the_payload_would_leave_its_mark(tmp_path, ghostscript):
    with pytest.raises(OSError, match=r"cannot|No such|broken|truncated"):
        Image.open(io.BytesIO(POSTSCRIPT)).load()
    assert ghostscript.exists()


@pytest.mark.parametrize("suffix", ["png", "jpg", "eps", "ps", "tif"])
def test_postscript_starts_no_program(tmp_path, ghostscript, suffix):
    images = {name.replace("png", suffix): POSTSCRIPT for name in PETS}
    with pytest.raises(
        DataError, match=rf"0\.{suffix}\) cannot be decoded: .* none of PNG, JPEG, WEBP, BMP, GIF, TIFF"
    ):
        load(str(put(tmp_path / "pets", images)))
    assert not ghostscript.exists()


PAYLOADS = {
    "a loading script": {"{name}.py": "open({mark!r}, 'w')"},
    "another script": {"setup.py": "open({mark!r}, 'w')", "__init__.py": "open({mark!r}, 'w')"},
    "YAML that makes an object": {
        "README.md": "---\n!!python/object/apply:os.system ['touch {mark}']\n---\n"
    },
    "a pickle": {"train.pkl": "cposix\nsystem\n(S'touch {mark}'\ntR."},
    "a script as metadata": {"cat/metadata.py": "open({mark!r}, 'w')", "conftest.py": "open({mark!r}, 'w')"},
}


@pytest.mark.parametrize("images", [PETS, {}], ids=["beside images", "alone"])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_code_of_a_folder_runs(tmp_path, monkeypatch, payload, images):
    mark, directory = tmp_path / "mark", tmp_path / "pets"
    files = {
        name.replace("{name}", "pets"): text.replace("{mark!r}", repr(str(mark))).replace("{mark}", str(mark))
        for name, text in PAYLOADS[payload].items()
    }
    put(directory, {**images, **files})
    monkeypatch.chdir(directory)
    with contextlib.suppress(UnravelError):
        load(str(directory))
    assert not mark.exists()


# -- images --

BAD_IMAGES = {
    "a decompression bomb": (
        png_of_size(60_000, 60_000),
        "DecompressionBombError: Image size .3600000000 pixels",
    ),
    "one that Pillow only warns of": (
        png_of_size(9_500, 9_500),
        r"9500×9500 pixels; at most 89,478,485 are read",
    ),
    "an image of one row": (png_of_size(2**31 - 1, 1), "DecompressionBombError"),
    "an oversized text": (png_with_long_text(), "Decompressed data too large"),
    "half a file": (png()[:60], r"0\.png\) cannot be decoded: "),
    "a head alone": (png()[:20], r"0\.png\) cannot be decoded: "),
    "pixels of 16 bits": (
        encoded(np.full((6, 6), 999, np.uint16), "PNG"),
        "more than 8 bits a pixel .mode I;16",
    ),
    "real pixels": (encoded(np.full((6, 6), 0.5, np.float32), "TIFF"), "more than 8 bits a pixel .mode F"),
    **{name: (content, "none of PNG, JPEG, WEBP, BMP, GIF, TIFF") for name, content in OTHER_FORMATS.items()},
}


@pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_a_bad_image_is_named(tmp_path, kind):
    content, phrase = BAD_IMAGES[kind]
    directory = put(tmp_path / "pets", {**PETS, "cat/0.png": content})
    with pytest.raises(DataError, match=rf"cat/0\.png.*{phrase}|{phrase}"):
        load(str(directory))


def test_a_pipe_among_the_images_does_not_wait(tmp_path):
    directory = put(tmp_path / "pets", PETS)
    (directory / "cat" / "0.png").unlink()
    os.mkfifo(directory / "cat" / "0.png")
    assert len(load(str(directory), "train")) + len(load(str(directory))) == 7


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_every_format_of_the_list_is_read(tmp_path, form):
    pixels = np.full((6, 6, 3), 128, np.uint8)
    content = encoded(pixels, form)
    data = load(
        str(
            put(
                tmp_path / "pets",
                {f"{label}/{n}.{form.lower()}": content for label in "ab" for n in range(4)},
            )
        )
    )
    assert abs(data.images[:].int() - 128).max() <= 2


# -- folders --

BAD_FOLDERS = {
    "broken YAML": ({**PETS, "README.md": "---\nconfigs: [\n---\n"}, "ParserError: while parsing a flow node"),
    "YAML of another form": ({**PETS, "README.md": "---\nconfigs:\n- 3\n---\n"}, "TypeError"),
    "a card that is no text": ({**PETS, "README.md": b"---\n\xff\n---\n"}, "UnicodeDecodeError"),
    "configurations without files": (
        {**PETS, "README.md": "---\nconfigs:\n- config_name: a\n  data_files: {a: b}\n---\n"},
        "cannot be read: ValueError: Expected data_files",
    ),
    "a bad zip": ({"x.zip": b"PK\x03\x04garbage"}, "BadZipFile"),
    "a bad tar": ({"x.tar": b"garbage" * 200}, "ReadError"),
    "a bad gzip": ({"x.tar.gz": b"garbage"}, "ReadError"),
    "bad Parquet": ({"train.parquet": b"PAR1garbage"}, "ArrowInvalid: Parquet magic bytes"),
    "bad Arrow": ({"train.arrow": b"ARROW1xx"}, "ArrowInvalid"),
    "bad JSON": ({"train.json": "{"}, "JSON parse error"),
    "a table": ({"train.csv": "image,label\n1,2\n"}, "no column of images. Its columns: image, label"),
    "metadata that leaves the folder": (
        {"train/metadata.csv": "file_name,label\n../../../etc/passwd,1\n", "train/a.png": png()},
        "Invalid metadata file_name",
    ),
    "broken metadata": ({**PETS, "cat/metadata.jsonl": "{"}, "JSON parse error"),
    "one class folder": (
        {name: content for name, content in PETS.items() if "cat" in name},
        "no column of labels: all images are in one folder, cat. .* one for each of two classes or more",
    ),
    "no class folder": ({"a.png": png(), "b.png": png()}, "all images are in one folder, pets"),
    "nothing": ({"a.unknown": b""}, "There are no data files in .*pets. Give Parquet files"),
    "hidden folders": ({f".{name}": content for name, content in PETS.items()}, "There are no data files"),
    "sizes that differ": ({**PETS, "dog/3.png": png(1, 9)}, "differ in size"),
}  # fmt: skip


# `datasets` leaves files open when it fails.
@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", BAD_FOLDERS)
def test_a_bad_folder_is_explained(tmp_path, capfd, kind):
    files, phrase = BAD_FOLDERS[kind]
    with pytest.raises(DataError, match=phrase):
        load(str(put(tmp_path / "pets", files)))
    assert capfd.readouterr() == ("", "")
    gc.collect()


@pytest.mark.parametrize(
    ("files", "package"),
    [
        ({"a.h5": b"\x89HDF"}, "h5py"),
        ({"a.lance": b"x"}, "lance"),
        ({"a/x.wav": b"RIFF", "b/y.wav": b"RIFF"}, "torchcodec"),
    ],
)
def test_a_missing_package_is_named(tmp_path, files, package):
    with pytest.raises(
        MissingExtraError, match=f"cannot be read without the package '{package}'. Install it"
    ):
        load(str(put(tmp_path / "pets", files)))


@pytest.mark.parametrize("linked", [["cat", "dog"], ["dog"]])
def test_class_folders_that_are_links_are_told(tmp_path, linked):
    put(tmp_path / "real", PETS)
    (tmp_path / "pets").mkdir()
    for label in ("cat", "dog"):
        if label in linked:
            (tmp_path / "pets" / label).symlink_to(tmp_path / "real" / label)
        else:
            (tmp_path / "real" / label).rename(tmp_path / "pets" / label)
    with pytest.raises(
        DataError, match=rf"The folder {linked[0]} in .*pets is a link, and links to folders are not"
    ):
        load(str(tmp_path / "pets"))


def test_links_to_images_and_to_the_whole_folder_are_followed(tmp_path):
    put(tmp_path / "real", PETS)
    for name in PETS:
        link = tmp_path / "pets" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(tmp_path / "real" / name)
    (tmp_path / "whole").symlink_to(tmp_path / "real")
    assert len(load(str(tmp_path / "pets"))) == len(load(str(tmp_path / "whole"))) == 2


def test_a_name_that_is_not_utf8_is_told(tmp_path):
    directory = put(tmp_path / "pets", PETS)
    os.rename(directory / "cat" / "0.png", os.fsencode(directory / "cat") + b"/\xe9.png")  # noqa: PTH104
    with pytest.raises(DataError, match=r"holds a name that is not UTF-8, .*udce9\.png'. Rename it"):
        load(str(directory))


def test_a_name_that_is_a_pattern_is_told(tmp_path):
    with pytest.raises(DataError, match=r"its name has one of the characters \* \? \[ \]"):
        load(str(put(tmp_path / "pets[1]", PETS)))


@pytest.mark.parametrize(
    ("name", "error", "phrase"),
    [
        ("~nosuchuser", PathError, "begins with the home directory of an unknown user"),
        ("~nosuchuser/pets", PathError, "begins with the home directory of an unknown user"),
        ("/nowhere", DataError, "There is no directory /nowhere"),
        ("x" * 300 + "/", PathError, "cannot be used"),
        ("./" + "a/" * 3000, PathError, "cannot be used"),
        ("./nul\0", PathError, "names nothing"),
        ("", PathError, "names nothing"),
        ("\udcff", PathError, "is not written in UTF-8"),
        ("/dev/null", PathError, "is a device, a pipe or a socket"),
        (3, DataError, "got a value of type int"),
        (None, DataError, "got a value of type NoneType"),
    ],
)
def test_names_that_cannot_be_are_told(name, error, phrase):
    with pytest.raises(error, match=phrase) as caught:
        load(name)
    assert len(str(caught.value)) < 500


def test_a_text_of_nobody_is_told():
    with pytest.raises(PathError, match="begins with the home directory of an unknown user"):
        load_text("~nosuchuser/book.txt")


# -- what the library leaves out without a word --

SPLIT_NAMES = ("train", "test", "validation", "train-x")


@pytest.mark.parametrize("name", ["a\nb", "a\r\nb", "__c", "a::b", *SPLIT_NAMES])
def test_a_class_that_is_left_out_is_told(tmp_path, name):
    put(tmp_path, {**PETS, **{f"{name}/{number}.png": png(number) for number in range(4)}})
    lost = "cat" if name in SPLIT_NAMES else name
    with pytest.raises(
        DataError, match=r"leaves out the folder .*, a class\. .* Rename that folder\."
    ) as told:
        load(tmp_path)
    assert f"folder {lost!r} of" in str(told.value)


@pytest.mark.parametrize(
    "name",
    [
        "a\tb",
        "a\rb",
        "a\x1bb",
        "[x]",
        "a*b",
        "{a}",
        "e\u0301",
        "a b",
        "#x",
        "%41",
        "-n",
        "~t",
        "a.zip",
        "\u2028",
    ],
)
def test_a_class_with_an_odd_name_is_read(tmp_path, name):
    put(tmp_path, {**PETS, **{f"{name}/{number}.png": png(number) for number in range(4)}})
    assert set(load(tmp_path).classes) == {"cat", "dog", name}


def test_single_images_that_are_left_out_are_remarked(tmp_path, caplog):
    put(tmp_path, {**PETS, "cat/a\nb.png": png(9)})
    assert len(load(tmp_path, "train")) == 6
    assert "1 image in" in caplog.text
    assert "is left out. The first is 'cat/a\\nb.png'." in caplog.text


def test_folders_beside_the_splits_are_remarked(tmp_path, caplog):
    folders = ("train", "test", "unused/deep")
    put(tmp_path, {f"{folder}/{name}": content for folder in folders for name, content in PETS.items()})
    assert len(load(tmp_path, "train")) == 8
    assert "8 images in" in caplog.text
    assert "are left out" in caplog.text
