"""The server's state: settings, models, jobs, leases and metrics. One for each application."""

from dataclasses import dataclass, field

from incoder.server.jobs import Jobs
from incoder.server.leases import Leases
from incoder.server.metrics import Metrics
from incoder.server.models.served_models import ServedModels
from incoder.server.settings import ServerSettings

SHUTDOWN_SECONDS = 0.5  # for jobs that still run after uvicorn has waited for their connections


@dataclass(slots=True)
class Server:
    """The state that all exchanges share. Must be made in the event loop's thread."""

    settings: ServerSettings
    models: ServedModels
    leases: Leases = field(default_factory=Leases)
    metrics: Metrics = field(default_factory=Metrics)
    jobs: Jobs = field(init=False)

    def __post_init__(self) -> None:
        self.jobs = Jobs(self.settings, self.models)
        self.metrics.watch(self.jobs, self.models)
