"""A generator that misbehaves in every way a test asks for. Imported in worker processes only."""

import os
import signal
import stat
import subprocess
import sys
import time

from regenstore.generators.api import Cancelled, Made, Probe

PNG = b"\x89PNG\r\n\x1a\n"


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("not even this")


def protocol_pipes():
    """The descriptors that the worker talks through."""
    for fd in range(3, 30):
        try:
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                yield fd
        except OSError:
            continue


def to_host(data):
    for fd in protocol_pipes():
        try:
            os.write(fd, data)
        except OSError:
            continue


class Odd:
    def __init__(self, options):
        self.options = options
        if options.get("broken"):
            raise RuntimeError("cannot be made")

    def probe(self):
        if self.options.get("probe") == "hang":
            time.sleep(600)
        if self.options.get("probe") == "raise":
            raise LookupError("no device")
        return Probe(not self.options.get("absent"), self.options.get("absent", ""), {"odd": "1"})

    def fingerprint(self):
        return {"odd": "1", "pid": str(os.getpid())}

    def load(self, model_key, context):
        self.log(f"load {model_key}")
        if self.options.get("no_load"):
            raise RuntimeError(self.options["no_load"])
        return self

    def unload(self):
        self.log("unload")

    def log(self, text):
        if "log" in self.options:
            with open(self.options["log"], "a") as file:
                file.write(f"{os.getpid()} {text}\n")

    def generate(self, items, context):
        for item in items:
            self.log(f"item {item.id}")
            do = getattr(self, "do_" + item.params["do"].replace("-", "_"))
            yield do(item, context) or Made(item.id, {"main": (item.output(), item.media_type)})

    # ---------------------------------------------------------------- as it should be

    def do_ok(self, item, context):
        with open(item.output(), "wb") as file:
            file.write(b"made " + item.id.encode())

    def do_extra(self, item, context):
        self.do_ok(item, context)
        with open(item.output("mask"), "wb") as file:
            file.write(PNG + b"mask")
        return Made(
            item.id,
            {"main": (item.output(), item.media_type), "mask": (item.output("mask"), "image/png")},
        )

    def do_slow(self, item, context):
        for done in range(200):
            context.progress(item, done, 200, f"step {done}")
            time.sleep(0.05)
        self.do_ok(item, context)

    def do_echo(self, item, context):
        import json

        with open(item.output(), "w") as file:
            json.dump([dict(item.params), dict(item.inputs), dict(item.model), dict(os.environ)], file)

    # ---------------------------------------------------------------- talking

    def do_chatter(self, item, context):
        print("hello " * 100_000)
        sys.stdout.flush()
        os.write(1, b'{"is": "done", "id": "x"}\n' * 100)
        sys.stderr.write("warning " * 100_000)
        self.do_ok(item, context)

    def do_listen(self, item, context):
        assert sys.stdin.read() == ""
        assert os.read(0, 10) == b""
        self.do_ok(item, context)

    def do_noise(self, item, context):
        to_host(b"\xff this is no JSON {\n")
        time.sleep(600)

    def do_list(self, item, context):
        to_host(b"[1, 2]\n")
        time.sleep(600)

    def do_half(self, item, context):
        to_host(b'{"is": "done"}\n')
        time.sleep(600)

    def do_endless(self, item, context):
        while True:
            to_host(b"x" * 60_000)

    # ---------------------------------------------------------------- dying and hanging

    def do_exit(self, item, context):
        print("about to leave", file=sys.stderr, flush=True)
        os._exit(3)

    def do_sysexit(self, item, context):
        sys.exit(0)

    def do_segfault(self, item, context):
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(600)

    def do_oddsignal(self, item, context):
        os.kill(os.getpid(), signal.SIGRTMIN + 3)
        time.sleep(600)

    def do_hang(self, item, context):
        while True:
            time.sleep(0.1)

    def do_polite(self, item, context):
        while not context.cancelled():
            time.sleep(0.02)
        raise Cancelled

    def do_children(self, item, context):
        self.start_child()
        self.do_ok(item, context)

    def do_children_exit(self, item, context):
        self.start_child()
        os._exit(4)

    def do_children_hang(self, item, context):
        self.start_child()
        self.do_hang(item, context)

    def start_child(self):
        child = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
        self.log(f"child {child.pid} {child.stdout.readline().strip()}")

    # ---------------------------------------------------------------- raising

    def do_raise(self, item, context):
        raise ValueError("the seed is unlucky")

    def do_huge(self, item, context):
        raise RuntimeError("x" * 30_000_000)

    def do_unspeakable(self, item, context):
        raise Unspeakable

    def do_surrogate(self, item, context):
        raise RuntimeError("odd \udcff byte")

    # ---------------------------------------------------------------- outputs

    def do_nothing(self, item, context):
        pass

    def do_empty(self, item, context):
        open(item.output(), "wb").close()

    def do_wrong_type(self, item, context):
        with open(item.output(), "wb") as file:
            file.write(PNG + b"picture")

    def do_wrong_side_type(self, item, context):
        made = self.do_extra(item, context)
        with open(item.output("mask"), "wb") as file:
            file.write(b"RIFF    WAVE")
        return made

    def do_outside(self, item, context):
        path = os.path.join(os.path.dirname(item.outdir), "elsewhere")
        with open(path, "wb") as file:
            file.write(b"data")
        return Made(item.id, {"main": (path, item.media_type)})

    def do_dots(self, item, context):
        self.do_outside(item, context)
        return Made(item.id, {"main": (f"{item.outdir}/../elsewhere", item.media_type)})

    def do_link(self, item, context):
        os.symlink("/etc/hostname", item.output())

    def do_linked_folder(self, item, context):
        os.symlink("/etc", f"{item.outdir}/etc")
        return Made(item.id, {"main": (f"{item.outdir}/etc/hostname", item.media_type)})

    def do_folder(self, item, context):
        os.mkdir(item.output())

    def do_fifo(self, item, context):
        os.mkfifo(item.output())

    def do_big(self, item, context):
        with open(item.output(), "wb") as file:
            for _ in range(40):
                file.write(bytes(1 << 20))

    def do_sparse(self, item, context):
        with open(item.output(), "wb") as file:
            file.truncate(40 << 20)

    def do_no_main(self, item, context):
        self.do_ok(item, context)
        return Made(item.id, {"mask": (item.output(), item.media_type)})

    def do_no_outputs(self, item, context):
        return Made(item.id, None)

    def do_short(self, item, context):
        return Made(item.id, {"main": ("a",)})

    def do_numbers(self, item, context):
        return Made(item.id, {"main": (1, 2)})

    def do_bytes(self, item, context):
        return Made(item.id, {"main": (b"path", item.media_type)})

    def do_nul(self, item, context):
        return Made(item.id, {"main": (item.output() + "\0", item.media_type)})

    def do_lone(self, item, context):
        return Made(item.id, {"main": (item.output() + "\udcff\ud800", item.media_type)})

    def do_bad_name(self, item, context):
        self.do_ok(item, context)
        where = (item.output(), item.media_type)
        return Made(item.id, {"main": where, "a\ud800/../b": where})

    def do_bad_media_type(self, item, context):
        self.do_ok(item, context)
        return Made(item.id, {"main": (item.output(), "no type")})


class Nothing(Odd):
    """Gives no item at all."""

    def generate(self, items, context):
        return iter(())
