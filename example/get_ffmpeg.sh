#!/bin/sh
# MUSDB18's readers need the programs ffmpeg and ffprobe: install them if they are missing and nobody has to be asked.
have() { command -v "$1" >/dev/null 2>&1; }

if have ffmpeg && have ffprobe; then exit 0; fi
if have apt-get; then
    if [ "$(id -u)" = 0 ]; then as_root=""; elif have sudo && sudo -n true 2>/dev/null; then as_root="sudo -n"; else as_root=no; fi
    if [ "$as_root" != no ]; then
        echo "installing ffmpeg ..."
        # a stale package list is the usual reason for a failed install
        $as_root apt-get install -y -qq ffmpeg >/dev/null 2>&1 ||
            { $as_root apt-get update -qq && $as_root apt-get install -y -qq ffmpeg >/dev/null; }
    fi
fi
if have ffmpeg && have ffprobe; then exit 0; fi
echo "ffmpeg is missing; please type: sudo apt-get install ffmpeg   (macOS: brew install ffmpeg)" >&2
exit 1
