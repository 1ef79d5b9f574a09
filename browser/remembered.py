"""Answers worked out once: for all who ask at the same time, and for those who ask later."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Held(Generic[Value]):
    value: Value
    weight: int


class Remembered(Generic[Key, Value]):
    """Answers by what was asked; those not asked for longest are forgotten first.

    Of many who ask the same at once one works it out, and the others wait for it. A failure
    reaches all of them, and is not remembered.
    """

    def __init__(self, capacity: int, weigh: Callable[[Value], int]) -> None:
        """Nothing is remembered yet.

        Args:
            capacity: What all answers that are held may weigh together.
            weigh: Of one answer, in the same unit.
        """
        self._capacity = capacity
        self._weigh = weigh
        self._held: OrderedDict[Key, _Held[Value]] = OrderedDict()
        self._awaited: dict[Key, Future[Value]] = {}
        self._lock = Lock()
        self.weight = 0  # of all that is held

    def holds(self, key: Key) -> bool:
        """Whether an answer is remembered now."""
        with self._lock:
            return key in self._held

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The answer for a key; `make` must not ask for the same key again."""
        with self._lock:
            held = self._held.get(key)
            if held is not None:
                self._held.move_to_end(key)
                return held.value
            awaited = self._awaited.get(key)
            if awaited is None:
                answer = self._awaited[key] = Future()
        return self._work_out(key, make, answer) if awaited is None else awaited.result()

    def _work_out(self, key: Key, make: Callable[[], Value], answer: Future[Value]) -> Value:
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._awaited[key]
            answer.set_exception(error)
            raise
        with self._lock:
            del self._awaited[key]
            self._hold(key, _Held(value, self._weigh(value)))
        answer.set_result(value)
        return value

    def _hold(self, key: Key, held: _Held[Value]) -> None:
        self._held[key] = held
        self.weight += held.weight
        while self.weight > self._capacity:
            _, forgotten = self._held.popitem(last=False)
            self.weight -= forgotten.weight
