"""Data in every form gives the same batches, which start anywhere and know what they are."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from unravelnet.data import ImageData, as_batches, load
from unravelnet.data.batches import IndexedBatches
from unravelnet.errors import DataError
from unravelnet.network import first_tensor

N = 10
INPUTS = torch.randn(N, 3, 4, 4, generator=torch.Generator().manual_seed(0))
TARGETS = torch.arange(N) % 3


class Squares(Dataset):
    """A map-style data set whose items are mappings without targets."""

    def __len__(self):
        return N

    def __getitem__(self, index):
        return {"x": torch.tensor([index**2])}


class Stream(IterableDataset):
    def __iter__(self):
        yield from zip(INPUTS, TARGETS, strict=True)


def chunks(size=4):
    return list(zip(INPUTS.split(size), TARGETS.split(size), strict=True))


FORMS = {
    "pair": lambda: (INPUTS, TARGETS),
    "list pair": lambda: [INPUTS, TARGETS],
    "numpy pair": lambda: (INPUTS.numpy(), TARGETS.numpy()),
    "dataset": lambda: TensorDataset(INPUTS, TARGETS),
    "loader": lambda: DataLoader(TensorDataset(INPUTS, TARGETS), batch_size=4),
    "list of batches": chunks,
    "generator": lambda: iter(chunks()),
    "stream": Stream,
}


def collected(batches):
    """List the batches; inputs and targets are of any form here."""
    return list(batches)


def joined(batches):
    pairs = collected(batches)
    return torch.cat([inputs for inputs, _ in pairs]), torch.cat([targets for _, targets in pairs])


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_batches(form):
    batches = as_batches(FORMS[form](), batch_size=4)
    found = collected(batches)
    assert [len(targets) for _, targets in found] == [4, 4, 2]
    assert torch.equal(torch.cat([inputs for inputs, _ in found]), INPUTS)
    assert torch.equal(torch.cat([targets for _, targets in found]), TARGETS)
    if form not in ("generator", "stream"):
        assert (len(batches), batches.n_images) == (3, N)


@pytest.mark.parametrize("form", FORMS)
def test_a_limit_takes_the_first_images(form):
    batches = as_batches(FORMS[form](), batch_size=4, limit=6)
    inputs, targets = joined(batches)
    assert torch.equal(inputs, INPUTS[:6])
    assert torch.equal(targets, TARGETS[:6])
    if form not in ("generator", "stream"):
        assert batches.n_images == 6


@pytest.mark.parametrize("form", [form for form in FORMS if form != "generator"])
def test_batches_start_where_others_stopped(form):
    batches = as_batches(FORMS[form](), batch_size=4)
    for start in (0, 4, 8, 10):
        later = collected(batches.starting_at(start))
        assert sum(len(targets) for _, targets in later) == N - start
        if later:
            assert torch.equal(joined(later)[0], INPUTS[start:])
    with pytest.raises(DataError, match=r"No batch of .* starts at image 5"):
        list(batches.starting_at(5))


@pytest.mark.parametrize("form", [form for form in FORMS if form != "generator"])
def test_the_fingerprint_is_that_of_the_content_whatever_the_form_and_batch_size(form):
    reference = as_batches((INPUTS, TARGETS), batch_size=4)
    assert as_batches(FORMS[form](), batch_size=3).fingerprint() == reference.fingerprint()
    assert as_batches(FORMS[form](), batch_size=4, limit=6).fingerprint() != reference.fingerprint()
    assert reference.starting_at(4).fingerprint() == reference.fingerprint()


def test_the_fingerprint_sees_order_values_targets_and_types():
    changed = INPUTS.clone()
    changed[0, 0, 0, 0] += 1
    others = [
        (changed, TARGETS),
        (INPUTS, TARGETS.flip(0)),
        (INPUTS, TARGETS.int()),
        (INPUTS.flip(0), TARGETS),
        (INPUTS.reshape(N, 3, 2, 8), TARGETS),
        INPUTS,
    ]
    prints = {as_batches(data, batch_size=4).fingerprint() for data in [(INPUTS, TARGETS), *others]}
    assert len(prints) == len(others) + 1


def test_batches_in_another_order_hold_the_same_images():
    batches = as_batches((torch.arange(10.0)[:, None], torch.arange(10)), batch_size=4, shuffle_seed=2)
    assert isinstance(batches, IndexedBatches)
    places = torch.tensor([3, 1, 2, 0, 9, 8, 7, 6, 5, 4])
    before, after = (
        torch.cat([first_tensor(inputs) for inputs, _ in some])
        for some in (batches, batches.reordered(places))
    )
    assert torch.equal(after, before[places])


def test_a_generator_shares_its_fingerprint_with_nothing():
    first, second = (as_batches(iter(chunks()), batch_size=4) for _ in range(2))
    assert first.fingerprint() == first.fingerprint() != second.fingerprint()
    assert torch.equal(joined(first)[0], INPUTS), "taking the fingerprint consumed nothing"


def test_inputs_without_targets():
    (inputs, targets), *_ = collected(as_batches(INPUTS, batch_size=4))
    assert torch.equal(inputs, INPUTS[:4])
    assert targets is None
    (inputs, targets), *_ = collected(as_batches(Squares(), batch_size=4))
    assert inputs["x"].flatten().tolist() == [0, 1, 4, 9]
    assert targets is None


def test_inputs_as_mappings_and_tuples():
    mapping = {"input_ids": torch.arange(12).view(6, 2), "attention_mask": torch.ones(6, 2)}
    *_, (inputs, targets) = collected(as_batches((mapping, torch.arange(6)), batch_size=4))
    assert inputs["input_ids"].tolist() == [[8, 9], [10, 11]]
    assert targets.tolist() == [4, 5]
    (inputs, targets), *_ = collected(as_batches(mapping, batch_size=4))
    assert set(inputs) == set(mapping)
    assert targets is None
    (inputs, _), *_ = collected(as_batches(((INPUTS, INPUTS * 2), TARGETS), batch_size=4))
    assert torch.equal(inputs[1], INPUTS[:4] * 2)


def test_two_batches_of_inputs_are_no_pair():
    batches = as_batches([INPUTS[:4], INPUTS[4:8]], batch_size=4)
    assert [targets for _, targets in batches] == [None, None]


def test_image_data_and_names_are_normalised():
    data = load("digits")
    (inputs, targets), *_ = collected(as_batches("digits", batch_size=100))
    assert torch.equal(inputs, data.batch(torch.arange(100))[0])
    assert torch.equal(targets, data.targets[:100])
    assert as_batches("digits", batch_size=7).fingerprint() == data.fingerprint()
    assert as_batches("digits", batch_size=100).name == "digits"


def test_a_limit_on_a_name_draws_at_random():
    batches = as_batches("digits", batch_size=100, limit=60)
    assert batches.fingerprint() == load("digits", limit=60).fingerprint()
    assert torch.equal(joined(batches)[1], load("digits", limit=60).targets)


def test_a_shuffled_order_is_a_permutation_of_its_seed():
    data = ImageData.of(torch.arange(N, dtype=torch.uint8).view(N, 1, 1, 1), TARGETS, name="numbered")
    orders = [joined(as_batches(data, batch_size=4, shuffle_seed=seed))[0].flatten() for seed in (1, 1, 2)]
    plain = joined(as_batches(data, batch_size=4))[0].flatten()
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert torch.equal(orders[0].sort().values, plain.sort().values)
    prints = {as_batches(data, batch_size=4, shuffle_seed=seed).fingerprint() for seed in (None, 1, 2)}
    assert len(prints) == 3


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ((INPUTS, TARGETS[:5]), {}, "differ in length: inputs 10, targets 5"),
        ((INPUTS[:0], TARGETS[:0]), {}, "is empty"),
        ([], {}, "is empty"),
        (iter(()), {}, "no batch came from it"),
        ((INPUTS, TARGETS), {"limit": 11}, "11 images .* were asked for, and it has 10"),
        (chunks(), {"limit": 11}, "11 images .* were asked for, and it has 10"),
        ((INPUTS, TARGETS), {"limit": 0}, "0 images were asked for"),
        ((INPUTS, TARGETS), {"batch_size": 0}, "batch_size=1 or more"),
        (chunks(), {"shuffle_seed": 1}, "cannot be shuffled"),
        (3.5, {}, "Data cannot be a float"),
        ([3, 4], {}, "A batch is a int"),
    ],
)
def test_bad_data_is_explained(data, options, message):
    with pytest.raises(DataError, match=message):
        list(as_batches(data, **{"batch_size": 4, **options}))


def test_items_that_cannot_be_put_together_are_explained():
    class Objects(Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return object(), index

    with pytest.raises(DataError, match=r"items of Objects cannot be put together.*transform"):
        list(as_batches(Objects(), batch_size=2))
