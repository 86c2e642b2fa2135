"""A page to separate songs and listen to the stems: ``python app.py``, then open the address that it prints.

It listens on this machine only, unless ``--host`` says otherwise. Songs and stems are deleted when the visitor closes
the page, after ``--keep-minutes``, and when the page ends (Ctrl-C).
"""

import argparse
import signal
from threading import Event

from page.jobs import Engine
from page.limits import Limits
from page.models import Models
from page.serving import serving
from utils.errors import run
from utils.memory import keep_freed_memory


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("-c", "--ckpt-path", nargs="+", default=[], help="models to offer, as for inference.py; default: saved_models/")
    add("-d", "--device", default="auto", help="auto (the best present, default), cpu, cuda, cuda:N or mps")
    add("--host", default="127.0.0.1", help="0.0.0.0 lets everybody in your network use it; default: %(default)s")
    add("--port", type=int, default=7860, help="default: %(default)s")
    add("--max-mb", type=float, default=200, help="largest file; default: %(default)s")
    add("--max-minutes", type=float, default=10, help="longest song; default: %(default)s")
    add("--keep-minutes", type=float, default=60, help="unused songs and stems go after; default: %(default)s")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    keep_freed_memory()
    args = parse(arguments)
    limits = Limits(args.max_mb, args.max_minutes, args.keep_minutes)
    engine = Engine(Models(args.ckpt_path, args.device), limits)
    with serving(engine, args.host, args.port) as address:
        print(f"{address} (Ctrl-C ends it and deletes all songs)", flush=True)
        try:
            Event().wait()
        except KeyboardInterrupt:
            print("ended")
    return 0


if __name__ == "__main__":
    for name in ("SIGTERM", "SIGHUP"):  # a closed terminal deletes the songs, too
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    run(main)
