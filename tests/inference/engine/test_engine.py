"""Generation coroutines side by side against the same ones alone."""

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from torch import Tensor

from incoder.errors import IncoderError
from incoder.inference.backends.backend import Chunk
from incoder.inference.cache.blocks import BlockPool
from incoder.inference.engine import scheduled_sequence
from incoder.inference.engine.cached_sequences import CachedSequences, TransformerModel
from incoder.inference.engine.engine import Engine, _Request
from incoder.inference.engine.runner import BLOCK_SIZE
from incoder.inference.infill_model import InfillModel
from incoder.inference.language_model import run_alone
from incoder.request import InfillRequest
from incoder.results import InfillResult
from incoder.sampling_params import SamplingParams

REQUESTS = [
    InfillRequest(
        parts=("def main():\n    ret", "\n"), sampling=SamplingParams(temperature=0.0, max_new_tokens=12)
    ),
    InfillRequest.from_settings(
        ("import os\n\n\ndef main():\n    ret", "\n\n\nif x is None:\n    pri", "(x)\n"),
        temperature=1.0,
        max_new_tokens=8,
        seed=3,
        num_candidates=3,
    ),
    InfillRequest(
        parts=("class Counter:\n",), sampling=SamplingParams(temperature=0.7, top_k=20, max_new_tokens=20)
    ),
    InfillRequest(
        parts=("for item in items:\n    " * 6, "\n"),
        sampling=SamplingParams(temperature=1.0, min_p=0.01, max_new_tokens=3),
    ),
    InfillRequest(
        parts=("def main():\n    ret", "\nx"), sampling=SamplingParams(temperature=0.0, max_new_tokens=5)
    ),
    InfillRequest(
        parts=("",),
        sampling=SamplingParams(temperature=1.0, repetition_penalty=1.5, max_new_tokens=16),
        num_candidates=2,
    ),
]


@pytest.fixture
def make_engine(fast: InfillModel) -> Callable[[int | None], Engine]:
    def make(max_active: int | None) -> Engine:
        assert isinstance(fast.language_model, TransformerModel)
        return Engine(fast.language_model, max_active)

    return make


def outcome(result: InfillResult) -> list[tuple[tuple[str, ...], object]]:
    return [
        (candidate.infills, pytest.approx(candidate.total_logprob, rel=1e-3))
        for candidate in result.candidates
    ]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chosen=st.lists(st.sampled_from(range(len(REQUESTS))), min_size=1, max_size=8),
    max_active=st.integers(1, 6),
)
def test_a_result_does_not_depend_on_who_else_is_there(
    fast: InfillModel, make_engine: Callable[[int | None], Engine], chosen: list[int], max_active: int
) -> None:
    engine = make_engine(max_active)
    tasks = [engine.submit(fast.generation(REQUESTS[index])) for index in chosen]
    engine.run()
    for index, task in zip(chosen, tasks, strict=True):
        alone = fast.run(REQUESTS[index])
        assert outcome(task.result()) == outcome(alone)


def test_short_tasks_end_before_long_ones_that_came_earlier(
    fast: InfillModel, make_engine: Callable[[int | None], Engine]
) -> None:
    engine = make_engine(2)
    long = engine.submit(
        fast.generation(InfillRequest.from_settings(("x",), temperature=1.0, max_new_tokens=60))
    )
    short = engine.submit(
        fast.generation(InfillRequest.from_settings(("y",), temperature=1.0, max_new_tokens=2))
    )
    last = engine.submit(
        fast.generation(InfillRequest.from_settings(("z",), temperature=1.0, max_new_tokens=2))
    )
    while not last.done():
        assert engine.step()
    assert short.done()
    assert not long.done()


def test_a_cancelled_task_leaves_the_others_and_gives_its_memory_back(
    fast: InfillModel, make_engine: Callable[[int | None], Engine]
) -> None:
    assert isinstance(fast.language_model, TransformerModel)
    engine, pool = make_engine(4), fast.language_model.runner.pool
    tasks = [engine.submit(fast.generation(request)) for request in REQUESTS[:3]]
    for _ in range(3):
        engine.step()
    assert pool.num_free < pool.num_blocks
    tasks[1].cancel()
    engine.run()
    with pytest.raises(CancelledError):
        tasks[1].result()
    assert all(task.result().text for task in (tasks[0], tasks[2]))
    assert pool.num_free == pool.num_blocks


