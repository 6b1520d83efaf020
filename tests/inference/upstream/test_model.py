"""A model on another server: prompts, rules and ranking here, tokens there."""

import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import incoder
from incoder import IncoderError, InfillRequest
from incoder.embedded_models import EMBEDDED
from incoder.inference.upstream.model import UpstreamModel
from incoder.results import TextPiece
from incoder.tokenizer.formats import read_tokenizer

MINI = read_tokenizer(EMBEDDED / "mini")
NUMPY = "numpy as np\nimport os\n"


Serve = Callable[..., Any]
Load = Callable[..., UpstreamModel]


def test_a_rule_ends_the_infill_and_closes_the_request(serve: Serve, load: Load) -> None:
    server = serve(answer="1 + 2\n" + "print(x)\n" * 200, on_chunk=lambda _: time.sleep(0.002))
    found = load(server).infill("x = <FILL>\ny = 2\n", max_new_tokens=1000, lines="one")
    assert found.infills == ("1 + 2",)
    assert found.candidates[0].finish_reasons == ("stop",)
    deadline = time.monotonic() + 10
    while server.num_open and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.num_open == 0
    assert server.num_chunks < 200  # of about 1,000


def test_a_prompt_is_the_local_models_prompt(
    serve: Serve, load: Load, embedded_model: incoder.InfillModel
) -> None:
    server = serve()
    request = InfillRequest.from_settings(
        "import os\n\nx = os.pa<FILL>\ny = 1\n", path="a.py", other_files={"b.py": "z = 3\n"}, temperature=0
    )
    model = load(server)
    assert model.shown_prompt(request) == embedded_model.shown_prompt(request)
    model.run(request)
    prompt = list(embedded_model.shown_prompt(request).token_ids)
    assert all(body["prompt"][: len(prompt)] == prompt for body in server.asked)


def test_an_infill_inside_a_word_is_healed(serve: Serve, load: Load) -> None:
    server = serve(answer=NUMPY)
    model = load(server)
    assert model.infill("import nu<FILL>\nx = 1\n", temperature=0).text.startswith("import numpy as np")
    constrained = [body for body in server.bodies if len(body.get("allowed_token_ids", ())) > 1]
    assert constrained
    required = model.shown_prompt(InfillRequest.from_settings("import nu<FILL>\nx = 1\n")).required_prefix
    starts = {MINI.decode([one]) for body in constrained for one in body["allowed_token_ids"]}
    assert all(one.startswith(required) or required.startswith(one) for one in starts)


def test_healing_by_biases_where_ids_cannot_be_allowed(serve: Serve, load: Load) -> None:
    def refuse(_: str, body: dict[str, Any]) -> Any:
        if "allowed_token_ids" in body:
            return 400, {"error": {"message": "unknown field"}}
        return None

    server = serve(answer=NUMPY, before=refuse)
    assert (
        load(server).infill("import nu<FILL>\nx = 1\n", temperature=0).text.startswith("import numpy as np")
    )
    assert any(len(body.get("logit_bias", ())) > 1 for body in server.bodies)


def test_without_constraints_the_partial_word_is_given(serve: Serve, load: Load) -> None:
    def refuse(_: str, body: dict[str, Any]) -> Any:
        if "allowed_token_ids" in body or "logit_bias" in body:
            return 400, {"error": {"message": "unknown field"}}
        return None

    server = serve(answer=NUMPY, before=refuse)
    model = load(server)
    assert model.infill("import nu<FILL>\nx = 1\n", temperature=0).text.startswith("import numpy as np")
    assert server.prompt(server.asked[0]).endswith("import nu")
    assert any("inside a word" in note for note in model.notes)


def test_a_blank_docstring_does_not_end_before_it_has_text(serve: Serve, load: Load) -> None:
    server = serve(answer=lambda prompt: "Add them." if prompt.endswith("Add") else "", otherwise="Add")
    found = load(server).infill('def add(a, b):\n    """<FILL>"""\n    return a + b\n', temperature=0)
    assert found.infills == ("Add them.",)


def test_another_infill_is_written_where_an_opener_is_missing(serve: Serve, load: Load) -> None:
    def answer(_: str) -> str:
        is_first = server.bodies[-1].get("stream") and len(server.asked) == 1
        return "    pass\n" if is_first else "    while found:\n"

    server = serve(answer=answer)
    text = "def f(found):\n<FILL>\n        return 1\n    return 2\n"
    assert load(server).infill(text, path="a.py", temperature=0).infills == ("    while found:",)


def test_without_the_rule_it_is_not_written_again(serve: Serve, load: Load) -> None:
    server = serve(answer="    pass\n")
    text = "def f(found):\n<FILL>\n        return 1\n    return 2\n"
    found = load(server).infill(text, path="a.py", temperature=0, stopping_rules=["lines"])
    assert found.infills == ("    pass",)


