"""A page to separate songs and listen to the stems: ``demix-app``, then open the address that it prints.

It listens on this machine only, unless ``--host`` says otherwise. Songs and stems are deleted when the visitor closes
the page, after ``--keep-minutes``, and when the page ends (Ctrl-C).
"""

import argparse
from threading import Event

from demixer.commands.parsing import SEVERAL, Parser, file_name
from demixer.errors import end_on_signals, run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("-c", "--ckpt-path", **SEVERAL, default=[], help="models to offer, as for demix; default: all that are here")
    parser.add_device("-d", "--device")
    add("--host", default="127.0.0.1", help="0.0.0.0 lets everybody in your network use it; default: %(default)s")
    add("--port", type=int, default=7860, help="default: %(default)s")
    add(
        "--allow-host", **SEVERAL, default=[], metavar="NAME", help="names by which it is reached besides, as a proxy's"
    )
    add("--auth", type=file_name, metavar="FILE", help="ask for a password: a file with lines USER:PASSWORD")
    add("--root-path", default="", help="what its addresses begin with behind a proxy: /demixer")
    add("--max-mb", type=float, default=200, help="largest file; default: %(default)s")
    add("--max-minutes", type=float, default=10, help="longest song; default: %(default)s")
    add("--keep-minutes", type=float, default=60, help="unused songs and stems go after; default: %(default)s")
    add("--visitor-mb", type=float, help="disk for a visitor's songs and stems; default: enough for the longest song")
    add("--total-mb", type=float, help="disk for those of all; default: four fifths of what is free")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    from demixer.page.jobs import Engine
    from demixer.page.limits import Limits
    from demixer.page.models import Models
    from demixer.page.passwords import read_passwords
    from demixer.page.serving import Address, serving
    from demixer.separation.memory import keep_freed_memory

    keep_freed_memory()
    limits = Limits(
        args.max_mb,
        args.max_minutes,
        args.keep_minutes,
        visitor_megabytes=args.visitor_mb,
        total_megabytes=args.total_mb,
    )
    passwords = read_passwords(args.auth) if args.auth else {}
    address = Address(args.host, args.port, args.allow_host, passwords, args.root_path)
    engine = Engine(Models(args.ckpt_path, args.device), limits)
    with serving(engine, address) as url:
        print(f"{url} (Ctrl-C ends it and deletes all songs)", flush=True)
        try:
            Event().wait()
        except KeyboardInterrupt:
            print("ended")
    return 0


def command() -> None:
    """The program ``demix-app``."""
    end_on_signals()
    run(main)
