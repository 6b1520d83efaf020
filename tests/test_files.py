"""Files are replaced whole, and are as readable afterwards as they should be."""

import errno
import os
import stat
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from incoder.errors import IncoderError
from incoder.files import (
    MAX_JSON_DEPTH,
    parse_json,
    read_at_most,
    read_json,
    read_json_object,
    remove_temporaries,
    replaced_atomically,
    write_text,
)


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_keeps_the_owner_and_the_group(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    os.chown(path, 1234, 4321)
    path.chmod(0o640)
    write_text(path, "new")
    status = path.stat()
    assert (path.read_text(), status.st_uid, status.st_gid, mode(path)) == ("new", 1234, 4321, 0o640)


def test_new_content_is_not_trusted_as_the_old_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o6755)
    assert mode(path) == 0o6755
    write_text(path, "new")
    assert mode(path) == 0o755


def test_extended_attributes_and_access_lists_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    # Version 2; then tag, permissions and id of: owner, user 1234, group, mask, others.
    entries = ((1, 6, -1), (2, 4, 1234), (4, 0, -1), (16, 4, -1), (32, 0, -1))
    access = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    attributes = {"user.origin": b"example.org", "system.posix_acl_access": access}
    try:
        for name, value in attributes.items():
            os.setxattr(path, name, value)
    except (OSError, AttributeError):
        pytest.skip("there are no extended attributes here")
    write_text(path, "new")
    assert path.read_text() == "new"
    assert {name: os.getxattr(path, name) for name in os.listxattr(path)} == attributes
    assert mode(path) == 0o640  # the group's bits are the mask


def test_a_link_goes_on_pointing_at_the_new_content(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_text("old")
    link.symlink_to("file")
    write_text(link, "new")
    assert (path.read_text(), link.readlink()) == ("new", Path("file"))


def test_a_circle_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(IncoderError, match=os.strerror(errno.ELOOP)):
        write_text(tmp_path / "a", "x")


def test_a_device_is_not_replaced_by_a_file() -> None:
    with pytest.raises(IncoderError, match="/dev/null is a device, not a regular file; it is left as it is"):
        write_text(Path("/dev/null"), "x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_fifo_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(IncoderError, match="fifo is a FIFO"):
        write_text(tmp_path / "fifo", "x")


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 127)  # of 254 bytes; 255 are the most
    write_text(path, "x")
    write_text(path, "y")
    assert path.read_text() == "y"
    assert list(tmp_path.iterdir()) == [path]


def test_no_more_than_the_bound_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_at_most(path, 5) == b"12345"
    assert read_at_most(path, 4) is None
    assert read_at_most(Path("/dev/zero"), 1000) is None


def test_json_is_read_with_and_without_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    for start in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(start + '{"größe": [1, null]}\r\n'.encode())
        assert read_json(path) == {"größe": [1, None]}
        assert read_json_object(path) == {"größe": [1, None]}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is not JSON"),
        (b'{"a": 1', "is not JSON"),
        (b"\0" * 100, "is not JSON"),
        (b'"\xff"', "is not JSON"),
        (b"1" * 5_000, "is not JSON"),  # Python refuses to convert it
        (b"[" * 200_000, "deep"),
        (b'{"a":' * 200_000, "deep"),
        (b"[" * (MAX_JSON_DEPTH + 1) + b"]" * (MAX_JSON_DEPTH + 1), "deep"),
        (b'{"a":[' * 60 + b"]}" * 60, "deep"),
        (b" " * 2_000_001, "more than 2 MB"),
    ],
)
def test_what_is_not_json_of_a_sensible_size_is_refused_by_name(
    content: bytes, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    with pytest.raises(IncoderError, match=rf"settings\.json.*{complaint}"):
        read_json(path, max_bytes=2_000_000)


def test_json_may_nest_up_to_the_limit() -> None:
    value: object = parse_json("[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH, "the text")
    for _ in range(MAX_JSON_DEPTH - 1):
        assert isinstance(value, list)
        (value,) = value
    assert value == []


@pytest.mark.parametrize("content", ["[]", "1", '"a"', "null", "true"])
def test_a_json_object_is_asked_for_and_nothing_else_is_taken(content: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(content)
    with pytest.raises(IncoderError, match="must hold a JSON object"):
        read_json_object(path)


def test_json_is_read_from_regular_files_only(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")  # opening it would wait for a writer
    for name, complaint in (("fifo", "FIFO"), (".", "folder"), ("missing", "No such file"), ("a\0b", "null")):
        with pytest.raises(IncoderError, match=f"cannot read .*{complaint}"):
            read_json(tmp_path / name)


def test_only_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    for name in ("step-5.pt", "metrics.jsonl", "theirs.txt"):
        with replaced_atomically(tmp_path / name) as temporary:
            kept = tmp_path / f"kept{temporary.name}"
            kept.write_text("half")
        kept.rename(temporary)  # as if the process had not lived to rename it
        (tmp_path / name).unlink()
    (tmp_path / "step-5.pt").write_text("whole")
    (tmp_path / ".step-5.pt.swp").write_text("an editor's")
    removed = remove_temporaries(tmp_path, ("step-*.pt", "metrics.jsonl"))
    assert sorted(name.rpartition(".")[0] for name in removed) == [".metrics.jsonl", ".step-5.pt"]
    left = sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".theirs.txt."))
    assert left == [".step-5.pt.swp", "step-5.pt"]
    assert list(tmp_path.glob(".theirs.txt.*"))
    assert remove_temporaries(tmp_path / "missing", ("*",)) == []
