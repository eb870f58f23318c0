"""Tables as text and as tasks: pieces are the text, rows go from the bottom, spans keep to units, SQL is executed."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import BPE, Bytes, Portion, Stdlib, codec
from stagejax.data.language.denoising import T5
from stagejax.data.tables.table_denoising import MIXED, Cells, Columns, Context, TableDenoising, TokenSpans, denoised
from stagejax.data.tables.table_sql import Query, denotation, number, parsed, same_result
from stagejax.data.tables.table_tasks import TableTask, TableToText, right
from stagejax.data.tables.table_text import CELL, CONTEXT, HEADER, Layout, Window, laid_out, pieces_of
from stagejax.data.tables.web_tables import DrawnTables, Grid, WebTables
from stagejax.data.tokenizers import CLS, SEP

GRID = Grid(("club", "goals", "year"), (("ajax", "3", "1990"), ("celtic", "10", "1991"), ("", "7", "1992")))
TABLES = DrawnTables(30)
words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=9)


def layout(limit: int = 400) -> Layout:
    return laid_out(Bytes(), "who won in 1991?", GRID, limit)


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(st.lists(words, min_size=6, max_size=6))
def test_the_tokens_of_the_pieces_are_those_of_the_whole_text(cells: list[str]) -> None:
    code = codec(BPE(300), Stdlib(limit=100_000))
    grid = Grid((cells[0], cells[1]), ((cells[2], cells[3]),))
    whole = "".join(piece.text for piece in pieces_of(cells[4], grid, cells[5]))
    (ids,) = code.encode([whole])
    assert laid_out(code, cells[4], grid, 10_000, cells[5]).ids.tolist() == ids.tolist()


def test_pieces_say_what_they_are() -> None:
    laid = layout()
    text = Bytes().decode(laid.ids)
    assert text == (
        " who won in 1991? | col : club | goals | year row 1 : ajax | 3 | 1990 row 2 : celtic | 10 | 1991"
        " row 3 : - | 7 | 1992"
    )
    said = {kind: [Bytes().decode(laid.ids[b:e]).strip() for b, e, _ in laid.spans(kind)] for kind in (1, 2, 3)}
    assert said[CONTEXT] == ["who won in 1991?"]
    assert said[HEADER] == list(GRID.header)
    assert said[CELL] == [cell or "-" for row in GRID.rows for cell in row]
    assert [(p.row, p.column) for _, _, p in laid.spans(CELL)] == [(r, c) for r in range(3) for c in range(3)]


@pytest.mark.parametrize("kept", [(), (2,), (0, 2), (0, 1, 2)])
def test_rows_are_left_out_from_the_bottom_but_for_those_that_are_kept(kept: tuple[int, ...]) -> None:
    full = len(layout().ids)
    laid = laid_out(Bytes(), "who won in 1991?", GRID, full - 1, kept=kept)
    first = {row.column: Bytes().decode(laid.ids[b:e]) for b, e, row in laid.spans(HEADER)}
    assert len(first) == 3
    years = [Bytes().decode(laid.ids[b:e]).strip() for b, e, p in laid.spans(CELL) if p.column == 2]
    if len(kept) == 3:  # nothing may go, so the end is cut
        assert len(laid.ids) == full - 1
        return
    gone = max({0, 1, 2} - set(kept))
    assert years == [row[2] for at, row in enumerate(GRID.rows) if at != gone]
    assert len(laid.ids) < full


def test_a_window_cuts_and_keeps_what_it_is_told() -> None:
    for seed in range(20):
        part = Window(2, 2).part(GRID, np.random.default_rng(seed), rows=(2,), columns=(1,))
        assert len(part.rows) == len(part.header) == 2
        assert part.rows[1][part.header.index("goals")] == "7"
    same = Grid(("total goals at home", "total goals away"), (("1", "2"),))
    assert Window(1, 2, longest=11).part(same, np.random.default_rng(0)) == Grid(("total goals",), (("1",),))
    assert Window(1, 1, longest=4).cut("ajaxamsterdam") == "ajax"


@pytest.mark.parametrize("seed", range(5))
def test_token_spans_cover_their_share_and_are_apart(seed: int) -> None:
    laid = layout()
    spans = TokenSpans().spans(laid, np.random.default_rng(seed))
    corrupted, count = T5[0].spans(len(laid.ids))
    assert (sum(end - begin for begin, end in spans), len(spans)) == (corrupted, count)
    assert all(end < begin for (_, end), (begin, _) in itertools.pairwise(spans))
    assert spans[-1][1] <= len(laid.ids)


@pytest.mark.parametrize("seed", range(5))
def test_cells_are_taken_out_whole(seed: int) -> None:
    laid = layout()
    cells = [(begin, end) for begin, end, _ in laid.spans(CELL)]
    for rate, count in ((0.15, 1), (0.5, 4), (1.0, 9)):
        spans = Cells(rate).spans(laid, np.random.default_rng(seed))
        assert len(spans) == count
        assert set(spans) <= set(cells)
        assert spans == sorted(spans)


def test_columns_are_all_names_or_all_cells_under_one() -> None:
    laid, seen = layout(), Counter()
    names = [(begin, end) for begin, end, _ in laid.spans(HEADER)]
    for seed in range(60):
        spans = Columns().spans(laid, np.random.default_rng(seed))
        if spans == names:
            seen["names"] += 1
            continue
        column = [p.column for b, e, p in laid.spans(CELL) if (b, e) in spans]
        assert len(column) == 3
        seen[column[0]] += len(set(column)) == 1
    assert set(seen) == {"names", 0, 1, 2}
    assert 15 < seen["names"] < 45
    assert sum(seen.values()) == 60


def test_half_of_the_context_is_taken_out_in_one_span() -> None:
    laid = layout()
    (begin, end, _), begins = laid.spans(CONTEXT)[0], set()
    for seed in range(60):
        ((first, last),) = Context().spans(laid, np.random.default_rng(seed))
        assert begin <= first < last <= end
        assert last - first == round(0.5 * (end - begin))
        begins.add(first)
    assert len(begins) > 5


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.data())
def test_what_is_taken_out_and_what_is_left_are_the_text(length: int, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, length), min_size=2, max_size=10)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    outputs = data.draw(st.integers(3, 70))
    ids = np.arange(1000, 1000 + length)
    inputs, target = denoised(ids, spans, 100, outputs)
    assert inputs[0] == CLS
    assert target[-1] == SEP
    assert len(target) <= outputs
    parts: dict[int, list[int]] = {}
    for token in target[:-1].tolist():
        if token < 1000:
            parts[token] = []
        else:
            parts[[*parts][-1]].append(token)
    assert [*parts] == [100 + at for at in range(len(parts))]
    whole = [one for token in inputs[1:].tolist() for one in parts.get(token, [token])]
    assert whole == ids.tolist()


def test_samples_are_the_same_wherever_a_run_begins_and_each_denoiser_comes_as_often() -> None:
    data = TableDenoising(
        source=TABLES, tokenizer=Bytes(), batch=4, inputs=160, outputs=60, window=Window(3, 3), seed=3
    )
    whole = data.take(np.arange(120))
    for name, leaf in data.take(np.arange(50, 60)).items():
        np.testing.assert_array_equal(leaf, whole[name][50:60])
    counts = np.bincount(whole["denoiser"], minlength=len(MIXED))
    assert abs(counts - 30).max() < 18
    assert (whole["inputs"].max(1) < data.vocab).all()
    assert (whole["targets"][:, 0] == Bytes().vocab).all()


def test_numbers_and_multisets() -> None:
    assert [number(text) for text in ("12,467", "-3", "1.5", "3rd", "", "1-2")] == [12467, -3, 1.5, None, None, None]
    assert denotation(["a", "A ", "2"]) == denotation(["2.0", "a", "a"])
    assert denotation(["a", "a"]) != denotation(["a"])


def test_queries_are_what_a_loop_over_rows_finds() -> None:
    def gives(text: str) -> list[str] | None:
        query = parsed(text)
        assert query is not None
        assert str(query) == text
        return query.execute(GRID)

    assert gives("select club where goals > 5") == ["celtic", ""]
    assert gives("select count ( club ) where goals > 5") == ["2"]
    assert gives("select max ( goals ) where year < 1992") == ["10"]  # as numbers: 10 is more than 3
    assert gives("select min ( goals ) where year > 1990") == ["7"]
    assert gives("select min ( club ) where year > 1990") is None
    assert gives("select goals where club > a") == []
    assert gives("select wins where club = ajax") is None
    assert [parsed(text) for text in ("", "goals where club = ajax", "select goals where club ajax")] == [None] * 3


def test_sql_is_judged_by_what_it_gives_and_not_by_its_words() -> None:
    gold = "select goals where club = celtic"
    assert same_result("select max ( goals ) where goals > 3", gold, GRID)
    assert not same_result("select goals where club = celtics", gold, GRID)
    assert not same_result("select goal where club = celtic", gold, GRID)
    assert not same_result("", gold, GRID)


@pytest.mark.parametrize("split", ["train", "test"])
def test_generated_queries_have_results_and_their_rows_are_kept(split: str) -> None:
    source = TableTask(TABLES.of_split(split), "sql", Window(4, 4))
    records = [source[at] for at in range(len(source))]
    assert {parsed(one["answer"]).aggregate for one in records} == {"", "count", "max", "min"}
    for one in records:
        query, grid = parsed(one["answer"]), one["grid"]
        assert isinstance(query, Query)
        assert all(query.execute(grid) or [""])
        assert right(one, one["answer"])
        only = Grid(grid.header, tuple(grid.rows[row] for row in one["kept"]))
        assert denotation(query.execute(only)) == denotation(query.execute(grid))
        assert query.value in one["context"]
        assert query.column in one["context"]
    assert max(Counter(one["table"] for one in records).values()) <= 4


def test_statements_are_true_or_false_as_they_say() -> None:
    source, seen = TableTask(DrawnTables(80), "statement", Window(4, 4)), Counter()
    for one in (source[at] for at in range(len(source))):
        grid, text = one["grid"], one["context"]
        cells = [dict(zip(grid.header, row, strict=True)) for row in grid.rows]
        if " when the " in text:
            said, key = text.removeprefix("the ").split(" when the ")
            (column, value), (name, own) = (part.split(" is ", 1) for part in (said, key))
            (truth,) = {row[column] == value for row in cells if row[name] == own}
        else:
            first, _, rest = text.partition(" has ")
            word, column, _, second = rest.split(" ", 3)
            key = next(name for name in grid.header if number(cells[0][name]) is None)
            by = {row[key]: float(row[column]) for row in cells}
            truth = by[first] > by[second] if word == "more" else by[first] < by[second]
        assert one["answer"] == str(truth).lower(), text
        assert not right(one, "true" if one["answer"] == "false" else "false")
        seen[one["answer"], " when the " in text] += 1
    assert len(seen) == 4
    assert 0.4 < sum(count for (answer, _), count in seen.items() if answer == "true") / len(source) < 0.6


def test_questions_are_those_asked_and_their_cell_is_read() -> None:
    source = TableTask(TABLES, "answer", Window(3, 3))
    for one in (source[at] for at in range(len(source))):
        ((row,), answer) = one["kept"], one["answer"]
        assert answer in one["grid"].rows[row]
        number_of = int(one["table"].split("/")[1])
        assert one["context"] in TABLES[number_of]["questions"]
        assert right(one, answer.upper())


def test_inputs_begin_with_the_task_and_hold_the_row_that_is_asked_for() -> None:
    source = Portion(TableTask(TABLES, "answer", Window(6, 5)), stop=20)
    data = TableToText(source=source, tokenizer=Bytes(), batch=4, inputs=200, outputs=12)
    batch, records = data.take(np.arange(20)), data.records(np.arange(20))
    for at, record in enumerate(records.tolist()):
        text = Bytes().decode(batch["inputs"][at])
        assert text.startswith(f" answer : {source[record]['context']} | col :")
        assert f" {source[record]['answer']}" in text.partition(" | col :")[2]
        assert Bytes().decode(batch["targets"][at]).strip() == source[record]["answer"][:11]
    assert sorted(records.tolist()) == list(range(20))


def test_splits_of_web_tables_share_no_table() -> None:
    from stagejax.data.sources import Source

    class Asked(Source):
        split = "train"

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> dict[str, object]:
            return {"table": "ab"[index % 2], "question": f"Q{index} ?", "answers": ["X"]}

    class Grids(Source):
        split = "tables"

        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> dict[str, object]:
            return {"table": "ab"[index], "header": ["H", "H", ""], "rows": [["x", "y", "z"]]}

    tables = WebTables(Asked(), Grids())
    assert [record["table"] for record in (tables[0], tables[1])] == ["a", "b"]
    assert tables[0]["questions"] == ("q0 ?", "q2 ?")
    assert tables[0]["grid"] == Grid(("h",), (("x",),))
    drawn = [{DrawnTables(9, split)[at]["grid"] for at in range(9)} for split in ("train", "dev", "test")]
    assert not drawn[0] & drawn[1]
    assert not drawn[0] & drawn[2]
