"""Two tiny Llamas with random weights, for servers to serve: FOLDER/tiny-llama.gguf for llama.cpp, FOLDER/tiny-llama for transformers.

    python make_models.py FOLDER

Needs gguf, llama-cpp-python, tokenizers, torch and transformers. A token is a byte, so that every text has as many tokens as bytes.
"""

import os
import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../irene-models/tests/fixtures/gguf"))
import make  # the script that makes the tests' GGUF files

LAYERS, INNER, POSITIONS = 8, 1024, 2048


def gguf_file(folder):
    make.LAYERS, make.INNER, make.POSITIONS = LAYERS, INNER, POSITIONS
    plain = os.path.join(folder, "plain.gguf")
    make.write(plain, make.byte_level)
    make.quantise(plain, os.path.join(folder, "tiny-llama.gguf"), make.llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0)
    os.remove(plain)


def checkpoint(folder):
    vocabulary = {letter: place for place, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    vocabulary |= {"<|begin|>": 256, "<|end|>": 257}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    ends = {"bos_token": "<|begin|>", "eos_token": "<|end|>", "pad_token": "<|end|>"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **ends)
    fast.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    torch.manual_seed(17)
    config = LlamaConfig(
        vocab_size=make.VOCABULARY, hidden_size=make.HIDDEN, intermediate_size=INNER, num_hidden_layers=LAYERS,
        num_attention_heads=make.HEADS, num_key_value_heads=make.GROUPS, max_position_embeddings=POSITIONS,
        bos_token_id=256, eos_token_id=257,
    )
    model = LlamaForCausalLM(config)
    # Random weights end a sequence now and then.
    model.generation_config.eos_token_id = None
    for part in (model, fast):
        part.save_pretrained(os.path.join(folder, "tiny-llama"))


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    gguf_file(sys.argv[1])
    checkpoint(sys.argv[1])
