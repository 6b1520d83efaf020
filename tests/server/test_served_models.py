"""Several models behind one port: found, loaded, unloaded, replaced."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.server.fakes import FakeSource, facts

from incoder.errors import IncoderError
from incoder.server.models.served_models import ServedModels
from incoder.server.request_error import RequestError


def run(
    test: Callable[[ServedModels, list[FakeSource]], Awaitable[None]], **settings: Any
) -> list[FakeSource]:
    sources = [FakeSource(facts(name, num_bytes=10)) for name in ("a", "b", "c")]

    async def run_test() -> None:
        models = ServedModels(sources, **settings)
        await test(models, sources)
        await models.close()

    asyncio.run(run_test())
    assert all(model.is_closed for source in sources for model in source.loaded)
    return sources


def test_a_model_is_found_by_its_name_and_the_first_one_without() -> None:
    async def test(models: ServedModels, _: list[FakeSource]) -> None:
        assert models.find("b").facts.name == "b"
        assert models.find("").facts.name == "a"
        assert models.find("unknown", any_model=True).facts.name == "a"
        with pytest.raises(RequestError, match="it serves a, b, c") as unknown:
            models.find("unknown")
        assert unknown.value.status == 404

    run(test)


def test_a_model_is_loaded_once_for_all_who_want_it() -> None:
    async def test(models: ServedModels, sources: list[FakeSource]) -> None:
        async def use() -> None:
            async with models.use("b"):
                await asyncio.sleep(0.01)

        await asyncio.gather(*(use() for _ in range(5)))
        assert [len(source.loaded) for source in sources] == [0, 1, 0]

    run(test)


def test_loading_goes_on_when_the_request_that_began_it_is_cancelled() -> None:
    async def test(models: ServedModels, _: list[FakeSource]) -> None:
        async def use() -> None:
            async with models.use("a"):
                pass

        task = asyncio.create_task(use())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        while not models.is_loaded("a"):
            await asyncio.sleep(0.005)

    run(test)


def test_the_model_unused_for_longest_makes_room_and_one_in_use_does_not() -> None:
    async def test(models: ServedModels, sources: list[FakeSource]) -> None:
        for name in ("a", "b"):
            async with models.use(name):
                pass
        async with models.use("a"), models.use("c"):  # b was unused for longer
            assert [models.is_loaded(name) for name in "abc"] == [True, False, True]
            with pytest.raises(RequestError, match="does not fit into memory") as refused:
                async with models.use("b"):
                    pass
            assert refused.value.status == 503
        assert sources[1].loaded[0].is_closed

    run(test, max_bytes=20)


def test_an_idle_model_is_unloaded_and_loaded_again_on_demand() -> None:
    async def test(models: ServedModels, sources: list[FakeSource]) -> None:
        await models.start()
        while models.is_loaded("a"):
            await asyncio.sleep(0.01)
            assert models.find("a")  # asking for its facts keeps nothing loaded
        assert models.is_ready
        async with models.use("a"):
            await asyncio.sleep(0.3)  # longer than the limit: in use
            assert models.is_loaded("a")
        assert len(sources[0].loaded) == 2

    run(test, idle_seconds=0.1)


def test_a_dead_model_is_loaded_again() -> None:
    async def test(models: ServedModels, sources: list[FakeSource]) -> None:
        async with models.use("a"):
            pass
        sources[0].loaded[0].is_alive = False
        async with models.use("a") as model:
            assert model is sources[0].loaded[1]
        assert sources[0].loaded[0].is_closed

    run(test)


def test_a_model_that_cannot_be_loaded_fails_its_users_and_is_tried_again() -> None:
    async def test(models: ServedModels, sources: list[FakeSource]) -> None:
        sources[0].failure = IncoderError("no such file")
        for _ in range(2):
            with pytest.raises(IncoderError, match="no such file"):
                async with models.use("a"):
                    pass
        sources[0].failure = None
        async with models.use("a"):
            pass

    run(test)
