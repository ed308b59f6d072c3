"""What the application knows: its settings, its life, its limits, the model; and what is noted of each request."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from ..core.config import ServeConfig
from ..core.errors import ServiceError
from ..core.images import PLAIN, OpenedImage, open_image
from ..core.levels import Levels
from .admission import Gate
from .clicking import Clicking
from .memory import LARGE, MOST_PIXELS, bytes_of_bodies, check_shape
from .served import Served

__all__ = ["Life", "RequestNote", "ServiceState", "note_of", "state_of"]


class Life:
    """Where the service is in its life.

    Attributes:
        ready: true after the first inference.
        draining: true once it was told to stop.
        replaced: true where another process has taken over its port: the service goes on, though this process leaves.
    """

    def __init__(self) -> None:
        self.ready = self.draining = self.replaced = False

    @property
    def takes_requests(self) -> bool:
        """Whether clients may go on asking at this address."""
        return self.ready and (self.replaced or not self.draining)


@dataclass
class RequestNote:
    """What a route notes of its request for the log; nothing of what the image shows.

    Attributes:
        bytes: size of the image file.
        height: of the image as it is shown, in pixels.
        width: of the image as it is shown, in pixels.
        labels: classes that were found.
        images: number of images in a batch.
        failed: number of images in a batch that could not be read.
        reason: why the request was refused.
        warnings: what is odd about the values of images.
    """

    bytes: int | None = None
    height: int | None = None
    width: int | None = None
    labels: list[str] | None = None
    images: int | None = None
    failed: int | None = None
    reason: str | None = None
    warnings: list[str] | None = None

    def warn(self, warnings: Sequence[str]) -> None:
        """Note warnings beside those that are there."""
        if warnings:
            self.warnings = [*(self.warnings or []), *warnings]

    def values(self) -> dict[str, Any]:
        """What was noted, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass
class ServiceState:
    """All that routes and middleware share.

    Attributes:
        config: settings of the service.
        gate: how many requests may be inside at once.
        life: ready, draining or replaced.
        large: held while a large image is worked on, so that there is one at a time.
        clicking: what answers clicks.
        served: the model; None until it is loaded.
        without_model: whether there is none: the service answers clicks alone.
    """

    config: ServeConfig
    gate: Gate
    clicking: Clicking
    life: Life = field(default_factory=Life)
    large: threading.Lock = field(default_factory=threading.Lock)
    served: Served | None = None
    without_model: bool = False

    @classmethod
    def of(cls, config: ServeConfig) -> ServiceState:
        """State of a service that has no model yet."""
        gate = Gate(config.concurrency, config.engine_threads + 1, bytes_of_bodies(config))
        return cls(config, gate, Clicking(config.engine_threads))

    @property
    def max_pixels(self) -> int:
        """Pixels of the largest image that is accepted."""
        return self.served.room.pixels if self.served else self.config.max_pixels or MOST_PIXELS

    def open(self, data: bytes) -> OpenedImage:
        """Read the header of an image file that is to be predicted.

        Raises:
            ImageError: no image (400), a format we do not take (415), or too large (413).
        """
        opened = open_image(data, self.max_pixels)
        check_shape(opened.size_hw, self.model.predictor.spec, self.max_pixels)
        return opened

    def open_to_click(self, data: bytes) -> OpenedImage:
        """Read the header of an image file that is clicked on, whatever the model takes.

        Raises:
            ImageError: as `open`.
        """
        return open_image(data, self.max_pixels)

    @property
    def levels(self) -> Levels:
        """What becomes black and white of an image with more than 8 bits."""
        return self.served.predictor.spec.levels if self.served else PLAIN

    @contextmanager
    def turn_for(self, size_hw: tuple[int, int]) -> Iterator[None]:
        """Wait, where an image of (height, width) is large, until no other large one is worked on."""
        most = self.served.room.large if self.served else LARGE
        with self.large if size_hw[0] * size_hw[1] > most else nullcontext():
            yield

    @property
    def model(self) -> Served:
        """The model that is served.

        Raises:
            ServiceError: it is not loaded yet (503).
        """
        if self.served is None:
            raise ServiceError("the model is not loaded yet", "a service that is ready", "ask again in 1 s", 503, 1)
        return self.served


def state_of(request: Request) -> ServiceState:
    """State of the application that a request was sent to."""
    state: ServiceState = request.app.state.service
    return state


def note_of(request: Request) -> RequestNote:
    """Note of a request; the `Guard` logs it."""
    note: RequestNote = request.state.note
    return note
