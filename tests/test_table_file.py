"""Tables on disk: every value comes back as it was, and no cell is a formula."""

import csv
import io
import math
import string

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from unravelnet.errors import StoreError
from unravelnet.records import table_file
from unravelnet.records.record import Table, load_table
from unravelnet.records.table_file import TEXT_COLUMNS

ODD_TEXTS = [
    "3", "null", " 3 ", "1e400", "", "nan", "NaN", "True", "true", "-Infinity", "0x10", "1_000", "[3]", "[null]",
    "[[3]]", "{}", '"3"', "'", "''", "'3", "''3", "'null", "'=1", "'tis", "=1+1", "+1", "-1", "-", "@SUM(A1)", "\tx",
    "\r=1", "\n=1", "＝1", "a\r\nb", 'a "b", c', "\x00", "\ud800", "\udcff.csv", "\u202eabc", "[" * 5000, "3" * 5000,
    "\ufeff", "\x1b[2J",
]  # fmt: skip
ODD_NUMBERS = [2**63, -(2**200), math.inf, -math.inf, math.nan, -0.0, 5e-324, 1e308, True, False, None, 0]
STARTS_OF_FORMULAS = tuple("=+-@\t\r\n＝＋－＠")


def shapes(table):
    """Values with their types; the sign of zero is one of the things that equality does not see."""
    return [[(type(value), repr(value)) for value in row.values()] for row in table]


def assert_comes_back(table, path):
    loaded = load_table(table.save(path))
    assert loaded == table
    assert loaded.columns == table.columns
    assert shapes(loaded) == shapes(table)


@pytest.mark.parametrize("column", ["note", "label"])
@pytest.mark.parametrize("text", ODD_TEXTS, ids=lambda text: ascii(text)[:20])
def test_an_odd_text_comes_back_alone_and_among_others(column, text, tmp_path):
    for others in ([], ["plain"], [text], [None], ["", None], [7], ["plain", 0.5, True]):
        assert_comes_back(Table([{column: value} for value in (text, *others)]), tmp_path / "t.csv")


@pytest.mark.parametrize("column", ["note", "label"])
@pytest.mark.parametrize("number", ODD_NUMBERS, ids=repr)
def test_an_odd_number_comes_back_alone_and_among_others(column, number, tmp_path):
    for others in ([], [1], [0.5], [None], ["plain"], ["3"], [""]):
        assert_comes_back(Table([{column: value} for value in (number, *others)]), tmp_path / "t.csv")


@pytest.mark.parametrize(
    "text", [text for text in ODD_TEXTS if not any("\ud800" <= c <= "\udfff" for c in text)]
)
def test_parquet_keeps_odd_texts(text, tmp_path):
    assert_comes_back(Table([{"note": text}, {"note": None}]), tmp_path / "t.parquet")


any_text = st.text(st.characters(codec=None)) | st.sampled_from(ODD_TEXTS)
any_value = any_text | st.integers() | st.floats() | st.booleans() | st.none()
names = st.sampled_from(sorted(TEXT_COLUMNS)) | st.text(string.printable, max_size=6)
int64 = st.integers(-(2**63), 2**63 - 1)


@st.composite
def tables(draw, values):
    columns = draw(st.lists(names, unique=True, min_size=1, max_size=4))
    n_rows = draw(st.integers(0, 4))
    cells = {name: draw(st.lists(values, min_size=n_rows, max_size=n_rows)) for name in columns}
    return Table([{name: cells[name][i] for name in columns} for i in range(n_rows)], columns)


@given(table=tables(any_value))
@example(table=Table([{}, {}], []))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_table_comes_back_from_csv(table, tmp_path):
    assert_comes_back(table, tmp_path / "t.csv")