def test_a_task_that_fails_leaves_the_others(
    fast: InfillModel, make_engine: Callable[[int | None], Engine]
) -> None:
    engine = make_engine(2)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    bad = engine.submit(fast.generation(REQUESTS[1], on_text=fail))
    good = engine.submit(fast.generation(REQUESTS[0]))
    engine.run()
    with pytest.raises(ZeroDivisionError):
        bad.result()
    assert good.result().infills


def test_a_request_of_another_model_is_refused_and_leaves_the_cache_alone(
    fast: InfillModel, make_engine: Callable[[int | None], Engine]
) -> None:
    own = fast.language_model
    assert isinstance(own, TransformerModel)
    other = InfillModel(TransformerModel(own.transformer), fast.tokenizer)  # same class, same weights
    assert isinstance(other.language_model, TransformerModel)
    engine, other_pool = make_engine(2), other.language_model.runner.pool
    wrong = engine.submit(other.generation(REQUESTS[0]))
    right = engine.submit(fast.generation(REQUESTS[0]))
    engine.run()
    with pytest.raises(IncoderError, match="another model"):
        wrong.result()
    assert outcome(right.result()) == outcome(run_alone(fast.generation(REQUESTS[0])))
    assert own.runner.pool.num_free == own.runner.pool.num_blocks
    assert other_pool.num_free == other_pool.num_blocks


def test_an_interrupt_ends_the_task_in_which_it_comes_and_is_passed_on(
    fast: InfillModel, make_engine: Callable[[int | None], Engine]
) -> None:
    engine = make_engine(2)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    interrupted = engine.submit(fast.generation(REQUESTS[1], on_text=interrupt))
    good = engine.submit(fast.generation(REQUESTS[0]))
    with pytest.raises(KeyboardInterrupt):
        engine.run()
    engine.run()
    with pytest.raises(KeyboardInterrupt):
        interrupted.result()
    assert good.result().infills


