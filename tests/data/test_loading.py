"""Loading by name and from disk: content against PIL and numpy, bad input, the cache."""

from __future__ import annotations

import ast
import io
import logging
import re
import shutil

import datasets
import huggingface_hub
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from tests.data.conftest import write_images
from unravelnet import models
from unravelnet.data import cache, load, load_text
from unravelnet.data.loading import divide
from unravelnet.errors import DataError, UnknownNameError

# -- digits --


def test_digits_are_those_of_scikit_learn():
    train, test = load("digits", "train"), load("digits", "test")
    assert (len(train), len(test)) == (1347, 450)
    assert train.image_shape == (1, 8, 8)
    bunch = load_digits()
    both = {image.tobytes() + bytes([label]) for image, label in zip(bunch.images.astype("u1"), bunch.target)}  # noqa: B905
    for part in (train, test):
        back = np.rint(part.images[:, 0].numpy() / (255 / 16)).astype("u1")
        assert {image.tobytes() + bytes([label]) for image, label in zip(back, part.targets)} <= both  # noqa: B905
    share = np.bincount(test.targets) / np.bincount(bunch.target)
    np.testing.assert_allclose(share, 0.25, atol=0.01)
    assert int(train.images.max()) == 255


def test_test_images_are_normalised_by_the_training_images():
    train, test = load("digits", "train"), load("digits", "test")
    values = train.images.numpy() / 255
    assert (test.mean, test.std) == (train.mean, train.std)
    np.testing.assert_allclose([*test.mean, *test.std], [values.mean(), values.std()])


def test_digits_are_the_same_every_time():
    assert load("digits").fingerprint() == load("digits").fingerprint()
    assert load("digits", limit=50, seed=1).fingerprint() == load("digits").subset(50, seed=1).fingerprint()


def test_dividing_holds_out_a_quarter_of_every_class():
    targets = torch.tensor([0] * 40 + [1] * 20 + [2] * 4 + [3])
    train, test = divide(targets)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(65))
    assert torch.bincount(targets[test], minlength=4).tolist() == [10, 5, 1, 0]


# -- folders and Parquet files --


def assert_holds(data, pixels, split):
    """Compare with the images on disk, as a set: the order of files is not ours."""
    expected = {
        (image.tobytes(), label)
        for (part, label), images in pixels.items()
        if part == split
        for image in images
    }
    found = {
        (image.permute(1, 2, 0).numpy().tobytes(), data.classes[int(target)])
        for image, target in zip(data.images[:], data.targets, strict=True)
    }
    assert found == expected


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_image_folder(image_folder, pixels, split):
    data = load(str(image_folder), split)
    assert data.classes == ("cat", "dog")
    assert data.name == "pets"
    assert_holds(data, pixels, split)
    train = np.concatenate([images for (part, _), images in pixels.items() if part == "train"]) / 255
    np.testing.assert_allclose(data.mean, train.mean((0, 1, 2)))
    np.testing.assert_allclose(data.std, train.std((0, 1, 2)))


def test_a_folder_in_one_piece_is_divided(tmp_path, pixels):
    for label in ("cat", "dog"):
        write_images(tmp_path / "whole" / label, pixels["train", label])
    train, test = load(str(tmp_path / "whole"), "train"), load(str(tmp_path / "whole"), "test")
    assert np.bincount(train.targets).tolist() == [3, 3]
    assert np.bincount(test.targets).tolist() == [1, 1]
    together = {image.numpy().tobytes() for part in (train, test) for image in part.images}
    assert len(together) == 8


def test_data_that_does_not_fit_is_decoded_batch_by_batch(image_folder):
    in_memory, on_disk = load(str(image_folder), "train"), load(str(image_folder), "train", max_bytes=100)
    assert not isinstance(on_disk.images, torch.Tensor)
    assert (on_disk.mean, on_disk.std, on_disk.classes) == (in_memory.mean, in_memory.std, in_memory.classes)
    positions = torch.tensor([5, 0, 3])
    for ours, theirs in zip(on_disk.batch(positions), in_memory.batch(positions), strict=True):
        assert torch.equal(ours, theirs)
    part = on_disk.subset(3, seed=0)
    assert torch.equal(part.images[:], in_memory.subset(3, seed=0).images)
    assert (
        part.fingerprint()
        != on_disk.fingerprint()
        == load(str(image_folder), "train", max_bytes=100).fingerprint()
    )


