"""The tables that people see, from literal metrics."""

import io
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract.metrics import Evaluation, MetricDefinition, TableColumn, TableLayout, TableNote
from pipeline.contract.parts import EvaluatePart
from pipeline.look import tables
from pipeline.look.tables import Checkpoint, Table
from pipeline.visualize import headlines
from schemas.rows import Metric

LAYOUT = TableLayout(
    bar="script",
    columns=(
        TableColumn(metric="steps", statistic="mean", heading="steps"),
        TableColumn(metric="survival", statistic="rate", heading="survival"),
    ),
)


def metric(name: str, subject: str, numbers: tuple[float, float, float], **fields: object) -> Metric:
    value, low, high = numbers
    row = Metric(
        task="gridworld",
        id=f"{name}/{subject}/{fields}",
        name=name,
        statistic="rate" if name == "survival" else "mean",
        subject=subject,
        value=value,
        low=low,
        high=high,
        confidence=0.95,
        interval="wilson" if name == "survival" else "bootstrap_percentile",
        unit="share" if name == "survival" else "steps",
        better="higher",
        num_records=1000,
    )
    return msgspec.structs.replace(row, **fields)


def cell(table: Table, name: str, heading: str) -> str:
    return str(table.columns[heading][list(table.names).index(name)])


def count(name: str, value: float) -> Metric:
    row = metric(name, "model", (value, value, value), statistic="count", interval=None, confidence=None)
    return msgspec.structs.replace(row, low=None, high=None, unit="records")


METRICS = [
    metric("steps", "random", (136.4, 133.1, 139.2)),
    metric("survival", "random", (0.0, 0.0, 0.0038)),
    metric("steps", "script", (500.0, 500.0, 500.0)),
    metric("survival", "script", (1.0, 0.9962, 1.0)),
    metric("steps", "model", (1490.25, 1487.5, 1493.0)),
    metric("survival", "model", (0.981, 0.971, 0.988)),
    metric("steps", "model", (7.0, 6.0, 8.0), slice_by="level", slice_value="full"),
    metric("aside", "observer", (7.0, 6.0, 8.0)),
]


def test_the_main_table_exactly() -> None:
    assert tables.to_text(tables.main_table(METRICS, LAYOUT)).split("\n") == [
        "subject                            steps           survival %",
        "model         1,490.2 [1,487.5, 1,493.0]    98.1 [97.1, 98.8]",
        "random              136.4 [133.1, 139.2]       0.0 [0.0, 0.4]",
        "script (bar)        500.0 [500.0, 500.0]  100.0 [99.6, 100.0]",
    ]


def test_markdown_exactly() -> None:
    assert tables.to_markdown(tables.main_table(METRICS[:4], LAYOUT)).split("\n") == [
        "| subject | steps | survival % |",
        "| --- | ---: | ---: |",
        "| random | 136.4 [133.1, 139.2] | 0.00 [0.00, 0.38] |",
        "| script (bar) | 500.0 [500.0, 500.0] | 100.00 [99.62, 100.00] |",
    ]


def test_a_slice_has_a_table_of_its_own_and_gaps_are_shown() -> None:
    table = tables.main_table(METRICS, LAYOUT, where=("level", "full"))
    assert cell(table, "model", "steps") == "7.0 [6.0, 8.0]"
    assert "survival %" not in table.columns  # no subject has a value
    table = tables.main_table(METRICS[1:], LAYOUT)
    assert cell(table, "random", "steps") == "-"


def test_no_line_is_wider_than_the_terminal() -> None:
    columns = [TableColumn(metric=f"m{i}", statistic="mean", heading=f"metric number {i}") for i in range(9)]
    metrics = [metric(f"m{i}", s, (1e6 + i, 1e6, 2e6)) for i in range(9) for s in ("model", "baseline")]
    text = tables.to_text(tables.main_table(metrics, TableLayout(columns=columns)))
    assert max(map(len, text.split("\n"))) <= 100
    assert all(f"metric number {i}" in text for i in range(9))
    assert text.count("baseline") > 1  # every block names its rows
    narrow = tables.to_text(tables.main_table(METRICS, LAYOUT), width=10)
    assert "survival %" in narrow  # a column wider than the terminal is still shown


