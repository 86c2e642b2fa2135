"""Separate while it plays: ``ffmpeg -i song.mp3 -f f32le -ac 2 -ar 44100 - | demix-live -t vocals | ffplay …``.

Bare samples come from stdin and go to stdout, interleaved; or, with --in and --out, from and to a sound card. What is
heard is the mixture with some stems louder, quieter or muted; with --two-stems there are two mixes, in channels of
their own. --control reads lines that change the gains meanwhile: "vocals -6", "mute drums", "unmute drums",
"solo bass vocals", "rest -12" (what no stem has), "reset".

A pipe is waited for, and what comes out begins where the input begins and is as long. With a sound card, and with
--realtime, time does not wait: a block that the network does not finish in time is replaced by the mixture.

Exit code: 0 all is well, and the end of a sound card by Ctrl-C; 2 nothing could be begun, or it could not go on; 3 the
input's last bytes were no whole sample; 130 Ctrl-C; 141 nobody reads any more; 143 SIGTERM.
"""

import argparse
from dataclasses import fields

from demixer.commands.parsing import SEVERAL, Parser, file_name
from demixer.errors import end_on_signals, run
from demixer.paths import LIVE_MODEL


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("-c", "--ckpt-path", default=LIVE_MODEL, metavar="MODEL", help="a causal one; default: %(default)s")
    add("-d", "--device", default="cpu", help="cpu (default), cuda, cuda:N, mps or auto")
    add("--threads", type=int, default=1, metavar="N", help="of the processor; a hop is too short for many: default 1")
    add("--stats", action="store_true", help="print latency, time of a hop and late blocks, on stderr")
    add = parser.add_argument_group("what is heard").add_argument
    add("-t", "--target", dest="targets", **SEVERAL, metavar="STEM", help="these stems alone")
    add("--two-stems", metavar="STEM", help="STEM in the first channels, and all else in as many more")
    add("--mute", **SEVERAL, default=[], metavar="STEM", help="everything but these stems")
    add("--gain", **SEVERAL, default=[], metavar="STEM=DB", help="stems louder or quieter, as in vocals=-6")
    add(
        "--control", type=file_name, metavar="FILE", help="a fifo, a terminal (/dev/tty) or a file of lines; - is stdin"
    )
    add = parser.add_argument_group("pipes").add_argument
    add("--format", default="f32le", help="of samples in and out: f32le (default) or s16le")
    add("--rate", type=int, metavar="HZ", help="of the samples: it must be the model's, which is the default")
    add("--channels", type=int, default=2, metavar="N", help="of the samples: 1 or 2 (default)")
    add("--realtime", action="store_true", help="the source does not wait, as a microphone: late blocks are replaced")
    add = parser.add_argument_group("sound card (needs the extra `live`)").add_argument
    add("--list-devices", action="store_true", help="list the devices, and stop")
    add("--in", dest="input", metavar="DEVICE", help="its number, or a part of its name; default: the system's")
    add("--out", dest="output", metavar="DEVICE", help="the same")
    add = parser.add_argument_group("latency").add_argument
    add("--block", type=int, metavar="SAMPLES", help="taken at once, whole hops; default: one hop")
    add("--slack", type=int, default=1, metavar="BLOCKS", help="time to compute, in real time; default: %(default)s")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    from demixer.live.choice import Choice, gains_of
    from demixer.live.playing import Settings, play, prepare_process
    from demixer.live.soundcard import Card, devices
    from demixer.separation.separator import Separator

    if args.list_devices:
        print(devices())
        return 0
    args.card = Card.named(args.input, args.output)
    settings = Settings(**{field.name: getattr(args, field.name) for field in fields(Settings)})
    choice = Choice(args.targets, args.two_stems, args.mute, gains_of(args.gain), changes=args.control is not None)
    separator = Separator.from_pretrained(args.ckpt_path, args.device, "fp32")
    prepare_process(args.threads)
    return play(separator, choice, settings)


def command() -> None:
    """The program ``demix-live``."""
    end_on_signals()
    run(main)
