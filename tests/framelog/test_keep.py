"""The last runs' logs are kept, within a number and a size."""

import os

from goproxy_ebpf.framelog.keep import make_room, name_of, newest

SECOND = 1_000_000_000


def put(directory, number, size=10):
    path = directory / name_of(1_763_999_999 * SECOND + number * SECOND, f"run{number}")
    path.write_bytes(bytes(size))
    return path


def test_names_say_when_and_which_run_and_sort_by_time():
    assert name_of(1_763_999_999_123_456_789, "a-b/../c") == "20251124T155959.123Z-abc.jsonl.zst"
    assert name_of(0, "", ".jsonl") == "19700101T000000.000Z-0.jsonl"


def test_the_newest_is_that_of_the_latest_run_whatever_was_touched_last(tmp_path):
    assert newest(tmp_path / "missing") is None
    assert newest(tmp_path) is None
    paths = [put(tmp_path, number) for number in (3, 11, 7)]
    os.utime(paths[1], (1, 1))
    (tmp_path / "zzz.jsonl.zst").write_bytes(b"not ours")
    assert newest(tmp_path) == paths[1]


def test_room_is_made_for_one_more_run(tmp_path):
    paths = [put(tmp_path, number) for number in range(5)]
    assert make_room(tmp_path, runs=6) == []
    assert make_room(tmp_path, runs=3) == [paths[2], paths[1], paths[0]]
    assert sorted(tmp_path.iterdir()) == [paths[3], paths[4]]


def test_the_oldest_go_when_the_size_is_reached(tmp_path):
    paths = [put(tmp_path, number, 100) for number in range(5)]
    assert make_room(tmp_path, limit_bytes=250) == [paths[2], paths[1], paths[0]]


def test_other_files_links_and_directories_are_left_alone(tmp_path):
    target = tmp_path / "precious"
    target.write_bytes(bytes(1000))
    link = tmp_path / name_of(0, "link")
    link.symlink_to(target)
    folder = tmp_path / name_of(1, "folder")
    folder.mkdir()
    assert make_room(tmp_path, runs=1, limit_bytes=0) == []
    assert sorted(tmp_path.iterdir()) == sorted([target, link, folder])
    assert make_room(tmp_path / "missing") == []