def test_names_of_rows_make_room_for_the_widest_column_alone() -> None:
    names = [f"images/of/the/validation/set/{n:08d}.jpg" for n in (1, 2)]
    table = Table(heading="record", names=names, columns={"a": ["1.0 [0.9, 1.1]"] * 2})
    assert tables.to_text(table, width=60).split("\n")[1] == f"{names[0]}  1.0 [0.9, 1.1]"
    assert tables.to_text(table, width=30).split("\n") == [
        "record                       a",
        "images/…01.jpg  1.0 [0.9, 1.1]",
        "images/…02.jpg  1.0 [0.9, 1.1]",
    ]


def test_a_block_begins_where_it_is_asked_to_unless_that_makes_one_more() -> None:
    table = Table(heading="n", names=["x"], columns={name: ["1"] for name in ("aa", "bb", "cc", "dd")})
    heads = {
        width: [block.split("\n")[0].split()[1:] for block in tables.to_text(table, width, breaks={"cc"}).split("\n\n")]
        for width in (17, 16, 9, 5)
    }
    assert heads[17] == [["aa", "bb", "cc", "dd"]]
    assert heads[16] == [["aa", "bb"], ["cc", "dd"]]
    assert heads[9] == [["aa", "bb"], ["cc", "dd"]]
    assert heads[5] == [["aa"], ["bb"], ["cc"], ["dd"]]
    three = replace(table, columns={**table.columns, "ee": ["1"]})
    assert [line.split()[1:] for line in tables.to_text(three, 13, breaks={"dd"}).split("\n")[::3]] == [
        ["aa", "bb", "cc"],
        ["dd", "ee"],
    ]
    assert [line.split()[1:] for line in tables.to_text(three, 13, breaks={"bb"}).split("\n")[::3]] == [
        ["aa", "bb", "cc"],
        ["dd", "ee"],
    ]


def test_tables_take_the_columns_of_the_terminal_but_never_more_than_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    monkeypatch.delenv("COLUMNS", raising=False)
    assert tables.width_of(output, 120) == 120  # piped
    for columns, width in (("80", 80), ("200", 120), ("3", tables.NARROWEST)):
        monkeypatch.setenv("COLUMNS", columns)
        assert tables.width_of(output, 120) == width


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [
        ((441.234, 440.5, 442.0), "441.2 [440.5, 442.0]"),
        ((441.234, 430.5, 452.0), "441 [430, 452]"),
        ((0.31, 0.3095, 0.3105), "0.3100 [0.3095, 0.3105]"),
        ((0.84, 0.52, 1.0), "0.84 [0.52, 1.00]"),  # half length .24: two digits
        ((0.84, 0.5, 1.2), "0.84 [0.50, 1.20]"),  # .35: still two
        ((0.84, 0.48, 1.2), "0.8 [0.5, 1.2]"),  # .36: one
        ((0.84, -1.2, 2.8), "0.8 [-1.2, 2.8]"),  # 2.0: two
        ((52.0, 12.0, 92.0), "52 [12, 92]"),  # 40: never fewer than none
        ((1.2e-5, 1.0e-5, 1.4e-5), "0.0000120 [0.0000100, 0.0000140]"),
        ((247.0, 247.0, 247.0), "247 [247, 247]"),
        ((0.1 + 0.2, 0.3, 0.1 + 0.2), "0.300 [0.300, 0.300]"),  # an interval of rounding errors
        ((0.0, 0.0, 0.0), "0 [0, 0]"),
        ((-32.1, -33.9, -30.2), "-32.1 [-33.9, -30.2]"),
    ],
)
def test_a_cell_shows_no_more_digits_than_its_interval_supports(
    numbers: tuple[float, float, float], shown: str
) -> None:
    layout = TableLayout(columns=[TableColumn(metric="x", statistic="mean", heading="x")])
    assert cell(tables.main_table([metric("x", "model", numbers)], layout), "model", "x") == shown


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [
        (
            [(0.1684, 0.1677, 0.1693), (0.4854, 0.4704, 0.4996), (0.16981, 0.16961, 0.17002)],
            ["0.168 [0.168, 0.169]", "0.485 [0.470, 0.500]", "0.170 [0.170, 0.170]"],
        ),
        (
            [(455.5, 453.2, 457.6), (19.72, 19.68, 19.77), (73.1, 68.5, 78.0)],
            ["456 [453, 458]", "20 [20, 20]", "73 [68, 78]"],
        ),
        (
            [(3.75, 3.59, 3.92), (0.0, 0.0, 0.0), (6.04, 6.01, 6.08)],
            ["3.75 [3.59, 3.92]", "0.00 [0.00, 0.00]", "6.04 [6.01, 6.08]"],
        ),
    ],
    ids=["widest of another", "none supported", "one without a length"],
)
def test_the_widest_interval_of_a_column_says_its_decimals(
    numbers: list[tuple[float, float, float]], shown: list[str]
) -> None:
    layout = TableLayout(columns=[TableColumn(metric="x", statistic="mean", heading="x")])
    subjects = ("model", "random", "script")
    found = [metric("x", name, given) for name, given in zip(subjects, numbers, strict=True)]
    assert list(map(str, tables.main_table(found, layout).columns["x"])) == shown


