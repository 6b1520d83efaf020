"""Jobs: admitted in order, cancelled in time, and never left behind."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.server.fakes import FakeSource, facts

from incoder.server.jobs import Jobs
from incoder.server.models.served_model import LoadedModel
from incoder.server.models.served_models import ServedModels
from incoder.server.request_error import RequestError
from incoder.server.settings import ServerSettings

Work = Callable[[LoadedModel], Awaitable[Any]]


def run(test: Callable[[Jobs], Awaitable[None]], **settings: Any) -> None:
    async def run_test() -> None:
        models = ServedModels([FakeSource(facts("m"))])
        jobs = Jobs(ServerSettings(**settings), models)
        await test(jobs)
        await jobs.close(0)
        assert jobs.num_running == jobs.num_waiting == 0

    asyncio.run(run_test())


async def forever(_: LoadedModel) -> None:
    await asyncio.Event().wait()


async def settle() -> None:
    """Let all tasks go as far as they can; the model is loaded in a thread."""
    for _ in range(20):
        await asyncio.sleep(0.005)


def test_jobs_beyond_the_queue_get_a_429_that_says_when_to_try_again() -> None:
    async def test(jobs: Jobs) -> None:
        admitted = [jobs.start("m", forever) for _ in range(3)]
        await settle()
        assert (jobs.num_running, jobs.num_waiting) == (2, 1)
        with pytest.raises(RequestError, match="2 requests run and 1 wait") as refused:
            jobs.start("m", forever)
        assert (refused.value.status, refused.value.retry_after) == (429, 1)
        admitted[0].cancel(RequestError(499, "gone"))
        await settle()
        assert (jobs.num_running, jobs.num_waiting) == (2, 0)

    run(test, max_concurrent=2, max_queue=1)


@pytest.mark.parametrize("max_concurrent", [1, 2])
def test_the_newest_job_of_a_slot_cancels_older_ones_that_run_or_wait(max_concurrent: int) -> None:
    async def test(jobs: Jobs) -> None:
        old = jobs.start("m", forever, slot="0", question="old")
        other_slot = jobs.start("m", forever, slot="1", question="old")
        no_slot = jobs.start("m", forever)
        await settle()
        new = jobs.start("m", forever, slot="0", question="new")
        with pytest.raises(RequestError, match="newer request") as replaced:
            await old.result()
        assert replaced.value.status == 409
        await settle()
        assert not any(one.is_done for one in (other_slot, no_slot, new))

    run(test, max_concurrent=max_concurrent)


def test_an_identical_job_of_a_slot_cancels_nothing() -> None:
    async def test(jobs: Jobs) -> None:
        first = jobs.start("m", forever, slot="0", question="same")
        second = jobs.start("m", forever, slot="0", question="same")
        await settle()
        assert not first.is_done
        third = jobs.start("m", forever, slot="0", question="other")
        await settle()
        assert (first.is_done, second.is_done, third.is_done) == (True, True, False)

    run(test)


def test_a_job_ends_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incoder.server.jobs.GRACE", 0.0)

    async def test(jobs: Jobs) -> None:
        job = jobs.start("m", forever)
        with pytest.raises(RequestError, match=r"longer than 0\.05 seconds") as late:
            await job.result()
        assert late.value.status == 504

    run(test, time_limit=0.05)


def test_closing_lets_jobs_finish_for_a_while_and_cancels_the_others() -> None:
    async def brief(_: LoadedModel) -> str:
        await asyncio.sleep(0.05)
        return "done"

    async def test(jobs: Jobs) -> None:
        short, long = jobs.start("m", brief), jobs.start("m", forever)
        await settle()
        await jobs.close(0.5)
        assert await short.result() == "done"
        with pytest.raises(RequestError, match="shutting down"):
            await long.result()
        with pytest.raises(RequestError, match="shutting down") as refused:
            jobs.start("m", brief)
        assert refused.value.status == 503

    run(test)


def test_a_failing_job_frees_its_place_and_its_message_stays_in_the_server() -> None:
    async def fail(_: LoadedModel) -> None:
        raise ZeroDivisionError("the user's code")

    async def test(jobs: Jobs) -> None:
        with pytest.raises(RequestError, match=r"has failed \(ZeroDivisionError\)") as failed:
            await jobs.start("m", fail).result()
        assert failed.value.status == 500
        assert "code" not in failed.value.message

    run(test)
