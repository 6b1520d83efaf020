"""The vocabulary in a GGUF file's metadata, as the content of a `tokenizer.json`, and its infilling format.

Metadata by key in; a `FamilyTokenizer` and its format out. The vocabulary is byte-level BPE (`gpt2`) with a
pre-tokenizer of `PRE_TOKENIZERS`, or SentencePiece's BPE (`llama`). Knows no files.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from incoder.errors import IncoderError, shown, shown_name
from incoder.tokenizer.family_tokenizer import FamilyTokenizer
from incoder.tokenizer.fill_in_the_middle import Family, FillInTheMiddleFormat
from incoder.tokenizer.formats import SPECIAL_TOKENS, InfillingFormat, choose_format

_KEY = "tokenizer.ggml."
_MAX_TOKEN = 1000  # characters; the longest published tokens have some hundreds of spaces
_NORMAL, _BYTE = 1, 6  # types of tokens that are text; the others are unknown, control, user-defined, unused
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"


def _byte_level(*, use_regex: bool = False) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def _split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def _sequence(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": list(steps)}


_DIGITS = {"type": "Digits", "individual_digits": True}
_GPT_2 = _byte_level(use_regex=True)
_STARCODER = _sequence(_DIGITS, _byte_level(use_regex=True))
_LLAMA_3 = _sequence(
    _split(rf"{_WORDS}|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*{_SPACES}"), _byte_level()
)
_QWEN_2 = _sequence(_split(rf"{_WORDS}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*{_SPACES}"), _byte_level())

# The steps of each family's own `tokenizer.json`, by llama.cpp's name for them.
PRE_TOKENIZERS: Mapping[str, dict[str, Any]] = {
    "gpt-2": _GPT_2,
    "mellum": _GPT_2,
    "starcoder": _STARCODER,
    "refact": _STARCODER,
    "smollm": _STARCODER,
    "codeshell": _STARCODER,
    "llama-bpe": _LLAMA_3,
    "llama3": _LLAMA_3,
    "llama-v3": _LLAMA_3,
    "qwen2": _QWEN_2,
    "deepseek-r1-qwen": _QWEN_2,
    "seed-coder": _sequence(
        _split(rf"{_WORDS}|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+{_SPACES}"), _byte_level()
    ),
    "deepseek-coder": _sequence(
        *(_split(one) for one in ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+")),
        _DIGITS,
        _byte_level(),
    ),
}
_LLAMA_3_NAMES = ("llama-bpe", "llama3", "llama-v3")


def read_vocabulary(metadata: Mapping[str, Any]) -> FamilyTokenizer:
    """Return the tokenizer that the metadata describes; its ids equal those of the family's `tokenizer.json`.

    Raises:
        IncoderError: the kind of vocabulary or the pre-tokenizer is unknown, or entries do not match.
    """
    kind = metadata.get(f"{_KEY}model")
    if kind not in ("gpt2", "llama"):
        raise IncoderError(
            f"its vocabulary is of the kind {shown(kind)}; 'gpt2' (byte-level BPE) and 'llama' "
            "(SentencePiece's BPE) are supported. Take the model's folder in Hugging Face's format instead"
        )
    tokens = _strings(metadata, "tokens")
    types = metadata.get(f"{_KEY}token_type", [_NORMAL] * len(tokens))
    if not isinstance(types, list) or len(types) != len(tokens):
        raise IncoderError(f"{_KEY}token_type must hold a type for each of the {len(tokens):,} tokens")
    longest = max(tokens, key=len)
    if len(longest) > _MAX_TOKEN:
        raise IncoderError(
            f"its token {shown(longest)} has {len(longest):,} characters; at most {_MAX_TOKEN:,} are "
            "supported"
        )
    # Of several ids with the same text, encoding only returns the first.
    first_ids = {token: token_id for token_id, token in reversed([*enumerate(tokens)])}
    vocab = {token: token_id for token, token_id in first_ids.items() if types[token_id] in (_NORMAL, _BYTE)}
    added = [
        {"content": token, "id": token_id, "special": True}
        for token, token_id in first_ids.items()
        if token not in vocab
    ]
    if kind == "gpt2":
        content = _byte_level_content(metadata, vocab)
    else:
        content = _sentencepiece_content(metadata, vocab, tokens)
    begin = start_token(metadata)
    steps = [] if begin is None else [{"SpecialToken": {"id": begin, "type_id": 0}}]
    content["added_tokens"] = added
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [*steps, {"Sequence": {"id": "A", "type_id": 0}}],
    }
    return FamilyTokenizer(content, {*SPECIAL_TOKENS, *_tokens_with_roles(metadata, tokens)})


def start_token(metadata: Mapping[str, Any]) -> str | None:
    """Return the token that the model's own tokenizer puts before a text, or None if it puts none.

    Raises:
        IncoderError: it puts a token there, and the file does not say which.
    """
    is_default = metadata.get(f"{_KEY}model") == "llama" or metadata.get(f"{_KEY}pre") in _LLAMA_3_NAMES
    if not metadata.get(f"{_KEY}add_bos_token", is_default):
        return None
    begin = _token(metadata, "bos", _strings(metadata, "tokens"))
    if begin is None:
        raise IncoderError(f"its texts begin with a token, and it has no {_KEY}bos_token_id to say which")
    return begin


def choose_gguf_format(
    metadata: Mapping[str, Any], tokenizer: FamilyTokenizer, name: str | None = None
) -> InfillingFormat:
    """Return the format of this name, by default the one whose tokens the vocabulary or the metadata has.

    If the metadata names infilling tokens of no known family, their order is prefix, suffix, middle, as in
    most families.

    Raises:
        IncoderError: there is no such format, or the vocabulary lacks its tokens.
    """
    tokens = _strings(metadata, "tokens")
    if (
        name is None and metadata.get(f"{_KEY}pre") == "mellum"
    ):  # Mellum has StarCoder's tokens, in its own order
        name = "mellum"
    found = choose_format(tokenizer, name)
    prefix, suffix, middle = (_token(metadata, key, tokens) for key in ("fim_pre", "fim_suf", "fim_mid"))
    if name is not None or found.max_num_holes or prefix is None or suffix is None or middle is None:
        return found
    ends = [_token(metadata, key, tokens) for key in ("eot", "eos", "fim_pad", "fim_rep", "fim_sep")]
    own = Family(
        "gguf",
        prefix=prefix,
        suffix=suffix,
        middle=middle,
        ends=tuple(dict.fromkeys(end for end in ends if end is not None)),
    )
    return FillInTheMiddleFormat(tokenizer, own)


def _byte_level_content(metadata: Mapping[str, Any], vocab: Mapping[str, int]) -> dict[str, Any]:
    pre_tokenizer = metadata.get(f"{_KEY}pre")
    if not isinstance(pre_tokenizer, str) or pre_tokenizer not in PRE_TOKENIZERS:
        named = (
            "names no pre-tokenizer"
            if pre_tokenizer is None
            else f"has the pre-tokenizer {shown(pre_tokenizer)}"
        )
        raise IncoderError(
            f"its vocabulary {named}, and without its rules the ids would differ; known are "
            f"{', '.join(PRE_TOKENIZERS)}. Take the model's folder in Hugging Face's format instead"
        )
    merges = [merge.split(" ") for merge in _strings(metadata, "merges")]
    wrong = next((merge for merge in merges if len(merge) != 2), None)
    if wrong is not None:
        raise IncoderError(f"{_KEY}merges must hold pairs of tokens, got {shown(' '.join(wrong))}")
    model = {
        "type": "BPE",
        "vocab": vocab,
        "merges": merges,
        "ignore_merges": pre_tokenizer in _LLAMA_3_NAMES,  # a word that is a token is never split
    }
    return {"pre_tokenizer": PRE_TOKENIZERS[pre_tokenizer], "model": model}


def _sentencepiece_content(
    metadata: Mapping[str, Any], vocab: Mapping[str, int], tokens: Sequence[str]
) -> dict[str, Any]:
    """SentencePiece merges the pair whose token has the highest score, so the merges are sorted by score."""
    scores = metadata.get(f"{_KEY}scores")
    if not isinstance(scores, list) or len(scores) != len(tokens) or not isinstance(scores[0], int | float):
        raise IncoderError(f"{_KEY}scores must hold a number for each of the {len(tokens):,} tokens")
    merges = [
        (-scores[token_id], vocab[token[:cut]], vocab[token[cut:]], token[:cut], token[cut:])
        for token, token_id in vocab.items()
        for cut in range(1, len(token))
        if token[:cut] in vocab and token[cut:] in vocab
    ]
    prepend = [{"type": "Prepend", "prepend": "▁"}] if metadata.get(f"{_KEY}add_space_prefix", True) else []
    return {
        "normalizer": {"type": "Sequence", "normalizers": prepend},
        "model": {
            "type": "BPE",
            "vocab": vocab,
            "merges": [[left, right] for *_, left, right in sorted(merges)],
            "byte_fallback": True,
            "fuse_unk": True,
        },
    }


def _tokens_with_roles(metadata: Mapping[str, Any], tokens: Sequence[str]) -> set[str]:
    """Return the tokens that have a role in the metadata, such as the end of a text: they are not text."""
    roles = [
        key.removeprefix(_KEY).removesuffix("_token_id")
        for key in metadata
        if key.startswith(_KEY) and key.endswith("_token_id")
    ]
    named = (_token(metadata, role, tokens) for role in roles)
    return {token for token in named if token is not None}


def _token(metadata: Mapping[str, Any], role: str, tokens: Sequence[str]) -> str | None:
    """Return the token with a role (`bos`, `fim_pre` …), or None if the metadata names none."""
    token_id = metadata.get(f"{_KEY}{role}_token_id")
    if token_id is None:
        return None
    if type(token_id) is not int or not 0 <= token_id < len(tokens):
        key = shown_name(f"{_KEY}{role}_token_id")
        raise IncoderError(
            f"{key} must be the id of one of the {len(tokens):,} tokens, got {shown(token_id)}"
        )
    return tokens[token_id]


def _strings(metadata: Mapping[str, Any], key: str) -> list[str]:
    """Return a list of strings that is not empty."""
    values = metadata.get(_KEY + key)
    if not isinstance(values, list) or not values or not isinstance(values[0], str):
        raise IncoderError(
            f"it has no vocabulary: {_KEY}{key} must be a list of strings; fetch the file again"
        )
    return values
