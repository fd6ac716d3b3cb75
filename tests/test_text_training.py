"""Training on text. Oracles: a loop written out with the optimisers of torch, and the entropy of a text."""

from __future__ import annotations

import copy
import functools
import importlib.util
import math

import pytest
import torch
import torch.nn.functional as F

import unravelnet as un
from unravelnet._extras import require
from unravelnet.data import TextData
from unravelnet.errors import TrainingError, UnknownNameError
from unravelnet.training_plan import TrainingPlan

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)
N_WORDS, LENGTH = 12, 8
SETTINGS = {
    "epochs": 2,
    "batch_size": 4,
    "precision": "float32",
    "warmup_iterations": 0,
    "schedule": "cosine",
}


@functools.cache
def _small_gpt():
    transformers = require("transformers", "this test")
    sizes = {"vocab_size": N_WORDS, "n_layer": 2, "n_embd": 16, "n_head": 2, "n_positions": LENGTH}
    dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(**sizes, **dropout, bos_token_id=None, eos_token_id=None)
        )
    return model, un.unravel(model, torch.zeros(2, LENGTH, dtype=torch.int64), name="gpt")


def small_gpt():
    return copy.deepcopy(_small_gpt())


def counting(n_sequences=10, n_ignored=0):
    """Words in a row, of which each foretells the next."""
    text = TextData.of(
        torch.arange(n_sequences * LENGTH + 1) % N_WORDS,
        length=LENGTH,
        name="counting",
        vocabulary_size=N_WORDS,
    )
    text.targets[:, :n_ignored] = -100
    return text


def optimiser_of_torch(name, model):
    if name == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.9, 0.99), weight_decay=1e-4)
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, nesterov=True)


@pytest.mark.parametrize(("optimiser", "n_ignored"), [("sgd", 0), ("adamw", 0), ("adamw", 3)])
def test_training_on_text_is_the_loop_written_out(optimiser, n_ignored):
    model, net = small_gpt()
    text, other = counting(n_ignored=n_ignored), copy.deepcopy(model).train()
    plan = TrainingPlan(optimiser=optimiser, learning_rate=0.01, **SETTINGS)
    history = un.train(net, text, plan=plan)
    by_hand = optimiser_of_torch(optimiser, other)
    generator, losses, step = torch.Generator().manual_seed(0), [], 0
    for _ in range(2):
        total, n = 0.0, 0
        for positions in torch.randperm(10, generator=generator).split(4):
            by_hand.param_groups[0]["lr"] = plan.learning_rate_at(step, 6)
            by_hand.zero_grad()
            logits = other(text.sequences[positions]).logits
            targets = text.targets[positions].flatten()
            loss = F.cross_entropy(logits.flatten(0, 1), targets)
            loss.backward()
            by_hand.step()
            step, n_new = step + 1, int((targets != -100).sum())
            total, n = total + loss.item() * n_new, n + n_new
        losses.append(total / n)
    assert history["train_loss"] == pytest.approx(losses, rel=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(
            net(text.sequences).logits, other.eval()(text.sequences).logits, rtol=1e-3, atol=1e-4
        )


def test_errors_are_shares_of_the_tokens_that_are_predicted():
    _, net = small_gpt()
    text = counting(n_ignored=2)
    history = un.train(net, text, validation=text, optimiser="adamw", learning_rate=0.01, **SETTINGS)
    with torch.no_grad():
        is_wrong = net(text.sequences).logits.argmax(-1)[:, 2:] != text.targets[:, 2:]
    assert history[-1]["test_error_rate"] == pytest.approx(float(is_wrong.double().mean()))


def test_a_gpt_learns_to_count():
    _, net = small_gpt()
    settings = {**SETTINGS, "epochs": 12, "optimiser": "adamw", "learning_rate": 0.02}
    history = un.train(net, counting(40), **settings)
    # Nothing but the beginning of a sequence is to be guessed; chance is log 12.
    assert history[0]["train_loss"] < 1.2 * math.log(N_WORDS)
    assert history[-1]["train_loss"] < 0.3


def test_an_interrupted_training_with_adamw_goes_on_to_the_same_weights(tmp_path):
    settings = {**SETTINGS, "optimiser": "adamw", "epochs": 3, "learning_rate": 0.01}

    class Stop(Exception):
        pass

    def stop(status):
        if (status.epoch, status.batch) == (3, 2):
            raise Stop

    _, whole = small_gpt()
    un.train(whole, counting(), **settings)
    _, half = small_gpt()
    with pytest.raises(Stop):
        un.train(half, counting(), out=tmp_path, on_batch=stop, **settings)
    _, again = small_gpt()
    un.train(again, counting(), out=tmp_path, **settings)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    with pytest.raises(TrainingError, match="with optimiser = 'adamw'; optimiser = 'sgd' was given"):
        un.train(small_gpt()[1], counting(), out=tmp_path, **{**settings, "optimiser": "sgd"})


def test_labels_that_do_not_fit_the_scores_are_counted():
    net = un.zoo.preact_resnet(8, input_shape=(1, 8, 8), widths=(2, 2, 4), seed=0)
    images, labels = un.data.load("digits").batch(torch.arange(8))
    with pytest.raises(TrainingError, match="gives 8 rows of scores, and the data has 24 targets for them"):
        un.train(net, (images, labels[:, None].expand(-1, 3)), epochs=1, batch_size=8)


def test_an_optimiser_that_there_is_not_is_named():
    with pytest.raises(UnknownNameError, match="Did you mean 'adamw'"):
        TrainingPlan(optimiser="adam")
