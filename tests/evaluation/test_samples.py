"""A run's completions are kept line by line, and never mixed with another model's."""

import json
from pathlib import Path

import pytest

from incoder.errors import IncoderError
from incoder.evaluation.samples import Samples, read_samples

SETTINGS = {"model": "mini", "decoding": {"temperature": 0.0}}


def begin(folder: Path) -> None:
    with Samples(folder, SETTINGS) as samples:
        samples.add("a/1", "x")


def test_completions_are_read_again_as_they_were(tmp_path: Path) -> None:
    texts = {"a/1": "    return\n", "a/2": "", "a/3": "größe 🙂 \udc80 \u2028\r\n"}
    with Samples(tmp_path / "run", SETTINGS) as samples:
        for task_id, text in texts.items():
            samples.add(task_id, text)
    assert Samples(tmp_path / "run", SETTINGS).completions == {
        task_id: [text] for task_id, text in texts.items()
    }
    lines = (tmp_path / "run/samples.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"task_id": "a/1", "completion": "    return\n"}


def test_a_line_that_was_cut_off_is_dropped_and_the_next_one_is_whole(tmp_path: Path) -> None:
    with Samples(tmp_path, SETTINGS) as samples:
        samples.add("a/1", "x")
    with samples.path.open("a") as file:
        file.write('{"task_id": "a/2", "compl')
    with Samples(tmp_path, SETTINGS) as samples:
        assert samples.completions == {"a/1": ["x"]}
        samples.add("a/2", "y")
    assert Samples(tmp_path, SETTINGS).completions == {"a/1": ["x"], "a/2": ["y"]}


def test_other_settings_are_refused_with_what_differs(tmp_path: Path) -> None:
    begin(tmp_path)
    with pytest.raises(IncoderError, match=r'model = "mini", this run has "other"; give another --output'):
        Samples(tmp_path, {**SETTINGS, "model": "other"})


def test_settings_that_were_not_written_down_are_refused_as_such(tmp_path: Path) -> None:
    begin(tmp_path)
    with pytest.raises(
        IncoderError, match="of an earlier version of incoder, which did not write down dtype"
    ):
        Samples(tmp_path, {**SETTINGS, "dtype": "float32"})


@pytest.mark.parametrize("samples", [None, ""])
def test_a_run_that_wrote_nothing_does_not_keep_its_folder(tmp_path: Path, samples: str | None) -> None:
    Samples(tmp_path, SETTINGS)
    if samples is not None:
        (tmp_path / "samples.jsonl").write_text(samples)
    other = {**SETTINGS, "model": "other"}
    Samples(tmp_path, other)
    assert json.loads((tmp_path / "settings.json").read_text()) == other


@pytest.mark.parametrize("name", ["samples.jsonl", "settings.json"])
def test_files_of_somebody_else_stay_as_they_are(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"theirs": 1}\n{"half')
    with pytest.raises(IncoderError, match=f"holds {name}, which would be replaced"):
        Samples(tmp_path, SETTINGS)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: '{"theirs": 1}\n{"half'}


def test_settings_of_another_program_that_name_a_model_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"model": "theirs"}')
    with pytest.raises(IncoderError, match=r"holds settings\.json, which would be replaced"):
        Samples(tmp_path, SETTINGS)
    assert (tmp_path / "settings.json").read_text() == '{"model": "theirs"}'


def test_a_line_that_is_no_completion_is_named(tmp_path: Path) -> None:
    Samples(tmp_path, SETTINGS).path.write_text('{"task_id": "a/1", "completion": ""}\n{"other": 1}\n')
    with pytest.raises(IncoderError, match=r"samples\.jsonl, line 2: not a completion"):
        Samples(tmp_path, SETTINGS)


def test_a_file_in_the_folders_place_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(IncoderError, match="cannot make the folder"):
        Samples(tmp_path / "run", SETTINGS)


def lines(*samples: object) -> str:
    return "".join(json.dumps(sample) + "\n" for sample in samples)


def test_completions_from_anywhere_are_read_in_their_order_several_of_one_task(tmp_path: Path) -> None:
    path = tmp_path / "theirs.jsonl"
    ours = [{"task_id": name, "completion": text, "model": "x"} for name, text in ("ab", "cd", "ae")]
    path.write_text(lines(*ours))
    assert read_samples(path, ["c", "a"], ["a", "b", "c"]) == {"c": ["d"], "a": ["b", "e"]}


def test_logs_of_lm_evaluation_harness_are_read(tmp_path: Path) -> None:
    path = tmp_path / "samples_task.jsonl"
    rows = [{"doc_id": 0, "doc": {"task_id": "a"}, "resps": [["x\n", "y\n"]], "filtered_resps": ["x\n"]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert read_samples(path, ["a"], ["a"]) == {"a": ["x\n", "y\n"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lines({"task_id": "x", "completion": ""}), "holds x, which the benchmark's data does not have"),
        (lines({"task_id": "a", "completion": ""}), "no completion of b and 1 other tasks"),
        (lines({"task_id": "a"}), "line 1: not a completion"),
        (lines({"task_id": "a", "completion": ""}) + "\n[]\n", "line 3: not a completion"),
        (lines({"task_id": "a", "completion": None}), "line 1: the completion must be text, got None"),
        ("", "no completion of a and 2 other tasks"),
    ],
)
def test_a_file_that_does_not_fit_the_tasks_says_where(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "theirs.jsonl"
    path.write_text(content)
    with pytest.raises(IncoderError, match=message):
        read_samples(path, ["a", "b", "c"], ["a", "b", "c"])


def test_a_file_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="cannot read"):
        read_samples(tmp_path / "no.jsonl", ["a"], ["a"])