def write_parquet(path, images, labels, *, features=None, column="label"):
    """Write a Parquet file as the hub has them: encoded images and labels."""
    encoded = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="PNG")
        encoded.append({"bytes": buffer.getvalue(), "path": None})
    features = features or datasets.Features(
        {"img": datasets.Image(), column: datasets.ClassLabel(names=["cat", "dog"])}
    )
    table = pa.table({"img": encoded, column: labels}, schema=features.arrow_schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def features_with(kind, column="label"):
    return datasets.Features({"img": datasets.Image(), column: kind})


def test_parquet_files_in_the_layout_of_the_hub(tmp_path, pixels):
    for split in ("train", "test"):
        images = np.concatenate([pixels[split, "cat"], pixels[split, "dog"]])
        labels = np.repeat([0, 1], len(images) // 2).tolist()
        write_parquet(tmp_path / "plain_text" / f"{split}-00000-of-00001.parquet", images, labels)
    assert_holds(load(str(tmp_path), "test"), pixels, "test")


@pytest.mark.parametrize("column", ["label", "labels", "fine_label"])
def test_labels_without_names_are_numbered(tmp_path, column):
    images = np.zeros((8, 4, 4), dtype=np.uint8)
    features = features_with(datasets.Value("int32"), column)
    labels = [0, 1, 2, 2, 0, 1, 2, 2]
    write_parquet(tmp_path / "train.parquet", images, labels, features=features, column=column)
    write_parquet(tmp_path / "test.parquet", images[:2], [0, 1], features=features, column=column)
    data = load(str(tmp_path), "test")
    assert data.classes == ("0", "1", "2")
    assert data.image_shape == (1, 4, 4)


def test_a_test_split_with_secret_labels_gives_way_to_the_validation_split(tmp_path, pixels):
    images = np.concatenate([pixels["test", "cat"], pixels["test", "dog"]])
    for split, labels in (("train", [0, 0, 1, 1]), ("validation", [0, 0, 1, 1]), ("test", [-1] * 4)):
        write_parquet(tmp_path / f"{split}.parquet", images, labels)
    assert_holds(load(str(tmp_path), "test"), pixels, "test")
    (tmp_path / "validation.parquet").unlink()
    with pytest.raises(DataError, match="they are all -1"):
        load(str(tmp_path), "test")


def test_one_colour_image_makes_grey_data_coloured(tmp_path):
    grey = np.arange(4 * 9, dtype=np.uint8).reshape(4, 3, 3)
    write_images(tmp_path / "mixed" / "train" / "a", grey)
    write_images(tmp_path / "mixed" / "train" / "b", np.stack([grey] * 3, axis=-1))
    write_images(tmp_path / "mixed" / "test" / "a", grey[:1])
    for split in ("train", "test"):
        data = load(str(tmp_path / "mixed"), split)
        assert data.image_shape == (3, 3, 3)
        assert (data.images == data.images[:, :1]).all()


# -- the cache --


@pytest.fixture
def count_readings(monkeypatch):
    """Count how often data is opened by `datasets`."""
    calls = []
    original = datasets.load_dataset

    def counted(*arguments):
        calls.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(datasets, "load_dataset", counted)
    return calls


def test_images_are_decoded_once(image_folder, count_readings):
    first = load(str(image_folder), "test")
    second = load(str(image_folder), "test")
    train = load(str(image_folder), "train")  # decoded for its statistics, and kept
    assert len(count_readings) == 1
    assert second.fingerprint() == first.fingerprint()
    assert (second.classes, second.mean) == (first.classes, first.mean) == (train.classes, train.mean)


def test_a_change_on_disk_is_seen(image_folder, count_readings):
    before = load(str(image_folder), "test")
    Image.fromarray(np.full((6, 5, 3), 9, np.uint8)).save(image_folder / "test" / "dog" / "1.png")
    after = load(str(image_folder), "test")
    assert len(count_readings) == 2
    assert after.fingerprint() != before.fingerprint()


def damage_end(path):
    path.write_bytes(path.read_bytes()[:-7])


def damage_pixel(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [damage_end, damage_pixel, lambda path: path.write_text("no")])
def test_a_damaged_cache_is_ignored(image_folder, count_readings, damage):
    good = load(str(image_folder), "test").fingerprint()
    for path in cache.cache_directory().iterdir():
        damage(path)
    assert load(str(image_folder), "test").fingerprint() == good
    assert len(count_readings) == 2


def test_without_room_for_a_cache_loading_works(image_folder, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.INFO):
        assert len(load(str(image_folder), "test")) == 4
    assert "not kept" in caplog.text


def test_settings_of_datasets_are_given_back(image_folder):
    datasets.enable_progress_bars()
    verbosity = datasets.logging.get_verbosity()
    load(str(image_folder))
    assert not datasets.are_progress_bars_disabled()
    assert datasets.logging.get_verbosity() == verbosity


def test_loading_says_nothing(image_folder, capfd):
    load(str(image_folder))
    assert capfd.readouterr() == ("", "")


# -- bad input --


def break_size(folder):
    Image.fromarray(np.zeros((7, 5, 3), np.uint8)).save(folder / "train" / "dog" / "3.png")


def break_png(folder):
    path = folder / "train" / "cat" / "2.png"
    path.write_bytes(path.read_bytes()[:60])


def no_classes(folder):
    for split in ("train", "test"):
        for path in (folder / split).glob("*/*.png"):
            path.rename(folder / split / f"{path.parent.name}{path.name}")
        for label in ("cat", "dog"):
            (folder / split / label).rmdir()


def only_text(folder):
    shutil.rmtree(folder / "train")
    shutil.rmtree(folder / "test")
    (folder / "train.txt").write_text("hello\n")


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (break_size, "differ in size: number 0 has 6×5 pixels and number 7 has 7×5"),
        (break_png, "cannot be decoded"),
        (no_classes, "has no labels"),
        (only_text, "no column of images. Its columns: text"),
        (empty, "There are no data files in"),
    ],
)
def test_bad_folders_are_explained(image_folder, harm, message):
    harm(image_folder)
    with pytest.raises(DataError) as caught:
        load(str(image_folder))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "kind", "message"),
    [
        ([0, None, 1, 0], datasets.Value("int64"), "label of image 1 of .* is missing"),
        ([0, -1, 1, 0], datasets.Value("int64"), "label of image 1 of .* is -1"),
        ([None] * 4, datasets.Value("int64"), "has no labels"),
        ([0.0, 1.0, 1.0, 0.0], datasets.Value("float64"), "are double; expected integers"),
        (["a", "b", "a", "b"], datasets.Value("string"), "are string; expected integers"),
    ],
)
def test_bad_labels_are_explained(tmp_path, labels, kind, message):
    images = np.zeros((4, 4, 4), dtype=np.uint8)
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", images, labels, features=features_with(kind))
    with pytest.raises(DataError, match=message):
        load(str(tmp_path))


