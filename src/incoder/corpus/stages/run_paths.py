"""What the stages of one build leave for each other, and where, below the folder of the run."""

from pathlib import Path

ROW_BITS = 32  # a document's position is its piece's number and, in the low bits, its row


def piece_file(run: Path, piece: int) -> Path:
    return run / "pieces" / f"{piece:06}"


def part_file(run: Path, piece: int) -> Path:
    """The documents of a piece that passed the filters."""
    return run / "parts" / f"{piece:06}.parquet"


def signatures_file(run: Path, piece: int) -> Path:
    """Their signatures, ordered by the part of the search for copies that each belongs to."""
    return run / "signatures" / f"{piece:06}.npy"


def sketches_file(run: Path, piece: int) -> Path:
    return run / "sketches" / f"{piece:06}.npy"


def read_report_file(run: Path, piece: int) -> Path:
    """What of a piece was dropped: the last file that reading it leaves."""
    return run / "read" / "reports" / f"{piece:06}"


def copies_file(run: Path, search: str, part: int) -> Path:
    """The documents to drop, by position, each with the one that stays for it."""
    return run / "copies" / f"{search}-{part:06}.npy"


def decisions_file(run: Path) -> Path:
    """What only all pieces together could say: which projects are held out."""
    return run / "decisions"


def written_file(run: Path, group: int, split: str) -> Path:
    return run / "written" / f"{split}-{group:06}.parquet"


def encoder_file(run: Path) -> Path:
    return run / "encoder"


def encoded_name(run: Path, task: int) -> tuple[Path, str]:
    """The folder and the name of the shard that a task of encoding leaves."""
    return run / "encoded", f"{task:06}"


def write_report_file(run: Path, group: int) -> Path:
    return run / "write" / "reports" / f"{group:06}"
