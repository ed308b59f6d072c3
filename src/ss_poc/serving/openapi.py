"""What `/openapi.json` says of the routes that read their requests themselves."""

from __future__ import annotations

from typing import Any

__all__ = ["BATCH", "CLICK", "DESCRIPTION", "LABEL", "LABEL_STUDIO_PREDICT", "LABEL_STUDIO_SETUP", "PREDICT"]

DESCRIPTION = "Finds in photographs what the model was trained to find."

ERROR = {"type": "object", "required": ["error"], "properties": {
    "error": {"type": "string", "description": "what happened"},
    "expected": {"type": "string", "description": "what would have been right"},
    "to_do": {"type": "string", "description": "what can be done about it"}}}
RLE = {"type": "object", "required": ["size", "counts"], "properties": {
    "size": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2,
             "description": "height and width"}, "counts": {"type": "string"}}}
COCO = {"type": "object", "required": ["images", "categories", "annotations"], "properties": {
    name: {"type": "array", "items": {"type": "object"}} for name in ("images", "categories", "annotations")}}
NUMBER, TEXT = {"type": "number"}, {"type": "string"}
JUDGED = {"type": "object", "description": "with rules=NAME: what these part rules say",
          "required": ["name", "verdict", "reasons", "measurements"], "properties": {
              "name": TEXT, "verdict": {"type": "string", "enum": ["accept", "warn", "reject", "error"]},
              "reasons": {"type": "array", "items": TEXT},
              "measurements": {"type": "array", "description": "of each class that is in the region", "items": {
                  "type": "object", "properties": {
                      "label": TEXT, "objects": {"type": "integer"}, "area": NUMBER, "length": NUMBER,
                      "unit": {"type": "string", "enum": ["mm", "px"], "description": "an area is in its square"},
                      "each": {"type": "array", "description": "the largest objects, at most 100", "items": {
                          "type": "object", "properties": {
                              "area": NUMBER, "length": NUMBER, "width": NUMBER, "edge": NUMBER,
                              "bbox": {"type": "array", "items": {"type": "integer"}}}}}}}}}}
ANSWER = {"type": "object",
          "required": ["rle", "labels", "colors", "objects", "verdict", "coco", "model", "milliseconds"],
          "properties": {
              "rle": {"type": "array", "items": RLE, "description": "COCO compressed RLE, one a class"},
              "labels": {"type": "array", "items": {"type": "string"}},
              "colors": {"type": "array", "items": {"type": "string"}},
              "objects": {"type": "array", "items": {"type": "object", "properties": {
                  "label": {"type": "string"}, "score": {"type": "number"}, "area": {"type": "integer"},
                  "bbox": {"type": "array", "items": {"type": "integer"}}}}},
              "verdict": {"type": "object", "properties": {
                  "defect": {"type": "boolean"}, "labels": {"type": "array", "items": {"type": "string"}},
                  "probability": {"type": "number", "minimum": 0, "maximum": 1, "description":
                                  "how likely the image is to have a defect; absent where the model cannot tell"}}},
              "coco": COCO,
              "model": {"type": "object", "properties": {"name": {"type": "string"}, "version": {"type": "string"}}},
              "maps": {"type": "array", "items": {"type": "string"},
                       "description": "with maps=1: probability of each class as a grey PNG in base64"},
              "rules": JUDGED,
              "milliseconds": {"type": "number"},
              "warnings": {"type": "array", "items": {"type": "string"},
                           "description": "where an image of 16 bits does not suit the camera of the training"}}}


def _refusals(*statuses: int) -> dict[str, Any]:
    meanings = {400: "no image, or a wrong query", 401: "the token is missing or wrong",
                408: "the request came too slowly", 413: "too large", 415: "not a format that is taken",
                422: "a damaged image",
                503: "too many requests: see Retry-After", 504: "not ready in time"}
    return {str(status): {"description": meanings[status], "content": {"application/json": {"schema": ERROR}}}
            for status in statuses}


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


FILE = {"type": "string", "format": "binary"}
THRESHOLD = {"name": "threshold", "in": "query", "required": False,
             "description": "used instead of every class' own",
             "schema": {"type": "number", "minimum": 0, "maximum": 1}}
RULES = {"name": "rules", "in": "query", "required": False, "schema": {"type": "string"},
         "description": "name of part rules in the folder SS_POC_RULES, which /info tells: the part is measured and "
                        "judged (format=json)"}
REFUSALS = _refusals(400, 401, 408, 413, 415, 422, 503, 504)

