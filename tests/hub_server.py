"""A hub on loopback: the endpoints of huggingface.co that a download uses, with what it was asked on record."""

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

_SMALLEST_LFS_BYTES = 1000


@dataclass
class HubModel:
    """A repository: commit -> file name -> bytes, and branch or tag -> commit."""

    commits: dict[str, dict[str, bytes]]
    refs: dict[str, str]
    gated: bool = False
    private: bool = False


@dataclass(frozen=True)
class Request:
    """One request that reached the server; the path is without its query."""

    method: str
    path: str
    token: str | None


@dataclass
class HubServer:
    """Serves ``models`` at ``url`` from start to close; files of 1000 bytes on are LFS files behind a redirect.

    ``token`` is the only one that is let in where one is needed. A download of a file in ``stalled`` sends half of the
    bytes, sets ``stalling`` and then waits for ``close``. ``broken_status`` answers every path that contains one of its
    keys with that status and a page.
    """

    models: dict[str, HubModel] = field(default_factory=dict)
    token: str = "hf_good"
    requests: list[Request] = field(default_factory=list)
    stalled: set[str] = field(default_factory=set)
    stalling: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)
    broken_status: dict[str, int] = field(default_factory=dict)

    def start(self) -> "HubServer":
        """Serve from now on."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop serving and free the port."""
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The endpoint, for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def downloads(self) -> list[str]:
        """The files whose bytes were asked for, sorted."""
        paths = [r.path for r in self.requests if r.method == "GET" and "/resolve/" in r.path]
        cdn = [r.path for r in self.requests if r.method == "GET" and r.path.startswith("/cdn/")]
        return sorted(
            [path.split("/resolve/")[1].split("/", 1)[1] for path in paths]
            + [p.split("/", 3)[3] for p in cdn]
        )


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            path = unquote(self.path.split("?")[0])
            authorization = self.headers.get("Authorization")
            token = authorization.removeprefix("Bearer ") if authorization else None
            hub.requests.append(Request(self.command, path, token))
            broken = [status for part, status in hub.broken_status.items() if part in path]
            if broken:
                self._send(broken[0], b"<html>not a hub</html>", {"Content-Type": "text/html"})
            elif path.startswith("/cdn/"):
                _, _, digest, file = path.split("/", 3)
                self._send_file(file, _blobs(hub)[digest], {})
            elif path.startswith("/api/models/"):
                name, _, revision = path.removeprefix("/api/models/").partition("/revision/")
                self._send_info(name, revision or "main", token)
            elif "/resolve/" in path:
                name, _, rest = path[1:].partition("/resolve/")
                self._send_resolved(name, *rest.split("/", 1), token)
            else:
                self._refuse(404, None)

        def _send_info(self, name: str, revision: str, token: str | None) -> None:
            model = hub.models.get(name)
            if model is None or (model.private and token != hub.token):
                return self._refuse(401 if token is None else 404, "RepoNotFound")
            commit = model.refs.get(revision, revision)
            if commit not in model.commits:
                return self._refuse(404, "RevisionNotFound")
            siblings = [{"rfilename": file} for file in model.commits[commit]]
            info = {"_id": "0", "id": name, "modelId": name, "sha": commit, "siblings": siblings, "tags": []}
            info |= {
                "private": model.private,
                "gated": "auto" if model.gated else False,
                "downloads": 0,
                "likes": 0,
            }
            return self._send(200, json.dumps(info).encode(), {"Content-Type": "application/json"})

        def _send_resolved(self, name: str, commit: str, file: str, token: str | None) -> None:
            model = hub.models[name]
            if (model.gated or model.private) and token != hub.token:
                return self._refuse(
                    401 if token is None else 403, "GatedRepo" if model.gated else "RepoNotFound"
                )
            content = model.commits[commit].get(file)
            if content is None:
                return self._refuse(404, "EntryNotFound")
            headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
            if len(content) < _SMALLEST_LFS_BYTES:
                return self._send_file(file, content, headers)
            digest = hashlib.sha256(content).hexdigest()
            headers |= {"X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(len(content))}
            # Another host name, as on the real hub: a client must not send its token there.
            return self._send(
                302, b"", headers | {"Location": f"http://localhost:{hub.port}/cdn/{digest}/{file}"}
            )

        def _send_file(self, file: str, content: bytes, headers: dict[str, str]) -> None:
            if self.command == "GET" and file in hub.stalled:
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])
                self.wfile.flush()
                hub.stalling.set()
                hub.closing.wait(30)
                self.close_connection = True
                return
            self._send(200, content, headers)

        def _refuse(self, status: int, code: str | None) -> None:
            self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code} if code else {})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler


def _blobs(hub: HubServer) -> dict[str, bytes]:
    commits = [files for model in hub.models.values() for files in model.commits.values()]
    return {hashlib.sha256(content).hexdigest(): content for files in commits for content in files.values()}
