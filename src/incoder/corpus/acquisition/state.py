"""The progress of a fetch: an SQLite database in its folder, which survives every kill.

It has the listed repositories with their outcomes, and the remaining steps of a listing. Where the folder
and the database disagree, the database is right: files that it does not name belong to a killed run. This
file knows no network, no git and no parquet.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from incoder.corpus.acquisition.repository import Repository

TABLES = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS steps (id INTEGER PRIMARY KEY AUTOINCREMENT, step TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS repositories (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, repo TEXT NOT NULL COLLATE NOCASE, url TEXT NOT NULL,
    licence TEXT, language TEXT, stars INTEGER, branch TEXT, "commit" TEXT,
    outcome TEXT NOT NULL DEFAULT 'listed', reason TEXT, part TEXT,
    num_files INTEGER NOT NULL DEFAULT 0, num_bytes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (source, repo));
CREATE INDEX IF NOT EXISTS outcomes ON repositories (outcome);
CREATE TABLE IF NOT EXISTS parts (
    number INTEGER PRIMARY KEY AUTOINCREMENT, is_written INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS left_out (
    reason TEXT PRIMARY KEY, num_files INTEGER NOT NULL, num_bytes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS rejected (place TEXT NOT NULL, reason TEXT NOT NULL);
"""
_REPOSITORY = 'source, repo, url, licence, language, stars, branch, "commit"'


@dataclass(frozen=True, slots=True)
class Staged:
    """A repository whose files were read: their number, and the left-out files and bytes by reason."""

    branch: str | None
    commit: str
    num_files: int
    num_bytes: int
    left_out: Mapping[str, tuple[int, int]]


