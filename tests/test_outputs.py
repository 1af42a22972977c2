"""An output is proved to be writable without a change, replaced as a whole, and never an input."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mpi_core.protocol.errors import ScenarioError
from mpi_core.runtime.outputs import OutputFile, open_outputs, refuse_inputs

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")


def entries(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# Proved at the start --------------------------------------------------------------------------


def test_proving_that_a_file_can_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    before = os.stat(tmp_path / "old")
    old, new = OutputFile("--report", tmp_path / "old"), OutputFile("--journal", tmp_path / "new")
    assert entries(tmp_path) == {"old": b"old"}
    assert os.stat(tmp_path / "old").st_mtime_ns == before.st_mtime_ns
    assert (old.holds_another, new.holds_another) == (True, False)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no/such", "No such file or directory"),
        ("file/below", "Not a directory"),
        ("", "Is a directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_file_that_cannot_be_written_is_one_line(name: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = os.path.join(tmp_path, name)
    with pytest.raises(ScenarioError) as caught:
        OutputFile("--report", path)
    assert str(caught.value) == f"--report {path!r}: expected a file that can be written: {why}"


# Written as a whole ---------------------------------------------------------------------------


def test_the_new_file_takes_the_old_ones_place_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_bytes(b"old, and longer")
    path.chmod(0o640)
    with path.open("rb") as reader:
        OutputFile("--report", path).write(b"new")
        assert reader.read() == b"old, and longer"
    assert entries(tmp_path) == {"report": b"new"}
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / f"{name}-link").symlink_to(name)
    (tmp_path / "old").write_bytes(b"old")
    for name in ("old", "new"):
        OutputFile("--report", tmp_path / f"{name}-link").write(b"report")
        assert (tmp_path / f"{name}-link").is_symlink()
        assert (tmp_path / name).read_bytes() == b"report"


def test_where_it_cannot_be_replaced_it_holds_what_it_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "report").write_bytes(b"old")
    file = OutputFile("--report", tmp_path / "report")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        file.write(b"new")
    assert entries(tmp_path) == {"report": b"old"}


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, errno.EBUSY, errno.EROFS])
def test_a_file_whose_folder_is_not_ours_or_that_is_mounted_is_written_in_place(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(source: str, target: str) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "report").write_bytes(b"old, and longer")
    file = OutputFile("--report", tmp_path / "report")
    monkeypatch.setattr(os, "replace", forbidden)
    file.write(b"new")
    assert entries(tmp_path) == {"report": b"new"}


def test_a_pipe_is_written_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        file = OutputFile("--report", pipe)
        assert not file.holds_another
        file.write(b"report")
        assert os.read(reader, 99) == b"report"
        assert pipe.is_fifo()
    finally:
        os.close(reader)


def test_stdout_is_written_between_its_lines(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    print("before", flush=True)
    OutputFile("--report", "/dev/stdout").write(b"report\n")
    print("after", flush=True)
    assert capfd.readouterr().out == "before\nreport\nafter\n"


@needs_full
def test_a_full_device_is_an_oserror() -> None:
    with pytest.raises(OSError, match="No space left on device"):
        OutputFile("--report", "/dev/full").write(b"report")


# A file of its own ----------------------------------------------------------------------------


def links(folder: Path) -> list[Path]:
    """A file, by three paths."""
    (folder / "file").write_bytes(b"mine")
    (folder / "symbolic").symlink_to("file")
    (folder / "hard").hardlink_to(folder / "file")
    return [folder / "file", folder / "symbolic", folder / "hard", folder / ".." / folder.name / "file"]


@pytest.mark.parametrize("which", range(4))
def test_an_output_is_no_input(which: int, tmp_path: Path) -> None:
    path = links(tmp_path)[which]
    with pytest.raises(ScenarioError, match=r"^--journal .*: expected a file of its own, found .*, which is"):
        open_outputs({"--report": None, "--journal": path}, ["nowhere", tmp_path / "file"])
    assert (tmp_path / "file").read_bytes() == b"mine"


@pytest.mark.parametrize("which", range(4))
def test_an_output_is_no_other_output(which: int, tmp_path: Path) -> None:
    path = links(tmp_path)[which]
    with pytest.raises(
        ScenarioError, match=r"^--journal .*: expected a file of its own, found that of --rep"
    ):
        open_outputs({"--report": tmp_path / "file", "--journal": path})
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_two_outputs_that_are_not_there_yet_are_told_apart(tmp_path: Path) -> None:
    here, again = tmp_path / "new", tmp_path / ".." / tmp_path.name / "new"
    with pytest.raises(ScenarioError, match="found that of --journal"):
        open_outputs({"--journal": here, "--plot": again})
    assert set(open_outputs({"--journal": here, "--plot": tmp_path / "other"})) == {"--journal", "--plot"}
    assert entries(tmp_path) == {}


def test_what_keeps_nothing_may_be_any_number_of_outputs() -> None:
    open_outputs({"--report": "/dev/null", "--journal": "/dev/null"}, ["/dev/null"])


def test_inputs_are_not_looked_at_where_nothing_can_be_lost(tmp_path: Path) -> None:
    def none() -> object:
        raise AssertionError("looked at")
        yield

    refuse_inputs({"--report": tmp_path / "new", "--journal": None}, none())  # type: ignore[arg-type]