def test_a_later_hole_sees_the_earlier_infill(serve: Serve, load: Load) -> None:
    def answer(prompt: str) -> str:
        return "second" if "first" in prompt else "first"

    server = serve(answer=answer)
    found = load(server).infill(["x = ", "\ny = ", "\n"], temperature=0)
    assert found.infills == ("first", "second")


def test_text_is_streamed_and_never_retracted(serve: Serve, load: Load) -> None:
    pieces: list[TextPiece] = []
    server = serve(answer="compute(1, 2) + 3")
    found = load(server).infill("x = <FILL>\n", temperature=0, on_text=pieces.append)
    assert "".join(piece.text for piece in pieces) == found.infills[0] == "compute(1, 2) + 3"
    assert len(pieces) > 1


def test_candidates_are_ranked_by_their_logprobs(serve: Serve, load: Load) -> None:
    server = serve()
    model = load(server)
    answers = iter(["rare", "likely", "likely"])
    logprobs = {"rare": -3.0, "likely": -0.1}
    server.answer = "x"
    original = server.streamed

    def streamed(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        server.answer = text = next(answers)
        for chunk in list(original(body)):
            for choice in chunk["choices"]:
                if choice.get("logprobs"):
                    choice["logprobs"]["token_logprobs"] = [logprobs[text]]
            yield chunk

    server.streamed = streamed
    found = model.infill("y = <FILL>\n", num_candidates=3, temperature=1.0, token_healing=False)
    assert [one.infills[0] for one in found.candidates] == ["likely", "rare"]
    assert found.candidates[0].logprob == pytest.approx(-0.1)


def test_each_candidate_of_each_prompt_has_a_seed_but_the_greedy_first(serve: Serve, load: Load) -> None:
    server = serve()
    model = load(server)
    for text in ("y = <FILL>\n", "z = <FILL>\n"):
        model.infill(text, num_candidates=3, temperature=1.0, token_healing=False)
    assert sorted(body["temperature"] for body in server.asked) == [0, 0, 1, 1, 1, 1]
    assert len({body["seed"] for body in server.asked if body["temperature"]}) == 4
    assert all("seed" not in body for body in server.asked if not body["temperature"])


def test_other_servers_draw_where_a_model_here_would_branch(serve: Serve, load: Load) -> None:
    server = serve()
    model = load(server)
    assert model.infill_settings({"num_candidates": 3})["greedy_first"]
    model.infill("y = <FILL>\n", num_candidates=3, token_healing=False)
    assert {body["temperature"] for body in server.asked} == {0, 0.8}
    num_asked = len(server.asked)
    model.infill("y = <FILL>\n", num_candidates=3, temperature=0, token_healing=False)
    assert [body["temperature"] for body in server.asked[num_asked:]] == [0]
    with pytest.raises(IncoderError, match="branches are made by models that run here"):
        model.infill("y = <FILL>\n", num_candidates=3, branches=True)


def test_texts_and_infills_are_scored_by_echo(serve: Serve, load: Load) -> None:
    model = load(serve())
    text = "def f(x):\n    return x\n"
    found = model.score(text)  # the first token, which begins a document, is given
    assert (found.num_tokens, found.mean_logprob) == (len(model.tokenizer.encode(text)), -2.0)
    assert model.line_logprobs(text) == (-2.0, -2.0, 0.0)
    infills = ["1", "foo(bar)"]
    scores = model.score_infills("x = <FILL>\n", infills, token_healing=False)
    ends = 1  # each infill's end counts
    assert [one.num_tokens for one in scores] == [len(model.tokenizer.encode(one)) + ends for one in infills]


def test_a_long_text_is_scored_in_windows(serve: Serve, load: Load) -> None:
    model = load(serve(max_model_len=64))
    text = "x = 1\n" * 100
    num_tokens = len(MINI.encode_start(text))
    assert num_tokens > 128
    assert model.score(text).num_tokens == num_tokens


def test_usage_counts_prompts_and_cached_tokens(serve: Serve, load: Load) -> None:
    server = serve(answer="1")
    found = load(server).infill(["x = ", "\n"], temperature=0, token_healing=False, stopping_rules=())
    assert found.usage.num_prompt_tokens == len(server.asked[0]["prompt"])
    assert found.usage.num_cached_tokens == 3
    assert found.usage.num_completion_tokens == len(MINI.encode("1"))


def test_the_time_limit_keeps_what_was_written(serve: Serve, load: Load) -> None:
    server = serve(answer="one + two + three", on_chunk=lambda number: time.sleep(5 if number == 2 else 0))
    started = time.monotonic()
    found = load(server).infill("x = <FILL>\n", temperature=0, time_limit=1.0, stopping_rules=())
    assert time.monotonic() - started < 4.5
    assert found.candidates[0].finish_reasons == ("time",)
    assert "one + two + three".startswith(found.infills[0])
    assert found.infills[0]


def test_cancelling_closes_the_request_before_its_first_token(serve: Serve, load: Load) -> None:
    server = serve(answer="a + b", on_chunk=lambda _: time.sleep(0.3))
    future = load(server).submit(InfillRequest.from_settings("x = <FILL>\n", token_healing=False))
    while not server.num_open:
        time.sleep(0.005)
    future.cancel()
    deadline = time.monotonic() + 10
    while server.num_open and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.num_open == 0


def test_a_server_of_text_gets_text(serve: Serve, load: Load) -> None:
    server = serve(kind="llama-cpp", answer="1 + 2")
    model = load(server)
    found = model.infill("x = <FILL>\n", temperature=0)
    assert found.infills == ("1 + 2",)
    assert isinstance(server.asked[0]["prompt"], str)
    assert "<|mask:0|>" in server.asked[0]["prompt"]
    assert not server.asked[0]["prompt"].startswith("<|endoftext|>")  # the server begins documents itself
    assert any("prompts are sent as text" in note for note in model.notes)
    with pytest.raises(IncoderError, match="cannot score texts"):
        model.score("x = 1\n")


def test_without_a_tokenizer_the_models_name_chooses_the_markers(serve: Serve, load: Load) -> None:
    server = serve(kind="text", models=("Qwen/Qwen2.5-Coder-7B",), answer="1 + 2")
    model = load(server)
    assert model.infill("é = <FILL>\ny\n", temperature=0).infills == ("1 + 2",)
    assert server.asked[0]["prompt"] == "<|fim_prefix|>é = <|fim_suffix|>\ny\n<|fim_middle|>"
    assert any("no tokenizer here" in note for note in model.notes)
    with pytest.raises(IncoderError, match=r"fim_suffix"):
        model.infill("x = '<|fim_suffix|>' + <FILL>\n")


def test_a_server_with_a_suffix_field_needs_no_markers(serve: Serve, load: Load) -> None:
    server = serve(models=("unknown",), answer="1 + 2")
    server.check = lambda _: None
    model = load(server)
    assert model.infill("x = <FILL>\ny\n", temperature=0).infills == ("1 + 2",)
    asked = server.asked[0]
    assert (asked["prompt"], asked["suffix"]) == ("x = ", "\ny\n")


def test_a_long_text_without_a_tokenizer_is_cut_to_a_window(serve: Serve, load: Load) -> None:
    server = serve(kind="text", models=("starcoder2-3b",), max_model_len=512)
    load(server).infill(["x = 1\n" * 2000 + "y = ", "\n" + "z = 1\n" * 2000], max_new_tokens=16)
    assert 200 < len(server.asked[0]["prompt"]) <= 2 * 512


def test_an_unknown_model_without_a_tokenizer_only_completes(serve: Serve, load: Load) -> None:
    model = load(serve(kind="text", models=("mystery",), answer="def f(): pass"))
    assert model.complete("# A function\n").infills == ("def f(): pass",)
    assert any("only completes" in note for note in model.notes)
    with pytest.raises(IncoderError, match="can complete, not infill"):
        model.infill("x = <FILL>\n")


def test_settings_that_an_upstream_cannot_follow_are_refused(serve: Serve, load: Load) -> None:
    model = load(serve(kind="text"))
    for settings, message in (
        ({"num_beams": 2}, "num_beams must be 1"),
        ({"project": "."}, "project memory"),
        ({"top_k": 3}, "knows no top_k"),
        ({"allowed_first_ids": [7]}, "allowed_first_ids"),
        ({"echo": True}, "cannot score texts"),
    ):
        with pytest.raises(IncoderError, match=message):
            model.infill("x = <FILL>\n", **settings)


def test_a_model_is_pickled_as_its_url(serve: Serve, load: Load) -> None:
    model = load(serve(answer="7"))
    with pickle.loads(pickle.dumps(model)) as copy:
        assert copy.infill("x = <FILL>\n", temperature=0).infills == ("7",)


def test_loading_an_upstream_imports_no_torch(serve: Serve, tmp_path: Path) -> None:
    server = serve(answer="7")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, incoder\n"
        f"with incoder.load({server.url!r}) as model:\n"
        "    print(model.infill('x = <FILL>\\n', temperature=0).infills[0])\n"
        "assert 'torch' not in sys.modules\n"
    )
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("7\n", "")
