"""The text of a document: words, languages, markup, notebooks, filters, redaction, attributes."""
