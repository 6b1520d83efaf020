"""The bytes of one infill while they are written, and the place where they must end.

Bytes in, places out: stop strings, a limit of lines, the stopping rules, and the required prefix. Knows no
tokens and no model, so it serves a sequence of tokens and a stream of text alike.
"""

from incoder.inference.decoding.stopping_rules.stopping import StoppingRules
from incoder.sampling_params import SamplingParams


class InfillText:
    """The spelling of one infill: the required prefix (token healing), then the infill.

    Places are counted in the spelling. `cut` is the place where the infill ends by a stop string or a rule,
    None as long as there is no such place.

    >>> text = InfillText(b"", SamplingParams(stop=("\\n",)))
    >>> text.append(b"x = 1\\ny"), text.infill
    (5, b'x = 1')
    """

    def __init__(
        self, required_prefix: bytes, params: SamplingParams, stopping: StoppingRules | None = None
    ) -> None:
        self.spelling = b""
        self.cut: int | None = None
        self.required = required_prefix + (stopping.start if stopping is not None else b"")
        self._num_healed = len(required_prefix)  # bytes of the spelling before the infill
        self._params = params
        self._stopping = stopping
        self._stops = [stop.encode("utf-8", "surrogateescape") for stop in params.stop]
        self._max_lines = params.max_lines
        self._num_committed = self._num_healed  # bytes that `newly_committed` has returned

    @property
    def infill(self) -> bytes:
        """The infill so far, up to the cut; empty while the required prefix is spelled."""
        return self.spelling[self._num_healed : self.cut]

    @property
    def required_left(self) -> bytes:
        """The bytes that must come next."""
        return self.required[len(self.spelling) :]

    @property
    def required_next(self) -> bytes:
        """The bytes that must come next: the rest of the required prefix, then what the rules require."""
        left = self.required_left
        if left or self._stopping is None or not self._stopping.may_require:
            return left
        return self._stopping.required_next(self._so_far)

    @property
    def may_require(self) -> bool:
        """Whether the rules may require bytes somewhere in the infill."""
        return self._stopping is not None and self._stopping.may_require

    def refuses(self, data: bytes | None) -> bool:
        """Whether a rule does not permit these bytes next, or the end of the infill (None)."""
        if self._stopping is None or not self._stopping.has_needs:
            return False
        spelling = self.spelling + (data or b"")
        if len(spelling) < len(self.required):
            return False
        infill = spelling[self._num_healed :]
        if data is None:
            return not self._stopping.permits_end(infill)
        if any(stop in infill for stop in self._stops):
            return False
        start = min(len(self._so_far), len(infill))
        return not self._stopping.permits(infill[:start], infill[start:])

    def may_begin_with(self, data: bytes) -> bool:
        """Whether the rules permit some bytes next that begin with these."""
        spelling = self.spelling + data
        if self._stopping is None or len(spelling) < len(self.required):
            return True
        return self._stopping.may_begin(spelling[self._num_healed :])

    def may_begin_so(self, data: bytes) -> bool:
        """Whether neither the required bytes nor the rules exclude a text that begins with these bytes."""
        fits = self.required.startswith(data) or data.startswith(self.required)
        return fits and self.may_begin_with(data)

    def asks_for_another(self, *, is_whole: bool) -> bool:
        """Whether the rules ask for another infill in place of this one, whole or ended by a limit."""
        return self._stopping is not None and self._stopping.asks_for_another(self.infill, is_whole=is_whole)

    def stricter(self) -> "InfillText":
        """Return the beginning of another infill of the same hole, by stricter rules.

        The rules must ask for another one.
        """
        assert self._stopping is not None
        healed = self.required[: self._num_healed]
        return InfillText(healed, self._params, self._stopping.stricter())

    @property
    def forbidden(self) -> bytes | None:
        """The bytes that the next token must not begin with; None if none will be from here on."""
        return None if self._stopping is None else self._stopping.forbidden_next(self._so_far)

    def append(self, data: bytes) -> int | None:
        """Append bytes; return the cut if the infill must end before or at their end."""
        num_bytes_before = len(self.spelling)
        self.spelling += data
        self.cut = self._stop_after(num_bytes_before)
        return self.cut

    def finish(self) -> int | None:
        """Return the cut of an infill that has ended at its last byte for another reason."""
        self.cut = self._place_of_rules(len(self.spelling))
        return self.cut

    def newly_committed(self, *, is_finished: bool) -> bytes:
        """Return the bytes of the infill that can no longer be retracted and were not returned before."""
        end = self.cut
        if end is None:
            end = len(self.spelling)
            if not is_finished:
                end -= max((_overlap(self.spelling, stop) for stop in self._stops), default=0)
                if self._stopping is not None:
                    end = min(end, self._num_healed + self._stopping.num_committed(self._so_far))
        start, self._num_committed = self._num_committed, max(self._num_committed, end)
        return self.spelling[start:end]

    @property
    def _so_far(self) -> bytes:
        return self.spelling[self._num_healed :]

    def _stop_after(self, num_bytes_before: int) -> int | None:
        """Return where a stop string begins that ends after `num_bytes_before`, or where a rule cuts."""
        places = []
        for stop in self._stops:
            start = max(self._num_healed, num_bytes_before - len(stop) + 1)
            places.append(self.spelling.find(stop, start))
        stop_place = min((place for place in places if place >= 0), default=None)
        ends = [place for place in (stop_place, self._last_line_place()) if place is not None]
        found = [*ends, self._place_of_rules(), *map(self._place_of_rules, ends)]
        return min((place for place in found if place is not None), default=None)

    def _last_line_place(self) -> int | None:
        """Return the end of the last of `max_lines` lines; None if it is not finished, or without a limit."""
        if self._max_lines is None:
            return None
        text = self.spelling[len(self.required) :]
        place = len(text) - len(text.lstrip(b"\n"))
        for _ in range(self._max_lines):
            place = text.find(b"\n", place) + 1
            if not place:
                return None
        return len(self.required) + place

    def _place_of_rules(self, end: int | None = None) -> int | None:
        """Return where in the spelling the rules cut the infill so far, or one that has ended at `end`."""
        if self._stopping is None or self.required_left:
            return None
        infill = self.spelling[self._num_healed : end]
        place = self._stopping.cut(infill) if end is None else self._stopping.cut_at_end(infill)
        return None if place is None else self._num_healed + place


def _overlap(spelling: bytes, stop: bytes) -> int:
    """Return the length of the longest end of the spelling that is a proper beginning of a stop string."""
    longest = min(len(stop) - 1, len(spelling))
    return next((length for length in range(longest, 0, -1) if spelling.endswith(stop[:length])), 0)
