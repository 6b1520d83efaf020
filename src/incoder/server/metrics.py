"""Counters for Prometheus, in a registry of their own for each application. They hold no code."""

import functools

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from incoder.server.call import Answer
from incoder.server.jobs import Jobs
from incoder.server.models.served_models import ServedModels

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.35, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "incoder_requests",
            "Requests by dialect and outcome.",
            ["dialect", "outcome"],
            registry=self.registry,
        )
        self.first_token_seconds = Histogram(
            "incoder_first_token_seconds",
            "Seconds from a request's arrival to its first token.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "incoder_request_seconds",
            "Seconds from a request's arrival to its answer.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.prompt_tokens = self._counter("prompt_tokens", "Tokens of prompts.")
        self.cached_tokens = self._counter("cached_tokens", "Tokens of prompts that were found in the cache.")
        self.completion_tokens = self._counter("completion_tokens", "Tokens written.")
        self.decode_seconds = self._counter("decode_seconds", "Seconds in which tokens were written.")
        self.draft_tokens = self._counter("draft_tokens", "Tokens drafted by prompt lookup.")
        self.accepted_tokens = self._counter("accepted_tokens", "Drafted tokens that were accepted.")
        self.suggestions = Counter(
            "incoder_suggestions",
            "Suggestions by event, as clients report them.",
            ["event"],
            registry=self.registry,
        )

    def observe(self, answer: Answer) -> None:
        """Count the tokens and the time of an answer."""
        self.request_seconds.observe(answer.total_seconds)
        timing = answer.results[0].timing
        if timing is not None:
            self.first_token_seconds.observe(answer.queued_seconds + timing.prefill_seconds)
        for result in answer.results:
            usage = result.usage
            self.prompt_tokens.inc(usage.num_prompt_tokens)
            self.cached_tokens.inc(usage.num_cached_tokens)
            self.completion_tokens.inc(usage.num_completion_tokens)
            self.draft_tokens.inc(usage.num_draft_tokens)
            self.accepted_tokens.inc(usage.num_accepted_tokens)
            if result.timing is not None:
                self.decode_seconds.inc(result.timing.decode_seconds)

    def watch(self, jobs: Jobs, models: ServedModels) -> None:
        """Show how many jobs run and wait, and which models are in memory, whenever the page is read."""
        self._gauge("requests_running", "Requests that run now.").set_function(lambda: jobs.num_running)
        self._gauge("requests_waiting", "Requests in the queue.").set_function(lambda: jobs.num_waiting)
        loaded = Gauge("incoder_model_loaded", "Models in memory.", ["model"], registry=self.registry)
        for source in models.sources:
            name = source.facts.name
            loaded.labels(name).set_function(functools.partial(models.is_loaded, name))

    def page(self) -> bytes:
        """Return the counters in Prometheus's text format."""
        return generate_latest(self.registry)

    def _gauge(self, name: str, explanation: str) -> Gauge:
        return Gauge(f"incoder_{name}", explanation, registry=self.registry)

    def _counter(self, name: str, explanation: str) -> Counter:
        return Counter(f"incoder_{name}", explanation, registry=self.registry)