class State:
    """The database of one folder, used by one thread of one process.

    A repository is first `listed`, then `staged` (its files are in a parquet file of its own), then `packed`
    (they are in the partition `part`). Without files to keep it is `empty` instead, and it may have `failed`
    with a `reason`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._database = connection

    # -- settings and the listing

    def settle(self, name: str, value: Mapping[str, object]) -> dict[str, object]:
        """The settings of this name that the folder was begun with; they become `value` if there are none."""
        with self._database:
            self._database.execute(
                "INSERT OR IGNORE INTO settings VALUES (?, ?)", (name, json.dumps(dict(value)))
            )
        ((settled,),) = self._database.execute("SELECT value FROM settings WHERE name = ?", (name,))
        found: dict[str, object] = json.loads(settled)
        return found

    def begin_listing(self, name: str, steps: Iterable[str]) -> None:
        """Record the first steps of a listing; does nothing if the listing was begun before."""
        with self._database:
            noted = self._database.execute("INSERT OR IGNORE INTO settings VALUES (?, '{}')", (name,))
            if noted.rowcount:
                self._database.executemany("INSERT INTO steps (step) VALUES (?)", ((s,) for s in steps))

    def next_step(self) -> tuple[int, str] | None:
        """The number and text of the next step: the newest one, so that few are waiting at any time."""
        row = self._database.execute("SELECT id, step FROM steps ORDER BY id DESC LIMIT 1").fetchone()
        return (row[0], row[1]) if row else None

    def take_step(self, number: int, repositories: Iterable[Repository], then: Sequence[str]) -> None:
        """Replace a step by the repositories that it found and the steps that it leads to."""
        with self._database:
            self._insert(repositories)
            self._database.execute("DELETE FROM steps WHERE id = ?", (number,))
            self._database.executemany("INSERT INTO steps (step) VALUES (?)", ((s,) for s in reversed(then)))

    def knows(self, repository: Repository) -> bool:
        found = self._database.execute(
            "SELECT 1 FROM repositories WHERE source = ? AND repo = ?", (repository.source, repository.repo)
        )
        return found.fetchone() is not None

    def num_steps(self) -> int:
        return self._count("SELECT count(*) FROM steps")

    def add(self, repositories: Iterable[Repository | tuple[str, str]]) -> None:
        """Record the repositories of a list; a pair is an invalid row: its line, and the reason."""
        with self._database:
            self._database.execute("DELETE FROM rejected")
            for item in repositories:
                if isinstance(item, Repository):
                    self._insert([item])
                else:
                    self._database.execute("INSERT INTO rejected VALUES (?, ?)", item)

    def _insert(self, repositories: Iterable[Repository]) -> None:
        self._database.executemany(
            f"INSERT OR IGNORE INTO repositories ({_REPOSITORY}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (r.source, r.repo, r.url, r.licence, r.language, r.stars, r.branch, r.commit)
                for r in repositories
            ),
        )

    # -- the repositories

    def next_listed(self, after: int) -> tuple[int, Repository] | None:
        """The first listed repository whose number is above `after`."""
        row = self._database.execute(
            f"SELECT id, {_REPOSITORY} FROM repositories WHERE outcome = 'listed' AND id > ?"
            " ORDER BY id LIMIT 1",
            (after,),
        ).fetchone()
        return (row[0], Repository(*row[1:])) if row else None

    def stage(self, number: int, staged: Staged) -> None:
        with self._database:
            self._database.execute(
                'UPDATE repositories SET outcome = ?, reason = NULL, branch = ?, "commit" = ?, num_files = ?,'
                " num_bytes = ? WHERE id = ?",
                (
                    "staged" if staged.num_files else "empty",
                    staged.branch,
                    staged.commit,
                    staged.num_files,
                    staged.num_bytes,
                    number,
                ),
            )
            self._database.executemany(
                "INSERT INTO left_out VALUES (?, ?, ?) ON CONFLICT (reason) DO UPDATE SET"
                " num_files = num_files + excluded.num_files, num_bytes = num_bytes + excluded.num_bytes",
                ((reason, *counts) for reason, counts in staged.left_out.items()),
            )

    def fail(self, number: int, reason: str) -> None:
        with self._database:
            self._database.execute(
                "UPDATE repositories SET outcome = 'failed', reason = ? WHERE id = ?", (reason, number)
            )

    def list_again(self, numbers: Iterable[int]) -> None:
        """Make these repositories `listed` again, so that they are fetched once more."""
        with self._database:
            self._database.executemany(
                "UPDATE repositories SET outcome = 'listed', reason = NULL WHERE id = ?",
                ((n,) for n in numbers),
            )

    def retry_failed(self) -> int:
        """Make all failed repositories `listed` again; return how many there are."""
        failed = [
            number
            for (number,) in self._database.execute("SELECT id FROM repositories WHERE outcome = 'failed'")
        ]
        self.list_again(failed)
        return len(failed)

    def staged(self) -> list[tuple[int, int]]:
        """Number and bytes of each staged repository, in the order of the listing."""
        return self._database.execute(
            "SELECT id, num_bytes FROM repositories WHERE outcome = 'staged' ORDER BY id"
        ).fetchall()

    # -- partitions (the tables and files of users call them parts)

    def begin_partition(self) -> int:
        """Return the number of a new partition, before it is written."""
        with self._database:
            number = self._database.execute("INSERT INTO parts DEFAULT VALUES").lastrowid
        assert number is not None
        return number

    def finish_partition(self, partition: int, name: str, numbers: Iterable[int]) -> None:
        """Record that the partition is written, its name, and the repositories in it."""
        with self._database:
            self._database.execute("UPDATE parts SET is_written = 1 WHERE number = ?", (partition,))
            self._database.executemany(
                "UPDATE repositories SET outcome = 'packed', part = ? WHERE id = ?",
                ((name, n) for n in numbers),
            )

    def unfinished_partitions(self) -> list[int]:
        return [n for (n,) in self._database.execute("SELECT number FROM parts WHERE is_written = 0")]

    def forget_partition(self, partition: int) -> None:
        with self._database:
            self._database.execute("DELETE FROM parts WHERE number = ?", (partition,))

    def has_partitions(self) -> bool:
        return self._count("SELECT count(*) FROM parts") > 0

    # -- summaries

    def outcomes(self) -> dict[str, int]:
        """How many repositories there are of each outcome."""
        return dict(
            self._database.execute("SELECT outcome, count(*) FROM repositories GROUP BY 1 ORDER BY 1")
        )

    def totals(self) -> tuple[int, int]:
        """Number and bytes of all fetched files."""
        files, size = self._database.execute(
            "SELECT coalesce(sum(num_files), 0), coalesce(sum(num_bytes), 0) FROM repositories"
        ).fetchone()
        return files, size

    def failures(self, num_examples: int = 3) -> dict[str, tuple[int, list[str]]]:
        """Number and examples of the failed repositories by reason, the most frequent reason first."""
        return self._grouped("SELECT reason, repo FROM repositories WHERE outcome = 'failed'", num_examples)

    def rejected(self, num_examples: int = 3) -> dict[str, tuple[int, list[str]]]:
        """The same for the invalid rows of a list, with their lines as examples."""
        return self._grouped("SELECT reason, place FROM rejected", num_examples)

    def left_out(self) -> dict[str, tuple[int, int]]:
        """Number and bytes of the left-out files by reason."""
        rows = self._database.execute("SELECT reason, num_files, num_bytes FROM left_out ORDER BY 2 DESC, 1")
        return {reason: (files, size) for reason, files, size in rows}

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield every repository with its outcome, in the order of the listing."""
        found = self._database.execute(
            f"SELECT {_REPOSITORY}, outcome, reason, num_files, num_bytes FROM repositories ORDER BY id"
        )
        names = [column[0] for column in found.description]
        return (dict(zip(names, row, strict=True)) for row in found)

    def _grouped(self, rows: str, num_examples: int) -> dict[str, tuple[int, list[str]]]:
        grouped: dict[str, tuple[int, list[str]]] = {}
        for reason, name in self._database.execute(rows):
            count, examples = grouped.get(reason, (0, []))
            grouped[reason] = (count + 1, examples if len(examples) == num_examples else [*examples, name])
        return dict(sorted(grouped.items(), key=lambda item: -item[1][0]))

    def _count(self, query: str) -> int:
        ((count,),) = self._database.execute(query)
        return int(count)
