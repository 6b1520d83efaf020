"""How long to wait after a key before asking for a suggestion, from the rhythm of the keys before it.

A suggestion that arrives before the next key is worth asking for at once. Someone who types faster than
suggestions arrive sees none of them before the next pause, so the request waits for that pause. Reads no
clock: times in seconds are passed in.
"""

from collections import deque
from statistics import median

_NUM_INTERVALS = 8
_MIN_INTERVALS = 3  # fewer show no rhythm
_PAUSE = 1.0  # seconds between two keys after which a new rhythm begins
_LONGER_THAN_RHYTHM = 1.5  # a pause is this many times as long as the interval between two keys
_MAX_WAIT = 0.25
_USUAL_ANSWER = 0.12  # seconds until a suggestion arrives, before any has
_NEWEST_WEIGHT = 0.25


class TypingRhythm:
    """The rhythm of the last eight keys, and how long answers take.

    >>> rhythm = TypingRhythm()
    >>> for number in range(5):
    ...     rhythm.key(now=number * 0.06)
    >>> round(rhythm.wait(), 3)
    0.09
    >>> rhythm.key(now=10.0)
    >>> rhythm.wait()
    0.0
    """

    def __init__(self) -> None:
        self._intervals: deque[float] = deque(maxlen=_NUM_INTERVALS)
        self._last: float | None = None
        self._answer = _USUAL_ANSWER

    def key(self, now: float) -> None:
        """Note a key that was pressed at this time."""
        if self._last is not None:
            interval = now - self._last
            if interval > _PAUSE or interval < 0:
                self._intervals.clear()
            else:
                self._intervals.append(interval)
        self._last = now

    def answered(self, seconds: float) -> None:
        """Note how long a suggestion took to arrive."""
        self._answer += _NEWEST_WEIGHT * (min(max(seconds, 0.0), _PAUSE) - self._answer)

    def wait(self) -> float:
        """Return the seconds to wait after the last key: 0 if an answer comes before the next key."""
        if len(self._intervals) < _MIN_INTERVALS:
            return 0.0
        interval = median(self._intervals)
        return 0.0 if interval >= self._answer else min(_MAX_WAIT, _LONGER_THAN_RHYTHM * interval)
