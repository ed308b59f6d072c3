"""A folder that others put photographs into: each is taken once, as soon as it is whole.

inotify tells that a file was closed by who wrote it, or renamed to its name: it is whole. On network shares inotify
sees nothing of what other machines do, so the folder is looked into again and again, and a file counts as whole once
its size and time stay as they are. Files that inotify missed are found in the same way.
"""

from __future__ import annotations

import itertools
import logging
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from watchdog.events import DirCreatedEvent, FileClosedEvent, FileMovedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyObserver

from ...core.images import SUFFIXES
from ..archive import Archive, ArchiveError
from ..parts import part_and_lot
from ..settings import FolderSource
from .photograph import Photograph, Put
from .threaded import ThreadedSource

__all__ = ["WatchedFolder"]

LOG = logging.getLogger("ss_poc.line")
RESCAN = 30.0  # seconds; inotify may miss files when very many come at once
TICK = 0.1


class _Noticed(FileSystemEventHandler):
    """Passes on which files are whole now."""

    def __init__(self, whole: Callable[[Path], None]) -> None:
        self._whole = whole

    def on_any_event(self, event: FileSystemEvent) -> None:
        if isinstance(event, FileClosedEvent) and event.src_path:
            self._whole(Path(os.fsdecode(event.src_path)))
        elif isinstance(event, FileMovedEvent) and event.dest_path:
            self._whole(Path(os.fsdecode(event.dest_path)))


