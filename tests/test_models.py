"""Specifications lead to the model that its own library makes, and errors say what to do."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from unravelnet import zoo
from unravelnet._extras import require
from unravelnet.data import ImageData
from unravelnet.errors import (
    CaptureError,
    CheckpointError,
    DataError,
    ModelError,
    UnknownNameError,
)
from unravelnet.models import check_fits, load

FILE = """
import dataclasses
import torch
from torch import nn


@dataclasses.dataclass
class Sizes:
    width: int = 4


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return x + self.conv(x).relu()


class Net(nn.Module):
    def __init__(self, channels=3, n_classes=10):
        super().__init__()
        width = Sizes().width
        self.stem = nn.Conv2d(channels, width, 3)
        self.blocks = nn.Sequential(Block(width), Block(width), Block(width))
        self.head = nn.Linear(width, n_classes)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


def grey():
    return Net(channels=1)


ready = Net()
number = 3


def fails():
    raise KeyError("no such layer")


def gives_text():
    return "a model"


def needs_words(n):
    return Net()
"""

is_missing = {
    name: importlib.util.find_spec(name) is None for name in ("torchvision", "timm", "transformers")
}
needs_torchvision = pytest.mark.skipif(is_missing["torchvision"], reason="torchvision is not installed")
needs_timm = pytest.mark.skipif(is_missing["timm"], reason="timm is not installed")
needs_transformers = pytest.mark.skipif(is_missing["transformers"], reason="transformers is not installed")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def images(shape=(1, 8, 8), n_classes=10, n=20) -> ImageData:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (n, *shape), generator=generator, dtype=torch.uint8)
    return ImageData.of(
        pixels, torch.arange(n) % n_classes, name="noise", classes=tuple(map(str, range(n_classes)))
    )


def batch(*shape: int) -> torch.Tensor:
    return torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))


# -- the zoo --


def test_a_zoo_network_is_the_zoos_own():
    net = load("zoo:preact-resnet20")
    own = zoo.create("preact-resnet20", seed=0).state_dict()
    assert all(torch.equal(tensor, own[name]) for name, tensor in net.state_dict().items())
    assert net.name == "zoo:preact-resnet20 (random weights)"


def test_sizes_come_from_the_data():
    net = load("zoo:resnet20", data=images((1, 8, 8), n_classes=7))
    assert net(batch(1, 8, 8)).shape == (3, 7)


def test_a_trained_directory_gives_the_same_network(tmp_path):
    net = zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=4).eval()
    zoo.save(net, tmp_path)
    again = load(str(tmp_path))
    assert torch.equal(again(batch(1, 8, 8)), net(batch(1, 8, 8)))
    assert "random" not in again.name


def test_data_may_be_named():
    assert load("zoo:resnet20", data="digits").input_shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.nn.Linear(2, 2),), r"this is a Linear\. .* un\.unravel\(model, example\)"),
        ((None,), "this is a NoneType"),
        (("zoo:resnet20", "3,32,32"), r"'3,32,32' is no row of whole numbers"),
        (("zoo:resnet20", (3, 2.5, 2)), r"is no row of whole numbers"),
        (("zoo:resnet20", 32), r"The input shape 32 is no row"),
    ],
)
def test_arguments_of_another_form_are_explained(arguments, message):
    specification, *shape = arguments
    with pytest.raises(ModelError, match=message):
        load(specification, input_shape=shape[0] if shape else None)


def test_random_weights_are_remarked(caplog):
    with caplog.at_level("INFO", logger="unravelnet"):
        load("zoo:resnet20")
    assert "The weights of zoo:resnet20 are random" in caplog.text


def test_the_random_state_of_the_process_is_left_alone(file):
    before = torch.get_rng_state()
    load(f"{file}:Net")
    load("zoo:resnet20")
    assert torch.equal(torch.get_rng_state(), before)


# -- libraries: what they make themselves is the oracle --


@needs_torchvision
def test_a_torchvision_model_is_torchvisions_own():
    models = require("torchvision.models", "this test")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = models.resnet18(num_classes=7).eval()
    net = load("torchvision:resnet18", data=images((3, 64, 64), n_classes=7))
    torch.testing.assert_close(net(batch(3, 64, 64)), model(batch(3, 64, 64)))
    assert len(net.residual_modules) == 8


@needs_timm
def test_a_timm_model_takes_the_size_and_channels_of_the_data(caplog):
    timm = require("timm", "this test")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = timm.create_model("vit_tiny_patch16_224", img_size=(32, 32), in_chans=1, num_classes=7).eval()
    with caplog.at_level("INFO", logger="unravelnet"):
        net = load("timm:vit_tiny_patch16_224", data=images((1, 32, 32), n_classes=7))
    assert "is used at inputs of 1×32×32, as in noise; its usual size is 3×224×224." in caplog.text
    torch.testing.assert_close(net(batch(1, 32, 32)), model(batch(1, 32, 32)))
    assert len(net.residual_modules) == 24


@needs_timm
def test_torchvision_and_timm_import_after_the_repair():
    # In a process of its own: here, the repair was done long ago.
    words = (
        "import unravelnet; unravelnet.repair_torchvision(); import timm; print(timm.is_model('resnet18'))"
    )
    ran = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True)
    assert (ran.stdout, ran.returncode) == ("True\n", 0), ran.stderr


@needs_timm
def test_a_tag_of_published_weights_is_no_other_model():
    net = load("timm:resnet10t.c3_in1k", input_shape=(3, 32, 32))
    assert net.name == "timm:resnet10t (random weights)"


@needs_transformers
@pytest.mark.parametrize(
    ("config_name", "options"),
    [
        ("GPT2Config", {"n_layer": 2, "n_embd": 32, "n_head": 2}),
        (
            "BertConfig",
            {
                "num_hidden_layers": 2,
                "hidden_size": 32,
                "num_attention_heads": 2,
                "intermediate_size": 64,
                "architectures": ["BertForSequenceClassification"],
            },
        ),
        (
            "LlamaConfig",
            {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64},
        ),
    ],
)
def test_a_configuration_of_transformers_is_enough(tmp_path, config_name, options):
    transformers = require("transformers", "this test")
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    getattr(transformers, config_name)(vocab_size=64, **options, **ids).save_pretrained(tmp_path)
    net = load(f"hf:{tmp_path}")
    # A transformer block is two residual modules: attention and MLP.
    assert len(net.residual_modules) == 4
    assert net.name == f"hf:{tmp_path} (random weights)"


@needs_transformers
def test_stored_weights_of_transformers_are_loaded(tmp_path, capfd):
    transformers = require("transformers", "this test")
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=16,
        patch_size=8,
    )
    model = transformers.ViTForImageClassification(config).eval()
    model.save_pretrained(tmp_path)
    capfd.readouterr()
    net = load(f"hf:{tmp_path}")
    assert capfd.readouterr().err == "", "no progress bars of others"
    torch.testing.assert_close(net(batch(3, 16, 16)).logits, model(batch(3, 16, 16)).logits)
    assert net.name == f"hf:{tmp_path}"
    (tmp_path / "model.safetensors").write_bytes(b"\x08" + bytes(30))
    with pytest.raises(CheckpointError, match=r"damaged or do not fit its config\.json"):
        load(f"hf:{tmp_path}")


# -- the user's own file --


def test_a_file_gives_its_model(file):
    net = load(f"{file}:Net")
    assert [module.name for module in net.residual_modules] == ["blocks.0", "blocks.1", "blocks.2"]
    assert net.name == "mine.py:Net"
    # Of the usual shapes, 3×32×32 comes first.
    assert net.residual_modules[0].input_shape == (4, 30, 30)


def test_the_same_seed_draws_the_same_weights(file):
    assert load(f"{file}:Net").fingerprint() == load(f"{file}:Net").fingerprint()


def test_a_changed_file_is_read_again(file):
    assert len(load(f"{file}:Net").residual_modules) == 3
    file.write_text(FILE.replace("Block(width), Block(width), Block(width)", "Block(width), Block(width)"))
    assert len(load(f"{file}:Net").residual_modules) == 2


def test_a_ready_model_will_do(file):
    assert len(load(f"{file}:ready").residual_modules) == 3


def test_the_second_usual_shape_is_tried(tmp_path):
    path = tmp_path / "large.py"
    path.write_text(
        FILE + "\n\nclass Large(Net):\n    def forward(self, x):\n"
        "        assert x.shape[-1] == 224\n        return super().forward(x)\n"
    )
    assert load(f"{path}:Large").residual_modules[0].input_shape == (4, 222, 222)


def test_a_model_that_takes_no_usual_shape_names_both(file):
    with pytest.raises(ModelError, match=r"inputs of 3×32×32 .* nor of 3×224×224 .* --input-shape"):
        load(f"{file}:grey")
    assert len(load(f"{file}:grey", input_shape=(1, 9, 9)).residual_modules) == 3


def test_a_file_may_import_its_neighbours(tmp_path):
    (tmp_path / "neighbour_of_mine.py").write_text(FILE)
    path = tmp_path / "mine.py"
    path.write_text("from neighbour_of_mine import Net\n")
    before = list(sys.path)
    assert len(load(f"{path}:Net").residual_modules) == 3
    assert sys.path == before


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("Nett", r"no model factory in .* 'Nett'\. Did you mean 'Net'"),
        ("number", "is a int; expected a function"),
        ("fails", r"fails\(\) of .* failed: KeyError: 'no such layer' \(line 42\)"),
        ("gives_text", "returned a str; expected a torch.nn.Module"),
        ("needs_words", r"failed: TypeError: .*It is called without arguments"),
    ],
)
def test_a_factory_that_does_not_work_is_explained(file, factory, message):
    with pytest.raises((ModelError, UnknownNameError), match=message):
        load(f"{file}:{factory}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n", r"cannot be imported: SyntaxError: .*line 1"),
        ("import torch\nimport nothing_of_that_name\n", r"ModuleNotFoundError: .*\(line 2\)"),
    ],
)
def test_a_file_that_cannot_be_imported_is_explained(tmp_path, text, message):
    path = tmp_path / "bad.py"
    path.write_text(text)
    known = set(sys.modules)
    with pytest.raises(ModelError, match=message):
        load(f"{path}:f")
    assert not {name for name in set(sys.modules) - known if name.startswith("_unravelnet_user")}


# -- names that lead nowhere --


@pytest.mark.parametrize(
    ("specification", "message"),
    [
        ("zoo:preact-resnt20", "Did you mean 'preact-resnet20'"),
        ("zooo:resnet20", "There is no kind of model 'zooo'. Did you mean 'zoo'"),
        ("zoo:", "names no model"),
        ("resnet20", "The zoo network is called zoo:resnet20"),
        ("nothing", "There is no model 'nothing'"),
        ("runs/nothing", "There is no model 'runs/nothing'"),
        ("nothing.py:net", "There is no file nothing.py"),
    ],
)
def test_a_wrong_specification_is_explained(specification, message):
    with pytest.raises((ModelError, UnknownNameError), match=message):
        load(specification)


def test_a_file_without_a_factory_lists_what_it_defines(file):
    with pytest.raises(
        ModelError, match=r"mine\.py:FACTORY; the file defines: Sizes, Block, Net, grey, fails"
    ):
        load(str(file))


@needs_torchvision
def test_unknown_torchvision_models_have_neighbours():
    with pytest.raises(UnknownNameError, match="Nearest: resnet18"):
        load("torchvision:resnt18")


@needs_timm
def test_unknown_timm_models_have_neighbours():
    with pytest.raises(UnknownNameError, match="vit_tiny_patch16_384"):
        load("timm:vit_tiny_patch16")


@needs_transformers
def test_nothing_is_downloaded():
    with pytest.raises(ModelError, match="Nothing is downloaded here; get it with: hf download"):
        load("hf:somebody/a-model-that-is-not-here")


def test_a_directory_of_transformers_is_recognised(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="Give it as hf"):
        load(str(tmp_path))


@needs_torchvision
def test_a_concatenative_model_says_so():
    with pytest.raises(CaptureError, match=r"torchvision:squeezenet1_1 has no residual module .* concatenat"):
        load("torchvision:squeezenet1_1", input_shape=(3, 32, 32))


# -- does it fit the data? --


def test_a_network_that_fits_passes():
    check_fits(zoo.resnet(8, input_shape=(1, 8, 8), seed=0).eval(), images((1, 8, 8)))


def test_another_number_of_classes_is_refused():
    net = zoo.resnet(8, input_shape=(1, 8, 8), n_classes=10, seed=0).eval()
    with pytest.raises(DataError, match="10 outputs and noise has 7 classes"):
        check_fits(net, images((1, 8, 8), n_classes=7))
    check_fits(net, images((1, 8, 8), n_classes=7), needs_classes=False)


def test_images_of_another_shape_are_refused():
    net = zoo.resnet(8, input_shape=(3, 8, 8), seed=0).eval()
    with pytest.raises(DataError, match="does not take the images of noise, which are 1×8×8"):
        check_fits(net, images((1, 8, 8)))
