"""The language server, `incoder lsp`: a thin client of a model server. Its process never imports torch."""
