"""What the stages of one build leave for each other, and where, below the folder of the run."""

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
    """What of an input shard was dropped: the last file that reading it leaves."""
    return run / "read" / "reports" / f"{shard:06}"


def drops_file(run: Path, stage: str, task: int) -> Path:
    """Each file that a task dropped, where that is asked for."""
    return run / stage / "drops" / f"{task:06}"


def duplicates_file(run: Path, search: str, partition: int) -> Path:
    """The documents to drop, by position, each with the one that stays for it."""
    return run / "duplicates" / f"{search}-{partition:06}.npy"


def duplicates_checksum_file(run: Path, search: str, partition: int) -> Path:
    return run / "duplicates" / f"{search}-{partition:06}"


def damaged_file(run: Path, shard: int) -> Path:
    """There where a later stage found the documents of an input shard damaged."""
    return run / "damaged" / f"{shard:06}"


def decisions_file(run: Path) -> Path:
    """What only all shards together could say: which projects are held out."""
    return run / "decisions"


def written_file(run: Path, group: int, split: str) -> Path:
    return run / "written" / f"{split}-{group:06}.parquet"


def encoder_file(run: Path) -> Path:
    return run / "encoder"


def encoded_name(run: Path, task: int) -> tuple[Path, str]:
    """The folder and the name of the shard that a task of encoding leaves."""
    return run / "encoded", f"{task:06}"


def encoded_digests_file(run: Path, task: int) -> Path:
    """The SHA-256 of each file of that shard, by its name."""
    return run / "encode" / "digests" / f"{task:06}"


def write_report_file(run: Path, group: int) -> Path:
    return run / "write" / "reports" / f"{group:06}"
