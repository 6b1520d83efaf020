"""Emacs with lsp-mode, with the settings that `incoder doctor emacs` prints."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from incoder.language_server.editors import find_editor
from tests.server.clients.conftest import Editor

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

FILE = 'import os\n\n\ndef size(path):\n\n\nprint(size("a"))\n'
TYPED = "    return os."


@pytest.fixture
def initialisation(desk: Path) -> Path:
    editor = find_editor("emacs")
    assert editor is not None
    inside = "/" + str(desk).partition("/sid/")[2]
    file = desk / "init.el"
    file.write_text(
        f"""
        (setenv "PATH" (concat "{inside}:" (getenv "PATH")))
        (add-to-list 'exec-path "{inside}")
        (setq lsp-auto-guess-root t lsp-restart 'ignore lsp-enable-file-watchers nil
              inhibit-startup-screen t make-backup-files nil
              lsp-headerline-breadcrumb-enable nil create-lockfiles nil)
        {editor.settings}
        (add-to-list 'lsp-language-id-configuration '(python-mode . "python"))
        (defun look ()
          (when (lsp-inline-completion--active-p)
            (with-temp-file "{inside}/shown"
              (insert (overlay-get lsp-inline-completion--overlay 'after-string))))
          (when (string-suffix-p "a.py" (buffer-name))
            (write-region (buffer-string) nil "{inside}/text" nil 'quiet)))
        (run-with-timer 0.2 0.2 #'look)
        """
    )
    return file


@pytest.fixture
def emacs(sid: Path, desk: Path, initialisation: Path) -> Iterator[Editor]:
    file = desk / "a.py"
    file.write_text(FILE)
    inside = [f"/{path.relative_to(sid)}" for path in (initialisation, file)]
    command = ["chroot", sid, "emacs", "-nw", "-q", "-l", *inside]
    editor = Editor(command, f"/{desk.relative_to(sid)}")
    yield editor
    editor.end()


def test_a_suggestion_is_shown_and_accepted_and_its_command_arrives(
    desk: Path, language_server: Path, emacs: Editor
) -> None:
    shown, text = desk / "shown", desk / "text"
    emacs.wait_for(text.exists)
    emacs.type("\x1bg\x1bg5\r")  # M-g M-g: to the fifth line
    for key in TYPED:
        emacs.type(key)
    emacs.wait_for(shown.exists)
    emacs.type("\t")
    emacs.wait_for(lambda: len(text.read_text().splitlines()[4]) > len(TYPED))
    emacs.type("\x18\x13")  # C-x C-s
    emacs.type("\x18\x03")  # C-x C-c
    emacs.end()
    written = (desk / "a.py").read_text().splitlines()[4]
    assert written.startswith(TYPED)
    assert json.loads(language_server.read_text())["python"]["accepted"] == 1
