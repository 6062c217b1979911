"""Measures two real servers by `irene bench`, twice each, and predicts settings from others: llama.cpp's and transformers', on loopback.

    python round_trip.py IRENE FOLDER [SECONDS]

Needs what make_models.py needs, llama-cpp-python[server] and transformers[serving]. Each first run is cut off and resumed. Half of the settings calibrate the law
of a data sheet; the others are compared with it, beside the noise that the second run shows. Energies are estimates from 65 W times load where the machine has
no meter.
"""

import csv
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
GRID = ["--prompt", "32,128,512", "--generate", "8,32,96", "--concurrency", "1,4"]
FIGURES = ["energy_per_request_j", "power_w", "itl_s", "latency_s", "tokens_per_s"]
# The two cores that the servers have: an eighth of what a data sheet says of a processor with 16 cores.
DEVICE = """
name = "two-cores"
title = "Two cores"
vendor = "amd"
architecture = "zen5"
class = "cpu"
year = 2024
peaks = { f32 = 0.55, bf16 = 1.1, int8 = 2.2 }
bandwidth_gb_s = 40
memory_gib = 16
cache_mib = 32
multiprocessors = 2
clock_mhz = 4300
tdp_w = 65
sources = { data_sheet = "AMD Ryzen 9 9950X product page, 2024", peaks = "2 of 16 cores", bandwidth_gb_s = "half of it, as two cores reach" }
"""


def servers(folder):
    """Name, engine, weights, model and command of each."""
    one = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    gguf, checkpoint = os.path.join(folder, "tiny-llama.gguf"), os.path.join(folder, "tiny-llama")
    python, place = sys.executable, ["--host", "127.0.0.1", "--port"]
    llama = [python, "-m", "llama_cpp.server", "--model", gguf, *place, "18090", "--n_ctx", "2048", "--n_threads", "1"]
    llama += ["--n_threads_batch", "1", "--interrupt_requests", "false", "--model_alias", "tiny-llama"]
    serve = [os.path.join(os.path.dirname(python), "transformers"), "serve", checkpoint, *place, "18091", "--device", "cpu"]
    yield "llama.cpp", "llama.cpp", "q8_0", 18090, llama, one
    yield "transformers", "transformers", "f32", 18091, serve, one


def ready(port):
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5).read()
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"nothing answers at port {port}")


def bench(irene, arguments, rows=None):
    """Runs it to its end, or interrupts it as soon as the sheet has so many rows."""
    process = subprocess.Popen([irene, "bench", *arguments])
    sheet = arguments[arguments.index("-o") + 1]
    while rows and process.poll() is None:
        if os.path.exists(sheet) and open(sheet).read().count("\n") > rows:
            process.send_signal(signal.SIGINT)
            break
        time.sleep(0.1)
    return process.wait()


def read(path):
    rows = list(csv.DictReader(open(path)))
    return {(row["asked_prompt"], row["asked_generated"], row["asked_concurrency"]): row for row in rows}


def write(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def apart(a, b, of):
    """Median and greatest difference of two sheets, %, by figure."""
    for figure in FIGURES:
        pairs = [(a[key].get(figure), b[key].get(figure)) for key in of]
        off = [100 * abs(float(x) / float(y) - 1) for x, y in pairs if x and y]
        if off:
            yield figure, f"{statistics.median(off):5.1f} {max(off):6.1f} ({len(off)})"


def main(irene, folder, seconds):
    os.makedirs(folder, exist_ok=True)
    subprocess.run([sys.executable, os.path.join(HERE, "make_models.py"), folder], check=True, stdout=subprocess.DEVNULL)
    device = os.path.join(folder, "two-cores.toml")
    open(device, "w").write(DEVICE)
    for name, engine, weights, port, command, environment in servers(folder):
        log = open(os.path.join(folder, f"{name}.log"), "w")
        server = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | environment)
        try:
            ready(port)
            sheets = [os.path.join(folder, f"{name}-{run}.csv") for run in (1, 2)]
            asked = [f"http://127.0.0.1:{port}", "--api", "completions", *GRID, "--seconds", seconds, "--tdp-watts", "65", "--stand-by", "3"]
            asked += ["--model", os.path.join(folder, "tiny-llama"), "--engine", engine, "--weights", weights]
            cut = bench(irene, [*asked, "-o", sheets[0]], rows=5)
            kept = len(read(sheets[0]))
            ends = [cut, bench(irene, [*asked, "-o", sheets[0], "--resume"]), bench(irene, [*asked, "-o", sheets[1]])]
            print(f"{name}: cut off after {kept} settings, exit codes {ends}")
        finally:
            server.terminate()
            server.wait()
        first, second = map(read, sheets)
        keys = sorted(first.keys() & second.keys())
        print(f"  {len(first)} and {len(second)} settings")
        # A chequerboard, so that each length and each number at once is among both.
        places = [sorted({int(key[at]) for key in keys}) for at in range(3)]
        parity = lambda key: sum(places[at].index(int(key[at])) for at in range(3)) % 2
        known, asked = ([key for key in keys if parity(key) == which] for which in (0, 1))
        paths = {what: os.path.join(folder, f"{name}-{what}") for what in ("known.csv", "asked.csv", "predicted.csv", "law.safetensors")}
        write(paths["known.csv"], [first[key] for key in known])
        write(paths["asked.csv"], [first[key] for key in asked])
        calibrate = [irene, "calibrate", "--device-spec", device, "--requests", paths["known.csv"], "-o", paths["law.safetensors"]]
        predict = [irene, "predict", paths["asked.csv"], "--predictor", paths["law.safetensors"], "-o", paths["predicted.csv"]]
        subprocess.run(calibrate, check=True)
        subprocess.run(predict, check=True)
        predicted = read(paths["predicted.csv"])
        print(f"  median and greatest difference, %{'':17} two runs         predicted and measured")
        noise, found = dict(apart(second, first, keys)), dict(apart(predicted, first, asked))
        for figure in FIGURES:
            print(f"  {figure:25} {noise.get(figure, 'none'):>24} {found.get(figure, 'none'):>24}")


if __name__ == "__main__":
    main(sys.argv[1], os.path.abspath(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "5")
