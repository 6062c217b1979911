"""Counts the FLOPs of built-in models' forward passes with PyTorch's FlopCounterMode, and their parameters, into figures.json.

Run in this folder, with torch and transformers (5.24 made the figures). The models are on the meta device: no weights, no arithmetic.
FlopCounterMode counts matrix products alone. Attention is eager, so that its two products are counted in full, masked or not; the experts
of a mixture run as batched products over the rows that are sent to each.
"""

import json
import pathlib
import sys

import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, AutoModelForCausalLM, GenerationMixin
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

HERE = pathlib.Path(__file__).parent
SIZES = [(2, 128), (1, 512)]
# One of a family, and others where a family's configs choose other code.
MODELS = """
bert-large-uncased roberta-large distilbert-base-uncased google/electra-large-discriminator gpt2-xl openai-gpt
Llama-2-7b-hf Llama-3.1-8B Llama-3.2-1B Mistral-7B-v0.1 Qwen2.5-7B Qwen3-8B gemma-7b gemma-2-9b gemma-3-12b-pt phi-2
Phi-3-mini-4k-instruct granite-3.1-8b-base OLMo-2-1124-7B pythia-6.9b falcon-7b falcon-40b opt-6.7b opt-350m starcoder2-7b
gpt-j-6b bloom-7b1 Mixtral-8x7B-v0.1 Qwen1.5-MoE-A2.7B Qwen3-30B-A3B gpt-oss-20b granite-3.1-3b-a800m-base DeepSeek-V2-Lite
DeepSeek-V3 ModernBERT-large nomic-embed-text-v1.5 mpnet-base albert-xxlarge-v2 deberta-v3-large
""".split()


def configs():
    for series in json.loads((HERE / "../../src/builtin/models.json").read_text()):
        for model in series["models"]:
            yield model["name"], model["parameters"], {**series["config"], **model.get("config", {})}


def built(config):
    # DeBERTa's code asks for values.
    device = "cpu" if config["model_type"] == "deberta-v2" else "meta"
    config = {name: value for name, value in config.items() if name != "quantization_config"}
    config = CONFIG_MAPPING[config["model_type"]].from_dict(config)
    config._attn_implementation = "eager"
    config._experts_implementation = "batched_mm"
    config.use_cache = False
    generates = any(end in name for name in config.architectures or [] for end in ("ForCausalLM", "LMHeadModel"))
    with torch.device(device):
        return (AutoModelForCausalLM if generates else AutoModel).from_config(config).eval()


def counted(model, batch_size, seq_len):
    inputs = {"input_ids": torch.zeros(batch_size, seq_len, dtype=torch.long, device=model.device)}
    if isinstance(model, GenerationMixin) and model.config.model_type not in ("openai-gpt", "opt", "bloom"):
        # A whole mask is taken as it is: making one asks for values, which the meta device has not.
        inputs["attention_mask"] = torch.zeros(batch_size, 1, seq_len, seq_len, device=model.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(**inputs)
    return counter.get_total_flops()


def main():
    figures = []
    for name, parameters, config in configs():
        if config["model_type"] not in CONFIG_MAPPING:
            print(f"{name}: transformers has no {config['model_type']}", file=sys.stderr)
            continue
        model = built(config)
        # DeepSeek's checkpoints hold the routers' corrections, which are no parameters in the class.
        corrections = [buffer for place, buffer in model.named_buffers() if place.endswith("e_score_correction_bias")]
        found = sum(tensor.numel() for tensor in [*model.parameters(), *corrections])
        if found != parameters:
            print(f"{name}: {parameters} listed, {found} in {type(model).__name__}", file=sys.stderr)
        for batch_size, seq_len in SIZES if name in MODELS else []:
            flops = counted(model, batch_size, seq_len)
            figures.append({"model": name, "batch_size": batch_size, "seq_len": seq_len, "flops": flops})
    made_by = f"torch {torch.__version__}, transformers {transformers.__version__}"
    rows = ",\n".join(f"  {json.dumps(figure)}" for figure in figures)
    (HERE / "figures.json").write_text(f'{{"made_by": "{made_by}", "figures": [\n{rows}\n]}}\n')


if __name__ == "__main__":
    main()
