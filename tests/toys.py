"""Foreign code for the tests of the engine: registered by settings, never touched by us."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def mark(folder: str, name: str) -> int:
    """Add a line to a file and return how many there are now."""
    path = Path(folder) / name
    with path.open("a") as file:
        file.write("x\n")
    return len(path.read_text().splitlines())


def burn(folder: str) -> int:
    """Use a processor for ever, in this process and in a child of it, after saying which processes these are."""
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    (Path(folder) / "burning").write_text(f"{os.getpid()} {child.pid}")
    while True:
        pass


def die(folder: str, times: int) -> int:
    """Kill the own process the first so many times."""
    count = mark(folder, "deaths")
    if count <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return count


def fail(reason: str) -> int:
    """Fail in a way that nobody foresaw."""
    raise RuntimeError(reason)


def nap(seconds: float) -> float:
    """Sleep in C code."""
    time.sleep(seconds)
    return seconds


def chatter(text: str) -> str:
    """Print to both outputs and return the text."""
    print(text)
    print(text, file=sys.stderr)
    os.write(1, b"raw\n")
    return text


def untyped(value):  # noqa: ANN001, ANN201 # pyright: ignore[reportMissingParameterType] - shows that code without types is not taken
    """Return a value."""
    return value


class Counter:
    """Counts."""

    def up(self, start: int) -> int:
        """Return the next number."""
        return start + 1


def meet(folder: str, name: str, others: int) -> int:
    """Wait until so many have come to the same place and return how many came."""
    place = Path(folder) / "meeting"
    place.mkdir(exist_ok=True)
    (place / name).touch()
    end = time.monotonic() + 30
    while len(list(place.iterdir())) < others:
        if time.monotonic() > end:
            raise TimeoutError("nobody else came")
        time.sleep(0.002)
    return others


def linger(folder: str, name: str, most: int) -> str:
    """Be at work for a moment, and fail when more than so many are."""
    place = Path(folder) / f"at-work-{name}"
    place.touch()
    for _ in range(5):
        if len(list(Path(folder).glob("at-work-*"))) > most:
            raise RuntimeError("too many at once")
        time.sleep(0.002)
    place.unlink()
    return name


def burn_alone(folder: str) -> int:
    """Use a processor for ever in Python code."""
    (Path(folder) / "burning").write_text(f"{os.getpid()}")
    while True:
        pass


def burn_in_c(folder: str) -> int:
    """Use a processor for ever in one call of a library."""
    import numpy as np

    matrix = np.ones((12_000, 12_000), dtype=np.float32)
    (Path(folder) / "burning").write_text(f"{os.getpid()}")
    return int((matrix @ matrix)[0, 0])


def burn_deaf(folder: str) -> int:
    """Use a processor for ever, in this process and a child of it, and hear no signal that can be ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return burn(folder)


def burn_apart(folder: str) -> int:
    """Use processors in processes that are no more in the group of this one, nor children of it by birth."""
    child = os.fork()
    if child == 0:
        os.setsid()
        grandchild = os.fork()
        if grandchild == 0:
            while True:
                pass
        (Path(folder) / "grandchild").write_text(f"{grandchild}")
        os._exit(0)
    os.waitpid(child, 0)
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
    grandchild = (Path(folder) / "grandchild").read_text()
    (Path(folder) / "burning").write_text(f"{os.getpid()} {grandchild} {other.pid}")
    while True:
        pass


def burn_nameless(folder: str) -> int:
    """Use processors here and in a process that nothing ties to this one: no parent, no session, no environment."""
    code = f"""import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open({folder + "/burning"!r}, "w").write("{os.getpid()} " + str(os.getpid()))
        while True: pass
"""
    subprocess.run([sys.executable, "-c", code], env={}, check=True)
    while True:
        pass


def burn_in_fits(folder: str) -> int:
    """Fit models for ever in two processes of joblib's."""
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import cross_val_score

    features, target = make_classification(2000, 20, random_state=0)
    (Path(folder) / "burning").write_text(f"{os.getpid()}")
    while True:
        cross_val_score(RandomForestClassifier(400, random_state=0), features, target, cv=4, n_jobs=2)


def tidy(folder: str) -> str:
    """Work for ever, but end cleanly when asked to stop."""
    try:
        (Path(folder) / "burning").write_text(f"{os.getpid()}")
        while True:
            time.sleep(0.01)
    except KeyboardInterrupt:
        (Path(folder) / "tidied").write_text("yes")
        return "what was done so far"


def leave(folder: str) -> int:
    """Leave a child running and return its process id."""
    return subprocess.Popen([sys.executable, "-c", "while True: pass"]).pid


def hoard(megabytes: int) -> int:
    """Take memory in one piece, and return how much."""
    import numpy as np

    return int(np.ones(megabytes << 20, dtype=np.uint8).sum()) >> 20


def crowd(folder: str, children: int, megabytes: int) -> int:
    """Take memory in several children, none of which takes much."""
    code = f"import time; held = bytearray(b'x') * ({megabytes} << 20); time.sleep(600)"
    born = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(children)]
    (Path(folder) / "crowd").write_text(" ".join(str(one.pid) for one in born))
    return sum(one.wait() for one in born)


def granted() -> dict[str, str]:
    """Return what libraries believe they may use."""
    import joblib
    from threadpoolctl import threadpool_info

    return {
        "cpus": str(joblib.cpu_count()),
        "threads": str(max((one["num_threads"] for one in threadpool_info()), default=1)),
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", "none"),
    }


def leave_early(status: int) -> int:
    """Call `sys.exit`, as a script does."""
    sys.exit(status)


def share_pages(folder: str, children: int, megabytes: int) -> int:
    """Let children look at the same pages, and return how many of them saw all."""
    path = Path(folder) / "shared"
    path.write_bytes(b"x" * (megabytes << 20))
    code = (
        "import mmap, sys, time; f = open(sys.argv[1], 'rb'); m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ); "
        "print(sum(m[at] for at in range(0, len(m), 4096)), flush=True); time.sleep(0.5)"
    )
    born = [subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) for _ in range(children)]
    whole = ord("x") * (megabytes << 20) // 4096
    return sum(int(one.communicate()[0]) == whole for one in born)


def spend(seconds: float) -> float:
    """Use so many seconds of a processor."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    return seconds


def own_id() -> int:
    """Return the id of the process that this runs in."""
    return os.getpid()


def loaded(name: str) -> bool:
    """Whether a module has been imported already."""
    return name in sys.modules


def flaky(folder: str, times: int) -> int:
    """Fail the first so many times, and then return which time it is."""
    count = mark(folder, "tries")
    if count <= times:
        raise RuntimeError("not yet")
    return count


def await_file(folder: str, name: str) -> int:
    """Say that it waits, wait until a file is there, and return 1."""
    (Path(folder) / f"{name}.waiting").touch()
    end = time.monotonic() + 30
    while not (Path(folder) / name).exists():
        if time.monotonic() > end:
            raise TimeoutError("nobody came")
        time.sleep(0.002)
    return 1
