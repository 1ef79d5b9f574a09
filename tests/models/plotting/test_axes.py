"""Axes: every value has a place, and few round values are written beside them."""

from hypothesis import given
from hypothesis import strategies as st

from models.plotting.axes import LinearAxis, LogAxis, SpanAxis, tick_words


@given(st.floats(min_value=0, max_value=1e9, allow_subnormal=False))
def test_linear_axis_holds_its_greatest_value_in_few_ticks(greatest: float) -> None:
    axis = LinearAxis("value", greatest)
    assert 2 <= len(axis.ticks) <= 6
    assert axis.place(0) == 0
    assert axis.place(greatest) <= 1 + 1e-9
    assert axis.place(axis.ticks[-1]) == 1


@given(st.floats(min_value=1, max_value=1e9))
def test_logarithmic_axis_holds_its_greatest_value_at_a_power_of_ten(greatest: float) -> None:
    axis = LogAxis("uses", greatest)
    assert axis.place(1) == 0
    assert axis.place(greatest) <= 1 + 1e-9
    assert axis.ticks[-1] < max(greatest, 1.001) * 10 + 10


@given(least=st.floats(-1e6, 1e6, allow_subnormal=False), width=st.floats(1e-3, 1e6))
def test_span_axis_holds_both_ends_in_few_round_ticks(least: float, width: float) -> None:
    axis = SpanAxis("difference", least, least + width)
    assert 2 <= len(axis.ticks) <= 8
    assert -1e-6 <= axis.place(least) < axis.place(least + width) <= 1 + 1e-6


def test_span_axis_around_no_difference_has_a_tick_there() -> None:
    assert [tick_words(tick) for tick in SpanAxis("difference", -0.12, 0.07).ticks] == [
        *("−0.15", "−0.1", "−0.05", "0", "0.05", "0.1")
    ]


def test_ticks_are_words_for_people() -> None:
    assert [tick_words(tick) for tick in LinearAxis("share", 0.42).ticks] == [
        *("0", "0.1", "0.2", "0.3", "0.4", "0.5")
    ]
    assert [tick_words(tick) for tick in LogAxis("uses", 1200).ticks] == [
        "1",
        "10",
        "100",
        "1,000",
        "10,000",
    ]
