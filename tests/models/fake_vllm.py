"""A stand-in for the program that vLLM's own environment runs; see `fake_environment`.

    python fake_vllm.py --port N --model FOLDER ...

The folder may hold orders: a file `refuses` makes it end at once as vLLM does, with a traceback;
`sleeps` lets it never be ready; `dies` holds after how many requests, all in flight, it dies.
"""

import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ARGUMENTS = dict(zip(sys.argv[1:], sys.argv[2:], strict=False))
WAITING: list[Any] = []  # for its death


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._send({})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        folder = Path(ARGUMENTS["--model"])
        if asked["max_tokens"] > 1 and (folder / "dies").exists():
            WAITING.append(asked)
            if len(WAITING) == int((folder / "dies").read_text()):
                (folder / "dies").unlink()
                os._exit(9)
            time.sleep(3600)
        if asked["max_tokens"] > 1 and (folder / "hangs").exists():
            (folder / "hangs").unlink()
            time.sleep(3600)
        message = {"content": '{"findings": "Clear lungs.", "impression": "Normal."}'}
        choice = {"message": message, "finish_reason": "stop"}
        self._send({"choices": [choice], "usage": {"prompt_tokens": 300}})

    def log_message(self, *_: Any) -> None:
        return

    def _send(self, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    folder = Path(ARGUMENTS["--model"])
    if (folder / "refuses").exists():
        sys.stderr.write(
            "(EngineCore pid=1) ValueError: no room for the KV cache\n(APIServer) bye\n"
        )
        sys.exit(1)
    # A worker of its own, as vLLM has; it must not outlive the server.
    # With memory to give back, so that its death takes a while.
    memory = 'import time; held = bytearray(b"1") * (1 << 28); time.sleep(3600)'
    worker = subprocess.Popen([sys.executable, "-c", memory])
    started = {"pid": os.getpid(), "worker": worker.pid, "arguments": sys.argv[1:]}
    (folder / "started.json").write_text(json.dumps(started))
    if (folder / "sleeps").exists():
        time.sleep(3600)
    ThreadingHTTPServer(("127.0.0.1", int(ARGUMENTS["--port"])), Handler).serve_forever()


if __name__ == "__main__":
    main()
