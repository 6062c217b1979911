"""FLOPs that PyTorch's FlopCounterMode counts in a step of training of built-in models: torch 2.15, transformers 5.24, peft 0.21.

wide.py writes wide.json beside itself. The models are on the meta device: no weights, no arithmetic. Attention is eager; the loss is of
all tokens, masked or next; step.py says how LoRA, checkpoints and mixtures run.
"""
import json, pathlib, warnings, peft, torch, transformers
from torch.utils.flop_counter import FlopCounterMode
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent
MODELS = ["bert-large-uncased", "gpt2-xl", "Llama-3.2-1B", "Llama-3.1-8B", "Qwen3-30B-A3B"]
BATCH, LENGTH, RANK = 2, 256, 8


def configs():
    for series in json.loads((HERE / "../../src/builtin/models.json").read_text()):
        for model in series["models"]:
            yield model["name"], {**series["config"], **model.get("config", {})}


def built(fields, rank):
    config = CONFIG_MAPPING[fields["model_type"]].from_dict(fields)
    config._attn_implementation, config._experts_implementation, config.use_cache = "eager", "batched_mm", False
    is_masked = fields["model_type"] == "bert"
    kind = transformers.AutoModelForMaskedLM if is_masked else transformers.AutoModelForCausalLM
    with torch.device("meta"):
        model = kind.from_config(config)
        if rank:
            linear = (torch.nn.Linear, transformers.pytorch_utils.Conv1D)
            trunk = model.base_model_prefix + "."
            names = [path for path, part in model.named_modules() if isinstance(part, linear) and path.startswith(trunk)]
            model = peft.get_peft_model(model, peft.LoraConfig(r=rank, target_modules=names))
    return model.train(), is_masked


def counted(fields, is_checkpointed, rank):
    model, is_masked = built(fields, rank)
    if is_checkpointed:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    ids = torch.zeros(BATCH, LENGTH, dtype=torch.long, device="meta")
    # A whole mask is taken as it is: making one asks for values, which the meta device has not.
    mask = torch.zeros(BATCH, 1, LENGTH, LENGTH, device="meta")
    with FlopCounterMode(display=False) as counter:
        logits = model(input_ids=ids, attention_mask=mask).logits
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten()).backward()
    return counter.get_total_flops()


def figures():
    known = dict(configs())
    for name in MODELS:
        for word in ["none", "layer"]:
            for rank in [0, RANK]:
                yield {"model": name, "checkpoint": word, "lora_rank": rank, "flops": counted(known[name], word == "layer", rank)}


if __name__ == "__main__":
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}"
    lines = ",\n".join("  " + json.dumps(line) for line in figures())
    text = '{"made_by": %s, "batch_size": %d, "seq_len": %d, "figures": [\n%s\n]}\n'
    (HERE / "wide.json").write_text(text % (json.dumps(versions), BATCH, LENGTH, lines))
