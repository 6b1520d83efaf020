from email.message import Message

import pytest

from incoder.corpus.licences.expressions import PERMISSIVE, allows, normalised
from incoder.corpus.licences.metadata import licence_of
from incoder.corpus.recipe import CorpusRecipe


def metadata(**fields: str | list[str]) -> Message:
    message = Message()
    for name, values in fields.items():
        for value in [values] if isinstance(values, str) else values:
            message[name.replace("_", "-")] = value
    return message


def classifiers(*names: str) -> list[str]:
    return [f"License :: OSI Approved :: {name}" for name in names]


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License_Expression": "MIT OR Apache-2.0", "License": "GPL"}, "MIT OR Apache-2.0"),
        ({"Classifier": classifiers("MIT License")}, "MIT"),
        ({"Classifier": classifiers("MIT License", "Apache Software License")}, "Apache-2.0 AND MIT"),
        ({"Classifier": ["License :: OSI Approved", *classifiers("ISC License (ISCL)")]}, "ISC"),
        ({"Classifier": classifiers("BSD License"), "License": "BSD 3-Clause"}, "BSD-3-Clause"),
        ({"Classifier": classifiers("BSD License"), "License": "see LICENSE"}, "LicenseRef-BSD"),
        ({"Classifier": ["Programming Language :: Python"], "License": "Apache 2.0"}, "Apache-2.0"),
        ({"License": "The MIT License (MIT)"}, "MIT"),
        ({"License": "MIT-0"}, "MIT-0"),
        ({"License": "Copyright X\n\nPermission is hereby granted, free of\ncharge, to any"}, "MIT"),
        ({"License": "Redistribution and use in source and binary forms, with"}, "BSD-2-Clause"),
        (
            {"License": "Redistribution and use in source and binary forms … Neither the name of"},
            "BSD-3-Clause",
        ),
        ({"License": "Apache License\n  Version 2.0, January 2004"}, "Apache-2.0"),
        ({"License": "ask me"}, None),
        ({"License": "UNKNOWN"}, None),
        ({}, None),
    ],
)
def test_metadata_names_a_licence(fields: dict[str, str | list[str]], licence: str | None) -> None:
    assert licence_of(metadata(**fields)) == licence  # type: ignore[arg-type]


def test_a_copyleft_classifier_beside_a_permissive_one_is_not_allowed() -> None:
    licence = licence_of(
        metadata(  # type: ignore[arg-type]
            Classifier=classifiers("MIT License", "GNU General Public License v3 (GPLv3)")
        )
    )
    assert licence is not None
    assert not allows(licence, PERMISSIVE)


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("mit", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-2.0-only OR MIT AND LGPL-3.0-only", False),
        ("(GPL-2.0-only OR MIT) AND BSD-3-Clause", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-3.0-only WITH GCC-exception-3.1", False),
        ("BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0", True),
        ("", False),
        ("MIT OR", False),
        ("(MIT", False),
        ("MIT)", False),
        ("MIT MIT", False),
        ("BSD 3-Clause or so", False),
    ],
)
def test_expressions_are_taken_as_spdx_means_them(expression: str, allowed: bool) -> None:
    assert allows(expression, PERMISSIVE) is allowed


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("mit", "MIT"),
        ("(mit or APACHE-2.0) and bsd-3-clause", "(MIT OR Apache-2.0) AND BSD-3-Clause"),
        ("GPL-2.0", "GPL-2.0-only"),
        ("LicenseRef-Ours", "LicenseRef-Ours"),
        ("BSD", None),
        ("", None),
        ("\ud83d", None),
    ],
)
def test_expressions_are_written_as_spdx_writes_them(text: str, expression: str | None) -> None:
    assert normalised(text) == expression


def test_a_recipes_licences_are_spdx_names() -> None:
    source = {"kind": "folder", "path": "x", "licence": "mit"}
    recipe = CorpusRecipe.model_validate({"sources": [source], "licences": ["mit", "apache-2.0"]})
    assert recipe.licences == ("MIT", "Apache-2.0")
    assert getattr(recipe.sources[0], "licence") == "MIT"  # noqa: B009
    for values in ({"licences": ["Apache 2"]}, {"sources": [{**source, "licence": "ours"}]}):
        with pytest.raises(ValueError, match="SPDX"):
            CorpusRecipe.model_validate({"sources": [source], **values})
