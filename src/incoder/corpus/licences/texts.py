"""Recognises licence files, by the texts of licences that require no more than a notice.

Letters and digits alone are compared, so that line breaks, comment signs, bullets and quotes are the same. A
text with a clause of another licence in it, or one that puts part of the project under other terms, is not
recognised: a doubt is a no.
"""

import re

_NAMED = (
    r"mit|expat|apache|bsd|isc|zlib|boost|bsl|cc0|0bsd|unlicense|mpl|[al]?gpl|lesser|ee|enterprise|commercial"
)
LICENCE_FILE = re.compile(
    rf"(?:(?:{_NAMED})[-_.])?(?:licen[cs]e|copying|unlicense)"
    rf"(?:[-_.](?:md|markdown|txt|rst|adoc|{_NAMED}|v?\d+(?:[-_.]\d+)*|clause|licen[cs]e|software|lib))*",
    re.IGNORECASE,
)

# All phrases of a licence must be there.
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
    "BSD": (
        "redistribution and use in source and binary forms with or without modification are permitted "
        "provided "
        "that the following conditions are met",
        "redistributions of source code must retain the above copyright notice",
        "redistributions in binary form must reproduce the above copyright notice",
    ),
    "ISC": (
        "permission to use copy modify and or distribute this software for any purpose with or without fee "
        "is "
        "hereby granted provided that the above copyright notice and this permission notice appear in all "
        "copies",
    ),
    "0BSD": (
        "permission to use copy modify and or distribute this software for any purpose with or without fee "
        "is "
        "hereby granted the software is provided as is",
    ),
    "Unlicense": (
        "this is free and unencumbered software released into the public domain",
        "anyone is free to copy modify publish use compile sell or distribute this software",
    ),
    "BSL-1.0": (
        "boost software license version 1 0",
        "permission is hereby granted free of charge to any person or organization obtaining a copy of the "
        "software and accompanying documentation covered by this license",
    ),
    "Zlib": (
        "permission is granted to anyone to use this software for any purpose including commercial "
        "applications "
        "and to alter it and redistribute it freely",
        "the origin of this software must not be misrepresented",
        "altered source versions must be plainly marked as such",
    ),
    "CC0-1.0": (
        "creative commons legal code cc0 1 0 universal",
        "to the greatest extent permitted by but not in contravention of applicable law affirmer hereby",
    ),
}
_NO_ENDORSEMENT = "may be used to endorse or promote products derived from this software"
_CREATIVE_COMMONS = "creative commons"
# Clauses that none of these has.
_OTHER = (
    "general public license",
    "mozilla public license",
    "eclipse public license",
    "business source license",
    "server side public license",
    "elastic license",
    "commons clause",
    "all advertising materials mentioning features or use of this software",
    "shall be used for good not evil",
    "for non commercial",
    "for noncommercial",
    "non production use",
)
# Sentences that put some of the project under other terms, as open-core projects have them.
_PARTIAL = re.compile(
    r"\b(?<!substantial )portions of (?:this|the) (?:software|code|source|repository|project|content)\b"
    r"|\b(?:all|any|the|some) (?:content|code|files?|software|material)s? (?:that )?"
    r"(?:resid|located|contained|found|(?:is |are )?(?:in|under|inside|outside)\b)"
    r"|\b(?:content|code|files?) outside (?:of )?the\b"
    r"|\b(?:this|these|the following|other|certain|some) "
    r"(?:director(?:y|ies)|sub ?director(?:y|ies)|folders?|files?|packages?|modules?|components?)\b"
    r"[a-z0-9 ]{0,40}\b(?:is|are) (?:licensed|covered|under|subject|available)"
    r"|\benterprise (?:edition |source |software )?(?:licen[cs]e|edition)\b|\bcommercial licen[cs]e\b"
    r"|\bunder the (?:license|terms) (?:defined|described|specified|found|stated) in\b"
)


def recognised_licence(text: str) -> str | None:
    """The SPDX expression of a licence text, or None; several texts in one file all apply."""
    words = " ".join(re.findall(r"[a-z0-9]+", text.lower()))
    if any(phrase in words for phrase in _OTHER) or _PARTIAL.search(words):
        return None
    found = [name for name, phrases in _PHRASES.items() if all(phrase in words for phrase in phrases)]
    if _CREATIVE_COMMONS in words and "CC0-1.0" not in found:
        return None
    if "BSD" in found:
        found.remove("BSD")
        found.append("BSD-3-Clause" if _NO_ENDORSEMENT in words else "BSD-2-Clause")
    return " AND ".join(sorted(found)) or None
