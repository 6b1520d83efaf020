"""POST /v1/edit/next: the edits that should follow those that a user has just made.

The edits are given as `events`, or as the text `before` them. The answer has ranges of the text with their
new texts, the nearest first; the characters of a range are counted from 0, in code points.
"""

from typing import Any

from starlette.responses import Response

from incoder.editing.defaults import NEXT_EDIT
from incoder.editing.lines import Lines
from incoder.editing.next_edits.events import EditEvent, edit_events
from incoder.editing.next_edits.proposals import DEFAULT_MIN_GAIN, DEFAULT_MIN_SHIFT, NextEdit, edits_after
from incoder.server.editing.running import MAX_CHARACTERS, run_task
from incoder.server.editing.tools import Task
from incoder.server.exchange import Exchange
from incoder.server.fields import Fields
from incoder.server.request_error import RequestError
from incoder.server.route import Route

_MAX_EVENTS = 16
_MAX_NATS = 100.0
_MOST_LINES = 10_000_000


async def next_edit(exchange: Exchange) -> Response:
    """Answer POST /v1/edit/next."""
    body = await exchange.fields()
    if len(body.text("before", "")) > MAX_CHARACTERS:
        raise RequestError(413, f"before must have at most {MAX_CHARACTERS} characters")
    name, found = await run_task(exchange, _edits, body)
    return exchange.answer(
        {"id": f"edit-{exchange.id}", "model": name, "edits": list(map(_described, found))}
    )


def read_events(body: Fields) -> tuple[EditEvent, ...]:
    """Return the edits that a body names.

    Raises:
        FieldError: there are none, or their new lines are not the lines of the text.

    >>> read_events(Fields({"text": "x = 2\\n", "before": "x = 1\\n"}))
    (EditEvent(line=1, old=('x = 1\\n',), new=('x = 2\\n',)),)
    """
    text, before = body.required_text("text"), body.text("before", None)
    if (before is None) != ("events" in body):
        raise body.error("events", "must be given, or else before")
    if before is not None:
        return edit_events(before, text)
    lines, events = list(Lines(text)), []
    for one in body.nested_list("events", _MAX_EVENTS):
        line = one.whole("line", None, 1, _MOST_LINES)
        old, new = (
            tuple(Lines(one.required_text(name))) if one.text(name, "") else () for name in ("old", "new")
        )
        if line is None or tuple(lines[line - 1 : line - 1 + len(new)]) != new:
            raise one.error("new", "must be the lines of the text from line on")
        events.append(EditEvent(line, old, new))
    return tuple(events)


def _edits(task: Task) -> list[NextEdit]:
    body = task.body
    rejected = [(one.required_text("old"), one.required_text("new")) for one in body.nested_list("rejected")]
    return edits_after(
        task.model,
        task.text,
        read_events(body),
        path=task.path,
        min_gain=body.number("min_gain", DEFAULT_MIN_GAIN, -_MAX_NATS, _MAX_NATS),
        min_shift=body.number("min_shift", DEFAULT_MIN_SHIFT, -_MAX_NATS, _MAX_NATS),
        rejected=rejected,
        quiet_lines=body.texts("quiet_lines"),
        line=body.whole("line", None, 1, _MOST_LINES),
        template=task.template(NEXT_EDIT),
    )


def _described(found: NextEdit) -> dict[str, Any]:
    return {
        "line": found.line,
        "start": found.edit.start,
        "end": found.edit.end,
        "old": found.old,
        "text": found.edit.text,
        "reason": found.reason,
        "drop": found.drop,
        "gain": found.gain,
        "shift": found.shift,
    }


_LINE = {"type": ["integer", "null"], "minimum": 1, "maximum": _MOST_LINES}
_NATS = {"type": ["number", "null"], "minimum": -_MAX_NATS, "maximum": _MAX_NATS}
_PAIR = {"old": {"type": "string"}, "new": {"type": "string"}}
_STRINGS = {"type": ["array", "null"], "items": {"type": "string"}}


def _objects(properties: dict[str, Any]) -> dict[str, Any]:
    item = {"type": "object", "required": sorted(properties), "properties": properties}
    return {"type": ["array", "null"], "items": item}


ROUTES = (
    Route(
        method="POST",
        path="/v1/edit/next",
        handler=next_edit,
        dialect="edit",
        summary="Propose the edits that should follow those that were made.",
        body={
            "type": "object",
            "required": ["text"],
            "properties": {
                "text": {"type": "string"},
                "before": {"type": ["string", "null"]},
                "events": _objects({"line": {**_LINE, "type": "integer"}, **_PAIR}),
                "path": {"type": ["string", "null"]},
                "model": {"type": ["string", "null"]},
                "line": _LINE,
                "min_gain": _NATS,
                "min_shift": _NATS,
                "rejected": _objects(_PAIR),
                "quiet_lines": _STRINGS,
            },
        },
    ),
)
