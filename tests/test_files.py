"""Files are replaced whole, and are as readable afterwards as they should be."""

import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from incoder.errors import IncoderError
from incoder.files import replaced_atomically, write_text


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_text(tmp_path / "text", "x")
    with replaced_atomically(tmp_path / "weights") as temporary:
        save_file({"x": torch.zeros(1)}, temporary)  # writes a file of its own and renames it
    assert mode(tmp_path / "text") == mode(tmp_path / "weights") == mode(tmp_path / "other")


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o440)
    write_text(path, "x")
    assert (path.read_text(), mode(path)) == ("x", 0o440)


def test_an_error_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    def write_half(path: Path) -> None:
        with replaced_atomically(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_half(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="No such file or directory; nothing was changed"):
        write_text(tmp_path / "missing" / "file", "x")