@given(st.floats(-1e4, 1e4), st.floats(1e-4, 1e4), st.floats(1e-4, 1e4))
def test_rounding_leaves_the_interval_to_be_seen(value: float, below: float, above: float) -> None:
    layout = TableLayout(columns=[TableColumn(metric="x", statistic="mean", heading="x")])
    shown = cell(tables.main_table([metric("x", "model", (value, value - below, value + above))], layout), "model", "x")
    cells = [float(text.strip("[]")) for text in shown.replace(", ", " ").replace(",", "").split()]
    errors = [abs(number - exact) for number, exact in zip(cells, (value, value - below, value + above), strict=True)]
    assert cells[1] < cells[2]
    assert max(errors) < 0.15 * (below + above) / 2


def test_inputs_beside_each_other_keep_their_order_and_end_in_the_bar() -> None:
    early = [metric("steps", "model", (100.0, 90.0, 110.0)), *METRICS[2:4]]
    inputs = [Checkpoint("late", 2_000_000, METRICS), Checkpoint("early", None, early)]
    curve = tables.side_by_side(inputs, LAYOUT, one_training=True)
    assert tables.to_text(curve).split("\n") == [
        "checkpoint         step                 steps           survival %",
        "late          2,000,000  1,490 [1,488, 1,493]    98.1 [97.1, 98.8]",
        "early                           100 [90, 110]                    -",
        "script (bar)                   500 [500, 500]  100.0 [99.6, 100.0]",
    ]
    assert list(curve.columns["step"]) == ["2,000,000", "", ""]
    assert "step" not in tables.side_by_side([Checkpoint("early", None, early)], LAYOUT, one_training=False).columns


def test_footnotes_name_the_bar_the_intervals_and_the_errors() -> None:
    notes = tables.footnotes([*METRICS, count("num_records", 1000), count("num_errors", 3)], LAYOUT)
    assert notes[0] == "script is the bar to pass."
    assert notes[1] == "[low, high]: 95 % intervals (bootstrap percentile, wilson)."
    assert notes[2] == "Records: 1,000."
    assert notes[3].startswith("WARNING: 3 of 1,000 records have an error")
    assert len(tables.footnotes([*METRICS, count("num_errors", 0)], LAYOUT)) == 2


