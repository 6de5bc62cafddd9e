"""The queue of unknown words: merged over batches, the same for any cut, readable by its owner alone."""

from __future__ import annotations

from phi_deid_pipeline.records import UnknownWord
from record_io import write_jsonl
from review_words import QUEUE, QueuedWord, read_unknown_words, write_unknown_words

ROWS = [
    UnknownWord("glarf", "SeriesDescription", 3),
    UnknownWord("glarf", "StudyDescription", 4),
    UnknownWord("wibble", "", 7),
    UnknownWord("aaa", "ProtocolName", 7),
]


def _put(output, batches):
    for batch, rows in batches.items():
        (output / "private" / "words").mkdir(parents=True, exist_ok=True)
        write_jsonl(output / "private" / "words" / f"{batch}.jsonl", rows)
    write_unknown_words(output, list(batches))


def test_queue_is_sorted_by_count_and_names_attributes(tmp_path):
    _put(tmp_path, {"b000001": ROWS})
    assert (tmp_path / QUEUE).read_text() == (
        "word\tcount\tattributes\naaa\t7\tProtocolName\nglarf\t7\tStudyDescription, SeriesDescription\n"
        "wibble\t7\tprivate\n"
    )
    assert (tmp_path / QUEUE).stat().st_mode & 0o777 == 0o600
    assert read_unknown_words(tmp_path)[1] == QueuedWord("glarf", 7, ("StudyDescription", "SeriesDescription"))


def test_queue_does_not_depend_on_the_cut_into_batches(tmp_path):
    _put(tmp_path / "one", {"b000001": ROWS})
    _put(tmp_path / "two", {"b000002": ROWS[2:], "b000001": ROWS[:1], "b000003": ROWS[1:2]})
    assert (tmp_path / "one" / QUEUE).read_bytes() == (tmp_path / "two" / QUEUE).read_bytes()


def test_queue_without_words_or_file_is_empty(tmp_path):
    assert read_unknown_words(tmp_path) == []
    _put(tmp_path, {"b000001": []})
    assert read_unknown_words(tmp_path) == []
