"""The licence that a package's metadata names, as an SPDX expression, without reading licence files."""

import re
from importlib.metadata import PackageMetadata

from incoder.corpus.licences.expressions import BSD, PERMISSIVE, normalised

_CLASSIFIERS = {
    "0BSD License": "0BSD",
    "Academic Free License (AFL)": "AFL-3.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": BSD,
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "University of Illinois/NCSA Open Source License": "NCSA",
    "zlib/libpng License": "Zlib",
}

# What people write into the free-text field, reduced to letters and digits by `_squeeze`.
_NAMES = {
    "mit": "MIT",
    "mitlicense": "MIT",
    "themitlicense": "MIT",
    "themitlicensemit": "MIT",
    "apache": "Apache-2.0",
    "apache2": "Apache-2.0",
    "apache20": "Apache-2.0",
    "apache20license": "Apache-2.0",
    "apachelicense": "Apache-2.0",
    "apachelicense2": "Apache-2.0",
    "apachelicense20": "Apache-2.0",
    "apachelicenseversion20": "Apache-2.0",
    "apachesoftwarelicense": "Apache-2.0",
    "apachesoftwarelicense20": "Apache-2.0",
    "asl20": "Apache-2.0",
    "bsd": BSD,
    "bsdlicense": BSD,
    "2clausebsd": "BSD-2-Clause",
    "bsd2clause": "BSD-2-Clause",
    "bsd2clauselicense": "BSD-2-Clause",
    "simplifiedbsd": "BSD-2-Clause",
    "3clausebsd": "BSD-3-Clause",
    "3clausebsdlicense": "BSD-3-Clause",
    "bsd3": "BSD-3-Clause",
    "bsd3clause": "BSD-3-Clause",
    "bsd3clauselicense": "BSD-3-Clause",
    "modifiedbsd": "BSD-3-Clause",
    "newbsd": "BSD-3-Clause",
    "isc": "ISC",
    "isclicense": "ISC",
    "psf": "PSF-2.0",
    "psf20": "PSF-2.0",
    "pythonsoftwarefoundationlicense": "PSF-2.0",
    "unlicense": "Unlicense",
    "theunlicense": "Unlicense",
}


def licence_of(metadata: PackageMetadata) -> str | None:
    """The licence that a package's metadata names, or None if it names none or an unknown one.

    The `License-Expression` is taken in SPDX's spelling. Else the classifiers decide; of several, all
    apply, since metadata does not say how they combine. Else the free-text field decides, if it is a known
    name or text.
    """
    if expression := field(metadata, "License-Expression"):
        return normalised(expression) or expression
    stated = _from_field(field(metadata, "License") or "")
    classified = _from_classifiers(metadata.get_all("Classifier") or [])
    if classified is None or (classified == BSD and stated in ("BSD-2-Clause", "BSD-3-Clause")):
        return stated
    return classified


def field(metadata: PackageMetadata, name: str) -> str | None:
    """The first value of a field, or None; asking by subscript warns from Python 3.12 on."""
    values = metadata.get_all(name)
    return values[0] if values else None


def _from_classifiers(classifiers: list[str]) -> str | None:
    named = []
    for classifier in classifiers:
        parts = classifier.split(" :: ")
        if parts[0] == "License" and parts[-1] not in ("License", "OSI Approved"):
            named.append(_CLASSIFIERS.get(parts[-1], f"LicenseRef-{_squeeze(parts[-1])}"))
    return " AND ".join(sorted(set(named))) or None


def _from_field(text: str) -> str | None:
    if name := _NAMES.get(_squeeze(text)):
        return name
    if normalised(text) in PERMISSIVE:
        return normalised(text)
    return _from_text(" ".join(text.split()))


def _from_text(text: str) -> str | None:
    """Recognise the texts of the paper's four licences at the start of the field."""
    beginning = text[:2000]
    if "Permission is hereby granted, free of charge" in beginning:
        return "MIT"
    if "Apache License Version 2.0" in beginning or "Apache License, Version 2.0" in beginning:
        return "Apache-2.0"
    if "Redistribution and use in source and binary forms" in beginning:
        return "BSD-3-Clause" if re.search("neither the name", beginning, re.IGNORECASE) else "BSD-2-Clause"
    return None


def _squeeze(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", text.lower())