PREDICT: dict[str, Any] = {
    "summary": "Segment one image",
    "requestBody": {"required": True, "description": "a form with the image as a file, or a body that is the image",
                    "content": {"multipart/form-data": {"schema": {
                        "type": "object", "required": ["image"], "properties": {"image": FILE}}},
                        "image/*": {"schema": FILE}, "application/octet-stream": {"schema": FILE}}},
    "parameters": [
        {"name": "format", "in": "query", "required": False,
         "description": "json; png: the image with what was found; heat: the image with the highest probabilities; "
                        "mask: grey PNG, 0 nothing, else channel + 1; coco",
         "schema": {"type": "string", "enum": ["json", "png", "heat", "mask", "coco"], "default": "json"}},
        {"name": "maps", "in": "query", "required": False, "description": "1: with probability maps",
         "schema": {"type": "integer", "enum": [0, 1], "default": 0}},
        THRESHOLD, RULES],
    "responses": {"200": {"description": "what was found", "content": {
        "application/json": {"schema": {"anyOf": [ANSWER, COCO]}}, "image/png": {"schema": FILE}}}, **REFUSALS},
}
BATCH: dict[str, Any] = {
    "summary": "Segment several images; a broken one does not fail the others",
    "requestBody": _form({"type": "object", "required": ["image"], "properties": {
        "image": {"type": "array", "items": FILE, "minItems": 1}}}),
    "parameters": [
        {"name": "format", "in": "query", "required": False,
         "schema": {"type": "string", "enum": ["json", "coco"], "default": "json"}}, THRESHOLD, RULES],
    "responses": {"200": {"description": "an answer each, with its status", "content": {"application/json": {"schema": {
        "type": "object", "required": ["results"], "properties": {"results": {"type": "array", "items": {
            "type": "object", "required": ["name", "status"], "properties": {
                "name": {"type": "string"}, "status": {"type": "integer"}}}}}}}}}, **REFUSALS},
}


def _label_studio(summary: str, required: list[str], **properties: Any) -> dict[str, Any]:
    return {"summary": summary,
            "requestBody": {"required": True, "content": {"application/json": {"schema": {
                "type": "object", "required": required, "properties": properties}}}},
            "responses": {"200": {"description": "what Label Studio expects",
                                  "content": {"application/json": {"schema": {"type": "object"}}}}, **REFUSALS}}


LABEL_STUDIO_SETUP = _label_studio(
    "Label Studio's ML backend: take a project in", [],
    schema={"type": "string", "description": "the labelling interface"})
LABEL_STUDIO_PREDICT = _label_studio(
    "Label Studio's ML backend: propose regions", ["tasks", "label_config"],
    tasks={"type": "array", "description": "at most SS_POC_MAX_IMAGES", "items": {
        "type": "object", "required": ["data"], "properties": {"data": {"type": "object"}}}},
    label_config={"type": "string", "description": "the labelling interface"})
CLICK: dict[str, Any] = {
    "summary": "Find the region that clicks or a box mean, of whatever kind",
    "requestBody": _form({"type": "object", "required": ["image"], "properties": {"image": FILE}}),
    "parameters": [
        {"name": "clicks", "in": "query", "required": False, "schema": TEXT,
         "description": "x,y in pixels, or x,y,0 for what does not belong to the region; with ; between"},
        {"name": "box", "in": "query", "required": False, "schema": TEXT, "description": "left,top,right,bottom"}],
    "responses": {"200": {"description": "the region", "content": {"application/json": {"schema": {
        "type": "object", "required": ["rle", "polygons", "area", "score", "milliseconds"], "properties": {
            "rle": RLE, "polygons": {"type": "array", "items": {"type": "array", "items": NUMBER}},
            "area": {"type": "integer"}, "score": NUMBER, "milliseconds": NUMBER}}}}}, **REFUSALS},
}
LABEL: dict[str, Any] = {
    "summary": "Keep a photograph with its regions, for labelling and training",
    "requestBody": _form({"type": "object", "required": ["image", "regions"], "properties": {
        "image": FILE, "regions": {"type": "string", "format": "binary", "description":
                                   "json: a list of regions with label, color and segmentation (COCO)"}}}),
    "responses": {"200": {"description": "where it is kept", "content": {"application/json": {"schema": {
        "type": "object", "required": ["file", "labels", "photographs"], "properties": {
            "file": TEXT, "labels": TEXT, "photographs": {"type": "integer"}}}}}}, **REFUSALS},
}
