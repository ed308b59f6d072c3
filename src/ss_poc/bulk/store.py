"""A folder on a disk or in object storage (`s3://bucket/folder`), read and written in one way."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from ..core.errors import ArtifactError
from ..core.files import atomic_path

__all__ = ["Store", "is_remote"]


def is_remote(place: str) -> bool:
    """Return whether a place is an address such as `s3://bucket/folder` instead of a path."""
    return "://" in place


class Store:
    """A folder whose files are whole or not there.

    Args:
        place: path of a folder, or an address such as `s3://bucket/folder`.

    Attributes:
        place: as it was given.
        files: pyarrow's file system.
        base: the folder's path in `files`.

    Raises:
        ArtifactError: an address of no known kind.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self._local = None if is_remote(place) else Path(place)
        self.files: fs.FileSystem = fs.LocalFileSystem()
        self.base: str = os.path.abspath(place)
        if is_remote(place):
            with self._answering():
                self.files, self.base = fs.FileSystem.from_uri(place)

    def __str__(self) -> str:
        return self.place

    def below(self, folder: str = "") -> Iterator[str]:
        """Yield the files of a folder and its subfolders, as names relative to it; none where the folder is not."""
        base = f"{self.base}/{folder}" if folder else self.base
        with self._answering():
            found = self.files.get_file_info(fs.FileSelector(base, recursive=True, allow_not_found=True))
        for item in found:
            if item.type == fs.FileType.File:
                yield item.path[len(base.rstrip("/")) + 1:]

    def read(self, name: str) -> bytes:
        """Return the content of a file. Raises OSError where it cannot be read."""
        with self.files.open_input_stream(f"{self.base}/{name}") as file:
            return bytes(file.read())

    def open(self, name: str) -> pa.NativeFile:
        """Open a file to read at any place of it."""
        return self.files.open_input_file(f"{self.base}/{name}")

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A path on this machine to write to; it becomes the file when the block ends without an error."""
        if self._local:
            with atomic_path(self._local / name) as path:
                yield path
            return
        with tempfile.TemporaryDirectory(prefix="ss-poc-") as folder:
            path = Path(folder) / "file"
            yield path
            with self._answering():
                fs.copy_files(str(path), f"{self.base}/{name}", fs.LocalFileSystem(), self.files)

    def remove(self, name: str) -> None:
        """Remove a file."""
        self.files.delete_file(f"{self.base}/{name}")

    def remove_empty(self, folder: str) -> None:
        """Remove a folder where nothing is left in it; object storage has no folders."""
        if self._local and (self._local / folder).is_dir() and not any((self._local / folder).iterdir()):
            (self._local / folder).rmdir()

    @contextmanager
    def claim(self, name: str, what: str) -> Iterator[int | None]:
        """Keep other processes from what this one works on. A claim ends with its process, however that ends, and with
        those that inherit the descriptor which the block is handed.

        Object storage has no claims: there two processes do the same work, and the last to end stays.

        Args:
            name: of a file that stands for the claim.
            what: is claimed, for people.

        Raises:
            ArtifactError: another process has the claim, or the disk has no locks.
        """
        if not self._local:
            yield None
            return
        path = self._local / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path, what) as descriptor:
            yield descriptor

    @contextmanager
    def _answering(self) -> Iterator[None]:
        if self._local:  # the system's own errors of local files say it all
            yield
            return
        try:
            yield
        except (OSError, ValueError, NotImplementedError) as error:
            raise ArtifactError(f"{self.place} does not answer: {str(error).splitlines()[0]}",
                                "object storage that can be reached, such as s3://bucket/folder",
                                "check the address, and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL"
                                ) from error


@contextmanager
def _locked(path: Path, what: str) -> Iterator[int]:
    while True:
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ArtifactError(f"{what} is being made by another process already ({path} is locked)",
                                    "one process at a time", "wait for it, or end it; it repeats nothing that is done"
                                    ) from None
            except OSError as error:
                raise ArtifactError(f"{path} cannot be locked: {error.strerror}", "a disk with locks (flock)",
                                    "mount it with locks, or take another --output") from error
            # Who had the claim before removed the file as it ended: then another one has the name, or will have it.
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                try:
                    yield file.fileno()
                finally:
                    path.unlink(missing_ok=True)
                return