def test_every_metric_of_the_model_has_a_row() -> None:
    table = tables.all_metrics(METRICS)
    assert table.names == ["steps", "survival"]
    assert list(map(str, table.rows[1])) == ["rate", "98.1 [97.1, 98.8]", "%", "1,000"]


def test_the_scale_of_a_share_goes_to_100_percent_and_others_to_the_best_subject() -> None:
    rare = [metric("survival", "model", (0.0, 0.0, 0.04)), metric("steps", "model", (7.0, 6.0, 8.0))]
    assert [card.limits for card in headlines([*rare, metric("steps", "script", (9.0, 9.0, 9.0))], LAYOUT)] == [
        (0.0, 9.0),
        (0.0, 1.0),
    ]


def test_a_task_without_a_layout_shows_its_first_metrics() -> None:
    glossary = [
        MetricDefinition(name=name, unit="", better="higher", definition="") for name in ("survival", "no", "steps")
    ]
    part = EvaluatePart(glossary=glossary, evaluate=lambda predictions, options: Evaluation([], []))
    layout = tables.layout_of(part, METRICS)
    assert [(c.metric, c.statistic) for c in layout.columns] == [("survival", "rate"), ("steps", "mean")]
    assert tables.layout_of(replace(part, table=LAYOUT), METRICS) is LAYOUT


def test_a_task_may_say_what_its_counts_mean() -> None:
    layout = TableLayout(columns=LAYOUT.columns, notes=(TableNote(metric="num_cut", text="{value} of {num_records}."),))
    notes = tables.footnotes([count("num_errors", 3), count("num_cut", 1200), count("num_other", 1)], layout)
    assert notes == ["1,200 of 1,000."]
    assert tables.footnotes([count("num_cut", 0)], layout) == []
    of_one = tables.footnotes([count("num_records", 1000), count("num_cut", 1200)], layout, label="seed 1")
    assert of_one == ["Records: 1,000.", "seed 1: 1,200 of 1,000."]


def test_a_note_lists_the_parts_of_its_count_the_largest_first() -> None:
    layout = TableLayout(notes=(TableNote(metric="num_cut", text="{value} ({parts}).", by="reason"),))
    parts = [
        msgspec.structs.replace(count("num_cut", value), slice_by=by, slice_value=name)
        for by, name, value in (("reason", "b", 2), ("reason", "a", 2), ("reason", "c", 1196), ("level", "x", 7))
    ]
    assert tables.footnotes([count("num_cut", 1200), *parts], layout) == ["1,200 (c 1,196, a 2, b 2)."]


def sliced(by: str, value: str, subject: str = "model") -> Metric:
    return metric("steps", subject, (7.0, 6.0, 8.0), slice_by=by, slice_value=value)


def test_slices_of_the_model_alone_share_one_table() -> None:
    metrics = [*METRICS, sliced("kind_of_day", "wet"), sliced("kind_of_day", "dry"), sliced("season", "only one")]
    found = tables.slice_tables(metrics, LAYOUT)
    assert [(table.title, table.names) for table in found] == [("by kind of day", ["wet", "dry"])]
    assert tables.to_text(found[0]).split("\n")[0].split() == ["kind", "of", "day", "steps"]


def test_slices_with_baselines_have_a_table_each() -> None:
    metrics = [sliced("level", "full"), sliced("level", "small"), sliced("level", "small", "random")]
    found = tables.slice_tables(metrics, LAYOUT)
    assert [(table.title, table.names) for table in found] == [
        ("level full", ["model"]),
        ("level small", ["model", "random"]),
    ]


def test_slices_show_the_subjects_of_the_layout_alone() -> None:
    metrics = [sliced("level", "full"), sliced("level", "small"), sliced("level", "small", "random")]
    found = tables.slice_tables(metrics, replace(LAYOUT, slice_subjects=("model",)))
    assert [(table.title, table.names) for table in found] == [("by level", ["full", "small"])]
