"""Fuzz for as long as there is time: ``python -m tests.fuzz.run --seconds 3600``, or ``make fuzz``.

Each format gets rounds of cases in turn; a case is a format and a number, so that a failure is told by its number and
made again by it (``--only wav --first 1234 --rounds 1 --round 1``), and another run goes on where one ended
(``--first``). Prints the counts by format and what was found; the exit code is 1 if anything was.
"""

import argparse
import itertools
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.fuzz.pool import PROJECT_DIR, Worker

_AUDIO = "wav w64 rf64 flac ogg opus aiff au caf mp3 m4a mov 3gp aac wma webm mkv avi mp2 mpg ts flv ac3 wv tta"
FOREIGN = "magron magron-simo amanteur crlandsc msst msst-mel"
_MODELS = f"{FOREIGN} own-ckpt own-pt safetensors msst-safetensors"
_TEXTS = "hparams.yaml msst.yaml registry.yaml index zip"
NAMES = f"{_AUDIO} {_MODELS} {_TEXTS}".split()  # of tests.fuzz.formats, slow to import (test_fuzz.py compares)


@dataclass
class Tally:
    """How the cases of one format ended.

    Args:
        counts: by outcome.
        found: what failed, with how many cases and the number of the first.
    """

    counts: Counter[str] = field(default_factory=Counter)
    found: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, seed: int, outcome: str, what: str) -> None:
        self.counts[outcome] += 1
        if outcome == "failed":
            times, first = self.found.get(what, (0, seed))
            self.found[what] = (times + 1, first)

    def row(self, name: str) -> str:
        counts = " ".join(f"{self.counts[kind]:8}" for kind in ("well", "noted", "refused", "failed"))
        return f"{name:14} {sum(self.counts.values()):8} {counts}"


def fuzz(names: list[str], first: int, rounds: int, cases: int, seconds: float, workers: int) -> dict[str, Tally]:
    """Run rounds of cases of each format until all are done or the time is up."""
    ends, tallies = time.monotonic() + seconds, {name: Tally() for name in names}
    jobs = iter([(name, first + number * cases) for number in range(rounds) for name in names])

    def work(_: int) -> None:
        with Worker() as worker:
            while time.monotonic() < ends and (job := next(jobs, None)):
                name, begin = job
                for seed in itertools.takewhile(lambda _: time.monotonic() < ends, range(begin, begin + cases)):
                    tallies[name].add(seed, *worker.run(name, seed))

    with ThreadPoolExecutor(workers) as threads:
        list(threads.map(work, range(workers)))
    return tallies


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600, help="default: an hour")
    parser.add_argument("--first", type=int, default=0, metavar="NUMBER", help="of the first case; default: 0")
    parser.add_argument("--rounds", type=int, default=1_000_000, help="default: until the time is up")
    parser.add_argument("--round", type=int, default=100, metavar="CASES", help="of a format in a round; default: 100")
    parser.add_argument("--workers", type=int, default=2, help="processes; default: 2")
    parser.add_argument("--only", nargs="+", default=NAMES, metavar="FORMAT", help=f"of {', '.join(NAMES)}")
    args = parser.parse_args()
    tallies = fuzz(args.only, args.first, args.rounds, args.round, args.seconds, args.workers)
    print(f"{'format':14} {'cases':>8} {'well':>8} {'noted':>8} {'refused':>8} {'failed':>8}")
    for name, tally in tallies.items():
        print(tally.row(name))
    for name, tally in tallies.items():
        for what, (times, seed) in sorted(tally.found.items(), key=lambda item: -item[1][0]):
            print(f"{name} {seed} ({times} times): {what}")
    longest = max(sum(tally.counts.values()) for tally in tallies.values())
    print(f"seen so far: numbers below {args.first + longest}; go on with --first {args.first + longest}")
    return int(any(tally.found for tally in tallies.values()))


if __name__ == "__main__":
    sys.path.insert(0, str(PROJECT_DIR))
    sys.exit(main())
