"""Training in a hostile environment: killed, interrupted, started twice, denied disk and memory; nothing may be lost.

    python tests/reliability.py --kills 300

A small program trains a VAE for three epochs on 64 images, draws figures and writes weights. It runs once to its end.
Then its runs are disturbed, resumed until they are done, and must leave the same files: weights, figures, log and
checkpoint, bit for bit (but for the seconds in the log), and nothing else.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parent))
from small_run import dataset, final_state

import minigen
from minigen import evaluate, plot
from minigen.data import Loader
from minigen.models import VAE
from minigen.optim import Adam
from minigen.random import manual_seed
from minigen.train import Interrupted, MaximumLikelihood, train

IMAGES = dataset(64, size=8)
tqdm.monitor_interval = 0  # no thread beside the main one, whose locks a forked process would wait for in vain


def program(out: Path) -> None:
    """Train, or go on where a run stopped; a checkpoint after every step."""
    manual_seed(0)
    vae = VAE((1, 8, 8), 2, 32)
    test = Loader(IMAGES, 32, shuffle=False, binarization="fixed")

    def draw(epoch: int) -> None:
        plot.save_grid(vae.sample(16, mean=True), out / "samples.png")
        plot.save_grid(vae.reconstruct(next(test.epoch(0))[0]), out / "reconstructions" / f"{epoch}.png")

    train(
        MaximumLikelihood(vae, Adam(vae.parameters(), 0.01)),
        Loader(IMAGES, 16, seed=1),
        epochs=3,
        out=out,
        evaluate=lambda: {"-elbo": -evaluate.mean_over(test, lambda x, labels: vae.elbo(x), vae)},
        draw=draw,
        resume=(out / "checkpoint.safetensors").exists(),
        checkpoint_seconds=0,
    )
    minigen.save(vae, out / "weights.safetensors")


def outcome(out: Path) -> dict[str, Any]:
    """Every file that a finished run leaves; of checkpoint and log what they hold, without the seconds."""
    paths = {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}
    return final_state(out) | {
        name: path.read_bytes() if path.suffix == ".png" or name == "weights.safetensors" else None
        for name, path in paths.items()
    }


# -- processes ---------------------------------------------------------------------------------------------------------


class Process:
    """A function that runs in a forked process. Its exit code is 0, 130 if it was interrupted, or 1 after an error."""

    def __init__(self, task: Callable[[], None]) -> None:
        reading, writing = os.pipe()
        self.number = os.fork()
        if self.number == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
            code = 1
            try:
                task()
                code = 0
            except Interrupted:
                code = 130
            except BaseException as error:
                os.write(writing, f"{type(error).__name__}: {error}".encode())
            finally:
                os._exit(code)
        os.close(writing)
        self.errors = os.fdopen(reading)

    def end(self) -> tuple[int, str]:
        """Wait for it: its exit code, or minus the signal that killed it, and its error."""
        with self.errors:
            error = self.errors.read()
        return os.waitstatus_to_exitcode(os.waitpid(self.number, 0)[1]), error


# -- what happens to a run ---------------------------------------------------------------------------------------------
# Each disturbs a run in the folder `out`, which takes about `seconds`, and counts in `happened` what came of it.


def kill(out: Path, seconds: float, chance: random.Random, happened: Counter) -> None:
    """Kill or interrupt the program at random moments, three times at most."""
    for _ in range(chance.randint(1, 3)):
        number = chance.choice([signal.SIGKILL] * 9 + [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
        process = Process(lambda: program(out))
        time.sleep(chance.uniform(0, seconds))
        os.kill(process.number, number)
        code, error = process.end()
        usual = code == -number or error.startswith("KeyboardInterrupt")  # as outside of training
        assert code in (0, 130) or usual, f"{number.name} gave {code}: {error}"
        if code:
            happened[f"{number.name} that {'saved' if code == 130 else 'killed'}"] += 1


def start_twice(out: Path, seconds: float, chance: random.Random, happened: Counter) -> None:
    """Start the program again while it runs: the second one ends with an error that names the first."""
    first = Process(lambda: program(out))
    time.sleep(chance.choice([0, chance.uniform(0, seconds)]))
    second = Process(lambda: program(out))
    for process, other in ((first, second), (second, first)):
        code, error = process.end()
        assert code == 0 or (error.startswith("RuntimeError") and f"process {other.number} on" in error), error
        happened["refused" if code else "finished"] += 1


def limit_file_size(out: Path, seconds: float, chance: random.Random, happened: Counter) -> None:
    """Files cannot grow beyond a limit."""
    denied(out, happened, resource.RLIMIT_FSIZE, chance.choice([0, 100, 1000, 10_000, 100_000]))


def limit_open_files(out: Path, seconds: float, chance: random.Random, happened: Counter) -> None:
    """Few files can be open at a time."""
    denied(out, happened, resource.RLIMIT_NOFILE, len(os.listdir("/dev/fd")) + chance.randint(0, 4))


def fill_disk(out: Path, seconds: float, chance: random.Random, happened: Counter) -> None:
    """The disk is full at some point; then there is room again."""
    if mount("-t", "tmpfs", "-o", f"size={4 * chance.randint(1, 20)}k", "tmpfs", out.parent):
        denied(out, happened)
        mount("-o", "remount,size=10m", out.parent)


def forbid_writing(out: Path, seconds: float, chance: random.Random, happened: Counter) -> None:
    """The run was killed, and its disk can only be read for a while."""
    if mount("-t", "tmpfs", "tmpfs", out.parent):
        kill(out, seconds, chance, Counter())
        mount("-o", "remount,ro", out.parent)
        denied(out, happened)
        mount("-o", "remount,rw", out.parent)


def denied(out: Path, happened: Counter, kind: int | None = None, limit: int = 0) -> None:
    """Run the program, with a limit of the system if `kind` is one: an `OSError` names what it was denied."""

    def task() -> None:
        if kind is not None:
            resource.setrlimit(kind, (limit, limit))
        program(out)

    code, error = Process(task).end()
    assert code == 0 or (error.startswith("OSError") and str(out) in error), error
    happened["OSError that names the file" if code else "finished"] += 1


def mount(*arguments: str | Path) -> bool:
    """Whether this could be mounted, which needs the rights of root."""
    return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0


# -- all together ------------------------------------------------------------------------------------------------------


def disturb(how: Callable[..., None], expected: dict[str, Any], *details: Any) -> None:
    """A run that is disturbed and then finished leaves what is expected."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "disk", "run")
        out.parent.mkdir()
        try:
            how(out, *details)
            code, error = Process(lambda: program(out)).end()
            assert code == 0, f"the run cannot be resumed: {error}"
            for run in out.parent.iterdir():  # a second start after the end has moved the first run aside
                assert outcome(run) == expected, f"{run} differs from the undisturbed run"
        finally:
            if out.parent.is_mount():
                subprocess.run(["umount", out.parent], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300, help="how often a run is killed; some are interrupted")
    parser.add_argument("--others", type=int, default=20, help="runs that are disturbed in each of the other ways")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    args = parser.parse_args()
    chance = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        program(Path(folder, "first"))  # loads all modules
        start = time.monotonic()
        program(Path(folder, "run"))
        seconds = time.monotonic() - start
        expected = outcome(Path(folder, "run"))
    print(f"an undisturbed run takes {seconds:.2f} s", flush=True)
    for how in (kill, start_twice, limit_file_size, limit_open_files, fill_disk, forbid_writing):
        happened: Counter[str] = Counter()
        runs = 0
        while happened["SIGKILL that killed"] < args.kills if how is kill else runs < args.others:
            disturb(how, expected, seconds, chance, happened)
            runs += 1
        counts = ", ".join(f"{count} {what}" for what, count in sorted(happened.items())) or "needs the rights of root"
        print(f"{how.__name__:16} {runs:4d} runs, all finished with the same bits: {counts}", flush=True)


if __name__ == "__main__":
    main()
