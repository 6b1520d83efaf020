"""The paths of the files that the stages of one build leave for each other, in the folder of the run."""

from pathlib import Path

ROW_BITS = 32  # a document's position is its shard's number and, in the low bits, its row


def shard_file(run: Path, shard: int) -> Path:
    return run / "shards" / f"{shard:06}"


def documents_file(run: Path, shard: int) -> Path:
    """The documents of an input shard that passed the filters."""
    return run / "documents" / f"{shard:06}.parquet"


def signatures_file(run: Path, shard: int) -> Path:
    """Their signatures, ordered by the partition of the search for duplicates that each belongs to."""
    return run / "signatures" / f"{shard:06}.npy"


def sketches_file(run: Path, shard: int) -> Path:
    return run / "sketches" / f"{shard:06}.npy"


def read_report_file(run: Path, shard: int) -> Path:
    """The drops and counts of an input shard: the last file that reading it writes."""
    return run / "read" / "reports" / f"{shard:06}"


def drops_file(run: Path, stage: str, task: int) -> Path:
    """A row for each file that a task dropped, if the build keeps drops."""
    return run / stage / "drops" / f"{task:06}"


def duplicates_file(run: Path, search: str, partition: int) -> Path:
    """The positions of the documents to drop, each with that of its kept duplicate."""
    return run / "duplicates" / f"{search}-{partition:06}.npy"


def duplicates_checksum_file(run: Path, search: str, partition: int) -> Path:
    return run / "duplicates" / f"{search}-{partition:06}"


def damaged_file(run: Path, shard: int) -> Path:
    """A file that exists if a later stage found the documents of an input shard damaged."""
    return run / "damaged" / f"{shard:06}"


def decisions_file(run: Path) -> Path:
    """The decisions that need all shards, such as which projects are held out."""
    return run / "decisions"


def written_file(run: Path, group: int, split: str) -> Path:
    return run / "written" / f"{split}-{group:06}.parquet"


def encoder_file(run: Path) -> Path:
    return run / "encoder"


def encoded_name(run: Path, task: int) -> tuple[Path, str]:
    """The folder and the name of the token shard that a task of encoding writes."""
    return run / "encoded", f"{task:06}"


def encoded_digests_file(run: Path, task: int) -> Path:
    """The SHA-256 of each file of that shard, by its name."""
    return run / "encode" / "digests" / f"{task:06}"


def write_report_file(run: Path, group: int) -> Path:
    return run / "write" / "reports" / f"{group:06}"
