"""Requests from many threads and from asyncio, which one thread runs."""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from contextlib import suppress

import pytest

from incoder.errors import IncoderError
from incoder.inference.cache.blocks import BlockPool
from incoder.inference.engine.cached_sequences import TransformerModel
from incoder.inference.engine.worker import EngineWorker
from incoder.inference.infill_model import InfillModel
from incoder.inference.language_model import run_alone
from incoder.inference.scoring import score_rows
from incoder.request import InfillRequest
from incoder.results import InfillResult, TextPiece

SHORT = InfillRequest.from_settings(("def main():\n    ret", "\n"), temperature=1.0, max_new_tokens=6, seed=1)
SEVERAL = InfillRequest.from_settings(
    ("import os\n\n\ndef main():\n    ret", "\n\n\nif x is None:\n    pri", "(x)\n"),
    temperature=1.0,
    max_new_tokens=5,
    seed=3,
    num_candidates=3,
)
LONG = InfillRequest.from_settings(("x",), temperature=1.0, max_new_tokens=120, seed=2)
ROWS = [[5, 6, 7, 8], [5, 6, 9]]

# The engine's tests have all shapes of the network; here one is enough.
pytestmark = pytest.mark.parametrize("transformer", ["llama"], indirect=True)


@pytest.fixture
def transformer_model(fast: InfillModel) -> TransformerModel:
    assert isinstance(fast.language_model, TransformerModel)
    return fast.language_model


@pytest.fixture
def pool(transformer_model: TransformerModel) -> BlockPool:
    return transformer_model.runner.pool


@pytest.fixture
def worker(fast: InfillModel) -> Iterator[EngineWorker]:
    with EngineWorker(fast.language_model) as worker:
        yield worker
        worker.close(cancel=True)


def infills(result: InfillResult) -> list[tuple[str, ...]]:
    return [candidate.infills for candidate in result.candidates]


def stuck(entered: threading.Event, release: threading.Event) -> Callable[[TextPiece], None]:
    """A callback that holds the worker's thread until it is released."""

    def on_text(_piece: TextPiece) -> None:
        entered.set()
        assert release.wait(60)

    return on_text


def test_many_threads_submit_cancel_and_score_at_once(
    fast: InfillModel, worker: EngineWorker, pool: BlockPool
) -> None:
    expected = [infills(run_alone(fast.generation(request))) for request in (SHORT, SEVERAL)]
    scores = run_alone(score_rows(fast.language_model, ROWS, 1))

    def use(number: int) -> bool:
        kind = number % 4
        if kind == 3:
            future = worker.submit(fast.generation(LONG))
            future.cancel()
            return future.cancelled()
        if kind == 2:
            found = worker.run(score_rows(fast.language_model, ROWS, 1))
            return found == [pytest.approx(row, abs=1e-3) for row in scores]
        return infills(worker.run(fast.generation((SHORT, SEVERAL)[kind]))) == expected[kind]

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(use, range(24)))
    worker.close()
    assert pool.num_free == pool.num_blocks


def test_calls_of_a_model_from_several_threads_are_safe_without_a_worker(
    fast: InfillModel, pool: BlockPool
) -> None:
    expected = [infills(run_alone(fast.generation(request))) for request in (SHORT, SEVERAL)]
    with ThreadPoolExecutor(4) as threads:
        found = threads.map(
            lambda number: infills(run_alone(fast.generation((SHORT, SEVERAL)[number % 2]))), range(12)
        )
        assert list(found) == expected * 6
    assert pool.num_free == pool.num_blocks


def test_an_error_of_one_request_stays_its_own(fast: InfillModel, worker: EngineWorker) -> None:
    for error in (ZeroDivisionError, KeyboardInterrupt):

        def fail(*_: object, error: type[BaseException] = error) -> None:
            raise error

        bad, good = (
            worker.submit(fast.generation(SEVERAL, on_text=fail)),
            worker.submit(fast.generation(SHORT)),
        )
        assert good.result(60).infills
        with pytest.raises(error):
            bad.result(60)


def test_text_is_streamed_by_callbacks_in_the_workers_thread(fast: InfillModel, worker: EngineWorker) -> None:
    pieces, threads = list[str](), set[str]()

    def on_text(piece: TextPiece) -> None:
        pieces.append(piece.text)
        threads.add(threading.current_thread().name)

    result = worker.run(fast.generation(LONG, on_text=on_text))
    assert "".join(pieces) == result.infills[0].rstrip("\N{REPLACEMENT CHARACTER}")
    assert threads == {"incoder-engine"}


