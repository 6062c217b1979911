"""Latency of BERT-base in PyTorch and in `irene run`, in turn, same weights. Needs torch and transformers.

Usage: compare_pytorch.py IRENE [ROUNDS], IRENE being target/release/irene"""
import re, statistics, subprocess, sys, tempfile, time, os
os.environ.setdefault("OMP_NUM_THREADS", "2")
import torch
from transformers import BertConfig, BertModel

irene, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
torch.set_num_threads(2)
torch.manual_seed(1)
model = BertModel(BertConfig(attn_implementation="sdpa")).eval()
folder = tempfile.mkdtemp()
model.save_pretrained(folder)


def ours(batch, seq, repeat, extra):
    """Median and least seconds."""
    out = subprocess.run([irene, "run", folder, "-b", str(batch), "-s", str(seq), "--repeat", str(repeat), *extra],
                         capture_output=True, text=True, check=True).stdout
    found = re.search(r"median ([\d.]+) (m?)s, least ([\d.]+) (m?)s", out).groups()
    return tuple(float(found[i]) * (1e-3 if found[i + 1] else 1) for i in (0, 2))


def theirs(batch, seq, repeat):
    ids = torch.randint(1000, 30000, (batch, seq))
    times = []
    with torch.no_grad():
        model(input_ids=ids)
        for _ in range(repeat):
            start = time.perf_counter()
            model(input_ids=ids)
            times.append(time.perf_counter() - start)
    return statistics.median(times), min(times)


for batch, seq, repeat in [(8, 128, 3), (1, 32, 20)]:
    for name, extra in [("running only", []), ("traced", ["--traced"])]:
        pairs = [(ours(batch, seq, repeat, extra), theirs(batch, seq, repeat)) for _ in range(rounds)]
        ratios = sorted(a / b for (a, _), (b, _) in pairs)
        least_ours, least_theirs = min(a for (_, a), _ in pairs), min(b for _, (_, b) in pairs)
        print(f"{batch}x{seq} {name}: medians irene {statistics.median(a for (a, _), _ in pairs)*1e3:.1f} ms, "
              f"PyTorch {statistics.median(b for _, (b, _) in pairs)*1e3:.1f} ms, ratio {statistics.median(ratios):.2f} "
              f"({ratios[0]:.2f} to {ratios[-1]:.2f}); least {least_ours*1e3:.1f} and {least_theirs*1e3:.1f} ms, "
              f"ratio {least_ours/least_theirs:.2f}", flush=True)