def test_where_reading_fails_all_who_were_reading_fail_and_the_next_do_not(
    fast: InfillModel, make_engine: Callable[[int | None], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(fast.language_model, TransformerModel)
    engine, runner = make_engine(2), fast.language_model.runner
    tasks = [engine.submit(fast.generation(request)) for request in REQUESTS[:3]]
    with monkeypatch.context() as patch:
        patch.setattr(runner, "compute", lambda _: 1 / 0)
        engine.step()
    engine.run()
    for task in tasks[:2]:
        with pytest.raises(ZeroDivisionError):
            task.result()
    assert tasks[2].result().infills
    assert runner.pool.num_free == runner.pool.num_blocks


def test_a_task_that_begins_with_too_little_fails_and_gives_its_memory_back(
    fast: InfillModel, make_engine: Callable[[int | None], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[CachedSequences] = []
    monkeypatch.setattr(CachedSequences, "schedule", lambda *_, **__: 1 / 0)
    monkeypatch.setattr(CachedSequences, "close", lambda self: closed.append(self))
    engine = make_engine(2)
    task = engine.submit(fast.generation(REQUESTS[0]))
    engine.run()
    assert len(closed) == 1
    with pytest.raises(ZeroDivisionError):
        task.result()


@pytest.mark.parametrize("max_new_tokens", [1, 12])
@pytest.mark.parametrize("other", [0, 1])
def test_a_task_may_be_cancelled_by_what_it_writes(
    fast: InfillModel, make_engine: Callable[[int | None], Engine], max_new_tokens: int, other: int
) -> None:
    engine = make_engine(2)
    request = InfillRequest.from_settings(
        ("def main():\n    ret", "\n"), temperature=0.0, max_new_tokens=max_new_tokens
    )
    tasks: list[Future[InfillResult]] = []

    def cancel(*_: object) -> None:
        tasks[other].cancel()

    tasks.append(engine.submit(fast.generation(request, on_text=cancel)))
    tasks.append(engine.submit(fast.generation(REQUESTS[2])))
    engine.run()
    with pytest.raises(CancelledError):
        tasks[other].result()
    assert tasks[1 - other].result().infills


def test_text_is_streamed_as_it_is_written(
    fast: InfillModel, make_engine: Callable[[int | None], Engine]
) -> None:
    pieces: dict[int, dict[int, list[str]]] = {index: {0: [], 1: []} for index in range(3)}
    engine = make_engine(2)
    task = engine.submit(
        fast.generation(REQUESTS[1], on_text=lambda one: pieces[one.candidate][one.hole].append(one.text))
    )
    engine.run()
    streamed = {tuple(map(whole, map("".join, holes.values()))) for holes in pieces.values()}
    assert streamed == {tuple(map(whole, candidate.infills)) for candidate in task.result().candidates}
    assert max(len(texts) for holes in pieces.values() for texts in holes.values()) > 1


def whole(text: str) -> str:
    """Without a character that was cut off at the end, which is not streamed."""
    return text.rstrip("\N{REPLACEMENT CHARACTER}")


def test_stop_strings_are_never_streamed(fast: InfillModel) -> None:
    whole = fast.complete("def main():\n", temperature=1.0, max_new_tokens=30, seed=5).infills[0]
    starts = (start for start in range(3, len(whole) - 4) if "\ufffd" not in whole[start - 1 : start + 4])
    start = next(starts)  # a random model writes bytes that are no text
    stop = whole[start : start + 4]
    pieces: list[str] = []
    request = InfillRequest(
        parts=("def main():\n",),
        sampling=SamplingParams(temperature=1.0, max_new_tokens=30, seed=5, stop=(stop,)),
    )
    generation = fast.generation(request, on_text=lambda piece: pieces.append(piece.text))
    assert isinstance(fast.language_model, TransformerModel)
    engine = Engine(fast.language_model)
    task = engine.submit(generation)
    engine.run()
    assert "".join(pieces) == task.result().infills[0] == whole[: whole.index(stop)]


def test_a_time_limit_keeps_what_was_written(fast: InfillModel) -> None:
    result = fast.complete("x = ", temperature=1.0, max_new_tokens=100, time_limit=1e-9)
    assert result.candidates[0].finish_reasons == ("time",)


BLOCKS_OF_ONE_CONTEXT = 160 // BLOCK_SIZE
LONG = InfillRequest.from_settings(
    ("for item in items:\n    " * 4,), temperature=1.0, max_new_tokens=30, seed=2
)


@pytest.fixture
def small(fast: InfillModel) -> InfillModel:
    """A model whose cache has room for little more than one context."""
    assert isinstance(fast.language_model, TransformerModel)
    language_model = TransformerModel(fast.language_model.transformer, BLOCKS_OF_ONE_CONTEXT + 2)
    return InfillModel(language_model, fast.tokenizer)


def pool_of(model: InfillModel) -> BlockPool:
    assert isinstance(model.language_model, TransformerModel)
    return model.language_model.runner.pool


def test_a_request_that_does_not_fit_waits_and_the_others_go_on(small: InfillModel) -> None:
    engine, pool = Engine(small.language_model), pool_of(small)
    futures = [engine.submit(small.generation(LONG)) for _ in range(3)]
    two_tokens = InfillRequest.from_settings(("x",), temperature=1.0, max_new_tokens=2)
    short = engine.submit(small.generation(two_tokens))
    num_done = []
    while engine.step():
        num_done.append(sum(future.done() for future in futures))
        assert pool.num_blocks == BLOCKS_OF_ONE_CONTEXT + 2
    assert 1 in num_done  # one ended while others waited
    alone = outcome(run_alone(small.generation(LONG)))
    assert [outcome(future.result()) for future in futures] == [alone] * 3
    assert short.result().infills
    assert pool.num_free == pool.num_blocks


def test_blocks_that_a_running_request_shares_need_not_be_free(small: InfillModel) -> None:
    """Two with one prompt run side by side in a cache that could not hold it twice."""
    engine = Engine(small.language_model)
    futures = [engine.submit(small.generation(LONG)) for _ in range(2)]
    engine.step()
    assert len(engine._active) == 1
    engine.step()
    assert len(engine._active) == 2
    engine.run()
    assert outcome(futures[0].result()) == outcome(futures[1].result())


def test_requests_are_admitted_in_the_order_in_which_they_came(
    small: InfillModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small one that would fit does not overtake a large one that waits: no request starves."""
    admitted = list[object]()
    start = _Request.start

    def noting(request: _Request[InfillResult]) -> None:
        admitted.append(request.future)
        start(request)

    monkeypatch.setattr(_Request, "start", noting)
    engine = Engine(small.language_model)
    large = replace(LONG, sampling=replace(LONG.sampling, max_new_tokens=60))
    little = InfillRequest.from_settings(("x",), temperature=1.0, max_new_tokens=2)
    other = replace(large, cache_salt="other")  # so that it waits for free blocks, not for those of the first
    futures = [engine.submit(small.generation(request)) for request in (large, other, little)]
    engine.run()
    assert list(dict.fromkeys(admitted)) == futures


def test_a_request_that_can_never_fit_fails_with_what_to_do(small: InfillModel) -> None:
    engine, pool = Engine(small.language_model), pool_of(small)
    beside = engine.submit(small.generation(REQUESTS[0]))
    too_large = engine.submit(small.generation(replace(LONG, num_candidates=12)))
    after = engine.submit(small.generation(REQUESTS[0]))
    engine.run()
    with pytest.raises(IncoderError, match="holds 192 tokens of all its candidates together; ask for fewer"):
        too_large.result()
    assert outcome(beside.result()) == outcome(after.result())
    assert pool.num_free == pool.num_blocks


def test_alone_the_same_request_makes_the_cache_grow_and_shrink_again(small: InfillModel) -> None:
    pool = pool_of(small)
    num_blocks = pool.num_blocks
    result = run_alone(small.generation(replace(LONG, num_candidates=12)))
    assert len(result.candidates) > 1
    assert pool.num_free == pool.num_blocks == num_blocks


def test_requests_that_run_out_of_blocks_are_preempted_and_give_the_same_results(
    small: InfillModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their prompts fit side by side, their candidates do not."""
    preempted = list[object]()
    preempt = _Request.preempt

    def noting(request: _Request[InfillResult]) -> None:
        preempted.append(request)
        preempt(request)

    monkeypatch.setattr(_Request, "preempt", noting)
    texts = ("def main():\n    ret", "\n"), ("import os\n\n\nclass A:\n", "\n    pass\n")
    requests = [
        InfillRequest.from_settings(text, temperature=1.0, max_new_tokens=30, seed=4, num_candidates=2)
        for text in texts
    ]
    alone = [outcome(run_alone(small.generation(request))) for request in requests]
    engine, pool = Engine(small.language_model), pool_of(small)
    futures = [engine.submit(small.generation(request)) for request in requests]
    engine.run()
    assert [outcome(future.result()) for future in futures] == alone
    assert preempted
    assert pool.num_free == pool.num_blocks


def test_a_request_is_cancelled_during_prefill(fast: InfillModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduled_sequence.step, "__kwdefaults__", {"may_grow": True})
    monkeypatch.setattr(scheduled_sequence.step, "__defaults__", (8,))  # tokens of a step
    written = list[str]()
    engine, pool = Engine(fast.language_model), pool_of(fast)
    prefilling = engine.submit(fast.generation(LONG, on_text=lambda piece: written.append(piece.text)))
    assert engine.step()
    assert pool.num_free < pool.num_blocks
    assert prefilling.cancel()
    assert not engine.step()
    assert prefilling.cancelled()
    assert written == []
    assert pool.num_free == pool.num_blocks


def test_a_request_is_cancelled_while_it_waits(
    fast: InfillModel, make_engine: Callable[[int], Engine]
) -> None:
    engine = make_engine(1)
    first, waiting = (engine.submit(fast.generation(request)) for request in REQUESTS[:2])
    engine.step()
    waiting.cancel()
    engine.run()
    assert first.result().infills
    assert waiting.cancelled()


def test_a_model_without_a_cache_is_refused(dice: InfillModel) -> None:
    with pytest.raises(IncoderError, match="got a FakeModel"):
        Engine(dice.language_model)
    with pytest.raises(IncoderError, match="max_active must be at least 1, got 0"):
        Engine(TransformerModel.__new__(TransformerModel), max_active=0)


def counted_tokens(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of tokens of each chunk that is computed from here on."""
    counts: list[int] = []
    compute = engine._runner.compute

    def counting(chunks: list[Chunk]) -> list[Tensor]:
        counts.extend(len(chunk.token_ids) for chunk in chunks)
        return compute(chunks)

    monkeypatch.setattr(engine._runner, "compute", counting)
    return counts


@pytest.mark.parametrize("num_tokens", [16, 40, 512])
def test_a_common_prefix_is_computed_once_by_requests_that_come_together(
    fast: InfillModel,
    make_engine: Callable[[int | None], Engine],
    monkeypatch: pytest.MonkeyPatch,
    num_tokens: int,
) -> None:
    monkeypatch.setattr(scheduled_sequence.step, "__defaults__", (num_tokens,))
    engine = make_engine(None)
    prompt = "def first(items):\n    for item in items:\n        return item\n" * 3
    requests = [
        InfillRequest.from_settings((prompt + end,), max_new_tokens=2, temperature=0, cache_salt="common")
        for end in ("x", "y", "x", "import os")
    ]
    counts = counted_tokens(engine, monkeypatch)
    futures = [engine.submit(fast.generation(request)) for request in requests]
    engine.run()
    num_prompt = [future.result().usage.num_prompt_tokens for future in futures]
    num_shared = min(num_prompt) // BLOCK_SIZE * BLOCK_SIZE - BLOCK_SIZE
    assert sum(counts) <= sum(num_prompt) - 3 * num_shared + 2 * len(requests)
    assert [outcome(future.result()) for future in futures] == [outcome(fast.run(one)) for one in requests]


def test_a_request_that_waits_for_a_block_lets_others_pass(
    fast: InfillModel, make_engine: Callable[[int | None], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduled_sequence.step, "__defaults__", (16,))
    engine = make_engine(None)
    long = InfillRequest.from_settings(
        ("for item in items:\n    " * 12,), max_new_tokens=2, cache_salt="passing"
    )
    short = InfillRequest.from_settings(("y",), max_new_tokens=1)
    futures = [engine.submit(fast.generation(request)) for request in (long, long, short)]
    while not futures[2].done():
        assert engine.step()
    assert not futures[0].done()
    engine.run()
    assert outcome(futures[0].result()) == outcome(futures[1].result())


def test_a_request_goes_on_alone_when_the_one_that_it_waited_for_is_cancelled(
    fast: InfillModel, make_engine: Callable[[int | None], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduled_sequence.step, "__defaults__", (16,))
    engine = make_engine(None)
    long = InfillRequest.from_settings(
        ("for item in items:\n    " * 12,), max_new_tokens=2, cache_salt="cancelled"
    )
    first, second = (engine.submit(fast.generation(long)) for _ in range(2))
    engine.step()
    first.cancel()
    engine.run()
    assert second.result().usage.num_cached_tokens == 16


def test_a_preempted_request_keeps_its_cache_salt(small: InfillModel) -> None:
    """A request without a salt must not find what a salted one computed after it was preempted."""
    engine = Engine(small.language_model)
    salted = [replace(LONG, cache_salt=name) for name in "abc"]
    futures = [engine.submit(small.generation(request)) for request in salted]
    engine.run()
    assert all(future.result().infills for future in futures)
    assert small.run(LONG).usage.num_cached_tokens == 0
