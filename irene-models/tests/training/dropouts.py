"""The dropouts that run in a training pass of transformers' tiny models, one config key at a time: PyTorch 2.15, transformers 5.24.

dropouts.py FIXTURES writes the figures to standard output. FIXTURES is the folder of the tiny checkpoints, of which it reads the configs.
For each model, head and key with `drop` in its name, that key is 0.5 and the others are 0; a line counts the calls of
torch.nn.functional.dropout that drop something by the number of elements they get.
"""
import collections, json, pathlib, sys, torch, transformers

BATCH, LENGTH, PROBABILITY = 2, 5, 0.5
HEADS = {
    "none": transformers.AutoModel,
    "lm": (transformers.AutoModelForMaskedLM, transformers.AutoModelForCausalLM),
    "classification": transformers.AutoModelForSequenceClassification,
}
# Keys that the classes of transformers read although no config of the family names them.
UNNAMED = {"deberta-v2": ["cls_dropout"], "deberta-v3": ["cls_dropout"]}


def model_of(config, head):
    kinds = HEADS[head]
    if head == "lm":
        kinds = kinds[0] if type(config) in kinds[0]._model_mapping.keys() else kinds[1]
    return kinds.from_config(config, attn_implementation="eager").train()


def calls(config, head):
    seen, real = collections.Counter(), torch.nn.functional.dropout

    def dropout(input, p=0.5, training=True, inplace=False):
        if training and p > 0:
            seen[input.numel()] += 1
        return real(input, p, training, inplace)

    torch.nn.functional.dropout = dropout
    try:
        ids = torch.arange(BATCH * LENGTH).reshape(BATCH, LENGTH) % (config.vocab_size - 4) + 3
        model_of(config, head)(input_ids=ids)
    finally:
        torch.nn.functional.dropout = real
    return {str(elements): count for elements, count in sorted(seen.items())}


def figures(folder):
    torch.manual_seed(0)
    for file in sorted(folder.glob("*/config.json")) + sorted(folder.glob("llm/*/config.json")):
        fields = json.loads(file.read_text())
        name = str(file.parent.relative_to(folder))
        # FlexiBERT is no class of transformers; the other is a second GPT-2.
        if name in ("flexibert", "gpt2_generation"):
            continue
        known = transformers.AutoConfig.for_model(**fields)
        keys = [key for key in known.to_dict() if "drop" in key and key != "layerdrop"] + UNNAMED.get(name, [])
        for head in HEADS:
            for key in keys:
                chances = {other: PROBABILITY if other == key else 0.0 for other in keys}
                config = transformers.AutoConfig.for_model(**fields | chances)
                if config.pad_token_id is None:
                    config.pad_token_id = 0
                try:
                    found = calls(config, head)
                except ValueError as error:  # no such head
                    print(name, head, str(error)[:80], file=sys.stderr)
                    break
                yield {"model": name, "head": head, "key": key, "calls": found}


lines = [json.dumps(line) for line in figures(pathlib.Path(sys.argv[1]))]
versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
print('{"made_by": "%s", "batch_size": %d, "seq_len": %d, "figures": [' % (versions, BATCH, LENGTH))
print(",\n".join(lines) + "\n]}")
