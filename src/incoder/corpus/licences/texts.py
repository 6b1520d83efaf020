"""Recognising the texts of the paper's four licences: MIT, Apache-2.0, BSD-2-Clause and BSD-3-Clause.

Letters and digits alone are compared, so that line breaks, comment signs, bullets and quotes are the same.
A text with a clause of another licence in it is not recognised: a doubt is a no.
"""

import re

LICENCE_FILE = re.compile(
    r"(?:licen[cs]e|copying|unlicense)(?:[-_.](?:md|txt|rst|mit|apache|bsd|apache-?2\.0))*", re.IGNORECASE
)

_BSD = (
    "redistribution and use in source and binary forms with or without modification are permitted provided "
    "that the following conditions are met",
    "redistributions of source code must retain the above copyright notice",
    "redistributions in binary form must reproduce the above copyright notice",
)
_PHRASES = {
    "MIT": (
        "permission is hereby granted free of charge to any person obtaining a copy",
        "the rights to use copy modify merge publish distribute sublicense and or sell copies",
        "the above copyright notice and this permission notice shall be included in all copies",
    ),
    "Apache-2.0": (
        "apache license version 2 0 january 2004",
        "terms and conditions for use reproduction and distribution",
        "grant of patent license",
    ),
    "BSD": _BSD,
}
_NO_ENDORSEMENT = "may be used to endorse or promote products derived from this software"
# Clauses that none of the four has.
_OTHER = (
    "general public license",
    "mozilla public license",
    "eclipse public license",
    "commons clause",
    "creative commons",
    "all advertising materials mentioning features or use of this software",
    "shall be used for good not evil",
    "for non commercial",
    "for noncommercial",
)


def recognised_licence(text: str) -> str | None:
    """The SPDX expression of a licence text, or None; several texts in one file must all hold."""
    words = " ".join(re.findall(r"[a-z0-9]+", text.lower()))
    if any(phrase in words for phrase in _OTHER):
        return None
    found = [name for name, phrases in _PHRASES.items() if all(phrase in words for phrase in phrases)]
    if "BSD" in found:
        found.remove("BSD")
        found.append("BSD-3-Clause" if _NO_ENDORSEMENT in words else "BSD-2-Clause")
    return " AND ".join(sorted(found)) or None
