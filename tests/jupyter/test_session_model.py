"""Which model a session has, and with what it is loaded."""

from typing import Any

import pytest

import incoder
from incoder.errors import IncoderError
from incoder.jupyter import session_model
from incoder.jupyter.session_model import SessionModel


class NoProgress:
    def show(self, message: str, *, take_long: bool = False) -> None:
        """Nothing is shown."""


PROGRESS: Any = NoProgress()


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """The calls of `incoder.load`; a model of the name `none` is not there."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def load(name: str, **options: Any) -> object:
        calls.append((name, options))
        if name == "none":
            raise IncoderError("there is no model 'none'")
        return object()

    monkeypatch.setattr(incoder, "load", load)
    monkeypatch.setattr(session_model, "find_settings", lambda *_: ())
    return calls


def test_a_model_is_loaded_once(loaded: list[Any]) -> None:
    session = SessionModel()
    models = [session.load(options, PROGRESS) for options in ({}, {}, {"model": "big"}, {}, {"model": "big"})]
    assert [name for name, _ in loaded] == ["mini", "big"]
    assert models[0] is models[1]
    assert models[2] is models[3] is models[4]


def test_other_options_are_for_the_model_that_is_named_with_them_or_before(loaded: list[Any]) -> None:
    session = SessionModel()
    for options in ({"model": "big"}, {"dtype": "int8"}, {"model": "small"}):
        session.load(options, PROGRESS)
    assert loaded == [("big", {}), ("big", {"dtype": "int8"}), ("small", {})]


def test_after_a_failure_the_model_before_is_loaded_again(loaded: list[Any]) -> None:
    session = SessionModel()
    session.load({"model": "big"}, PROGRESS)
    with pytest.raises(IncoderError, match="there is no model 'none'"):
        session.load({"model": "none"}, PROGRESS)
    session.load({}, PROGRESS)
    assert [name for name, _ in loaded] == ["big", "none", "big"]


def test_a_server_gets_the_users_settings_for_servers_and_a_machine_those_for_it(
    loaded: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"model": "big", "dtype": "int8", "upstream_api_key_file": "key", "temperature": 0.1}
    monkeypatch.setattr(session_model, "user_settings", lambda: settings)
    session = SessionModel()
    session.load({}, PROGRESS)
    session.load({"model": "http://gpu1/v1"}, PROGRESS)
    assert loaded == [
        ("big", {"dtype": "int8"}),
        ("http://gpu1/v1", {"model": None, "api_key_file": "key", "tokenizer": None}),
    ]
