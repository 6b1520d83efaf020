"""The model card of a fine-tuned model: its base, its data, its licence, and its figures."""

import re
from pathlib import Path

from incoder.finetuning.report import Facts, data_lines, measures_table, training_lines, verdict

_LICENCE = re.compile(r"^license:\s*(\S+)\s*$", re.MULTILINE)


def model_card(facts: Facts, base: Path) -> str:
    """Return the README.md of the adapter or the model; it names folders, but no file of the user's.

    The front matter is what the hub reads. Of the licence it says "other", since the weights are derived from
    the base model and from the user's code: which licence they get is the user's to decide.
    """
    settings = facts.settings
    is_on_hub = "/" in settings.model and not Path(settings.model).exists()
    card = base / "README.md"
    found = _LICENCE.search(card.read_text(encoding="utf-8")) if card.is_file() else None
    licence = f"The base model's licence is {found[1]}." if found else "The base model names no licence."
    front = [
        "---",
        *([f"base_model: {settings.model}"] if is_on_hub else []),
        "license: other",
        f"library_name: {'transformers' if settings.full else 'peft'}",
        "tags: [code, infilling, incoder" + ("]" if settings.full else ", lora]"),
        "pipeline_tag: text-generation",
        "---",
    ]
    use = "--model FOLDER" if settings.full else f"--model {settings.model} --adapter FOLDER"
    sections = [
        f"# {settings.model}, fine-tuned on {facts.names}\n",
        verdict(facts),
        measures_table(facts),
        "## Data and licence\n",
        *data_lines(facts),
        f"{licence} The weights are also derived from the code above: decide who may have them before you "
        "share them. A model can repeat what it was trained on.\n",
        "## Training\n",
        *training_lines(facts),
        f"Made by `incoder finetune`. Use it with `incoder fill FILE {use}`.",
    ]
    return "\n".join([*front, "", *sections, ""])
