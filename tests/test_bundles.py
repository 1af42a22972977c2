"""Many small files travel as one, and nobody who wanted them can tell."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol.bundle import (
    BUNDLE_MEMBERS,
    MAX_BUNDLE_SEGMENT,
    SEGMENT_MEMBERS,
    SMALL_FILE,
    bundle,
    bundle_name,
    is_small,
)
from mpi_core.protocol.digest import Algorithm, segment_hasher
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.manifest import Manifest, Member
from mpi_core.protocol.messages import Bundled, Init
from mpi_core.protocol.units import Rank
from mpi_core.runtime.files import OutputError, RealFiles
from mpi_core.swarm.bundles import group
from tests.helpers.disk import mode_of, owning, tree_of
from tests.helpers.mpirun import mpirun, needs_mpirun
from tests.helpers.trees import Tree, client_tables, grow, link_below, wrong_files


def small(name: str, content: bytes, algorithm: Algorithm = "blake3", mode: int = 0o644) -> Manifest:
    digests = (segment_hasher(algorithm)(content),) if content else ()
    return Manifest(name, len(content), 256 * 1024, algorithm, digests, mode)


def bundled(contents: Sequence[bytes], algorithm: Algorithm = "blake3") -> Manifest:
    return bundle("all", [small(f"f{at}", content, algorithm) for at, content in enumerate(contents)])


def payload_of(manifest: Manifest, index: int, contents: Sequence[bytes]) -> bytes:
    return b"".join(contents[int(member.name[1:])] for member in manifest.members[index])


# The manifest ---------------------------------------------------------------------------------

contents = st.lists(st.binary(max_size=40) | st.integers(0, SMALL_FILE).map(bytes), min_size=1, max_size=30)


@given(contents, st.sampled_from(["blake3", "sha256"]))
def test_the_segments_of_a_bundle_are_whole_files_in_their_order(
    contents: list[bytes], algorithm: Algorithm
) -> None:
    manifest = bundled(contents, algorithm)
    names = [member.name for segment in manifest.members for member in segment]
    assert names == [f"f{at}" for at in range(len(contents))]
    for index in range(manifest.segments):
        payload = payload_of(manifest, index, contents)
        assert len(payload) == manifest.payload_length(index) <= manifest.segment_length <= MAX_BUNDLE_SEGMENT
        assert manifest.verifies(index, payload)
        assert [bytes(part) for _, part in manifest.parts(index, payload)] == [
            contents[int(member.name[1:])] for member in manifest.members[index]
        ]


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=2, max_size=9), st.data())
def test_a_segment_with_another_byte_or_another_length_fails(
    contents: list[bytes], data: st.DataObject
) -> None:
    manifest = bundled(contents)
    payload = bytearray(payload_of(manifest, 0, contents))
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= 1
    assert not manifest.verifies(0, payload)
    assert not manifest.verifies(0, payload_of(manifest, 0, contents)[:-1])
    assert not manifest.verifies(0, payload_of(manifest, 0, contents) + b"\0")


def test_empty_files_fill_a_segment_too() -> None:
    manifest = bundled([b""] * (SEGMENT_MEMBERS + 1))
    assert [len(segment) for segment in manifest.members] == [SEGMENT_MEMBERS, 1]
    assert manifest.verifies(0, b"")
    assert manifest.size == 0


def test_what_is_small() -> None:
    assert is_small(small("a", b""))
    assert is_small(small("a", bytes(SMALL_FILE)))
    assert not is_small(small("a", bytes(SMALL_FILE + 1)))
    assert not is_small(Manifest.declared("a", ("hash",)))
    assert not is_small(bundled([b"x"]))


@pytest.mark.parametrize(
    "members",
    [
        ((Member("a", 1, 0o644),), (Member("a", 1, 0o644),)),
        ((Member("a", 3, 0o644),), (Member("b", 1, 0o644),)),
        ((Member("../a", 1, 0o644),), (Member("b", 1, 0o644),)),
        ((Member("a", 1, 0o10000),), (Member("b", 1, 0o644),)),
        ((Member("a", -1, 0o644),), (Member("b", 3, 0o644),)),
        ((Member("a", 2, 0o644),),),
    ],
)
def test_a_bundle_that_cannot_be_is_refused(members: tuple[tuple[Member, ...], ...]) -> None:
    with pytest.raises(RemoteProtocolError):
        Manifest("all", 2, MAX_BUNDLE_SEGMENT, "blake3", (b"1", b"2"), members=members)


# Which files go together ----------------------------------------------------------------------


def grouped(
    owners: dict[str, list[int]], wanters: dict[str, list[int]], named: Sequence[str] = (), least: int = 2
) -> list[tuple[str, ...]]:
    return [told.members for told in bundles(owners, wanters, named, least)]


def bundles(
    owners: dict[str, list[int]], wanters: dict[str, list[int]], named: Sequence[str] = (), least: int = 2
) -> list[Bundled]:
    """Each wanter has one pattern for all that it wants; rank 9 wants some by name."""
    files = {name: small(name, name.encode()) for name in owners}
    ranks = sorted({rank for who in (*owners.values(), *wanters.values()) for rank in who})
    wants = {rank: tuple(name for name, who in wanters.items() if rank in who) for rank in ranks}
    inits = {
        Rank(rank): Init(
            tuple(files[name] for name, who in owners.items() if rank in who),
            (" ".join(wants[rank]),) if wants[rank] else (),
        )
        for rank in ranks
    }
    matched = {" ".join(names): names for names in wants.values()}
    return group(files.values(), inits | {Rank(9): Init((), (), tuple(named))}, matched, least)


def test_the_same_owners_and_the_same_wanters() -> None:
    owners = {"a": [1], "b": [1], "c": [1, 2], "d": [1, 2], "e": [1], "f": [1]}
    wanters = {"a": [3], "b": [3], "c": [3], "d": [3], "e": [3, 4], "f": [3, 4]}
    assert grouped(owners, wanters) == [("a", "b"), ("c", "d"), ("e", "f")]


def test_not_what_nobody_wants_nor_what_is_wanted_by_name_nor_what_an_owner_wants() -> None:
    owners = {name: [1] for name in "abcdefgh"}
    wanters = {"a": [2], "b": [2], "c": [2], "d": [2], "e": [1, 2], "f": [1, 2]}
    assert grouped(owners, wanters, named=["c", "d"]) == [("a", "b")]


def test_few_files_are_left_alone_and_many_are_parted_evenly() -> None:
    names = [f"{at:05}" for at in range(BUNDLE_MEMBERS + 1)]
    everyone, all_want = {name: [1] for name in names}, {name: [2] for name in names}
    assert grouped(everyone, all_want, least=BUNDLE_MEMBERS + 2) == []
    parts = grouped(everyone, all_want)
    assert [name for part in parts for name in part] == names
    assert [len(part) for part in parts] == [BUNDLE_MEMBERS // 2, BUNDLE_MEMBERS // 2 + 1]


def test_a_file_that_bears_the_name_of_a_bundle_keeps_it() -> None:
    names = ["a", "b", bundle_name(["a", "b", "a +2"])]
    told = bundles({name: [1] for name in names}, {name: [2] for name in names})
    assert [bundled.name for bundled in told] == ["a +2+"]


# On a disk ------------------------------------------------------------------------------------


def test_the_members_are_put_in_place_as_their_segment_comes(tmp_path: Path) -> None:
    contents = [b"one", b"", b"three"]
    files = [
        small(name, content, mode=mode)
        for name, content, mode in zip(("d/a", "d/b", "c"), contents, (0o600, 0o444, 0o755), strict=True)
    ]
    manifest = bundle("all", files)
    store = RealFiles(tmp_path / "out", {})
    store.begin(manifest)
    store.write(manifest, 0, memoryview(b"".join(contents)))
    assert tree_of(tmp_path / "out") == {"d/a": b"one", "d/b": b"", "c": b"three"}
    assert [mode_of(tmp_path / "out" / file.name) for file in files] == [0o600, 0o444, 0o755]
    store.finish(manifest)
    assert store.read(manifest, 0) == b"onethree"
    store.close(remove_partial=True)
    assert len(tree_of(tmp_path / "out")) == 3


def test_an_owner_reads_the_members_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"first")
    (tmp_path / "y").write_bytes(b"second")
    shares = {"a": tmp_path / "x", "b": tmp_path / "y"}
    manifest = bundle("all", [small("a", b"first"), small("b", b"second")])
    store = owning(tmp_path / "out", shares)
    assert store.read(manifest, 0) == b"firstsecond"
    os.truncate(tmp_path / "x", 2)
    with pytest.raises(OSError, match="shorter"):
        store.read(manifest, 0)


def test_members_are_read_where_their_links_lead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere" / "below").mkdir(parents=True)
    (tmp_path / "elsewhere" / "x").write_bytes(b"first")
    (tmp_path / "link").symlink_to("elsewhere/below")
    monkeypatch.chdir(tmp_path)
    store = RealFiles(Path("out"), {"a": "link/../x"})
    assert store.read(bundle("all", [small("a", b"first")]), 0) == b"first"


def test_members_named_like_partial_files_are_not_clobbered(tmp_path: Path) -> None:
    names = ["a", "a.part", "a.part.part", "b.part", "d/x.part", "d/x"]
    contents = {name: f"this is {name}".encode() for name in names}
    begun = small("b", b"begun before")
    store = RealFiles(tmp_path, {})
    store.begin(begun)
    assert tree_of(tmp_path) == {"b.part": bytes(begun.size)}
    store.write(bundle("all", [small(n, c) for n, c in contents.items()]), 0, b"".join(contents.values()))
    store.write(begun, 0, b"begun before")
    store.finish(begun)
    assert tree_of(tmp_path) == contents | {"b": b"begun before"}


def test_members_replace_what_an_earlier_run_left_but_no_share_and_no_folder(tmp_path: Path) -> None:
    for name in ("a", "a.part", "share"):
        (tmp_path / name).write_bytes(b"old and longer")
    (tmp_path / "folder").mkdir()
    store = owning(tmp_path, {"other": tmp_path / "share"})
    store.write(bundle("all", [small("a", b"new")]), 0, b"new")
    for name, problem in (("share", "a file that is shared is there"), ("folder", "a folder is there")):
        with pytest.raises(OutputError, match=rf"^cannot write '.*/{name}': {problem}$"):
            store.write(bundle("more", [small(name, b"new")]), 0, b"new")
    with pytest.raises(OutputError, match=r"^cannot write '.*/y{300}': File name too long$"):
        store.write(bundle("long", [small("x", b"new"), small("y" * 300, b"")]), 0, b"new")
    store.close(remove_partial=True)
    assert tree_of(tmp_path) == {"a": b"new", "share": b"old and longer", "x": b"new"}


# Under mpirun ---------------------------------------------------------------------------------

MANY: Tree = {
    f"{'abc'[at % 3]}/{at:03}": (at * 61 % 9000 * (at % 7 > 0), (0o644, 0o600, 0o755)[at % 3])
    for at in range(300)
} | {"large.bin": (700_000, 0o644), "a/also large": (SMALL_FILE + 1, 0o644)}


@pytest.mark.mpirun
@needs_mpirun
@pytest.mark.parametrize("options", [(), ("--digest", "sha256", "--strategy", "classic")])
def test_every_byte_mode_and_name_arrives(options: tuple[str, ...], tmp_path: Path) -> None:
    everything = grow(tmp_path / "all", MANY, Random(5))
    second = {name for name in MANY if name.startswith("a/")}
    roots = [everything, link_below(tmp_path / "b", everything, second)]
    wants: list[tuple[str, ...]] = [(), (), ("**/*",), ("a", "b/*"), ("a/003", "large.bin")]
    scenario = tmp_path / "s.toml"
    scenario.write_text(client_tables([(root, ("**/*",)) for root in roots], wants))
    report_file, journal = tmp_path / "r.json", tmp_path / "j.jsonl"
    files = ("--report", report_file, "--journal", journal, "--out", tmp_path / "out")
    run = mpirun(6, scenario, *files, *options)
    assert run.code == 0, run
    wanted = [set(MANY), {name for name in MANY if name[:2] in ("a/", "b/")}, {"a/003", "large.bin"}]
    report = json.loads(report_file.read_bytes())
    for rank, names in enumerate(wanted, 3):
        assert wrong_files(tmp_path / "out" / f"client{rank}", everything, names) == []
        told = report["clients"][rank - 1]["files"]
        assert sorted(file["name"] for file in told) == sorted(names)
        assert all(file["complete"] and file["verified"] == file["segments"] for file in told)
    assert all(finding["holds"] is True for finding in report["conformance"])
    assert b'"members":[[' in journal.read_bytes()


@pytest.mark.mpirun
@needs_mpirun
def test_empty_files_alone_travel_over_mpi_too(tmp_path: Path) -> None:
    empty: Tree = {f"{at:02}": (0, 0o644) for at in range(70)}
    everything = grow(tmp_path / "all", empty, Random(5))
    scenario = tmp_path / "s.toml"
    scenario.write_text(client_tables([(everything, ("**/*",))], [(), ("**/*",)]))
    run = mpirun(3, scenario, "--over-mpi", "--out", tmp_path / "out")
    assert run.code == 0, run
    assert wrong_files(tmp_path / "out" / "client2", everything, set(empty)) == []
