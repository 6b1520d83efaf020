"""The file extensions of the languages that editors name in `languageId`.

An editor's buffer may have no file name yet, and the rest of InCoder knows a language by its extension.
"""

from pathlib import PurePath

from incoder.corpus.text.languages import EXTENSIONS_OF

# Identifiers that are not the lower-case names of our languages: LSP's own, and filetypes of Neovim and Vim.
_EXTENSIONS = {
    **{name.lower(): extensions.split()[0] for name, extensions in EXTENSIONS_OF.items()},
    **{
        "cpp": ".cpp",
        "cuda": ".cu",
        "objective-c": ".mm",
        "objective-cpp": ".mm",
        "csharp": ".cs",
        "cs": ".cs",
    },
    **{"javascriptreact": ".jsx", "typescriptreact": ".tsx", "jsx": ".jsx", "tsx": ".tsx", "vue": ".vue"},
    **{"shellscript": ".sh", "sh": ".sh", "bash": ".sh", "zsh": ".zsh", "ksh": ".ksh", "lisp": ".lisp"},
    **{"elixir": ".ex", "erlang": ".erl", "clojure": ".clj", "scheme": ".scm", "elisp": ".el", "xml": ".xml"},
    **{
        "json": ".json",
        "jsonc": ".jsonc",
        "yaml": ".yaml",
        "toml": ".toml",
        "scss": ".scss",
        "less": ".less",
    },
    **{
        "dockerfile": ".sh",
        "makefile": ".mk",
        "make": ".mk",
        "cmake": ".cmake",
        "vim": ".vim",
        "tex": ".tex",
    },
    **{"latex": ".tex", "plaintex": ".tex", "markdown": ".md", "plaintext": ".txt", "text": ".txt"},
}


def path_of(language: str) -> PurePath | None:
    """Return a path with the extension of a language; None if it is not known.

    `language` is an identifier of LSP, or already a file's name.

    >>> path_of("typescriptreact"), path_of("lib/app.rb"), path_of("klingon")
    (PurePosixPath('untitled.tsx'), PurePosixPath('lib/app.rb'), None)
    """
    extension = _EXTENSIONS.get(language.lower())
    if extension is not None:
        return PurePath(f"untitled{extension}")
    return PurePath(language) if "." in PurePath(language).name else None