@st.composite
def typed_tables(draw):
    kinds = st.sampled_from([st.text(st.characters(codec="utf-8")), int64, st.floats(), st.booleans()])
    columns = {
        name: draw(kinds) | st.none() for name in draw(st.lists(names, unique=True, min_size=1, max_size=4))
    }
    n_rows = draw(st.integers(0, 4))
    return Table(
        [{name: draw(values) for name, values in columns.items()} for _ in range(n_rows)], list(columns)
    )


@given(table=typed_tables())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_typed_table_comes_back_from_parquet(table, tmp_path):
    assert_comes_back(table, tmp_path / "t.parquet")


@given(table=tables(any_text))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_is_a_formula_to_a_spreadsheet(table, tmp_path):
    path = table.save(tmp_path / "t.csv")
    with path.open(encoding="utf-8", errors="surrogatepass", newline="") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert not [cell for cell in cells if cell.startswith(STARTS_OF_FORMULAS)]


def test_numbers_and_ordinary_texts_are_written_as_they_are():
    file = io.StringIO()
    rows = [{"route": "3", "note": "a", "x": -0.5}, {"route": "0-2", "note": "3", "x": None}]
    table_file.write_csv(["route", "note", "x"], rows, file, line_end="\n")
    assert file.getvalue() == "route,note,x\n3,a,-0.5\n0-2,3,\n"


def test_pandas_reads_missing_texts_as_missing(tmp_path):
    path = Table([{"note": "a", "x": 1}, {"note": None, "x": None}]).save(tmp_path / "t.csv")
    assert pd.read_csv(path).isna().to_numpy().tolist() == [[False, False], [True, True]]


def test_what_parquet_would_change_is_refused(tmp_path):
    for values in ([2**60 + 1, 0.5], ["a", 1], ["\ud800"], [2**63], [True, 1]):
        with pytest.raises(
            StoreError, match=r"Parquet cannot keep the column 'note'; save the table as \.csv"
        ):
            Table([{"note": value} for value in values]).save(tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    "value", [[1, 2], {"a": 1}, object(), b"x", 1j], ids=lambda value: type(value).__name__
)
def test_what_no_table_can_hold_is_refused(value, suffix, tmp_path):
    with pytest.raises(StoreError, match=r"column 'note' holds a .*A value is a text, a number"):
        Table([{"note": value}]).save(tmp_path / f"t{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_numbers_longer_than_python_reads_are_refused(tmp_path):
    assert_comes_back(Table([{"note": 10**3900}]), tmp_path / "t.csv")
    with pytest.raises(StoreError, match="more than 4,000 digits"):
        Table([{"note": 10**4000}]).save(tmp_path / "u.csv")


def test_long_texts_come_back_and_the_limit_of_the_module_is_left_alone(tmp_path):
    before = csv.field_size_limit()
    assert_comes_back(Table([{"note": "x" * 300_000}]), tmp_path / "t.csv")
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        (b"a,b,a\r\n1,2,3\r\n", "has several columns named 'a'"),
        (b"a\r\n\xed\xa0", "cannot be read as a table"),
        (b"\xff\xfea\x00\r\x00\n\x00", "cannot be read as a table"),
        (b"a,b\r\n1\r\n", "has 1 cell, and its header 2"),
    ],
)
def test_files_that_are_no_tables_are_explained(content, phrase, tmp_path):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(StoreError, match=phrase):
        load_table(tmp_path / "t.csv")


def test_byte_order_marks_and_blank_lines_of_other_programs_are_no_content(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfepoch,loss\r\n1,0.5\r\n\r\n2,\r\n\r\n")
    assert load_table(tmp_path / "t.csv") == Table([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": None}])
    assert_comes_back(Table([{"\ufeffa": "\ufeff=1"}]), tmp_path / "u.csv")


def test_deep_lists_in_a_foreign_file_are_texts(tmp_path):
    (tmp_path / "t.csv").write_text("a\n" + "[" * 100_000 + "\n")
    assert load_table(tmp_path / "t.csv")["a"] == ["[" * 100_000]
