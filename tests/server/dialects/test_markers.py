"""Prompts with markers as text: the six families, and what clients write around them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.server.dialects.markers import FAMILY_NAMES, split_alias, split_markers

PREFIX, SUFFIX = "def f(x):\n    return ", "\n\n\nprint(f(1))\n"
PROMPTS = {
    "starcoder2": f"<fim_prefix>{PREFIX}<fim_suffix>{SUFFIX}<fim_middle>",
    "qwen2.5-coder": f"<|fim_prefix|>{PREFIX}<|fim_suffix|>{SUFFIX}<|fim_middle|>",
    "codegemma": f"<|fim_prefix|>{PREFIX}<|fim_suffix|>{SUFFIX}<|fim_middle|>",
    "codellama": f"<PRE> {PREFIX} <SUF>{SUFFIX} <MID>",
    "deepseek-coder": f"<｜fim▁begin｜>{PREFIX}<｜fim▁hole｜>{SUFFIX}<｜fim▁end｜>",
    "codestral": f"[SUFFIX]{SUFFIX}[PREFIX]{PREFIX}",
    "glm": f"<|code_prefix|>{PREFIX}<|code_suffix|>{SUFFIX}<|code_middle|>",
}


@pytest.mark.parametrize("family", PROMPTS)
def test_each_family_reads_its_own_markers(family: str) -> None:
    prompt = split_markers(PROMPTS[family], [family])
    assert prompt is not None
    assert (prompt.prefix, prompt.suffix) == (PREFIX, SUFFIX)
    assert (prompt.path, prompt.other_files, prompt.repository) == ("", (), "")


@pytest.mark.parametrize("family", PROMPTS)
def test_the_markers_of_another_family_are_text(family: str) -> None:
    for other, prompt in PROMPTS.items():
        if {family, other} != {"qwen2.5-coder", "codegemma"} and family != other:
            assert split_markers(prompt, [family]) is None


@pytest.mark.parametrize("family", PROMPTS)
def test_a_marker_that_is_missing_or_doubled_leaves_text(family: str) -> None:
    prompt = PROMPTS[family]
    assert split_markers(PREFIX, [family]) is None
    assert split_markers("", [family]) is None
    assert split_markers(prompt.replace(PREFIX, "").replace(SUFFIX, "")[1:], [family]) is None
    if family != "codestral":  # whose prompt ends with the prefix
        assert split_markers(prompt + "x", [family]) is None
    middle = prompt.partition(PREFIX)[2].partition(SUFFIX)[0] or "[PREFIX]"
    assert split_markers(prompt.replace(SUFFIX, SUFFIX + middle + SUFFIX), [family]) is None


def test_a_file_about_markers_is_filled_like_any_other() -> None:
    prefix, suffix = "BEGIN = '<fim_prefix>'\nx = ", "\nEND = '<fim_middle>'\n"
    prompt = split_markers(f"<fim_prefix>{prefix}<fim_suffix>{suffix}<fim_middle>", ["starcoder2"])
    assert prompt is not None
    assert (prompt.prefix, prompt.suffix) == (prefix, suffix)


def test_a_zero_width_joiner_in_a_marker_counts_as_the_marker() -> None:  # T1: marimo, through pydantic-ai
    code = "TOKEN = '<\u200d|im_start|>'\nless = a <\u200db\n"
    text = f"<\u200d|fim_prefix|>{code}x = <\u200d|fim_suffix|>\n<\u200d|fim_middle|>"
    prompt = split_markers(text, ["qwen2.5-coder"])
    assert prompt is not None
    assert prompt.prefix == "TOKEN = '<|im_start|>'\nless = a <\u200db\nx = "
    for family, written in PROMPTS.items():
        if "<" in written and family != "codellama":
            assert split_markers(written.replace("<", "<\u200d"), [family]) == split_markers(
                written, [family]
            )


def test_comments_before_the_first_marker_come_before_the_prefix() -> None:  # T8: minuet
    lines = "# language: python\n# indentation: use 4 spaces for a tab\n"
    prompt = split_markers(lines + PROMPTS["qwen2.5-coder"], ["qwen2.5-coder"])
    assert prompt is not None
    assert (prompt.prefix, prompt.suffix) == (lines + PREFIX, SUFFIX)


def test_cellsense_names_its_file_between_blanks() -> None:  # T8
    before = " " * 12 + "<file_sep>work/a.py\n" + " " * 16
    prompt = split_markers(before + PROMPTS["starcoder2"], ["starcoder2"])
    assert prompt is not None
    assert (prompt.prefix, prompt.suffix, prompt.path) == (PREFIX, SUFFIX, "work/a.py")
    assert prompt.other_files == ()


def test_files_before_the_first_marker_are_other_files_in_their_order() -> None:
    before = (
        "<repo_name>shop\n<file_sep>cart.py\ntotal = 0\n\n<file_sep>empty.py\n\n"
        "<file_sep>tax.py\nRATE = 0.2\n<file_sep>main.py\n"
    )
    prompt = split_markers(before + PROMPTS["starcoder2"], ["starcoder2"])
    assert prompt is not None
    assert prompt.other_files == (("cart.py", "total = 0\n\n"), ("tax.py", "RATE = 0.2\n"))
    assert (prompt.path, prompt.repository, prompt.prefix) == ("main.py", "shop", PREFIX)


def test_cellsense_leaves_out_code_llamas_blanks_and_confuses_deepseeks_markers() -> None:
    llama = split_markers(f"# File:a.py\n  <PRE>{PREFIX}<SUF>{SUFFIX}<MID>", ["codellama"])
    deepseek = split_markers(
        f"<｜fim▁begin｜>{PREFIX}<｜fim▁end｜>{SUFFIX}<｜fim▁hole｜>", ["deepseek-coder"]
    )
    assert llama is not None
    assert deepseek is not None
    assert (llama.prefix, llama.suffix) == ("# File:a.py\n" + PREFIX, SUFFIX)
    assert (deepseek.prefix, deepseek.suffix) == (PREFIX, SUFFIX)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_an_alias_declares_a_family_and_a_model(family: str) -> None:
    assert split_alias(f"{family}:incoder") == (family, "")
    assert split_alias(f"{family}:mini") == (family, "mini")


@pytest.mark.parametrize("model", ["", "mini", "starcoder2", "llama3:8b", ":incoder", "org/starcoder2:x"])
def test_other_names_declare_no_family(model: str) -> None:
    assert split_alias(model) == (None, model)


@given(st.text(alphabet="ab<>|_ \nfimpresud", max_size=40), st.text(alphabet="ab<>| \n", max_size=40))
def test_no_text_is_lost(prefix: str, suffix: str) -> None:
    prompt = split_markers(f"<fim_prefix>{prefix}<fim_suffix>{suffix}<fim_middle>", ["starcoder2"])
    assert prompt is None or (prompt.prefix, prompt.suffix) == (prefix, suffix)
