"""Runs a program at a pseudo-terminal of its own, and relays the output of the terminal.

usage: relay.py ROWS COLUMNS PROGRAM [ARGUMENT ...]

Reads lines of JSON: {"send": TEXT}, {"resize": [ROWS, COLUMNS]}, {"signal": NAME}, {"stall": true} (stops reading the
terminal, and fills it), {"hang up": true} (closes the terminal). Writes lines of JSON: {"shown": HEX}, and at the end
{"status": NUMBER, "restored": BOOLEAN}: the exit status (128 and more for a signal), and true if the settings of the
terminal (as in `stty -a`) are those of before.
"""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios


def say(**what):
    print(json.dumps(what), flush=True)


def main():
    rows, columns, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    master, slave = pty.openpty()

    def resize(rows, columns):
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    resize(rows, columns)
    before = termios.tcgetattr(slave)
    child = os.fork()
    if child == 0:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for stream in range(3):
            os.dup2(slave, stream)
        os.closerange(3, 64)
        # The tests' parent may ignore them: nohup does SIGHUP, a shell the others of what it starts in the background.
        for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            signal.signal(ignored, signal.SIG_DFL)
        os.execvp(program[0], program)
    status = None
    asked = b""
    stalled = gone = False
    slave_name = os.ttyname(slave)

    def fill():
        # Open the terminal anew: O_NONBLOCK must not apply to the program's descriptors.
        terminal = os.open(slave_name, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        for size in (4096, 1):
            try:
                while True:
                    os.write(terminal, b"." * size)
            except BlockingIOError:
                pass
        os.close(terminal)

    while True:
        # Check for the end before reading, so that all output before it is still read.
        if status is None and (ended := os.waitpid(child, os.WNOHANG))[0]:
            status = ended[1]
        if status is not None and (stalled or gone):
            break
        streams = [] if stalled or gone else [master]
        if status is None:
            streams.append(sys.stdin)
        ready = select.select(streams, [], [], 0.02)[0]
        if master in ready:
            say(shown=os.read(master, 65536).hex())
        elif status is not None:
            break
        if sys.stdin in ready:
            asked += os.read(0, 65536)
            *lines, asked = asked.split(b"\n")
            for line in map(json.loads, lines):
                if "send" in line:
                    os.write(master, line["send"].encode())
                elif "resize" in line:
                    resize(*line["resize"])
                elif "stall" in line:
                    stalled = True
                    fill()
                elif "hang up" in line:
                    gone = True
                    os.close(master)
                    os.close(slave)
                else:
                    os.kill(child, getattr(signal, line["signal"]))
    status = os.waitstatus_to_exitcode(status)
    restored = not gone and termios.tcgetattr(slave) == before
    say(status=status if status >= 0 else 128 - status, restored=restored)


main()
