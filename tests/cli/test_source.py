"""What commands read: a bound, what is refused as no text, and what may be replaced."""

import json
import os
from pathlib import Path

import pytest

from incoder.cli.source import check_replaceable, read_source, replace_source
from incoder.errors import IncoderError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.py"
    path.write_bytes(b"x = 1\n")
    return path


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-16", "UTF-16"),  # with a byte order mark
        ("utf-32", "UTF-32"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-32-le", "UTF-32"),
        ("utf-32-be", "UTF-32"),
    ],
)
@pytest.mark.parametrize("text", ["x = 1\n", "name = 'größe'  # 漢字 🙂\n" * 400])
def test_wide_characters_are_named(encoding: str, name: str, text: str, file: Path) -> None:
    file.write_bytes(text.encode(encoding))
    with pytest.raises(IncoderError, match=rf"file.py is {name}, and only UTF-8 .*iconv -f {name} -t UTF-8"):
        read_source(str(file))


def test_json_that_nests_too_deep_to_be_a_notebook_is_text(tmp_path: Path) -> None:
    file, text = tmp_path / "a.json", '{"nbformat": ' + "[" * 200_000
    file.write_text(text)
    assert read_source(str(file)) == text


@pytest.mark.parametrize("content", [b"\0", b"\x7fELF\x02\x01\x01\0\0\0\0" * 99, b"x = 1\n\0", bytes(5000)])
def test_binary_files_are_refused(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    with pytest.raises(IncoderError, match=r"file.py is binary, not text: it has NUL bytes"):
        read_source(str(file))


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbfx = 1\r\n", b"caf\xe9\r", b"", b"\f\x1b[0m", "ÿþ".encode()]
)
def test_other_bytes_come_back_as_they_were(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    text = read_source(str(file))
    assert text.encode("utf-8", "surrogateescape") == content
    replace_source(str(file), text, text + "é")
    assert file.read_bytes() == content + "é".encode()


@pytest.mark.parametrize("name", ["a.ipynb", "a.json"])
def test_notebooks_are_refused_by_their_name_or_their_content(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(json.dumps({"cells": [{"source": ["x = <FILL>"]}], "nbformat": 4}))
    with pytest.raises(IncoderError, match=r"is a notebook, whose JSON would break.*Only `incoder fill`"):
        read_source(str(file))


@pytest.mark.parametrize(
    "content", ['{"cells": 1, "nbformat": <FILL>}', '{"nbformat": 4}', 'x = {"nbformat": 4}']
)
def test_other_json_is_text(content: str, file: Path) -> None:
    file.write_text(content)
    assert read_source(str(file)) == content


def test_no_end_of_input_is_refused_and_the_bound_is_the_users(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        IncoderError, match=r"/dev/zero has more than 64 MB.*INCODER_MAX_INPUT_MB=128 in the env"
    ):
        read_source("/dev/zero")
    monkeypatch.setenv("INCODER_MAX_INPUT_MB", "1")
    file.write_bytes(b"x" * 1_000_001)
    with pytest.raises(IncoderError, match=r"file.py has more than 1 MB"):
        read_source(str(file))
    file.write_bytes(b"x" * 1_000_000)
    assert read_source(str(file)) == "x" * 1_000_000


@pytest.mark.parametrize("value", ["0", "-1", "64MB", "", "1e3", "9" * 5000, "٣"])
def test_a_bound_that_is_none_is_refused(value: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCODER_MAX_INPUT_MB", value)
    with pytest.raises(
        IncoderError, match=r"INCODER_MAX_INPUT_MB must be a number of megabytes in \[1, 999999\]"
    ):
        read_source(str(file))


def test_what_is_no_regular_file_is_not_changed_in_place(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, kind in ((str(tmp_path / "fifo"), "FIFO"), ("/dev/null", "device"), (str(tmp_path), "folder")):
        with pytest.raises(IncoderError, match=f"is a {kind}; only a regular file can be changed in place"):
            check_replaceable(name)


def test_a_file_that_would_change_hands_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    monkeypatch.setattr(os, "getegid", lambda: file.stat().st_gid)
    with pytest.raises(IncoderError, match=r"would lose its owner \(user \d+\), which only root"):
        replace_source(str(file), "x = 1\n", "x = 2\n")
    monkeypatch.setattr(os, "getegid", lambda: file.stat().st_gid + 1)
    monkeypatch.setattr(os, "getgroups", list)
    with pytest.raises(IncoderError, match=r"would lose its owner \(user \d+\) and group \(\d+\)"):
        replace_source(str(file), "x = 1\n", "x = 2\n")
    assert file.read_text() == "x = 1\n"


def test_a_cut_hard_link_and_lost_bits_are_said(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = file.with_name("other.py")
    other.hardlink_to(file)
    file.chmod(0o4755)
    replace_source(str(file), "x = 1\n", "x = 2\n")
    assert (file.read_text(), other.read_text()) == ("x = 2\n", "x = 1\n")
    assert capsys.readouterr().err.splitlines() == [
        f"{file}: the new file has no setuid and setgid bits; set them again if you trust it",
        f"{file}: the file had 2 hard links; this one is a new file now, and the others keep the old content",
    ]
