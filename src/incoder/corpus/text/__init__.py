"""What a document's text is: words, languages, markup, notebooks, filters, redaction, attributes."""
