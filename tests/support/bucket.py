"""A bucket in memory, asked by path, whose answers a test may change: what stores do, and what lies in their place."""

import hashlib
from collections.abc import Callable
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET

from tests.support.scripted_server import Answer, Request, answer

XML = "application/xml"
LONG_AGO = "2026-01-01T00:00:00.000Z"


def md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def document(root: str, content: str = "") -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><{root}>{content}</{root}>'.encode()


def xml(root: str, content: str = "", status: int = 200, **headers: object) -> Answer:
    return answer(status, document(root, content), kind=XML, **headers)


def error(status: int, code: str) -> Answer:
    return xml("Error", f"<Code>{code}</Code><Message>no</Message>", status)


def page(status: int = 200, **headers: object) -> Answer:
    return answer(status, b"<html><body>Sign in to the network</body></html>", kind="text/html", **headers)


class Bucket:
    """Answers requests as S3 does; instead(operation, request) may answer first, None leaves it to the bucket."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.asked: list[str] = []
        self.tag: Callable[[bytes], str] = md5
        self.tag_of_parts: Callable[[list[bytes]], str] = tag_of_parts
        self.headers: dict[str, object] = {}
        self.instead: Callable[[str, Request], Answer | None] = lambda _operation, _request: None

    def __call__(self, request: Request) -> Answer:
        url = urlsplit(request.target)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        key = unquote(url.path).removeprefix("/").partition("/")[2]
        operation = _operation(request.method, key, query)
        self.asked.append(operation)
        given = self.instead(operation, request)
        return given if given is not None else getattr(self, f"_{operation}")(key, query, request.body)

    def _put(self, key: str, _query: dict[str, str], body: bytes) -> Answer:
        self.objects[key] = body
        return answer(200, b"", kind=XML, ETag=f'"{self.tag(body)}"', **self.headers)

    def _get(self, key: str, _query: dict[str, str], _body: bytes) -> Answer:
        if key not in self.objects:
            return error(404, "NoSuchKey")
        body = self.objects[key]
        return answer(200, body, kind="video/mp4", ETag=f'"{self.tag(body)}"', **self.headers)

    def _head(self, _key: str, _query: dict[str, str], _body: bytes) -> Answer:
        return answer(200, b"", kind=XML)

    def _delete(self, key: str, _query: dict[str, str], _body: bytes) -> Answer:
        self.objects.pop(key, None)
        return answer(204, b"")

    def _list(self, _key: str, query: dict[str, str], _body: bytes) -> Answer:
        found = sorted(key for key in self.objects if key.startswith(query.get("prefix", "")))
        return listed(query.get("prefix", ""), {key: len(self.objects[key]) for key in found})

    def _begin(self, key: str, _query: dict[str, str], _body: bytes) -> Answer:
        self.uploads[f"{key}!"] = {}
        return xml("InitiateMultipartUploadResult", f"<Key>{key}</Key><UploadId>{key}!</UploadId>", **self.headers)

    def _part(self, _key: str, query: dict[str, str], body: bytes) -> Answer:
        self.uploads[query["uploadId"]][int(query["partNumber"])] = body
        return answer(200, b"", kind=XML, ETag=f'"{self.tag(body)}"', **self.headers)

    def _complete(self, key: str, query: dict[str, str], body: bytes) -> Answer:
        parts = self.uploads.pop(query["uploadId"], None)
        if parts is None:
            return error(404, "NoSuchUpload")
        numbers = [int(one.text or 0) for one in ET.fromstring(body).iter() if one.tag.endswith("PartNumber")]  # noqa: S314
        self.objects[key] = b"".join(parts[number] for number in numbers)
        return completed(self.tag_of_parts([parts[number] for number in numbers]), **self.headers)

    def _abort(self, _key: str, query: dict[str, str], _body: bytes) -> Answer:
        return answer(204, b"") if self.uploads.pop(query["uploadId"], None) is not None else error(404, "NoSuchUpload")

    def _uploads(self, _key: str, query: dict[str, str], _body: bytes) -> Answer:
        begun = [upload_id for upload_id in self.uploads if upload_id.startswith(query.get("prefix", ""))]
        told = [f"<Key>{one[:-1]}</Key><UploadId>{one}</UploadId><Initiated>{LONG_AGO}</Initiated>" for one in begun]
        uploads = "".join(f"<Upload>{one}</Upload>" for one in told)
        return xml("ListMultipartUploadsResult", f"<IsTruncated>false</IsTruncated>{uploads}")


def tag_of_parts(parts: list[bytes]) -> str:
    return f"{md5(b''.join(bytes.fromhex(md5(part)) for part in parts))}-{len(parts)}"


def listed(prefix: str, sizes: dict[str, int], more: str = "<IsTruncated>false</IsTruncated>") -> Answer:
    objects = "".join(
        f"<Contents><Key>{key}</Key><LastModified>{LONG_AGO}</LastModified><Size>{size}</Size></Contents>"
        for key, size in sizes.items()
    )
    told = f"<Name>bucket</Name><Prefix>{prefix}</Prefix><KeyCount>{len(sizes)}</KeyCount>{more}{objects}"
    return xml("ListBucketResult", told)


def completed(tag: str, **headers: object) -> Answer:
    return xml("CompleteMultipartUploadResult", f"<ETag>&quot;{tag}&quot;</ETag>", **headers)


def _operation(method: str, key: str, query: dict[str, str]) -> str:
    if method == "POST":
        return "begin" if "uploads" in query else "complete"
    if method == "PUT":
        return "part" if "partNumber" in query else "put"
    if method == "HEAD":
        return "head"
    if method == "DELETE":
        return "abort" if "uploadId" in query else "delete"
    return "get" if key else ("uploads" if "uploads" in query else "list")
