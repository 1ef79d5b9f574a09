"""The patrol's judgement where the server is killed again and again, simulated to the second."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st
from prefect.client.schemas.objects import StateType

from deployments.silence import Patience, Probe, RunAtWork, loss, proven

Away = Sequence[tuple[float, float]]  # when the server went and was back, in seconds
Received = Sequence[tuple[int, float]]  # number of an event, and when

PATIENCE = Patience()
LOOK_SECONDS = PATIENCE.look_every.total_seconds()
BEFORE = 300.0  # that the patrol has looked for
AFTER = 200.0  # that the server stays after its last kill
TRIED_SECONDS = 7  # by Prefect's client, before an event is kept until the next
STORED_SECONDS = 2.0  # until what is received can be read
MOST_PROBES = 50  # that the server answers at once
START = datetime(2026, 1, 1, tzinfo=UTC)

KILLS = st.lists(st.tuples(st.floats(1, 150), st.floats(1, 90)), max_size=4)  # after, away for


@given(KILLS, st.floats(30, 31), st.floats(0, LOOK_SECONDS))
def test_live_run_is_never_lost_however_often_its_server_is_killed(
    kills: list[tuple[float, float]], between_beats: float, phase: float
) -> None:
    away = _away(kills)
    beats = _received(_sent(0.0, between_beats, _end(away)), away)
    assert _lost_at(beats, away, phase) is None


@given(KILLS, st.floats(0, LOOK_SECONDS))
def test_dead_run_is_lost_when_its_server_has_made_up_for_its_absence(
    kills: list[tuple[float, float]], phase: float
) -> None:
    away = _away(kills)
    lost_at = _lost_at([(0, 0.0)], away, phase)
    assert lost_at is not None
    lasting = [back - went for went, back in away if went < lost_at]
    assert lost_at <= max(90, 60 + sum(30 + seconds for seconds in lasting))


def _away(kills: Sequence[tuple[float, float]]) -> Away:
    found: list[tuple[float, float]] = []
    for after, seconds in kills:
        went = after + (found[-1][1] if found else 0.0)
        found.append((went, went + seconds))
    return found


def _end(away: Away) -> float:
    return (away[-1][1] if away else 0.0) + AFTER


def _sent(first: float, every: float, end: float) -> Iterator[float]:
    while first < end:
        yield first
        first += every


def _received(sent: Iterator[float], away: Away) -> Received:
    """As Prefect's client does: tries once a second, then keeps it and sends it before the next."""
    kept: list[int] = []
    received: list[tuple[int, float]] = []
    free = float("-inf")
    for number, at in enumerate(sent):
        kept.append(number)
        free = max(at, free)
        for _ in range(TRIED_SECONDS):
            if not _is_away(free, away):
                received += [(one, free) for one in kept]
                kept.clear()
                break
            free += 1
    return received


def _lost_at(beats: Received, away: Away, phase: float) -> float | None:
    """When a patrol takes a run to be lost that began with its first beat."""
    probes = _received(_sent(phase - BEFORE, LOOK_SECONDS, _end(away)), away)
    for now in _sent(phase, LOOK_SECONDS, _end(away)):
        if _is_away(now, away):
            continue
        shown = [one for one in probes if one[1] + STORED_SECONDS <= now][-MOST_PROBES:]
        heard = [at for _, at in beats if at + STORED_SECONDS <= now]
        run = RunAtWork(
            id=uuid4(),
            name="paint",
            state=StateType.RUNNING,
            state_id=uuid4(),
            since=START,
            heard=_time(heard[-1]) if heard else None,
        )
        times = proven([Probe(number, _time(at)) for number, at in shown], PATIENCE.probe_gap)
        if loss(run, times, PATIENCE):
            return now
    return None


def _is_away(at: float, away: Away) -> bool:
    return any(went <= at < back for went, back in away)


def _time(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)
