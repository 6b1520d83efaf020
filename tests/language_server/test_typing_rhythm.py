"""The wait after a key follows the rhythm of the keys before it."""

from incoder.language_server.typing_rhythm import TypingRhythm


def typed(interval: float, num_keys: int = 12) -> TypingRhythm:
    rhythm = TypingRhythm()
    for number in range(num_keys):
        rhythm.key(100 + number * interval)
    return rhythm


def test_the_first_key_is_answered_at_once() -> None:
    assert typed(0.05, num_keys=1).wait() == 0


def test_slow_typing_is_answered_at_once() -> None:
    assert typed(0.3).wait() == 0


def test_fast_typing_is_answered_at_its_next_pause() -> None:
    assert 0.05 < typed(0.05).wait() < 0.1


def test_the_wait_grows_with_the_interval_up_to_a_bound() -> None:
    slow = typed(0.1)
    for _ in range(20):
        slow.answered(2.0)
    assert typed(0.05).wait() < slow.wait()
    slower = typed(0.6)
    for _ in range(20):
        slower.answered(2.0)
    assert slower.wait() == 0.25


def test_answers_that_are_faster_than_the_keys_need_no_wait() -> None:
    rhythm = typed(0.05)
    for _ in range(20):
        rhythm.answered(0.02)
    assert rhythm.wait() == 0


def test_a_pause_begins_a_new_rhythm() -> None:
    rhythm = typed(0.05)
    rhythm.key(200)
    assert rhythm.wait() == 0


def test_one_long_interval_does_not_change_the_rhythm() -> None:
    rhythm = typed(0.05)
    rhythm.key(100 + 11 * 0.05 + 0.7)
    rhythm.key(100 + 11 * 0.05 + 0.75)
    assert rhythm.wait() == typed(0.05).wait()


def test_a_clock_that_goes_back_begins_a_new_rhythm() -> None:
    rhythm = typed(0.05)
    rhythm.key(1)
    assert rhythm.wait() == 0