class WatchedFolder(ThreadedSource):
    """A source: see the module.

    Args:
        settings: of the source.
        archive: knows which files were taken before.
        days: files older than these many days are left alone, because the archive has forgotten them; 0 for none.
    """

    def __init__(self, settings: FolderSource, archive: Archive, days: float = 0) -> None:
        super().__init__(settings.name)
        self._settings, self._archive, self._days = settings, archive, days
        self._lock = threading.Lock()
        self._noticed: queue.SimpleQueue[Path] = queue.SimpleQueue()
        self._waiting: dict[Path, tuple[str, float]] = {}  # stamp of a file, and since when it is as it is
        self._busy: set[Path] = set()
        self._seen: set[int] = set()  # files that stay in the folder, as hashes: there may be very many
        self._observer: BaseObserver | None = None

    def _run(self, put: Put) -> None:
        scan_at, every = 0.0, self._settings.every if self._settings.watch == "polling" else RESCAN
        while not self._stopping.is_set():
            if time.monotonic() >= scan_at:
                scan_at = time.monotonic() + (every if self._look() else min(every, 2.0))
            for path in [*self._whole_by_notice(), *self._whole_by_time()]:
                if not self._take(path, put):
                    break
        self._unwatch()

    def _look(self) -> bool:
        """Find what is in the folder; False where that cannot be done now."""
        try:
            if self._settings.watch == "inotify" and self._observer is None:
                self._watch()
            self._scan()
        except (OSError, ArchiveError) as error:
            if not self.trouble:
                LOG.warning("source %s: %s", self.name, error)
            self.trouble = str(error)
            self._unwatch()
            return False
        if self.trouble:
            LOG.info("source %s: all is well again", self.name)
        self.trouble = ""
        return True

    def _watch(self) -> None:
        # Full events: else a file that is moved in from another folder is not told from one that is being written.
        observer = InotifyObserver(generate_full_events=True)
        observer.schedule(_Noticed(self._noticed.put), str(self._settings.path), recursive=self._settings.subfolders,
                          event_filter=[FileClosedEvent, FileMovedEvent, DirCreatedEvent])
        observer.start()
        self._observer = observer

    def _unwatch(self) -> None:
        if self._observer:
            self._observer.stop()
            self._observer.join()
            self._observer = None

    def _scan(self) -> None:
        files = {path: _stamp(path) for path in self._files()}
        hashes = {hash((path, stamp)) for path, stamp in files.items()}
        with self._lock:
            self._seen &= hashes
            new = {path: stamp for path, stamp in files.items() if stamp and path not in self._busy
                   and path not in self._waiting and hash((path, stamp)) not in self._seen}
        known = self._archive.known_files(self.name, {self._name_of(path): stamp for path, stamp in new.items()})
        for path in sorted(new, key=lambda path: (new[path].partition("-")[2], path)):
            if self._name_of(path) in known:
                self._finish(path, new[path])
            elif not self._is_forgotten(new[path]):
                self._waiting[path] = (new[path], time.monotonic())

    def _files(self) -> Iterator[Path]:
        """Photographs in the folder; hidden files are those that somebody still writes."""
        folders = [self._settings.path]
        while folders:
            with os.scandir(folders.pop()) as entries:
                for item in entries:
                    if item.name.startswith("."):
                        continue
                    if item.is_dir() and self._settings.subfolders:
                        folders.append(Path(item.path))
                    elif _is_photograph(Path(item.path)) and item.is_file():
                        yield Path(item.path)

    def _is_forgotten(self, stamp: str) -> bool:
        return bool(self._days) and self._settings.after == "keep" and \
            int(stamp.partition("-")[2]) < (time.time() - self._days * 86_400) * 1e9

    def _whole_by_notice(self) -> Iterator[Path]:
        """Files that inotify says are whole; waits a moment for one."""
        try:
            path = self._noticed.get(timeout=TICK)
            while True:
                inside = path.relative_to(self._settings.path).parts
                if _is_photograph(path) and not any(part.startswith(".") for part in inside):
                    yield path
                path = self._noticed.get_nowait()
        except queue.Empty:
            return

    def _whole_by_time(self) -> Iterator[Path]:
        """Files that have been as they are for long enough."""
        now = time.monotonic()
        for path, (stamp, since) in list(self._waiting.items()):
            if path not in self._waiting or now - since < self._settings.settle:
                continue
            found = _stamp(path)
            if not found:
                del self._waiting[path]
            elif found != stamp or found.startswith("0-"):
                self._waiting[path] = (found, now)
            else:
                yield path

    def _take(self, path: Path, put: Put) -> bool:
        """Read a file and give it to the line; False where the line stops."""
        with self._lock:
            if path in self._busy or hash((path, _stamp(path))) in self._seen:
                return True
            self._busy.add(path)
        self._waiting.pop(path, None)
        try:
            stamp = _stamp(path)
            data = path.read_bytes()
            taken_ms = path.stat().st_mtime_ns // 1_000_000
            if _stamp(path) != stamp or not data:
                raise OSError(f"{path.name} changes")
        except OSError as error:
            self._look_again(path, str(error))
            return True
        name = self._name_of(path)
        part, lot = part_and_lot(self._settings.part, name)
        return put(Photograph(self.name, name, data, taken_ms, part, lot, stamp,
                              finish=lambda: self._finish(path, stamp), changed=lambda: _stamp(path) != stamp,
                              again=lambda: self._look_again(path, "it changed after it was read")))

    def _look_again(self, path: Path, reason: str) -> None:
        LOG.info("source %s: %s is read once more: %s", self.name, path.name, reason)
        with self._lock:
            self._busy.discard(path)
            if stamp := _stamp(path):
                self._waiting[path] = (stamp, time.monotonic())

    def _name_of(self, path: Path) -> str:
        """The name that the archive has; names that are no UTF-8 lose what cannot be written."""
        return os.fsencode(path.relative_to(self._settings.path)).decode("utf-8", "replace")

    def _finish(self, path: Path, stamp: str) -> None:
        """Put an archived file away; one that has become another since is left."""
        stays = self._settings.after == "keep"
        try:
            if not stays and _stamp(path) == stamp:
                self._put_away(path)
        except OSError as error:
            LOG.warning("source %s: %s stays where it is: %s", self.name, path.name, error)
            stays = True
        with self._lock:
            self._busy.discard(path)
            if stays:
                self._seen.add(hash((path, stamp)))

    def _put_away(self, path: Path) -> None:
        if self._settings.after == "delete":
            path.unlink(missing_ok=True)
            return
        target = self._settings.done_folder / path.relative_to(self._settings.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            free = target if number == 1 else target.with_stem(f"{target.stem}_{number}")
            if _moved(path, free):
                return


def _moved(path: Path, target: Path) -> bool:
    """Move a file; False where another one has that name.

    By a link: after a rename out of the folder, watchdog holds all news back for half a second, to see where it went.
    """
    try:
        os.link(path, target)
    except FileExistsError:
        if not target.samefile(path):  # else the line was killed between the two steps
            return False
    except OSError:  # another disk, or one without links
        if target.exists():
            return False
        shutil.move(path, target)
        return True
    path.unlink()
    return True


def _is_photograph(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _stamp(path: Path) -> str:
    """Size and time of a file; "" where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size}-{found.st_mtime_ns}"
