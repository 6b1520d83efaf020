from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from incoder.model.mapped_memory import MappedMemory


def resident_file_bytes() -> int:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "RssFile" in line)
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures memory as Linux tells it")
def test_pages_of_a_file_are_given_back_and_read_again_where_they_are_used(tmp_path: Path) -> None:
    numbers = torch.arange(2_000_000, dtype=torch.float32)
    save_file({"numbers": numbers}, tmp_path / "model.safetensors")
    mapped = load_file(tmp_path / "model.safetensors")["numbers"]
    assert torch.equal(mapped, numbers)
    before = resident_file_bytes()
    MappedMemory().give_back(mapped)
    assert before - resident_file_bytes() > 0.9 * numbers.nbytes
    assert torch.equal(mapped, numbers)


def test_memory_that_is_no_files_keeps_what_it_holds() -> None:
    numbers = torch.arange(2_000_000)
    MappedMemory().give_back(numbers)
    assert torch.equal(numbers, torch.arange(2_000_000))
