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
    files = list(list_files(CorpusRecipe.model_validate({"sources": [source]}), report.on_drop))
    assert {file.project: file.licence for file in files} == {"mit": "MIT", "dual": "Apache-2.0 AND MIT"}
    assert {dropped.project: dropped.reason for dropped in report.dropped_projects} == {
        "gpl": "unknown licence",
        "mixed": "unknown licence",
        "none": "unknown licence",
    }
    refused = CorpusRecipe.model_validate({"sources": [source], "licences": ["Apache-2.0"]})
    assert list(list_files(refused, report.on_drop)) == []
    reasons = [dropped.reason for dropped in report.dropped_projects]
    assert reasons.count("licence not allowed") == 2


ISC = """Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee
is hereby granted, provided that the above copyright notice and this permission notice appear in all
copies."""


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        (ISC, "ISC"),
        (ISC.partition(", provided")[0] + '.\n\nTHE SOFTWARE IS PROVIDED "AS IS" AND', "0BSD"),
        (
            "This is free and unencumbered software released into the public "
            "domain.\n\nAnyone is free to copy, "
            "modify, publish, use, compile, sell, or distribute this software, either in source code form",
            "Unlicense",
        ),
        (
            "Boost Software License - Version 1.0 - August 17th, 2003\n\nPermission is "
            "hereby granted, free of "
            "charge, to any person or organization\nobtaining a copy of the software and accompanying "
            'documentation covered by\nthis license (the "Software")',
            "BSL-1.0",
        ),
        (
            "Permission is granted to anyone to use this software for any purpose, including commercial "
            "applications, and to alter it and redistribute it freely, subject to:\n1. The "
            "origin of this software "
            "must not be misrepresented\n2. Altered source versions must be plainly marked as such",
            "Zlib",
        ),
        (
            "Creative Commons Legal Code\n\nCC0 1.0 Universal\n\n2. Waiver. To the greatest "
            "extent permitted by, "
            "but not in contravention of, applicable law, Affirmer hereby overtly",
            "CC0-1.0",
        ),
        ("Creative Commons Attribution 4.0", None),
    ],
)
def test_more_licences_are_recognised(text: str, licence: str | None) -> None:
    assert recognised_licence(text) == licence


@pytest.mark.parametrize(
    "exception",
    [
        "Portions of this software are licensed as follows: all content under ee/ has its own licence.",
        "All content that resides under the ee/ directory is licensed under ee/LICENSE.",
        "Content outside of the above mentioned directories is available under the MIT license.",
        "The following directories are licensed under the Enterprise License.",
        "Some files are covered by a commercial license.",
    ],
)
def test_open_core_is_a_doubt(exception: str, mit_licence: str) -> None:
    assert recognised_licence(mit_licence) == "MIT"
    assert recognised_licence(f"{exception}\n\n{mit_licence}") is None
    assert recognised_licence(f"{mit_licence}\n{exception}") is None


@pytest.mark.parametrize(
    "name",
    ["MIT-LICENSE", "LICENSE-MIT.txt", "LICENSE_1_0.txt", "LICENSE-2.0.txt", "COPYING.LESSER", "LICENSE.BSD"],
)
def test_more_licence_files_are_known_by_name(name: str) -> None:
    assert LICENCE_FILE.fullmatch(name)


def test_a_licence_file_in_a_folder_decides_there(
    write_files: Callable[..., Path], tmp_path: Path, mit_licence: str
) -> None:
    write_files(
        {
            "app/LICENSE": mit_licence,
            "app/a.py": "x",
            "app/ee/LICENSE": "ask us for a price",
            "app/ee/deep/b.py": "x",
            "app/vendored/COPYING": APACHE,
            "app/vendored/c.py": "x",
        }
    )
    source = {"kind": "folder", "path": str(tmp_path / "source"), "projects": "entries", "licence": "detect"}
    report = Report()
    files = list_files(CorpusRecipe.model_validate({"sources": [source]}), report.on_drop)
    assert {file.path: file.licence for file in files} == {
        "app/a.py": "MIT",
        "app/vendored/c.py": "Apache-2.0",
    }
    assert report.dropped["unknown licence of its folder"].examples == [("app", "app/ee/deep/b.py")]
    assert report.dropped_projects == []
