"""The texts are in short: the phrases of the licences that bind, with their line breaks."""

from collections.abc import Callable
from pathlib import Path

import pytest

from incoder.corpus.licences.texts import LICENCE_FILE, recognised_licence
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import Report
from incoder.corpus.sources.listing import list_files

APACHE = """                                 Apache License
                           Version 2.0, January 2004
                        http://www.apache.org/licenses/

   TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION

   3. Grant of Patent License. Subject to the terms and conditions of this License
"""
BSD_2 = """Redistribution and use in source and binary forms, with or without modification,
are permitted provided that the following conditions are met:
  * Redistributions of source code must retain the above copyright notice.
  * Redistributions in binary form must reproduce the above copyright notice.
"""
BSD_3 = (
    BSD_2
    + """  * Neither the name of the X nor the names of its contributors may be used to endorse or
    promote products derived from this software without specific prior written permission.
"""
)


CHANGES: list[tuple[Callable[[str], str], str | None]] = [
    (lambda text: text, "MIT"),
    (lambda text: text.replace("\n", "\r\n").upper(), "MIT"),
    (lambda text: "".join(f"# {line}\n" for line in text.splitlines()), "MIT"),
    (lambda text: text + "\n---\n" + APACHE, "Apache-2.0 AND MIT"),
    (lambda text: text + "\nThe Software shall be used for Good, not Evil.", None),
    (lambda text: text + "\nparts are under the GNU Lesser General Public License", None),
    (lambda text: text.replace("sublicense, and/or sell", "but not sell"), None),
]


@pytest.mark.parametrize(("change", "licence"), CHANGES)
def test_layout_says_nothing_and_clauses_do(
    change: Callable[[str], str], licence: str | None, mit_licence: str
) -> None:
    assert recognised_licence(change(mit_licence)) == licence


@pytest.mark.parametrize(
    ("text", "licence"), [(APACHE, "Apache-2.0"), (BSD_2, "BSD-2-Clause"), (BSD_3, "BSD-3-Clause")]
)
def test_the_other_three_are_recognised(text: str, licence: str) -> None:
    assert recognised_licence(text) == licence


@pytest.mark.parametrize(
    "text",
    [
        "",
        "All rights reserved.",
        "MIT",
        "GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007",
        BSD_3 + "All advertising materials mentioning features or use of this software must display",
        APACHE + '"Commons Clause" License Condition v1.0',
    ],
)
def test_a_doubt_is_a_no(text: str) -> None:
    assert recognised_licence(text) is None


@pytest.mark.parametrize(
    "name", ["LICENSE", "LICENCE.txt", "license.md", "COPYING", "LICENSE-MIT", "LICENSE-APACHE"]
)
def test_licence_files_are_known_by_name(name: str) -> None:
    assert LICENCE_FILE.fullmatch(name)


@pytest.mark.parametrize("name", ["license.py", "licenses", "mylicense", "LICENSE.bak"])
def test_other_files_are_not_taken_for_licences(name: str) -> None:
    assert not LICENCE_FILE.fullmatch(name)


def test_projects_of_a_folder_are_taken_by_their_licence_files(
    write_files: Callable[..., Path], tmp_path: Path, mit_licence: str
) -> None:
    write_files(
        {
            "mit/LICENSE": mit_licence,
            "mit/src/a.py": "x",
            "dual/LICENSE-MIT": mit_licence,
            "dual/LICENSE-APACHE": APACHE,
            "dual/a.py": "x",
            "gpl/COPYING": "GNU General Public License",
            "gpl/a.py": "x",
            "mixed/LICENSE": mit_licence,
            "mixed/COPYING": "something else",
            "mixed/a.py": "x",
            "none/a.py": "x",
        }
    )
    source = {"kind": "folder", "path": str(tmp_path / "source"), "projects": "entries", "licence": "detect"}
    report = Report()
    files = list_files(CorpusRecipe.model_validate({"sources": [source]}), report.on_drop)
    assert {file.project: file.licence for file in files} == {"mit": "MIT", "dual": "Apache-2.0 AND MIT"}
    assert {dropped.project: dropped.reason for dropped in report.dropped_projects} == {
        "gpl": "unknown licence",
        "mixed": "unknown licence",
        "none": "unknown licence",
    }
    refused = CorpusRecipe.model_validate({"sources": [source], "licences": ["Apache-2.0"]})
    assert list_files(refused, report.on_drop) == []
    reasons = [dropped.reason for dropped in report.dropped_projects]
    assert reasons.count("licence not allowed") == 2
