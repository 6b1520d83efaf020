"""The editors that `incoder doctor` knows as clients of the language server: their settings, as data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Editor:
    """An editor: `settings` are to be copied to `where`, `note` says how they are used."""

    name: str
    title: str
    where: str
    settings: str
    note: str


def find_editor(name: str) -> Editor | None:
    """Return the editor of this name, whatever its case; None if it is not known.

    >>> find_editor("Neovim").where
    'init.lua'
    """
    return next((editor for editor in EDITORS if editor.name == name.lower()), None)


EDITORS = (
    Editor(
        name="neovim",
        title="Neovim 0.12",
        where="init.lua",
        settings="""\
vim.lsp.config('incoder', { cmd = { 'incoder', 'lsp' }, root_markers = { '.git' } })
vim.lsp.enable('incoder')
vim.lsp.inline_completion.enable()
vim.keymap.set('i', '<Tab>', function()
  if not vim.lsp.inline_completion.get() then
    return '<Tab>'
  end
end, { expr = true, desc = 'Accept the suggestion' })""",
        note="Suggestions are shown while you type; Tab accepts one.",
    ),
    Editor(
        name="emacs",
        title="Emacs with lsp-mode 10",
        where="init.el",
        settings="""\
(require 'lsp-mode)
(require 'lsp-inline-completion)
(lsp-register-client
 (make-lsp-client :new-connection (lsp-stdio-connection '("incoder" "lsp"))
                  :activation-fn (lambda (&rest _) t)
                  :add-on? t
                  :server-id 'incoder))
(setq lsp-inline-completion-idle-delay 0.2)
(define-key lsp-inline-completion-active-map (kbd "TAB") #'lsp-inline-completion-accept)
(add-hook 'prog-mode-hook #'lsp-deferred)""",
        note="Suggestions are shown when you pause; TAB accepts one. M-x lsp-inline-completion-display asks for "
        "several.",
    ),
)
