#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An S3 in memory, for tests: checks each signature (version 4, in headers or in the query), the
hash of each body and the date, and fails when it is told to. `fake_s3.py [--access A] [--secret S]
[--page N] [--tls CERT KEY]` prints its URL and serves until its stdin ends.

What tests tell it comes to /-/ without a signature: POST /-/faults, a list of
{"method": "PUT", "times": 2, and one of "status": 503 with "code": "SlowDown", "cut": "before" |
"after" | "body", "hang_s": 60}; POST /-/clock {"ahead_s": 3600}; POST /-/keys {"A": "S"}; GET /-/seen,
/-/uploads.
"""
import argparse
import calendar
import email.utils
import hashlib
import hmac
import http.server
import json
import socket
import ssl
import sys
import threading
import time
import urllib.parse
from xml.sax.saxutils import escape

SKEW_S = 900


def quote(text, safe=""):
    return urllib.parse.quote(text, safe=safe + "-._~")


def hmac_of(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(secret, method, path, query, headers, names, body_hash, date, scope):
    """As the AWS documentation says it, from what was sent: `path` and `query` are decoded."""
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names)
    pairs = sorted((quote(name), quote(value)) for name, value in query)
    canonical = "\n".join([method, quote(path, "/"), "&".join(f"{n}={v}" for n, v in pairs),
                           lines, ";".join(names), body_hash])
    text = "\n".join(["AWS4-HMAC-SHA256", date, "/".join(scope),
                      hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in scope:
        key = hmac_of(key, part)
    return hmac_of(key, text).hex()


class Refused(Exception):
    def __init__(self, status, code, message=""):
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


class Bucket:
    """What all requests share."""

    def __init__(self, keys, page):
        self.lock = threading.Lock()
        self.keys, self.page = keys, page
        self.objects = {}  # (bucket, key): bytes
        self.uploads = {}  # id: (bucket, key, {number: bytes})
        self.faults = []
        self.ahead_s = 0
        self.seen = []
        self.next_upload = 1

    def now(self):
        return time.time() + self.ahead_s

    def fault(self, method):
        with self.lock:
            for fault in self.faults:
                if fault["times"] > 0 and fault.get("method", method) == method:
                    fault["times"] -= 1
                    return fault
        return {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket = None  # set by serve()

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(self.bucket.now() if timestamp is None else timestamp,
                                      usegmt=True)

    def handle_one(self):
        path, _, query = self.path.partition("?")
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path.startswith("/-/"):
            return self.control(path[3:])
        self.pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
        self.query = dict(self.pairs)
        self.where = urllib.parse.unquote(path)
        with self.bucket.lock:
            self.bucket.seen.append(f"{self.command} {self.path}")
        fault = self.bucket.fault(self.command)
        self.cut = fault.get("cut", "")
        time.sleep(fault.get("hang_s", 0))
        if self.cut == "before":
            return self.hang_up()
        try:
            if "status" in fault:
                raise Refused(fault["status"], fault["code"], "as it was told")
            self.check()
            self.serve()
        except Refused as refused:
            text = (f"<Error><Code>{refused.code}</Code><Message>{escape(refused.message)}"
                    "</Message></Error>").encode()
            self.answer(refused.status, text, {"Content-Type": "application/xml"})

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one

    def hang_up(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def answer(self, status, body=b"", headers=None, size=None):
        if self.cut == "after":
            return self.hang_up()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body) if size is None else size))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body[:len(body) // 2] if self.cut == "body" else body)
        self.wfile.flush()
        if self.cut == "body":
            self.hang_up()
        return None

    def control(self, what):
        self.cut = ""
        bucket = self.bucket
        said = json.loads(self.body) if self.body else None
        told = None
        with bucket.lock:
            if what == "faults":
                bucket.faults = said
            elif what == "clock":
                bucket.ahead_s = said["ahead_s"]
            elif what == "keys":
                bucket.keys = said
            elif what == "seen":
                told, bucket.seen = bucket.seen, []
            elif what == "uploads":
                told = len(bucket.uploads)
        self.answer(200, json.dumps(told).encode(), {"Content-Type": "application/json"})

    # Who asks

    def check(self):
        if "X-Amz-Signature" in self.query:
            return self.check_presigned()
        head = self.headers.get("Authorization", "")
        if not head.startswith("AWS4-HMAC-SHA256 "):
            raise Refused(403, "AccessDenied", "no signature")
        parts = dict(part.strip().split("=", 1) for part in head.split(" ", 1)[1].split(","))
        date = self.headers.get("x-amz-date", "")
        body_hash = self.headers.get("x-amz-content-sha256", "")
        names = parts["SignedHeaders"].split(";")
        for name in self.headers:
            if name.lower().startswith("x-amz-") and name.lower() not in names:
                raise Refused(403, "AccessDenied", f"{name} is not signed")
        if "host" not in names or names != sorted(names):
            raise Refused(403, "AccessDenied", "signed headers")
        self.check_date(date)
        self.check_signature(parts["Credential"], parts["Signature"], self.pairs, names, body_hash,
                             date)
        if hashlib.sha256(self.body).hexdigest() != body_hash:
            raise Refused(400, "XAmzContentSHA256Mismatch")
        return None

    def check_presigned(self):
        date = self.query["X-Amz-Date"]
        begin = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
        if not begin - SKEW_S <= self.bucket.now() <= begin + int(self.query["X-Amz-Expires"]):
            raise Refused(403, "AccessDenied", "Request has expired")
        pairs = [pair for pair in self.pairs if pair[0] != "X-Amz-Signature"]
        self.check_signature(self.query["X-Amz-Credential"], self.query["X-Amz-Signature"], pairs,
                             self.query["X-Amz-SignedHeaders"].split(";"), "UNSIGNED-PAYLOAD", date)

    def check_date(self, date):
        try:
            sent = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
        except ValueError as error:
            raise Refused(403, "AccessDenied", "x-amz-date") from error
        if abs(sent - self.bucket.now()) > SKEW_S:
            raise Refused(403, "RequestTimeTooSkewed")

    def check_signature(self, credential, given, pairs, names, body_hash, date):
        access, *scope = credential.split("/")
        if access not in self.bucket.keys:
            raise Refused(403, "InvalidAccessKeyId")
        if scope[0] != date[:8] or scope[2:] != ["s3", "aws4_request"]:
            raise Refused(400, "AuthorizationHeaderMalformed")
        headers = {name.lower(): value for name, value in self.headers.items()}
        if any(name not in headers for name in names):
            raise Refused(403, "SignatureDoesNotMatch", "a signed header is missing")
        right = signature(self.bucket.keys[access], self.command, self.where, pairs, headers, names,
                          body_hash, date, scope)
        if not hmac.compare_digest(right, given):
            raise Refused(403, "SignatureDoesNotMatch")

    # What is asked

    def serve(self):
        bucket, _, key = self.where[1:].partition("/")
        if not key:
            if self.command == "GET" and self.query.get("list-type") == "2":
                return self.list(bucket)
            raise Refused(405, "MethodNotAllowed")
        if "uploads" in self.query or "uploadId" in self.query:
            return self.serve_upload(bucket, key)
        objects = self.bucket.objects
        with self.bucket.lock:
            found = objects.get((bucket, key))
            if self.command == "PUT":
                objects[bucket, key] = self.body
            elif self.command == "DELETE":
                objects.pop((bucket, key), None)
        if self.command == "PUT":
            return self.answer(200, b"", {"ETag": self.etag(self.body)})
        if self.command == "DELETE":
            return self.answer(204)
        if found is None:
            raise Refused(404, "NoSuchKey")
        headers = {"ETag": self.etag(found), "Accept-Ranges": "bytes"}
        if self.command == "HEAD":
            return self.answer(200, b"", headers, size=len(found))
        if "Range" not in self.headers:
            return self.answer(200, found, headers)
        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
        if int(first) >= len(found):
            raise Refused(416, "InvalidRange")
        piece = found[int(first):int(last) + 1]
        headers["Content-Range"] = f"bytes {first}-{int(first) + len(piece) - 1}/{len(found)}"
        return self.answer(206, piece, headers)

    @staticmethod
    def etag(body):
        return '"' + hashlib.md5(body, usedforsecurity=False).hexdigest() + '"'

    def serve_upload(self, bucket, key):
        state, ident = self.bucket, self.query.get("uploadId")
        with state.lock:
            if "uploads" in self.query and self.command == "POST":
                ident = f"u&{state.next_upload}"
                state.next_upload += 1
                state.uploads[ident] = (bucket, key, {})
                text = f"<R><UploadId>{escape(ident)}</UploadId></R>".encode()
                return self.answer(200, text)
            if ident not in state.uploads or state.uploads[ident][:2] != (bucket, key):
                raise Refused(404, "NoSuchUpload")
            parts = state.uploads[ident][2]
            if self.command == "PUT":
                parts[int(self.query["partNumber"])] = self.body
                return self.answer(200, b"", {"ETag": self.etag(self.body)})
            if self.command == "POST":
                named = [part.split("</ETag>")[0] for part in
                         self.body.decode().replace("&quot;", '"').split("<ETag>")[1:]]
                if named != [self.etag(parts[number]) for number in sorted(parts)]:
                    raise Refused(400, "InvalidPart")
                state.objects[bucket, key] = b"".join(parts[number] for number in sorted(parts))
            del state.uploads[ident]
        return self.answer(204) if self.command == "DELETE" else self.answer(200, b"<Done/>")

    def list(self, bucket):
        prefix, after = self.query.get("prefix", ""), self.query.get("continuation-token", "")
        with self.bucket.lock:
            keys = sorted((key, len(body)) for (where, key), body in self.bucket.objects.items()
                          if where == bucket and key.startswith(prefix) and key > after)
        shown, more = keys[:self.bucket.page], len(keys) > self.bucket.page
        write = (lambda key: quote(key, "/")) if self.query.get("encoding-type") == "url" else escape
        text = "".join(f"<Contents><Key>{write(key)}</Key><Size>{size}</Size></Contents>"
                       for key, size in shown)
        if more:
            text += f"<NextContinuationToken>{escape(shown[-1][0])}</NextContinuationToken>"
        text = (f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/">{text}'
                f"<IsTruncated>{str(more).lower()}</IsTruncated></ListBucketResult>")
        self.answer(200, text.encode(), {"Content-Type": "application/xml"})


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Clients hang up as they like."""


class FakeS3:
    """Serves from here on; in a test of this language."""

    def __init__(self, access="AKIAMILLRACE", secret="a secret/with+signs", page=1000, tls=None):
        state = Bucket({access: secret}, page)

        class Bound(Handler):
            bucket = state
        self.bucket = state
        self.server = Server(("127.0.0.1", 0), Bound)
        host = "127.0.0.1"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            host = "localhost"
        self.url = f"http{'s' if tls else ''}://{host}:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--access", default="AKIAMILLRACE")
    parser.add_argument("--secret", default="a secret/with+signs")
    parser.add_argument("--page", type=int, default=1000)
    parser.add_argument("--tls", nargs=2)
    given = parser.parse_args()
    fake = FakeS3(given.access, given.secret, given.page, given.tls)
    print(fake.url, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
