"""Times of a language model in transformers under PyTorch and in irene, in turn, same weights. Needs torch and transformers.

Usage: compare_language_models.py LANGUAGE_MODEL [ROUNDS], LANGUAGE_MODEL being
target/release/examples/language_model (cargo build --release -p irene-benches --example language_model)"""
import gc, os, subprocess, sys, tempfile, time
threads = os.environ.setdefault("OMP_NUM_THREADS", "2")
import torch
from transformers import DynamicCache, Qwen2Config, Qwen2ForCausalLM

ours, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
torch.set_num_threads(int(threads))
# The shape of Qwen2.5-0.5B.
config = Qwen2Config(vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24,
                     num_attention_heads=14, num_key_value_heads=2, max_position_embeddings=32768,
                     rope_theta=1e6, rms_norm_eps=1e-6, tie_word_embeddings=True)


def ids(batch, tokens):
    return (torch.arange(batch * tokens) * 7919 % 150000).reshape(batch, tokens)


def load():
    return f"{os.getloadavg()[0]:.1f}"


def compare(dtype, name):
    torch.manual_seed(1)
    model = Qwen2ForCausalLM(config).to(dtype).eval()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        irene = subprocess.Popen([ours, folder, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                 env={**os.environ, "RAYON_NUM_THREADS": threads})

        def ask(word):
            irene.stdin.write(word + "\n")
            irene.stdin.flush()
            return irene.stdout.readline()

        def step(batch):
            cache = DynamicCache(config=config)
            model(input_ids=ids(batch, 256), past_key_values=cache, logits_to_keep=1)

            def run():
                model(input_ids=ids(batch, 1), past_key_values=cache)
                cache.crop(-1)
            return run

        def timed(run):
            start = time.perf_counter()
            run()
            return (time.perf_counter() - start) * 1e3

        prompt = lambda: model(input_ids=ids(8, 128), logits_to_keep=1, use_cache=True)
        theirs = {"prompt": (prompt, 1), "step1": (step(1), 8), "step8": (step(8), 4)}
        logits = prompt().logits.float().flatten()[::997]
        answer = torch.tensor([float(x) for x in ask("check").split()])
        print(f"{name}: logits of the prompt differ by {(logits - answer).abs().max():.1e}, "
              f"the greatest is {logits.abs().max():.2f}", flush=True)
        reads = []
        for case, (run, repeat) in theirs.items():
            run()
            ask(case)
            pairs = []
            for _ in range(rounds):
                reads += [float(ask("read"))]
                pairs.append((min(float(ask(case)) for _ in range(repeat)), min(timed(run) for _ in range(repeat))))
            least = [min(side) for side in zip(*pairs)]
            ratios = sorted(a / b for a, b in pairs)
            print(f"{name} {case}: least {least[0]:.1f} and {least[1]:.1f} ms, ratio {least[0] / least[1]:.2f}; "
                  f"in turn {ratios[len(ratios) // 2]:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}); "
                  f"{least[0] / min(reads):.2f} of reading the weights once ({min(reads):.1f} ms), load {load()}", flush=True)
        irene.stdin.close()
        irene.wait()
    del model
    gc.collect()


with torch.no_grad():
    for dtype, name in [(torch.float32, "f32"), (torch.bfloat16, "bf16")]:
        compare(dtype, name)
