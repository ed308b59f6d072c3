"""A stand-in for coco-annotator, made from what its API is documented to take and give. Needs Python alone:

    python coco_annotator_server.py 5000 /datasets
"""

from __future__ import annotations

import json
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = 2  # images a page, fewer than are asked for, so that pages are turned


class CocoAnnotatorServer:
    """Accounts, categories, data sets, images and annotations in memory; photographs in `datasets`."""

    def __init__(self, datasets: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self.datasets = datasets
        self.users: dict[str, str] = {}
        self.categories: list[dict[str, Any]] = []
        self.sets: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.tasks: list[dict[str, Any]] = []
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.handle(self, "GET")

            def do_POST(self) -> None:
                server.handle(self, "POST")

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer((host, port), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()

    def handle(self, request: BaseHTTPRequestHandler, method: str) -> None:
        parts = urlsplit(request.path)
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.asked.append(f"{method} {parts.path}")
        logged_in = "session=in" in (request.headers.get("Cookie") or "")
        status, answer = self.answer(method, parts.path, parse_qs(parts.query), body, logged_in)
        request.send_response(status)
        if parts.path in ("/api/user/login", "/api/user/register") and status == 200:
            request.send_header("Set-Cookie", "session=in; Path=/")
        request.send_header("Content-Type", "application/json")
        request.end_headers()
        request.wfile.write(json.dumps(answer).encode())

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes, logged_in: bool
               ) -> tuple[int, Any]:
        words = path.strip("/").split("/")[1:]
        if not words:
            return 200, "a page"
        if words == ["info"]:
            return 200, {"name": "COCO Annotator", "total_users": len(self.users)}
        if words[0] == "user":
            return self.user(words[1], json.loads(body))
        if not logged_in:
            return 401, {"message": "log in"}
        if words == ["tasks"]:
            return 200, self.tasks
        if words == ["image"]:
            return self.page(int(query["page"][0]))
        if words == ["category"]:
            return self.category(json.loads(body)) if method == "POST" else (200, self.categories)
        if words == ["dataset"]:
            return self.new_set(json.loads(body)) if method == "POST" else (200, self.sets)
        found = next((item for item in self.sets if item["id"] == int(words[1])), None)
        if words[0] != "dataset" or found is None:
            return 400, {"message": "Invalid dataset id"}
        return self.dataset(method, words[2:], found, body)

    def user(self, verb: str, given: dict[str, str]) -> tuple[int, Any]:
        if verb == "register":
            self.users[given["username"]] = given["password"]
        elif self.users.get(given["username"]) != given["password"]:
            return 400, {"success": False, "message": "Could not authenticate user"}
        return 200, {"success": True, "user": {"username": given["username"]}}

    def category(self, given: dict[str, Any]) -> tuple[int, Any]:
        if any(item["name"] == given["name"] for item in self.categories):
            return 400, {"message": "Category already exists. Check the undo tab to fully delete the category."}
        self.categories.append({"id": len(self.categories) + 1, "deleted": False, **given})
        return 200, self.categories[-1]

    def ids(self, names: list[str]) -> list[int]:
        return [next(item["id"] for item in self.categories if item["name"] == name) for name in names]

    def new_set(self, given: dict[str, Any]) -> tuple[int, Any]:
        if any(item["name"] == given["name"] for item in self.sets):
            return 400, {"message": "Dataset already exists. Check the undo tab to fully delete the dataset."}
        (self.datasets / given["name"]).mkdir(exist_ok=True)
        self.sets.append({"id": len(self.sets) + 1, "name": given["name"], "deleted": False, "annotate_url": "",
                          "categories": self.ids(given["categories"])})
        return 200, self.sets[-1]

    def dataset(self, method: str, words: list[str], found: dict[str, Any], body: bytes) -> tuple[int, Any]:
        if not words:
            given = json.loads(body)
            found.update(categories=self.ids(given["categories"]), annotate_url=self.new_url(given, found))
            return 200, {"success": True}
        if words == ["scan"]:
            self.scan(found)
            return self.task("Scanning")
        if words == ["coco"] and method == "POST":
            start = body.index(b"{")
            self.take(found, json.JSONDecoder().raw_decode(body[start:].decode())[0])
            return self.task("Import")
        return 200, self.coco(found)

    def new_url(self, given: dict[str, Any], found: dict[str, Any]) -> str:
        return given.get("annotate_url", found["annotate_url"])

    def task(self, name: str) -> tuple[int, Any]:
        self.tasks.append({"id": len(self.tasks) + 1, "name": name, "progress": 100, "completed": True, "errors": 0})
        return 200, {"celery_id": "x", "id": len(self.tasks), "name": name}

    def scan(self, found: dict[str, Any]) -> None:
        for path in sorted((self.datasets / found["name"]).glob("*.png")):
            if all(item["file_name"] != path.name or item["dataset_id"] != found["id"] for item in self.images):
                width, height = struct.unpack(">II", path.read_bytes()[16:24])
                self.images.append({"id": len(self.images) + 1, "dataset_id": found["id"], "file_name": path.name,
                                    "path": f"/datasets/{found['name']}/{path.name}", "width": width,
                                    "height": height, "milliseconds": 0, "annotated": False, "num_annotations": 0})

    def page(self, number: int) -> tuple[int, Any]:
        return 200, {"total": len(self.images), "pages": int(len(self.images) / PAGE) + 1, "page": number - 1,
                     "images": self.images[(number - 1) * PAGE:number * PAGE]}

    def take(self, found: dict[str, Any], coco: dict[str, Any]) -> None:
        """As its workers import: images by file name, the very same annotation only once."""
        names = {item["id"]: item["name"] for item in coco["categories"]}
        files = {item["id"]: item["file_name"] for item in coco["images"]}
        for item in coco["annotations"]:
            image = next(one for one in self.images
                         if one["dataset_id"] == found["id"] and one["file_name"] == files[item["image_id"]])
            self.draw(image["file_name"], names[item["category_id"]], item["segmentation"])

    def draw(self, file_name: str, label: str, segmentation: list[list[float]]) -> None:
        """As somebody does in the browser."""
        image = next(item for item in self.images if item["file_name"] == file_name)
        row = {"image_id": image["id"], "category_id": self.ids([label])[0], "segmentation": segmentation}
        if all({key: item[key] for key in row} != row for item in self.annotations):
            self.annotations.append({"id": len(self.annotations) + 1, **row})
            image.update(annotated=True, num_annotations=image["num_annotations"] + 1, milliseconds=900)

    def coco(self, found: dict[str, Any]) -> dict[str, Any]:
        """As /api/dataset/ID/coco answers: photographs without regions are not in it."""
        mine = {item["id"] for item in self.images if item["dataset_id"] == found["id"]}
        drawn = [item for item in self.annotations if item["image_id"] in mine]
        used = {item["image_id"] for item in drawn}
        return {"images": [item for item in self.images if item["id"] in used], "annotations": drawn,
                "categories": [item for item in self.categories if item["id"] in found["categories"]]}


if __name__ == "__main__":
    CocoAnnotatorServer(Path(sys.argv[2]), "0.0.0.0", int(sys.argv[1]))
    threading.Event().wait()
