"""Video: the newest frame alone, files that are played, streams that break off."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import threading
import time

import pytest
from lines import Process, rows, until_so, write_video, yaml_of
from served import free_port

from ss_poc.core.images import decode_image
from ss_poc.line.settings import VideoSource
from ss_poc.line.sources import video
from ss_poc.line.sources.video import Video


def number_of(photograph) -> int:
    return round((float(decode_image(photograph.data).mean()) - 20) / 4)


def taken(settings: VideoSource, slow: float = 0.0, count: int = 1000, seconds: float = 20) -> list:
    """What a source gives until it has given `count` or its film ends; each is archived after `slow` seconds."""
    source, found = Video(settings), []

    def put(photograph) -> bool:
        found.append(photograph)
        threading.Timer(slow, photograph.finish).start()
        return True

    source.start(put)
    until = time.monotonic() + seconds
    while source._threads[0].is_alive() and len(found) < count and time.monotonic() < until:
        time.sleep(0.01)
    source.stop()
    return found


def test_every_third_frame_of_a_file_is_taken_in_order(tmp_path):
    write_video(tmp_path / "a.avi", 30, fps=20)
    found = taken(VideoSource(name="film", address=str(tmp_path / "a.avi"), every=3))
    numbers = [number_of(photograph) for photograph in found]
    assert numbers[0] < 3 and len(numbers) >= 3
    assert all(after - before >= 3 for before, after in itertools.pairwise(numbers))


def test_behind_a_slow_service_the_newest_frame_is_taken_and_the_others_are_skipped(tmp_path):
    write_video(tmp_path / "a.avi", 50, fps=50)
    found = taken(VideoSource(name="film", address=str(tmp_path / "a.avi")), slow=0.25)
    numbers = [number_of(photograph) for photograph in found]
    assert numbers == sorted(numbers) and 4 <= len(numbers) <= 20 and numbers[-1] > 25


def test_no_more_than_so_many_frames_a_second_are_taken(tmp_path):
    write_video(tmp_path / "a.avi", 50, fps=50)
    found = taken(VideoSource(name="film", address=str(tmp_path / "a.avi"), per_second=5))
    assert len(found) <= 7 and len({photograph.name for photograph in found}) == len(found)


def test_a_file_begins_again_where_told(tmp_path):
    write_video(tmp_path / "a.avi", 5, fps=50)
    assert len(taken(VideoSource(name="film", address=str(tmp_path / "a.avi"), repeat=True), count=12)) >= 12


def test_a_camera_that_is_not_there_is_said_and_stops_quickly():
    source = Video(VideoSource(name="camera", address="/dev/video63"))
    source.start(lambda photograph: True)
    until_so(lambda: source.trouble == "no frame comes")
    assert source.newest() is None
    source.stop()
    assert not any(thread.is_alive() for thread in source._threads)


def test_a_stream_that_breaks_off_is_opened_again(tmp_path, monkeypatch):
    if not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg here: apt-get install ffmpeg")
    monkeypatch.setattr(video, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(video, "LONGEST_PAUSE", 0.2)
    port = free_port()
    command = ["ffmpeg", "-loglevel", "quiet", "-re", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=25", "-c:v",
               "mpeg2video", "-f", "mpegts", "-listen", "1", f"http://127.0.0.1:{port}/"]
    source, found = Video(VideoSource(name="stream", address=f"http://127.0.0.1:{port}/")), []

    def put(photograph) -> bool:
        found.append(photograph)
        photograph.finish()
        return True

    source.start(put)
    try:
        for _ in range(2):
            before = len(found)
            with subprocess.Popen(command, stdin=subprocess.DEVNULL) as stream:
                until_so(lambda before=before: len(found) > before + 2, 40)
                assert source.trouble == ""
                stream.kill()
            until_so(lambda: source.trouble == "no frame comes", 30)
    finally:
        source.stop()
    assert len({photograph.name for photograph in found}) == len(found)


def test_frames_of_a_video_are_archived(tmp_path, service):
    write_video(tmp_path / "a.avi", 10, fps=50)
    yaml = yaml_of(tmp_path, service)
    yaml.write_text(f"line: press\nstate: state\nservice: {{url: {service.url}}}\n"
                    "sources: [{type: video, name: film, address: a.avi, per_second: 20, repeat: true}]\n")
    with Process(yaml):
        until_so(lambda: len(rows(tmp_path)) >= 5)
    assert {part.source for part in rows(tmp_path)} == {"film"}
    assert len({part.name for part in rows(tmp_path)}) == len(rows(tmp_path))
