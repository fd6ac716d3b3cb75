"""Text as sequences of tokens: by hand, by Python's own bytes, and by a tokenizer whose words are known."""

from __future__ import annotations

import sys

import pytest
import torch

from unravelnet._extras import require
from unravelnet.data import TextData, as_batches, load, load_text
from unravelnet.data.text_source import divide_text
from unravelnet.errors import DataError, MissingExtraError, UnknownNameError

SONG = "Ein Männlein steht im Walde, ganz still und stumm. 🌲\r\n" * 40


def counting(n=100, length=6, **options) -> TextData:
    return TextData.of(torch.arange(n), length=length, name="counting", vocabulary_size=2000, **options)


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.txt"
    path.write_bytes(SONG.encode())
    return path


# -- cutting --


def test_the_target_is_the_next_token():
    text = TextData.of(torch.tensor([5, 3, 8, 1, 9, 2, 7, 4]), length=3, name="few", vocabulary_size=10)
    assert text.sequences.tolist() == [[5, 3, 8], [1, 9, 2]]
    assert text.targets.tolist() == [[3, 8, 1], [9, 2, 7]]
    assert (len(text), text.length, text.n_classes) == (2, 3, 10)


@pytest.mark.parametrize("n", [2, 6, 7, 8, 59, 61])
@pytest.mark.parametrize("length", [1, 5, 6])
def test_sequences_in_a_row_are_the_text_and_targets_the_text_after_its_first_token(n, length):
    tokens = torch.randint(0, 50, (n,), generator=torch.Generator().manual_seed(n))
    if n <= length:
        with pytest.raises(DataError, match=f"{n} tokens long, too short for a sequence of {length}"):
            TextData.of(tokens, length=length, name="random", vocabulary_size=50)
        return
    text = TextData.of(tokens, length=length, name="random", vocabulary_size=50)
    n_kept = length * ((n - 1) // length)
    assert text.sequences.flatten().tolist() == tokens[:n_kept].tolist()
    assert text.targets.flatten().tolist() == tokens[1 : n_kept + 1].tolist()


def test_special_tokens_stand_around_every_sequence_and_are_no_targets():
    text = TextData.of(
        torch.arange(1, 8), length=5, name="framed", vocabulary_size=100, before=[90], after=[98, 99]
    )
    assert text.sequences.tolist() == [[90, 1, 2, 98, 99], [90, 3, 4, 98, 99], [90, 5, 6, 98, 99]]
    assert text.targets.tolist() == [[1, 2, 3, -100, -100], [3, 4, 5, -100, -100], [5, 6, 7, -100, -100]]


def test_a_sequence_has_room_for_text():
    with pytest.raises(DataError, match="A sequence of 2 tokens has no room for text: 2 of them are special"):
        TextData.of(torch.arange(9), length=2, name="full", vocabulary_size=9, before=[1], after=[2])


@pytest.mark.parametrize(
    ("sequences", "targets", "message"),
    [
        (torch.zeros(2, 3), None, r"float32 \[2, 3\]; expected int64 \[sequences, tokens\]"),
        (torch.zeros(3, dtype=torch.int64), None, r"int64 \[3\]; expected"),
        (torch.zeros(0, 3, dtype=torch.int64), None, "is empty"),
        (torch.ones(2, 3, dtype=torch.int64), torch.ones(2, 2, dtype=torch.int64), "one target a token"),
        (torch.full((2, 3), 7), None, "tokens from 7 to 7; with a vocabulary of 7 they are numbered 0 to 6"),
        (torch.full((2, 3), -1), None, "tokens from -1 to -1"),
        (torch.full((2, 3), 1), torch.full((2, 3), 8), "tokens from 1 to 8"),
    ],
)
def test_data_of_another_form_is_refused(sequences, targets, message):
    with pytest.raises(DataError, match=message):
        TextData(sequences, targets, "odd", 7)


# -- choosing, naming --


def test_a_subset_is_drawn_without_replacement_and_smaller_ones_are_parts_of_larger():
    text = counting(1000)
    drawn = {n: text.subset(n, seed=1).sequences[:, 0].tolist() for n in (10, 40, 166)}
    assert drawn[40] == sorted(set(drawn[40]))
    assert set(drawn[10]) < set(drawn[40])
    assert drawn[166] == text.sequences[:, 0].tolist()
    assert text.subset(10, seed=2).sequences[:, 0].tolist() != drawn[10]
    with pytest.raises(DataError, match="167 sequences of counting were asked for, and it has 166"):
        text.subset(167)


def test_equal_data_has_equal_fingerprints_and_other_data_others():
    text = counting()
    same = TextData(text.sequences.clone(), text.targets.clone(), "another name", 2000)
    assert text.fingerprint() == same.fingerprint()
    changed = text.sequences.clone()
    changed[3, 2] += 1
    others = [
        TextData(changed, text.targets, "counting", 2000),
        text.without_targets(),
        text.take(torch.arange(1, len(text))),
        text.take(torch.arange(len(text)).flip(0)),
        counting(length=5),
    ]
    assert len({text.fingerprint(), *(other.fingerprint() for other in others)}) == 6


def test_without_targets_there_are_none():
    text = counting().without_targets()
    sequences, targets = text.batch(torch.tensor([2, 0]))
    assert sequences.tolist() == [[12, 13, 14, 15, 16, 17], [0, 1, 2, 3, 4, 5]]
    assert targets is None
    assert text.n_classes is None


# -- batches --


def test_batches_are_the_data_whatever_their_size():
    text = counting(90)
    for size in (1, 4, 14, 100):
        batches = as_batches(text, batch_size=size)
        sequences, targets = zip(*batches, strict=True)
        assert torch.equal(torch.cat(sequences), text.sequences)
        assert torch.equal(torch.cat(targets), text.targets)
        assert (batches.n_images, batches.name) == (14, "counting")
        assert batches.fingerprint() == text.fingerprint()
    limited = as_batches(text, batch_size=4, limit=6)
    assert limited.fingerprint() == text.take(torch.arange(6)).fingerprint()
    assert [len(inputs) for inputs, _ in limited.starting_at(4)] == [2]


def test_batches_without_targets_say_none():
    assert [targets for _, targets in as_batches(counting(30).without_targets(), batch_size=2)] == [
        None,
        None,
    ]


# -- files --


def test_bytes_come_back_as_the_text(song):
    training, test = divide_text(SONG)
    assert training + test == SONG
    for split, part in (("train", training), ("test", test)):
        text = load_text(song, split, length=16)
        expected = part.encode()
        n_kept = 16 * ((len(expected) - 1) // 16)
        assert bytes(text.sequences.flatten().tolist()) == expected[:n_kept]
        assert bytes(text.targets.flatten().tolist()) == expected[1 : n_kept + 1]
        assert (text.name, text.vocabulary_size, text.tokenizer) == ("song.txt", 256, "bytes")


def test_the_last_tenth_is_tested():
    for n in (10, 99, 1000):
        training, test = divide_text("x" * n)
        assert len(test) == -(-n // 10)
        assert len(training) + len(test) == n


def test_a_limit_draws_sequences_by_the_seed(song):
    whole = load_text(song, length=8)
    assert load_text(song, length=8, limit=5, seed=3).fingerprint() == whole.subset(5, seed=3).fingerprint()


@pytest.fixture
def tokenizer(tmp_path):
    """A tokenizer of eight words, saved with settings that would cut and fill a text."""
    tokenizers = require("tokenizers", "This test")
    words = {
        word: number for number, word in enumerate(["?", "<s>", "</s>", "ein", "mann", "steht", "im", "wald"])
    }
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    made.enable_truncation(4)
    made.enable_padding(length=4, pad_id=0)
    made.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def test_a_tokenizer_gives_its_own_numbers_and_frames_sequences_as_it_does(tmp_path, tokenizer):
    path = tmp_path / "story.txt"
    # The test split is the last tenth of the characters: ten of a hundred lines.
    path.write_text("ein mann steht im wald\n" * 100)
    text = load_text(path, length=7, tokenizer=tokenizer)
    assert text.sequences.tolist() == [[1, 3, 4, 5, 6, 7, 2]] * 9
    assert text.targets.tolist() == [[3, 4, 5, 6, 7, 3, -100]] * 9
    assert (text.vocabulary_size, text.tokenizer) == (8, "tokenizer.json")


def test_a_missing_package_names_its_extra(song, tokenizer, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match=r"tokenizers.*unravelnet\[transformers\]"):
        load_text(song, tokenizer=tokenizer)


def test_what_is_no_text_is_explained(tmp_path, song):
    with pytest.raises(DataError, match=r"There is no file .*none\.txt"):
        load_text(tmp_path / "none.txt")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        load_text(tmp_path)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    with pytest.raises(DataError, match=r"picture\.png is not a text in UTF-8: byte 0 is none of it"):
        load_text(tmp_path / "picture.png")
    with pytest.raises(
        DataError, match=r"The test split of song\.txt is 232 tokens long, too short .* of 300"
    ):
        load_text(song, length=300)
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(DataError, match="is 0 tokens long"):
        load_text(tmp_path / "empty.txt")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match=r"The tokenizer .*tokenizer\.json cannot be used"):
        load_text(song, tokenizer=tmp_path / "tokenizer.json")
    with pytest.raises(UnknownNameError, match="Did you mean 'test'"):
        load_text(song, "tset")


def test_images_are_not_loaded_from_a_text(song):
    with pytest.raises(DataError, match=r"is a file\. .*load_text"):
        load(str(song))