def test_a_running_request_is_cancelled_between_two_steps(
    fast: InfillModel, worker: EngineWorker, pool: BlockPool
) -> None:
    entered, release = threading.Event(), threading.Event()
    running = worker.submit(fast.generation(LONG, on_text=stuck(entered, release)))
    assert entered.wait(60)
    assert running.cancel()
    release.set()
    with pytest.raises(CancelledError):
        running.result()
    worker.close()
    assert pool.num_free == pool.num_blocks


def test_cancelled_requests_count_as_done_for_those_who_wait(fast: InfillModel, worker: EngineWorker) -> None:
    futures = [worker.submit(fast.generation(LONG)) for _ in range(3)]
    futures[1].cancel()
    done, left = wait(futures, timeout=60)
    assert done == set(futures)
    assert not left


def test_asyncio_waits_for_results_and_cancels(
    fast: InfillModel, worker: EngineWorker, pool: BlockPool
) -> None:
    async def use() -> list[InfillResult]:
        task = asyncio.ensure_future(worker.generate(fast.generation(LONG)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await asyncio.gather(*(worker.generate(fast.generation(SHORT)) for _ in range(3)))

    expected = infills(run_alone(fast.generation(SHORT)))
    assert [infills(result) for result in asyncio.run(use())] == [expected] * 3
    worker.close()
    assert pool.num_free == pool.num_blocks


def test_a_callback_may_use_the_worker(fast: InfillModel, worker: EngineWorker) -> None:
    inner = list[InfillResult]()

    def on_text(*_: object) -> None:
        if not inner:
            inner.append(worker.run(fast.generation(SHORT)))

    assert worker.run(fast.generation(SEVERAL, on_text=on_text)).infills
    assert infills(inner[0]) == infills(run_alone(fast.generation(SHORT)))


def test_closing_finishes_what_was_submitted(fast: InfillModel) -> None:
    with EngineWorker(fast.language_model) as worker:
        futures = [worker.submit(fast.generation(SHORT)) for _ in range(3)]
    assert all(future.done() for future in futures)
    assert len({future.result().infills for future in futures}) == 1
    with pytest.raises(IncoderError, match="the EngineWorker is closed"):
        worker.submit(fast.generation(SHORT))


def test_closing_with_cancel_ends_what_was_submitted(fast: InfillModel, pool: BlockPool) -> None:
    worker = EngineWorker(fast.language_model)
    futures = [worker.submit(fast.generation(LONG)) for _ in range(3)]
    worker.close(cancel=True)
    assert all(future.cancelled() for future in futures)
    assert pool.num_free == pool.num_blocks


def test_a_callback_may_close_the_worker(fast: InfillModel) -> None:
    worker = EngineWorker(fast.language_model)
    future = worker.submit(fast.generation(LONG, on_text=lambda *_: worker.close(cancel=True)))
    with pytest.raises(CancelledError):
        future.result(60)


def test_a_forgotten_worker_ends_its_thread(fast: InfillModel) -> None:
    worker = EngineWorker(fast.language_model)
    thread = worker._thread
    del worker
    gc.collect()
    thread.join(60)
    assert not thread.is_alive()


def test_a_fault_of_the_engine_fails_the_requests_and_not_the_worker(
    fast: InfillModel, worker: EngineWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(worker._control.engine, "_admit", lambda: 1 / 0)
        future = worker.submit(fast.generation(SHORT))
        with pytest.raises(ZeroDivisionError):
            future.result(60)
    assert worker.run(fast.generation(SHORT)).infills


def test_a_worker_that_dies_fails_its_requests_and_says_that_it_is_dead(
    fast: InfillModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever for a thread that has ended."""
    worker = EngineWorker(fast.language_model)
    assert worker.is_alive

    def fail() -> bool:
        raise MemoryError

    monkeypatch.setattr(worker._control, "wait_for_work", fail)
    futures = []
    while worker.is_alive:
        with suppress(IncoderError):
            futures.append(worker.submit(fast.generation(LONG)))
    for future in futures:
        with suppress(MemoryError):
            assert future.result(timeout=10)
    with pytest.raises(IncoderError, match="closed"):
        worker.submit(fast.generation(SHORT))
