"""What a request asks beside a text and how to draw: tokens, echo, penalties, salts, deadlines, threads."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from incoder.errors import IncoderError
from incoder.inference.infill_model import InfillModel, InTurn
from incoder.inference.language_model import run_alone
from incoder.request import InfillRequest
from incoder.request_settings import ALL_STOPPING_RULES
from incoder.results import TextPiece
from incoder.tokenizer.tokenizer import Tokenizer

PARTS = ("def main():\n    ret", "\n\n\nif x is None:\n    pri", "(x)\n")
LONG = "import os\n\n\ndef main():\n    return os\n" * 4


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("stop", ["", "e"])
def test_tokens_have_the_log_probabilities_and_the_bytes_of_their_infill(
    dice: InfillModel, num_beams: int, stop: str
) -> None:
    result = dice.infill(PARTS, temperature=0.9, max_new_tokens=9, num_beams=num_beams, stop=stop)
    assert result.prompt is not None
    for candidate in result.candidates:
        logprobs = [token.logprob for tokens in candidate.tokens for token in tokens]
        assert sum(one for one in logprobs if one is not None) == pytest.approx(candidate.total_logprob)
        first = b"".join(token.data for token in candidate.tokens[0]).decode("utf-8", "replace")
        assert first.startswith(result.prompt.required_prefix)
        healed = first.removeprefix(result.prompt.required_prefix)
        assert healed.startswith(candidate.infills[0].rstrip("\N{REPLACEMENT CHARACTER}"))


@pytest.mark.parametrize("speculate", [True, False])
def test_a_greedy_token_is_the_first_of_its_alternatives(dice: InfillModel, speculate: bool) -> None:
    settings: dict[str, Any] = {"temperature": 0, "max_new_tokens": 9, "token_healing": False}
    result = dice.complete("x = x = x =", num_alternatives=3, speculate=speculate, **settings)
    assert result == dice.complete("x = x = x =", **settings)
    free = result.candidates[0].tokens[0]
    assert len(free) >= 9
    for token in free:
        assert len(token.alternatives) == 3
        logprobs = [one.logprob for one in token.alternatives]
        assert logprobs == sorted(logprobs, reverse=True)
        assert token.logprob is not None
        assert token.logprob <= logprobs[0] + 1e-6
        shown = {one.token_id: one.logprob for one in token.alternatives}
        assert shown.get(token.token_id, token.logprob) == pytest.approx(token.logprob)
    assert not dice.complete("x = x = x =", **settings).candidates[0].tokens[0][0].alternatives


def test_an_echo_has_the_log_probabilities_of_a_score(fast: InfillModel) -> None:
    request = InfillRequest.from_settings(
        [LONG], echo=True, token_healing=False, max_new_tokens=2, num_alternatives=1
    )
    result = fast.run(request)
    assert result.prompt is not None
    first, *rest = result.prompt.tokens
    assert first.logprob is None
    assert [token.logprob for token in rest] == pytest.approx(list(fast.score(LONG).token_logprobs), abs=1e-3)
    assert [token.token_id for token in (first, *rest)] == list(result.prompt.token_ids)
    assert all(len(token.alternatives) == 1 for token in rest)
    without = fast.run(InfillRequest.from_settings([LONG], token_healing=False, max_new_tokens=2))
    assert without.prompt is not None
    assert without.prompt.tokens == ()
    assert [one.infills for one in without.candidates] == [one.infills for one in result.candidates]


def test_a_prompt_of_token_ids_is_gone_on_with_as_its_text(fast: InfillModel) -> None:
    start = fast.infilling_format.document_start_id
    assert start is not None
    ids = (start, *fast.tokenizer.encode("def main():\n    return"))
    settings: dict[str, Any] = {"temperature": 0, "max_new_tokens": 8}
    by_ids = fast.run(InfillRequest.from_settings(**{**settings, "prompt_ids": ids}))
    by_text = fast.complete("def main():\n    return", token_healing=False, **settings)
    assert by_ids == by_text
    assert by_ids.prompt == fast.shown_prompt(InfillRequest(prompt_ids=ids))
    assert by_ids.prompt is not None
    assert by_ids.prompt.token_ids == ids


def test_token_ids_that_the_model_cannot_read_are_refused(dice: InfillModel) -> None:
    with pytest.raises(IncoderError, match=r"prompt_ids is for token ids in \[0, 640\), got one for 640"):
        dice.run(InfillRequest(prompt_ids=(640,)))
    with pytest.raises(
        IncoderError,
        match="prompt_ids has 256 tokens; the model's context has 256, of which at least one must",
    ):
        dice.run(InfillRequest(prompt_ids=(300,) * 256))
    with pytest.raises(IncoderError, match="the request has no text: give it parts or prompt_ids"):
        dice.run(InfillRequest())


def likes(tokenizer: Tokenizer, **logits: float) -> Callable[[list[int]], Tensor]:
    """The same logits after any tokens: some for single characters, 0 for all others."""

    def logits_after(_: list[int]) -> Tensor:
        logits_V = torch.zeros(tokenizer.vocab_size)
        for character, logit in logits.items():
            logits_V[tokenizer.encode(character)[0]] = logit
        return logits_V

    return logits_after


@pytest.mark.parametrize(
    ("penalties", "expected"),
    [
        ({}, "aaaaaa"),
        ({"presence_penalty": 1.5}, "abcaaa"),  # once is enough: then a is the greatest of those left
        ({"frequency_penalty": 1.0}, "abacba"),  # 5 4 3, each less by 1 for each time; equal ones by id
        ({"presence_penalty": -2.0}, "aaaaaa"),
    ],
)
@pytest.mark.parametrize("speculate", [True, False])
def test_penalties_apply_to_tokens_that_the_infill_has_already(
    reading_again: Callable[..., InfillModel],
    tiny_tokenizer: Tokenizer,
    penalties: dict[str, float],
    expected: str,
    speculate: bool,
) -> None:
    model = reading_again(likes(tiny_tokenizer, a=5.0, b=4.0, c=3.8), 64)
    settings: dict[str, Any] = {"temperature": 0, "max_new_tokens": 6, "speculate": speculate, **penalties}
    written = model.complete("abcabcabc ", **settings).infills[0]  # the prompt does not count
    if "frequency_penalty" in penalties:
        assert sorted(written) == sorted("aaabbc")
    else:
        assert written == expected


def test_penalties_are_not_for_the_required_prefix(
    reading_again: Callable[..., InfillModel], tiny_tokenizer: Tokenizer
) -> None:
    model = reading_again(likes(tiny_tokenizer, a=5.0, b=4.0), 64)
    result = model.infill(
        ("x\naaaa", "\n"), temperature=0, max_new_tokens=2, presence_penalty=2, stopping_rules=()
    )
    assert result.prompt is not None
    assert result.prompt.required_prefix.endswith("a")
    assert result.infills[0].startswith("a")


@pytest.mark.parametrize("temperature", [0.0, 1e-320, 1.0])
def test_the_greatest_settings_still_choose_by_the_logits(
    reading_again: Callable[..., InfillModel], tiny_tokenizer: Tokenizer, temperature: float
) -> None:
    model = reading_again(likes(tiny_tokenizer, a=50.0), 64)
    a, b = (tiny_tokenizer.encode(one)[0] for one in "ab")
    settings: dict[str, Any] = {"temperature": temperature, "max_new_tokens": 3, "token_healing": False}
    assert model.complete("x ", **settings).infills == ("aaa",)
    assert model.complete("x ", logit_bias={b: 1e30}, **settings).infills == ("bbb",)
    assert model.complete("x ", logit_bias={a: -1e30, b: 1e30}, **settings).infills == ("bbb",)
    assert model.complete("x ", repetition_penalty=1e-6, **settings).infills == ("aaa",)


def test_a_bias_for_every_token_costs_about_what_one_does(
    reading_again: Callable[..., InfillModel], tiny_tokenizer: Tokenizer
) -> None:
    model = reading_again(likes(tiny_tokenizer, a=5.0, b=4.0), 64)
    b = tiny_tokenizer.encode("b")[0]
    biases = {token_id: 2.0 * (token_id == b) for token_id in range(tiny_tokenizer.vocab_size)}
    with torch.profiler.profile() as profile:
        assert model.complete("x ", temperature=0, max_new_tokens=3, logit_bias=biases).infills == ("bbb",)
    num_additions = sum(event.count for event in profile.key_averages() if event.key == "aten::add_")
    assert num_additions < len(biases)


def test_the_last_of_max_lines_ends_as_the_text_after_the_hole_asks(
    reading_again: Callable[..., InfillModel], tiny_tokenizer: Tokenizer
) -> None:
    newline, letter = tiny_tokenizer.encode("\n")[0], tiny_tokenizer.encode("x")[0]

    def logits_after(token_ids: list[int]) -> Tensor:
        logits_V = torch.zeros(tiny_tokenizer.vocab_size)
        logits_V[newline if token_ids[-1] == letter else letter] = 20.0
        return logits_V

    model = reading_again(logits_after, 64)
    settings: dict[str, Any] = {"temperature": 0, "max_new_tokens": 9, "max_lines": 1, "token_healing": False}
    for rules in (("lines",), ALL_STOPPING_RULES):
        for lines in (None, "block", "auto"):
            result = model.infill(("a\n", "\nb\n"), stopping_rules=rules, lines=lines, **settings)
            assert result.text == "a\nx\nb\n"
    assert model.infill(("a\n", "\nb\n"), stopping_rules=(), **settings).text == "a\nx\n\nb\n"


def test_the_first_token_is_one_of_the_allowed(
    reading_again: Callable[..., InfillModel], tiny_tokenizer: Tokenizer
) -> None:
    model = reading_again(likes(tiny_tokenizer, a=5.0, b=4.0), 64)
    ids = [tiny_tokenizer.encode(one)[0] for one in "bc"]
    for num_beams in (1, 2):
        written = model.complete(
            "(\n", temperature=0, max_new_tokens=3, allowed_first_ids=ids, num_beams=num_beams
        )
        assert written.infills == ("baa",)
    with pytest.raises(
        IncoderError, match=r"allowed_first_ids \[\d+\] has no token .* must begin with b'impor'"
    ):
        model.complete("impor", allowed_first_ids=ids[:1])
    with pytest.raises(IncoderError, match="or set num_tail_lines=0 and token_healing=False"):
        model.complete("impor", allowed_first_ids=ids[:1])
    with pytest.raises(IncoderError, match=r"allowed_first_ids is for token ids in \[0, 640\)"):
        model.complete("x", allowed_first_ids=[640])


def test_requests_share_what_is_cached_with_the_same_salt_only(fast: InfillModel) -> None:
    def asked(salt: str) -> tuple[int, Any]:
        result = fast.complete(LONG, max_new_tokens=2, cache_salt=salt)
        assert result.prompt is not None
        assert result.usage.num_prompt_tokens == len(result.prompt.token_ids)
        assert result.usage.num_completion_tokens == len(result.candidates[0].tokens[0])
        return result.usage.num_cached_tokens, result.candidates

    first, other, again = asked("a"), asked("b"), asked("a")
    assert first[0] == other[0] == 0 < again[0]
    assert asked("")[0] == 0
    assert first[1] == other[1] == again[1]


def test_ranking_by_the_full_text_keeps_to_its_salt(fast: InfillModel) -> None:
    settings: dict[str, Any] = {"num_candidates": 3, "temperature": 1.0, "max_new_tokens": 3}
    fast.infill([LONG, "\n"], rank_by="full-text", cache_salt="a", **settings)
    assert fast.complete(LONG, max_new_tokens=1).usage.num_cached_tokens == 0


@pytest.mark.parametrize("time_limit", [None, 1000.0])
def test_a_deadline_that_is_over_ends_the_infills(dice: InfillModel, time_limit: float | None) -> None:
    result = dice.complete("x = ", deadline=time.monotonic() - 1, time_limit=time_limit)
    assert result.candidates[0].finish_reasons == ("time",)
    later = dice.complete("x = ", deadline=time.monotonic() + 1000, max_new_tokens=2)
    assert later.candidates[0].finish_reasons != ("time",)
    short = dice.complete("x = ", deadline=time.monotonic() + 1000, time_limit=1e-9)
    assert short.candidates[0].finish_reasons == ("time",)


def test_a_callback_knows_its_request_and_joins_to_the_infills(dice: InfillModel) -> None:
    request = InfillRequest.from_settings(PARTS, temperature=0.9, max_new_tokens=9, num_candidates=2)
    pieces: list[TextPiece] = []
    result = dice.run(request, on_text=pieces.append)
    assert all(piece.request is request for piece in pieces)
    joined = {
        tuple(
            "".join(one.text for one in pieces if (one.candidate, one.hole) == (i, hole)) for hole in (0, 1)
        )
        for i in (0, 1)
    }
    shown = {
        tuple(text.rstrip("\N{REPLACEMENT CHARACTER}") for text in one.infills) for one in result.candidates
    }
    assert {tuple(text.rstrip("\N{REPLACEMENT CHARACTER}") for text in one) for one in joined} == shown


def test_on_fill_is_now_called_on_infill(dice: InfillModel) -> None:
    reports: list[tuple[int, int]] = []
    with pytest.warns(FutureWarning, match="on_fill is now called on_infill"):
        dice.infill("x<FILL>", max_new_tokens=1, on_fill=lambda *report: reports.append(report))
    assert reports == [(1, 1)]


def test_every_call_is_run_as_the_model_was_given(fast: InfillModel) -> None:
    generations: list[Any] = []

    def run(generation: Any) -> Any:
        generations.append(generation)
        return run_alone(generation)

    model = InfillModel(fast.language_model, fast.tokenizer, run=run)
    calls: tuple[Callable[[], Any], ...] = (
        lambda: model.infill("x<FILL>", max_new_tokens=1),
        lambda: model.complete("x", max_new_tokens=1),
        lambda: model.score("x = 1"),
        lambda: model.score_texts(["x = 1", "x = 2"]),
        lambda: model.score_infills("x<FILL>", ["1"]),
        lambda: model.line_logprobs("x = 1"),
    )
    with torch.inference_mode():
        for number, call in enumerate(calls, start=1):
            call()
            assert len(generations) == number


def test_calls_from_several_threads_run_one_after_the_other(fast: InfillModel) -> None:
    texts = ["x = ", "def f(", "import ", "for x in "]
    alone = {text: fast.complete(text, max_new_tokens=6) for text in texts}
    found: dict[str, Any] = {}
    threads = [
        threading.Thread(target=lambda text=text: found.update({text: fast.complete(text, max_new_tokens=6)}))
        for text in texts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {text: result.infills for text, result in found.items()} == {
        text: result.infills for text, result in alone.items()
    }


def test_two_threads_never_run_a_coroutine_at_once_and_a_callback_may_call_again() -> None:
    run, running, most = InTurn(), 0, 0

    def generation() -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.02)
        running -= 1
        yield from ()

    threads = [threading.Thread(target=lambda: run(generation())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1

    def nested() -> Any:
        run(generation())
        yield from ()
        return "done"

    assert run(nested()) == "done"


@pytest.mark.parametrize(
    "more", [{"num_beams": 3}, {"num_candidates": 3, "rank_by": "full-text"}, {"lines": "block"}]
)
def test_everything_can_be_asked_at_once(fast: InfillModel, more: dict[str, Any]) -> None:
    start = fast.infilling_format.document_start_id
    assert start is not None
    settings: dict[str, Any] = {
        "echo": True,
        "num_alternatives": 5,
        "cache_salt": "s",
        "presence_penalty": 1.0,
        "frequency_penalty": 1.0,
        "repetition_penalty": 1.1,
        "temperature": 1.0,
        "max_new_tokens": 6,
        "allowed_first_ids": range(10, 300),
        "token_healing": False,
        **more,
    }
    pieces: list[TextPiece] = []
    requests = [
        InfillRequest.from_settings(parts, **settings) for parts in (PARTS, ["x = "], [LONG * 9, "\n"])
    ]
    ids = (start, *fast.tokenizer.encode("x = "))
    requests.append(InfillRequest.from_settings(**{**settings, "prompt_ids": ids}))
    for request in requests:
        result = fast.run(request, on_text=pieces.append)
        assert result.prompt is not None
        assert len(result.prompt.tokens) == result.prompt.num_tokens
        for candidate in result.candidates:
            assert len(candidate.tokens) == len(candidate.infills)
            assert all(len(token.alternatives) == 5 for tokens in candidate.tokens for token in tokens)
            assert all(tokens[0].token_id in range(10, 300) for tokens in candidate.tokens)
