"""Prompts against what each family documents, token by token."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers

from incoder.errors import IncoderError
from incoder.tokenizer.family_tokenizer import FamilyTokenizer
from incoder.tokenizer.fill_in_the_middle import FillInTheMiddleFormat
from incoder.tokenizer.formats import (
    SPECIAL_TOKENS,
    NoInfillingFormat,
    choose_format,
    format_names,
    read_tokenizer,
)
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer

Contents = Callable[[str], dict[str, Any]]
PREFIX, SUFFIX = "def mean(xs):\n    return ", " / len(xs)\n"
DOCUMENTED = {  # the prompt as text, in which each family's own tokenizer recognises its tokens
    "deepseek-coder": "<｜begin▁of▁sentence｜><｜fim▁begin｜>{prefix}<｜fim▁hole｜>{suffix}<｜fim▁end｜>",
    "qwen2.5-coder": "<|fim_prefix|>{prefix}<|fim_suffix|>{suffix}<|fim_middle|>",
    "starcoder": "<fim_prefix>{prefix}<fim_suffix>{suffix}<fim_middle>",
    "starcoder-spm": "<fim_prefix><fim_suffix>{suffix}<fim_middle>{prefix}",
    "granite-code": "<fim_prefix>{prefix}<fim_suffix>{suffix}<fim_middle>",
    "mellum": "<fim_suffix>{suffix}<fim_prefix>{prefix}<fim_middle>",
    "seed-coder": "<[fim-suffix]>{suffix}<[fim-prefix]>{prefix}<[fim-middle]>",
}


def tools_for(content: dict[str, Any]) -> tuple[FamilyTokenizer, tokenizers.Tokenizer]:
    return FamilyTokenizer(content, SPECIAL_TOKENS), tokenizers.Tokenizer.from_str(json.dumps(content))


@pytest.mark.parametrize("name", DOCUMENTED)
@pytest.mark.parametrize(("prefix", "suffix"), [(PREFIX, SUFFIX), ("", ""), (" x", " y")])
def test_the_prompt_is_the_documented_one(
    family_tokenizers: Contents, name: str, prefix: str, suffix: str
) -> None:
    tokenizer, peer = tools_for(family_tokenizers(name.removesuffix("-spm")))
    parts = [tokenizer.encode_start(prefix), tokenizer.encode(suffix)]
    layout = choose_format(tokenizer, name if name.endswith("-spm") else None)
    documented = DOCUMENTED[name].format(prefix=prefix, suffix=suffix)
    assert layout.prompt(parts) == peer.encode(documented, add_special_tokens=False).ids
    assert layout.hole_start(0) == []


@pytest.mark.parametrize("suffix_first", [False, True])
@pytest.mark.parametrize(("prefix", "suffix"), [(PREFIX, SUFFIX), ("", ""), (" x", " y"), ("x", "")])
def test_code_llama_s_prompt_is_that_of_its_authors_code(
    family_tokenizers: Contents, suffix_first: bool, prefix: str, suffix: str
) -> None:
    """`infilling_prompt_tokens` of facebookresearch/codellama: the prefix is encoded as a text is, with the
    space that SentencePiece puts before it; the suffix behind a guard, which with its space is cut off."""
    tokenizer, peer = tools_for(family_tokenizers("codellama"))
    before = peer.encode(prefix, add_special_tokens=False).ids
    after = peer.encode("☺" + suffix, add_special_tokens=False).ids[2:]
    begin, pre, suf, mid = (peer.token_to_id(token) for token in ("<s>", "▁<PRE>", "▁<SUF>", "▁<MID>"))
    expected = (
        [begin, pre, suf, *after, mid, *before] if suffix_first else [begin, pre, *before, suf, *after, mid]
    )
    layout = choose_format(tokenizer, "codellama-spm" if suffix_first else None)
    assert layout.prompt([tokenizer.encode_start(prefix), tokenizer.encode(suffix)]) == expected


@pytest.mark.parametrize(("prefix", "suffix"), [(PREFIX, SUFFIX), ("", ""), (" x", " y"), ("x", "")])
def test_codestral_s_prompt_is_that_of_its_authors_pages(
    family_tokenizers: Contents, prefix: str, suffix: str
) -> None:
    """`<s>[SUFFIX]suffix[PREFIX] prefix`: SentencePiece puts a space before the prefix, as before a text."""
    tokenizer, peer = tools_for(family_tokenizers("codestral"))
    begin, suf, pre = (peer.token_to_id(token) for token in ("<s>", "[SUFFIX]", "[PREFIX]"))
    before = peer.encode(prefix, add_special_tokens=False).ids
    after = peer.encode("☺" + suffix, add_special_tokens=False).ids[2:]
    layout = choose_format(tokenizer)
    assert layout.name == "codestral"
    prompt = layout.prompt([tokenizer.encode_start(prefix), tokenizer.encode(suffix)])
    assert prompt == [begin, suf, *after, pre, *before]
    assert peer.token_to_id("[MIDDLE]") in layout.never_generated_ids


@pytest.mark.parametrize(
    ("name", "documented"),
    [
        (
            "mellum",
            "<filename>a.py\nx = 1\n<filename>b/c.py\ny\n<filename>main.py\n"
            "<fim_suffix>{suffix}<fim_prefix>{prefix}<fim_middle>",
        ),
        (
            "qwen2.5-coder",
            "<|repo_name|>zoo\n<|file_sep|>a.py\nx = 1\n<|file_sep|>b/c.py\ny\n<|file_sep|>main.py\n"
            "<|fim_prefix|>{prefix}<|fim_suffix|>{suffix}<|fim_middle|>",
        ),
        (
            "starcoder",
            "<repo_name>zoo<file_sep>a.py\nx = 1\n<file_sep>b/c.py\ny"
            "<file_sep><fim_prefix>main.py\n{prefix}<fim_suffix>{suffix}<fim_middle>",
        ),
    ],
)
def test_other_files_stand_before_the_prompt_as_documented(
    family_tokenizers: Contents, name: str, documented: str
) -> None:
    tokenizer, peer = tools_for(family_tokenizers(name))
    layout = choose_format(tokenizer)
    assert isinstance(layout, FillInTheMiddleFormat)
    files = {"a.py": "x = 1\n", "b/c.py": "y"}
    before, header = layout.context(files, "main.py", "zoo", tokenizer.encode)
    prompt = before + layout.prompt([tokenizer.encode(header + PREFIX), tokenizer.encode(SUFFIX)])
    text = documented.format(prefix=PREFIX, suffix=SUFFIX)
    assert prompt == peer.encode(text, add_special_tokens=False).ids


def test_two_families_have_a_layout_for_repositories(family_tokenizers: Contents, family_name: str) -> None:
    tokenizer, _ = tools_for(family_tokenizers(family_name))
    assert choose_format(tokenizer).reads_repositories == (family_name in ("qwen2.5-coder", "starcoder"))


def test_a_completion_is_begun_as_a_document(family_tokenizers: Contents, family_name: str) -> None:
    tokenizer, peer = tools_for(family_tokenizers(family_name))
    begin = {"codellama": ["<s>"], "deepseek-coder": ["<｜begin▁of▁sentence｜>"]}.get(family_name, [])
    assert choose_format(tokenizer).prompt([[7, 8]]) == [*map(peer.token_to_id, begin), 7, 8]


@pytest.mark.parametrize("name", ["qwen2.5-coder", "starcoder", "mellum"])
def test_an_empty_text_begins_after_the_end_of_another(family_tokenizers: Contents, name: str) -> None:
    """These families put nothing before a text, and a model must read something."""
    tokenizer, peer = tools_for(family_tokenizers(name))
    layout = choose_format(tokenizer)
    assert layout.prompt([[]]) == [peer.token_to_id("<|endoftext|>")]
    assert layout.document_start_id is None


def test_fills_end_at_the_family_s_tokens_and_hold_no_others(
    family_tokenizers: Contents, family_name: str
) -> None:
    tokenizer, peer = tools_for(family_tokenizers(family_name))
    layout = choose_format(tokenizer)
    end = {
        "codellama": "▁<EOT>",
        "deepseek-coder": "<｜end▁of▁sentence｜>",
        "qwen2.5-coder": "<|endoftext|>",
        "starcoder": "<|endoftext|>",
    }[family_name]
    assert layout.end_of_infill_id == peer.token_to_id(end)
    assert layout.end_of_infill_id in layout.end_of_infill_ids
    special = {token_id for token_id in range(tokenizer.vocab_size) if not tokenizer.token_bytes(token_id)}
    assert layout.end_of_infill_ids | layout.never_generated_ids == special
    assert layout.end_of_infill_ids.isdisjoint(layout.never_generated_ids)


def test_two_holes_are_refused(family_tokenizers: Contents, family_name: str) -> None:
    layout = choose_format(tools_for(family_tokenizers(family_name))[0])
    assert layout.max_num_holes == 1
    with pytest.raises(IncoderError, match=f"{family_name} fills one hole at a time, got 2"):
        layout.prompt([[], [], []])


def test_the_format_is_recognised_by_the_vocabulary(
    family_tokenizers: Contents, family_name: str, tiny_tokenizer: Tokenizer
) -> None:
    assert choose_format(tools_for(family_tokenizers(family_name))[0]).name == family_name
    assert choose_format(tiny_tokenizer).name == "causal-masking"
    assert isinstance(choose_format(tiny_tokenizer, "causal-masking"), CausalMaskingFormat)


def test_a_vocabulary_without_such_tokens_only_completes(family_tokenizers: Contents) -> None:
    content = family_tokenizers("codellama")
    kept = {token: i for token, i in content["model"]["vocab"].items() if "▁<" not in token}
    model = {**content["model"], "vocab": kept}
    added = [token for token in content["added_tokens"] if "▁<" not in token["content"]]
    tokenizer = FamilyTokenizer({**content, "model": model, "added_tokens": added})
    layout = choose_format(tokenizer)
    assert isinstance(layout, NoInfillingFormat)
    assert (layout.name, layout.max_num_holes) == ("none", 0)
    assert layout.prompt([[7]]) == [tokenizer.special_ids["<s>"], 7]
    assert layout.end_of_infill_ids == {tokenizer.special_ids["</s>"]}


def test_a_format_that_does_not_fit_is_named(family_tokenizers: Contents, tiny_tokenizer: Tokenizer) -> None:
    tokenizer, _ = tools_for(family_tokenizers("starcoder"))
    with pytest.raises(
        IncoderError, match=r"no <\|fim_prefix\|>, which the infilling format qwen2.5-coder needs"
    ):
        choose_format(tokenizer, "qwen2.5-coder")
    with pytest.raises(IncoderError, match=r"no <\|endofmask\|>, which the infilling format causal-masking"):
        choose_format(tokenizer, "causal-masking")
    with pytest.raises(IncoderError, match="no <fim_prefix>"):
        choose_format(tiny_tokenizer, "starcoder")
    with pytest.raises(IncoderError, match="no infilling format 'starcode', perhaps starcoder"):
        choose_format(tokenizer, "starcode")
    assert {"causal-masking", "codellama", "codellama-spm", "starcoder-spm"} < set(format_names())


def test_a_folder_s_tokenizer_is_of_its_kind(
    tmp_path: Path, family_tokenizers: Contents, tiny_tokenizer: Tokenizer
) -> None:
    (tmp_path / "tokenizer.model").touch()
    with pytest.raises(IncoderError, match=r"a tokenizer\.model but no tokenizer\.json"):
        read_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps(family_tokenizers("codellama")))
    assert isinstance(read_tokenizer(tmp_path), FamilyTokenizer)
    tiny_tokenizer.save(tmp_path)
    assert isinstance(read_tokenizer(tmp_path), Tokenizer)
    for text, message in (
        ("{", "is not a tokenizer.json"),
        ("[" * 200_000, "is not a tokenizer.json"),
        ("[]", "is not a tokenizer.json"),
        ('{"model": {}}', "of a known form|neither"),
    ):
        (tmp_path / "tokenizer.json").write_text(text)
        with pytest.raises(IncoderError, match=message):
            read_tokenizer(tmp_path)
