"""All models of the server: found by name, loaded at first use within a memory bound, unloaded when idle.

Used in the event loop's thread; models load and end in threads beside it.
"""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Callable, Sequence

from incoder.server.dialects.markers import split_alias
from incoder.server.models.served_model import LoadedModel, ModelSource, Note
from incoder.server.request_error import RequestError


class _Place:
    """A source and its loaded model, if it is loaded."""

    def __init__(self, source: ModelSource) -> None:
        self.source = source
        self.loaded: LoadedModel | None = None
        self.loading: asyncio.Task[LoadedModel] | None = None
        self.num_users = 0
        self.last_used = time.monotonic()


class ServedModels:
    """The models of a server; the first one is the default.

    At most `max_bytes` of models are loaded at once (None: no bound): those that were not used for longest
    are unloaded for another one, unless they are in use. A model that was not used for `idle_seconds` is
    unloaded as well.
    """

    def __init__(
        self,
        sources: Sequence[ModelSource],
        *,
        max_bytes: int | None = None,
        idle_seconds: float | None = None,
        note: Note = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places = {source.facts.name: _Place(source) for source in sources}
        self._max_bytes = max_bytes
        self._idle_seconds = idle_seconds
        self._note = note
        self._clock = clock
        self._changing = asyncio.Lock()  # one model is loaded or unloaded at a time
        self._idle_task: asyncio.Task[None] | None = None
        self.is_ready = False

    @property
    def sources(self) -> list[ModelSource]:
        """All models, the default one first."""
        return [place.source for place in self._places.values()]

    @property
    def default(self) -> ModelSource:
        return self.sources[0]

    def find(self, name: str, *, any_model: bool = False) -> ModelSource:
        """Return the model of this name; an empty name, and with `any_model` an unknown one, is the default.

        An alias that declares a family's markers (dialects/markers.py) is a name, too.

        Raises:
            RequestError: there is no such model; the message names those there are.
        """
        if name not in self._places:
            name = split_alias(name)[1]
        if name in self._places:
            return self._places[name].source
        if not name or any_model:
            return self.default
        known = ", ".join(self._places)
        raise RequestError(404, f"this server has no such model; it serves {known}", "not_found_error")

    def is_loaded(self, name: str) -> bool:
        """Whether the model is in memory. Asking neither loads it nor keeps it there."""
        return self._places[name].loaded is not None

    def loaded(self, name: str) -> LoadedModel | None:
        """Return the model if it is in memory, for looking at it only."""
        return self._places[name].loaded

    async def start(self) -> None:
        """Load the default model; the server is ready afterwards.

        Raises:
            IncoderError: it cannot be loaded.
        """
        async with self.use(self.default.facts.name):
            self.is_ready = True
        if self._idle_seconds is not None:
            self._idle_task = asyncio.create_task(self._unload_idle(self._idle_seconds))

    @contextlib.asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[LoadedModel]:
        """Load the model unless it is loaded, and keep it loaded in the `async with` block.

        Raises:
            RequestError: it does not fit beside the models that are in use.
            IncoderError: it cannot be loaded.
        """
        place = self._places[name]
        place.num_users += 1
        try:
            if place.loaded is None or not place.loaded.is_alive:
                if place.loading is None:
                    place.loading = asyncio.create_task(self._load(place))
                    place.loading.add_done_callback(lambda task: task.cancelled() or task.exception())
                await asyncio.shield(place.loading)  # who waits may leave; loading goes on for the next one
            assert place.loaded is not None
            yield place.loaded
        finally:
            place.num_users -= 1
            place.last_used = self._clock()

    async def unload(self, name: str) -> bool:
        """Free the model's memory unless it is in use; return whether it is free."""
        place = self._places[name]
        async with self._changing:
            if place.num_users == 0:
                await self._drop(place)
        return place.loaded is None

    async def close(self) -> None:
        """Unload all models."""
        self.is_ready = False
        if self._idle_task is not None:
            self._idle_task.cancel()
        async with self._changing:
            for place in self._places.values():
                await self._drop(place)

    async def _load(self, place: _Place) -> LoadedModel:
        try:
            async with self._changing:
                await self._drop(place)  # it may have died
                await self._make_space(place)
                place.loaded = await asyncio.to_thread(place.source.load, self._note)
                return place.loaded
        finally:
            place.loading = None

    async def _make_space(self, new: _Place) -> None:
        if self._max_bytes is None:
            return
        needed = new.source.facts.num_bytes
        while True:
            others = [place for place in self._places.values() if place.loaded is not None]
            if sum(place.source.facts.num_bytes for place in others) + needed <= self._max_bytes:
                return
            idle = [place for place in others if place.num_users == 0]
            if not others:
                return  # alone it may be larger than the bound: there is no other way to serve it
            if not idle:
                raise RequestError(
                    503,
                    f"{new.source.facts.name} does not fit into memory beside the models that are in use; "
                    "try again, or start the server with more --model-memory",
                    "unavailable_error",
                    retry_after=5,
                )
            await self._drop(min(idle, key=lambda place: place.last_used))

    async def _drop(self, place: _Place) -> None:
        loaded, place.loaded = place.loaded, None
        if loaded is not None:
            self._note(f"unloading {place.source.facts.name}")
            await asyncio.to_thread(loaded.close)
            del loaded
            gc.collect()  # a model and its callbacks refer to each other

    async def _unload_idle(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(min(seconds / 4, 5.0))
            for name, place in self._places.items():
                if place.loaded is not None and self._clock() - place.last_used >= seconds:
                    await self.unload(name)
