"""Build contexts from a fixed seed."""
import random

SEED = 20261125


def tree(count, total_bytes):
    """A maker of `count` files of about `total_bytes` together, half text-like, half noise, in directories of 50."""

    def make(where):
        rng = random.Random(SEED)
        average = max(2, total_bytes // count)
        words = [bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz_(){};= \n", k=rng.randint(3, 12))) for _ in range(4000)]
        text = b" ".join(rng.choices(words, k=300_000))
        for n in range(count):
            folder = where / "src" / f"d{n // 1000}" / f"e{n // 50 % 20}"
            if n % 50 == 0:
                folder.mkdir(parents=True, exist_ok=True)
            size = rng.randint(average // 2, average * 3 // 2)
            if n % 2:
                # A slice of one long text, made fast; the same words are too far apart for a compressor to find.
                start = rng.randrange(max(1, len(text) - size))
                content = (b"%d " % n + text[start:start + size])[:size]
            else:
                content = rng.randbytes(size)
            (folder / f"f{n}.dat").write_bytes(content)

    return make


def one_file(total_bytes):
    """A maker of one file of noise and text in turns of 1 MiB."""

    def make(where):
        rng = random.Random(SEED)
        text = (b"the same words again and again, with a number now and then: %d\n" % SEED) * 16400
        with open(where / "big.dat", "wb") as file:
            written = 0
            while written < total_bytes:
                block = rng.randbytes(1 << 20) if (written >> 20) % 2 else text[:1 << 20]
                file.write(block[:total_bytes - written])
                written += len(block)

    return make


def touch_one(context, round_):
    """Changes one file's content and size."""
    (context / "src" / "d0" / "e0" / "f0.dat").write_bytes(f"changed {round_}\n".encode())
