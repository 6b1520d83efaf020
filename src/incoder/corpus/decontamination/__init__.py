"""What models are judged by, kept out of what they learn from: by repository, and by content."""

from incoder.corpus.decontamination.benchmarks import BenchmarkTasks, decontaminated
from incoder.corpus.decontamination.repositories import ListedRepositories
from incoder.corpus.decontamination.settings import DecontaminationSettings

__all__ = ["BenchmarkTasks", "DecontaminationSettings", "ListedRepositories", "decontaminated"]
