"""The bodies of POST /infill and POST /completion.

What only tunes llama.cpp's own sampling or cache is ignored, and so is `t_max_prompt_ms`, as there. A field
without which the answer would be wrong (a grammar) is refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from incoder.request import MAX_ALTERNATIVES, InfillRequest, PromptOptions
from incoder.sampling_params import SamplingParams
from incoder.server.call import Call
from incoder.server.dialects.llama_cpp.answers import Shape, Stream, Writer
from incoder.server.dialects.openai_fields import read_sampling, read_seed
from incoder.server.dialects.other_files import UNNAMED, by_name, path_like
from incoder.server.fields import MAX_TOKEN_ID, Fields, Prompt

MAX_CANDIDATES = 16  # a client that asks for more gets these
MANY_TOKENS = 1024  # for a body that asks for as many as the model writes
_NO_LIMIT = (-1, -2)
_DRAWN_SEEDS = (-1, 2**32 - 1)  # these ask the server to draw one
_WARM_UP_TOKENS = 128  # as the requests after it: the free part of the context decides what fits before it
_MAX_EXTRAS = 256
_MAX_INDENT = 2**31
_MAX_MILLISECONDS = 2**53
_MAX_RESPONSE_FIELDS = 64
_REFUSED = (
    "grammar",
    "json_schema",
    "ignore_eos",
)  # fields whose absence from the answer nobody would notice

Encode = Callable[[str], Sequence[int]]


def read_infill(body: Fields, num_tail_lines: int = 0) -> Call:
    """Return the call of an /infill body, for a model that was trained with this many tail lines.

    The `prompt` is the text of the cursor's line before the cursor. It is given as the start of the infill,
    so that a prefix and a suffix that do not change while the user types stay in the cache.

    Raises:
        FieldError: a field is missing, of the wrong kind, or outside of its range.

    >>> body = Fields({"input_prefix": "def f():\\n", "prompt": "    ret", "input_suffix": "\\n"})
    >>> read_infill(body).requests[0].parts
    ('def f():\\n    ret', '\\n')
    """
    prefix, suffix = body.required_text("input_prefix"), body.required_text("input_suffix")
    typed = body.text("prompt", "")
    extras = by_name(
        (extra.text("filename", UNNAMED), extra.required_text("text"))
        for extra in body.nested_list("input_extra", _MAX_EXTRAS)
    )
    options = PromptOptions(
        path=path_like(extras),
        other_files=extras,
        num_tail_lines=max(num_tail_lines, typed.count("\n") + 1) if typed else None,
    )
    return _call(body, [InfillRequest(parts=(prefix + typed, suffix), prompt=options)], is_list=False)


def read_completion(body: Fields, encode: Encode | None = None) -> Call:
    """Return the call of a /completion body; `encode` is needed for texts among token ids.

    Raises:
        FieldError: a field is missing, of the wrong kind, or outside of its range.

    >>> read_completion(Fields({"prompt": ["x = ", [5, 6]]})).requests[1].prompt_ids
    (5, 6)
    """
    prompts = body.prompts("prompt")
    if not prompts:
        raise body.error("prompt", "is required: a text, token ids, or a list of either")
    # So that a prompt and its token ids are continued alike.
    options = PromptOptions(token_healing=all(map(_is_text, prompts)))
    requests = [_completion(body, prompt, options, encode) for prompt in prompts]
    return _call(body, requests, is_list=len(prompts) > 1)


def needs_tokenizer(body: Fields) -> bool:
    """Whether a prompt of a /completion body mixes texts and token ids.

    >>> needs_tokenizer(Fields({"prompt": [5, "x"]})), needs_tokenizer(Fields({"prompt": ["x", [5]]}))
    (True, False)
    """
    return any(len({type(one) for one in prompt}) > 1 for prompt in body.prompts("prompt"))


def _completion(body: Fields, prompt: Prompt, options: PromptOptions, encode: Encode | None) -> InfillRequest:
    if _is_text(prompt):
        return InfillRequest(parts=("".join(map(str, prompt)),), prompt=options)
    ids: list[int] = []
    for one in prompt:
        if isinstance(one, int):
            ids.append(one)
        elif encode is not None:
            ids += encode(one)
        else:
            raise body.error("prompt", "mixes texts and token ids, which needs a tokenizer on this server")
    return InfillRequest(prompt_ids=tuple(ids), prompt=options)


def _is_text(prompt: Prompt) -> bool:
    return not any(isinstance(one, int) for one in prompt)


def _call(body: Fields, requests: Sequence[InfillRequest], *, is_list: bool) -> Call:
    for name in _REFUSED:
        if body.has_effect(name):
            raise body.error(name, "is not supported by this server; leave it out")
    num_predict = body.whole(body.first_of("n_predict", "max_tokens", "max_completion_tokens"), -1, -2, 2**31)
    num_candidates = body.whole(body.first_of("n_cmpl", "n"), 1, 1, 2**31)
    num_probs = body.whole(body.first_of("n_probs", "logprobs"), 0, 0, MAX_ALTERNATIVES)
    slot = body.whole("id_slot", -1, -1, MAX_TOKEN_ID)
    is_warm_up = num_predict == 0
    sampling, has_seed = _sampling(body, num_predict)
    shape = Shape(
        num_predict=num_predict,
        num_candidates=min(num_candidates, MAX_CANDIDATES),
        is_list=is_list or num_candidates > 1,
        least_indent=body.whole("n_indent", 0, 0, _MAX_INDENT),
        response_fields=body.texts("response_fields", _MAX_RESPONSE_FIELDS),
        has_tokens=body.switch("return_tokens", False),
        num_probs=num_probs,
        has_probabilities=body.switch("post_sampling_probs", False),
        slot=max(0, slot),
        has_seed=has_seed,
    )
    requests = [
        replace(
            request,
            sampling=sampling,
            num_candidates=shape.num_candidates,
            rank_by="none",
            num_alternatives=num_probs,
            deadline=0.0 if is_warm_up else None,  # ends after its prefill
        )
        for request in requests
    ]
    writer = Writer(shape, requests)
    return Call(
        requests=requests,
        write=writer.answer,
        stream=Stream(writer) if body.switch("stream", False) else None,
        model=body.text("model", ""),
        any_model=True,
        has_seed=has_seed,
        slot=str(slot) if slot >= 0 else None,
        is_warm_up=is_warm_up,
    )


def _sampling(body: Fields, num_predict: int) -> tuple[SamplingParams, bool]:
    """Return the settings of sampling, and whether the body has a seed."""
    sampling = read_sampling(body.without("seed", "max_tokens", "max_completion_tokens"), MANY_TOKENS)
    has_seed = body.whole("seed", -1, -(2**63), 2**64) not in _DRAWN_SEEDS
    milliseconds = body.number("t_max_predict_ms", 0.0, -1, _MAX_MILLISECONDS)
    new_tokens = {0: _WARM_UP_TOKENS, **dict.fromkeys(_NO_LIMIT, MANY_TOKENS)}.get(num_predict, num_predict)
    sampling = replace(
        sampling,
        max_new_tokens=new_tokens,
        seed=(read_seed(body) or 0) if has_seed else 0,
        repetition_penalty=body.number("repeat_penalty", 1.0, 0.01, 100),
        decode_time_limit=milliseconds / 1000 if milliseconds > 0 and num_predict else None,
    )
    return sampling, has_seed
