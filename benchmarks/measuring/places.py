"""Where a benchmark runs."""

from argparse import ArgumentParser

import torch

from incoder.model.device import choose_device


def add_device_option(parser: ArgumentParser) -> None:
    parser.add_argument("--device", help="cpu or cuda; default: cuda where there is a GPU, as for users")


def chosen_device(name: str | None) -> tuple[torch.device, str]:
    """The device, and what to call it in a table."""
    device = choose_device(name)
    if device.type == "cuda":
        return device, torch.cuda.get_device_name(device)
    return device, f"{torch.get_num_threads()} threads"