def test_images_without_a_column_of_labels_are_explained(tmp_path):
    features = datasets.Features({"img": datasets.Image(), "name": datasets.Value("string")})
    images = np.zeros((2, 4, 4), dtype=np.uint8)
    write_parquet(tmp_path / "train.parquet", images, ["a", "b"], features=features, column="name")
    with pytest.raises(DataError, match=r"no column of labels\. Expected one called label, labels"):
        load(str(tmp_path))


def test_a_folder_with_too_few_images_to_divide_is_explained(tmp_path, pixels):
    write_images(tmp_path / "few" / "cat", pixels["train", "cat"][:1])
    write_images(tmp_path / "few" / "dog", pixels["train", "dog"][:1])
    with pytest.raises(DataError, match="too few to hold out"):
        load(str(tmp_path / "few"))


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "~/nowhere-at-all", "nowhere/"])
def test_a_missing_directory_is_explained(name):
    with pytest.raises(DataError, match="There is no directory"):
        load(name)


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(
        DataError, match=r"is a file.* give unravelnet\.data\.load_text\('.*notes\.txt'"
    ) as caught:
        load(str(tmp_path / "notes.txt"))
    call = re.search(r"unravelnet\.data\.load_text\((\S*), tokenizer", str(caught.value)).group(1)
    (tmp_path / "notes.txt").write_text("hello " * 500)
    assert len(load_text(ast.literal_eval(call))) == 4
    assert callable(models.load_data)


def test_an_unknown_split_is_explained():
    with pytest.raises(UnknownNameError, match="Did you mean 'test'"):
        load("digits", "tst")


@pytest.fixture
def no_hub(monkeypatch):
    """Make the hub unreachable, and say what was asked of `datasets`."""
    calls = []

    def unreachable(*_, **__):
        raise ConnectionError("no route to host")

    def load_dataset(*arguments):
        calls.append((arguments, datasets.config.HF_HUB_OFFLINE))
        raise ConnectionError("Couldn't reach it on the Hub")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unreachable)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return calls


def test_an_unknown_name_is_explained(no_hub):
    was_offline = datasets.config.HF_HUB_OFFLINE
    with pytest.raises(UnknownNameError, match=r"Did you mean 'digits'\?.*The hub cannot be reached"):
        load("digts")
    # Asked of the local cache only, and the setting is given back.
    assert no_hub == [(("digts", None), True)]
    assert was_offline == datasets.config.HF_HUB_OFFLINE


def test_names_go_to_the_hub_with_owner_and_configuration(no_hub):
    for name in ("cifar10", "owner/name:small"):
        with pytest.raises(UnknownNameError, match=name):
            load(name)
    assert [arguments for arguments, _ in no_hub] == [("uoft-cs/cifar10", None), ("owner/name", "small")]


def test_a_name_on_the_hub_is_loaded(monkeypatch, image_folder, pixels):
    original = datasets.load_dataset
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *a, **k: None)
    monkeypatch.setattr(datasets, "load_dataset", lambda *a: original(str(image_folder)))
    for _ in range(2):  # the second time from the cache
        data = load("owner/pets", "test")
        assert data.name == "owner/pets"
        assert_holds(data, pixels, "test")
