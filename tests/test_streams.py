"""What is printed reaches stdout whatever its encoding, and JSON stays the same JSON."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.mpirun import REPOSITORY, mpirun, needs_mpirun
from tui_torrent.streams import ESCAPED, take_every_text

ENCODINGS = ("ascii", "latin-1", "utf-8", "cp1252", "utf-16", "koi8-r")


def printed(text: str, encoding: str) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=ESCAPED, newline="")
    stream.write(text)
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(encoding)


@given(text=st.text(), encoding=st.sampled_from(ENCODINGS))
def test_any_encoding_takes_any_text_and_json_is_the_same_json(text: str, encoding: str) -> None:
    take_every_text()
    escaped = printed(json.dumps({"name": text}, ensure_ascii=False), encoding)
    assert json.loads(escaped) == {"name": text}


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", r"\u00e9\u8a9e\ud83d\ude00"), ("latin-1", r"é\u8a9e\ud83d\ude00")]
)
def test_what_an_encoding_lacks_is_escaped(encoding: str, shown: str) -> None:
    take_every_text()
    assert printed("é語😀", encoding) == shown


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_complaint_about_any_name_is_one_line(encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(REPOSITORY)}
    run = subprocess.run(
        [sys.executable, "-m", "tui_torrent", "check", b"/nowhere/\xff\xe8\xaa\x9e"],
        capture_output=True,
        env=environment,
        timeout=30,
    )
    assert run.returncode == 2
    assert run.stderr.count(b"\n") == 1
    assert b"cannot read the journal" in run.stderr


@pytest.mark.mpirun
@pytest.mark.alike
@needs_mpirun
@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_run_with_any_file_name_prints_in_any_encoding(
    words: list[str], tmp_path: os.PathLike[str]
) -> None:
    folder = os.fspath(tmp_path)
    os.mkdir(f"{folder}/src")
    with open(f"{folder}/src/データ.bin", "wb") as file:
        file.write(bytes(1000))
    with open(f"{folder}/s.toml", "w", encoding="utf-8") as toml:
        toml.write('[[client]]\nroot="src"\nshare=["**/*"]\n[[client]]\nwant=["データ.bin", "語"]\n')
    run = mpirun(3, "s.toml", "--out", "o", *words, cwd=folder, environment={"PYTHONIOENCODING": "ascii"})
    assert run.code == 1, run.stderr
    assert r"\u8a9e" in run.stdout
    if words:
        files = json.loads(run.stdout.splitlines()[-1])["clients"][1]["files"]
        assert {file["name"] for file in files} == {"データ.bin", "語"}
