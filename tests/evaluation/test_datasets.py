"""Bundled data sets and CSV files become events and labels; what cannot is refused in one line that names the fix."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from streamlearn.errors import ConfigurationError
from streamlearn.evaluation.datasets import KNOWN, NAMES, load
from streamlearn.evaluation.grouped import GROUPED
from streamlearn.evaluation.rows import ROWS_MOST, split


def csv(folder: Path, header: str, *rows: str) -> str:
    path = folder / "table.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return str(path)


def refusal(name: str, label: str | None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(name, label)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "rows", "features", "values"),
    [
        ("phishing", 1250, 9, False),
        ("breast_cancer", 569, 30, False),
        ("digits", 1797, 64, False),
        ("diabetes", 442, 10, True),
    ],
)
def test_bundled_data_is_all_there(name: str, rows: int, features: int, values: bool) -> None:
    data = load(name, None)
    assert (len(data.xs), len(data.ys), len(data.xs[0]), data.values) == (rows, rows, features, values)
    assert name in NAMES


def test_a_split_is_the_same_every_time_and_shares_no_row() -> None:
    data = load("diabetes", None)
    (stream, aside), again, other = split(data, 3), split(data, 3), split(data, 4)
    assert (stream, aside) == again
    assert stream.ids != other[0].ids
    assert sorted(stream.ids + aside.ids) == sorted(f"row-{i}" for i in range(442))
    assert len(aside.ids) == 133


@pytest.mark.parametrize("name", NAMES)
def test_every_data_set_is_there_is_the_same_every_time_and_of_its_kind(name: str) -> None:
    data = load(name, None, 3)
    assert data.name == name
    assert 100 < len(data.xs) == len(data.ys)
    assert len(split(data, 3)[0].ids) <= ROWS_MOST
    assert {type(y) for y in data.ys} == {float if data.values else str}
    assert len(set(data.ys)) > 1
    if not data.values:
        rare = min(data.ys.count(label) for label in set(data.ys)) / len(data.ys)
        assert data.imbalanced == (rare < 0.08)
    assert KNOWN[name].make(3) == data
    assert (KNOWN[name].make(4) == data) != KNOWN[name].seeded


def test_where_time_has_an_order_one_row_of_every_three_is_aside_at_its_place() -> None:
    stream, aside = split(load("sea", None), 3)
    assert list(stream.places) == sorted(stream.places)
    assert [place // 3 for place in aside.places] == list(range(666))
    assert len({place % 3 for place in aside.places}) == 3
    assert sorted(stream.places + aside.places) == list(range(1998))
    assert split(load("sea", None), 4)[1].places != aside.places


@pytest.mark.parametrize("name", GROUPED)
def test_rows_of_users_are_aside_of_each_whom_the_stream_has(name: str) -> None:
    stream, aside = split(load(name, None, 3), 3)
    assert set(stream.users) <= set(aside.users)
    assert len(stream.users) == len(stream.ids) > 300
    assert set(stream.places).isdisjoint(aside.places)
    assert sorted(stream.places + aside.places) == list(range(len(load(name, None, 3).ys)))
    counts = sorted(Counter(stream.users).values())
    assert counts[-1] > counts[0]  # some come more often than others


def test_columns_become_numbers_texts_and_nulls(tmp_path: Path) -> None:
    rows = [f"{i}.5,{'red' if i % 2 else 'blue'},{'yes' if i % 3 else 'no'},unique {i}" for i in range(60)]
    path = csv(tmp_path, "size,colour,bought,remark", *rows, "NA,,yes,u", "7,red,,v")
    data = load(path, "bought")
    assert data.xs[1] == {"size": 1.5, "colour": "red"}
    assert data.xs[60] == {"size": None, "colour": None}
    assert data.ys[:3] == ("no", "yes", "yes")
    assert (data.name, len(data.ys), data.values) == ("table", 61, False)
    assert data.notes == (
        "1 rows without a label skipped",
        "column 'remark' left out: most of its texts stand there once",
    )


def test_numbers_are_values_unless_they_are_few_whole_ones(tmp_path: Path) -> None:
    path = csv(tmp_path, "a;stars;price", *(f"{i};{i % 5};{i}" for i in range(60)))
    assert (load(path, "stars").values, load(path, "stars").ys[:2]) == (False, ("0", "1"))
    assert (load(path, "price").values, load(path, "price").ys[:2]) == (True, (0.0, 1.0))


def test_a_large_file_is_sampled(tmp_path: Path) -> None:
    data = load(csv(tmp_path, "a,y", *(f"{i},{i % 2}" for i in range(4000))), "y")
    assert (len(data.ys), data.notes) == (3000, ("3000 rows of 4000 taken, by chance",))


def test_what_cannot_be_learned_from_is_refused_with_the_fix(tmp_path: Path) -> None:
    good = [f"{i},{i % 2},one,text {i}" for i in range(60)]
    path = csv(tmp_path, "a,label,same,free", *good)
    assert "no such file" in refusal(str(tmp_path / "none.csv"), "y")
    assert "did you mean 'label'? It has a, label, same, free" in refusal(path, "Lable")
    assert "say --label COLUMN: a, label, same, free" in refusal(path, None)
    assert "nothing but 'one'" in refusal(path, "same")
    assert "60 distinct texts in 60 rows" in refusal(path, "free")
    assert "did you mean phishing?" in refusal("fishing", None)
    assert "no data set" in refusal("x" * 300, None)
    assert "--label is for CSV files" in refusal("digits", "y")
    assert "has 49 rows with a label; at least 50 are needed" in refusal(csv(tmp_path, "a,y", *["1,2"] * 49, "3,"), "y")
    assert "two columns named 'a'" in refusal(csv(tmp_path, "a,a,y", *["1,1,2"] * 60), "y")
    assert "no column but the label" in refusal(csv(tmp_path, "y", *map(str, range(60))), "y")
    (tmp_path / "table.csv").write_bytes(b"a,y\n\xff\xfe,1\n")
    assert "not a CSV file in UTF-8" in refusal(path, "y")
    (tmp_path / "table.csv").write_bytes(b"")
    assert "is empty" in refusal(path, "y")
