"""What one step of training costs in PyTorch, for small models: torch 2.15, transformers 5.24, peft 0.21.

step.py writes step.json beside itself. For each model, head, attention, checkpointing and LoRA rank it has
- forward, backward: FLOPs that FlopCounterMode counts (products, convolutions, and attention in one kernel, whose causal half it does not
  leave out). A mixture's experts run as batched products over the rows that are sent to each. It takes the gradient of a depthwise
  convolution's weight for that of a whole one: what that is too much is `ungrouped`;
- states: bytes of all tensors that each optimizer keeps, step counters included, in float32;
- saved: bytes that autograd keeps for the backward pass, without parameters and inputs, with eager attention and nothing computed twice,
  in float32, and in bfloat16 where transformers computes the loss in 32 bits; ids: how many of them are of integers and of the loss's
  own count. It is followed on fake CUDA tensors, where a dropout keeps a mask of one byte a number; experts run as grouped products.
  checkpointed: the same in float32 with layers that are computed again; masks: how many bytes are of masks that each layer is given.
LoRA is on every linear layer of the trunk, which are those of PEFT's all-linear but for the layers of a head.
FlexiBERT is written here from its description, with BERT's heads.
"""
import json, math, pathlib, warnings, weakref, peft, torch, transformers
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

warnings.filterwarnings("ignore")
torch.manual_seed(5)
BATCH, LENGTH, RANK = 3, 24, 8
OPTIMIZERS = {
    "sgd": lambda weights: torch.optim.SGD(weights, lr=0.1),
    "sgd-momentum": lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9),
    "adamw": lambda weights: torch.optim.AdamW(weights, lr=0.1),
    "adafactor": lambda weights: torch.optim.Adafactor(weights, lr=0.1),
}
BERT = {"model_type": "bert", "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 80,
        "vocab_size": 101, "max_position_embeddings": 40, "type_vocab_size": 2, "num_labels": 3}
CONFIGS = {
    "bert": BERT,
    "gpt2": {"model_type": "gpt2", "n_embd": 48, "n_layer": 3, "n_head": 4, "n_positions": 40, "vocab_size": 101},
    "llama": {"model_type": "llama", "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2,
              "intermediate_size": 80, "vocab_size": 101, "max_position_embeddings": 40, "tie_word_embeddings": False},
    "qwen3_moe": {"model_type": "qwen3_moe", "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
                  "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 80, "moe_intermediate_size": 40, "num_experts": 8,
                  "num_experts_per_tok": 2, "vocab_size": 101, "max_position_embeddings": 40, "decoder_sparse_step": 1,
                  "mlp_only_layers": [], "norm_topk_prob": True, "tie_word_embeddings": False},
    "flexibert": {"model_type": "flexibert", "vocab_size": 101, "max_position_embeddings": 40, "model_dict": {
        "l": 3, "o": [["sa_sdp_12", "sa_wma_12", "l_dft_12", "l_dct_12"], ["c_5_16", "sa_wma_16", "c_9_16", "sa_sdp_16"],
                      ["l_dft_32", "l_dft_32"]],
        "h": [48, 64, 64], "f": [[80], [40, 72, 64], [96]]}, "num_labels": 3},
}
CAUSAL = ["gpt2", "llama", "qwen3_moe"]
HEADS = {"bert": ["lm", "classification"], "gpt2": ["lm"], "llama": ["lm"], "qwen3_moe": ["lm"], "flexibert": ["lm", "classification"]}


class CosineTransform(torch.autograd.Function):
    """DCT-II of the last dimension, by Fourier transforms. It is linear, so that nothing is saved."""

    @staticmethod
    def forward(_, x):
        n = x.shape[-1]
        spectrum = torch.fft.fft(torch.cat([x, x.flip(-1)], -1), dim=-1)[..., :n]
        return (spectrum * turns(n, x.device)).real

    @staticmethod
    def backward(_, gradient):
        n = gradient.shape[-1]
        return 2 * torch.fft.fft(gradient * turns(n, gradient.device), n=2 * n, dim=-1)[..., :n].real


def turns(n, device):
    return torch.exp(-1j * math.pi * torch.arange(n, device=device) / (2 * n))


class Convolution(nn.Module):
    """Span-based dynamic convolution: convolved keys times queries give each token its kernel."""

    def __init__(self, width, kernel):
        super().__init__()
        self.kernel = kernel
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width, bias=False)
        self.pointwise = nn.Conv1d(width, width, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(width, 1))
        self.conv_kernel_layer, self.conv_out_layer = nn.Linear(width, kernel), nn.Linear(width, width)

    def forward(self, q, k, v):
        keys = (self.pointwise(self.depthwise(k.transpose(1, 2))) + self.bias).transpose(1, 2)
        kernels = self.conv_kernel_layer(keys * q).softmax(-1)
        values = self.conv_out_layer(v).transpose(1, 2).unsqueeze(-1)
        windows = nn.functional.unfold(values, (self.kernel, 1), padding=(self.kernel // 2, 0))
        windows = windows.view(q.shape[0], q.shape[2], self.kernel, -1).permute(0, 3, 1, 2)
        batch, length, width, kernel = windows.shape
        products = torch.bmm(windows.reshape(-1, width, kernel), kernels.reshape(-1, kernel, 1))
        return products.view(batch, length, width)


class FlexiAttention(nn.Module):
    def __init__(self, hidden, heads, positions):
        super().__init__()
        self.kinds, self.width = [head.rsplit("_", 1)[0] for head in heads], int(heads[0].rsplit("_", 1)[1])
        self.query, self.key, self.value = (nn.Linear(hidden, self.width * len(heads)) for _ in range(3))
        self.positions, self.distance_embedding = positions, nn.Embedding(2 * positions - 1, self.width)
        self.own = nn.ModuleList(Convolution(self.width, int(kind[2:])) if kind.startswith("c_") else nn.Identity() for kind in self.kinds)
        weights = {str(i): nn.Parameter(torch.randn(self.width, self.width)) for i, kind in enumerate(self.kinds) if kind == "sa_wma"}
        self.weights, self.dropout = nn.ParameterDict(weights), nn.Dropout(0.1)

    def forward(self, x, mask):
        split = lambda t: t.unflatten(-1, (len(self.kinds), self.width)).transpose(1, 2)
        q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
        place, own = torch.arange(x.shape[1], device=x.device), []
        for i, kind in enumerate(self.kinds):
            if kind.startswith("sa"):
                own.append((q[:, i] @ self.weights[str(i)] if kind == "sa_wma" else q[:, i]) @ k[:, i].transpose(1, 2))
            else:
                own.append(torch.zeros(x.shape[0], x.shape[1], x.shape[1], device=x.device))
        keys = self.distance_embedding(place[:, None] - place[None, :] + self.positions - 1)
        by_place = q.permute(2, 0, 1, 3).reshape(x.shape[1], -1, self.width)
        distances = (by_place @ keys.transpose(1, 2)).view(x.shape[1], x.shape[0], len(self.kinds), -1).permute(1, 2, 0, 3)
        scores = (torch.stack(own, 1) + distances) / math.sqrt(self.width) + mask
        weighed, context = self.dropout(scores.softmax(-1)) @ v, []
        for i, kind in enumerate(self.kinds):
            part = weighed[:, i]
            if kind == "l_dft":
                part = part + torch.fft.fft2(v[:, i]).real
            elif kind == "l_dct":
                part = part + CosineTransform.apply(CosineTransform.apply(v[:, i]).transpose(1, 2)).transpose(1, 2)
            elif kind.startswith("c_"):
                part = part + self.own[i](q[:, i], k[:, i], v[:, i])
            context.append(part)
        return torch.stack(context, 2).flatten(2)


class FlexiLayer(nn.Module):
    def __init__(self, config, i):
        super().__init__()
        design = config["model_dict"]
        hidden, heads, widths = design["h"][i], design["o"][i], design["f"][i]
        following = design["h"][min(i + 1, design["l"] - 1)]
        self.attention = FlexiAttention(hidden, heads, config["max_position_embeddings"])
        self.dense, self.norm, self.dropout = nn.Linear(self.attention.width * len(heads), hidden), nn.LayerNorm(hidden), nn.Dropout(0.1)
        self.inner = nn.ModuleList(nn.Linear(*pair) for pair in zip([hidden, *widths], widths))
        self.out, self.out_norm = nn.Linear(widths[-1], hidden), nn.LayerNorm(hidden)
        self.proj_head = nn.Linear(hidden, following) if following != hidden else None

    def forward(self, x, mask):
        attended = fed = self.norm(self.dropout(self.dense(self.attention(x, mask))) + x)
        for linear in self.inner:
            fed = nn.functional.gelu(linear(fed))
        normed = self.out_norm(self.dropout(self.out(fed)) + attended)
        return self.proj_head(normed) if self.proj_head else normed


class FlexiBert(nn.Module):
    """The trunk."""

    def __init__(self, config, is_pooled):
        super().__init__()
        width, layers = config["model_dict"]["h"][0], config["model_dict"]["l"]
        self.words, self.segments = nn.Embedding(config["vocab_size"], width), nn.Embedding(1, width)
        # Loaded, and never looked up.
        self.positions = nn.Embedding(config["max_position_embeddings"], width).requires_grad_(False)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(0.1)
        self.layers = nn.ModuleList(FlexiLayer(config, i) for i in range(layers))
        self.pooler = nn.Linear(*[config["model_dict"]["h"][-1]] * 2) if is_pooled else None
        # How layers are checkpointed, if they are.
        self.checkpointed = None

    def forward(self, input_ids, attention_mask):
        x = self.dropout(self.norm(self.words(input_ids) + self.segments(torch.zeros_like(input_ids))))
        mask = (1.0 - attention_mask[:, None, None, :].float()) * -10000.0
        for layer in self.layers:
            x = checkpoint(layer, x, mask, **self.checkpointed) if self.checkpointed else layer(x, mask)
        return torch.tanh(self.pooler(x[:, 0])) if self.pooler else x


class FlexiBertForTask(nn.Module):
    def __init__(self, config, head):
        super().__init__()
        first, last = config["model_dict"]["h"][0], config["model_dict"]["h"][-1]
        self.trunk, self.is_masked_lm = FlexiBert(config, head != "lm"), head == "lm"
        if self.is_masked_lm:
            self.transform, self.norm = nn.Linear(last, first), nn.LayerNorm(first)
            self.decoder = nn.Linear(first, config["vocab_size"])
            self.decoder.weight = self.trunk.words.weight
        else:
            self.dropout, self.classifier = nn.Dropout(0.1), nn.Linear(last, config["num_labels"])

    def gradient_checkpointing_enable(self, how):
        self.trunk.checkpointed = how
        # As transformers does it: gradients go to the words even where nothing of theirs is trained.
        self.trunk.words.register_forward_hook(lambda _module, _inputs, words: words.requires_grad_(True))

    def forward(self, input_ids, attention_mask, labels):
        x = self.trunk(input_ids, attention_mask)
        x = self.decoder(self.norm(nn.functional.gelu(self.transform(x)))) if self.is_masked_lm else self.classifier(self.dropout(x))
        return nn.functional.cross_entropy(x.flatten(0, -2), labels.flatten())


def built(name, head, attention, rank, experts="batched_mm"):
    fields = CONFIGS[name]
    if name == "flexibert":
        model, trunk = FlexiBertForTask(fields, head), "trunk."
    else:
        config = transformers.AutoConfig.for_model(**fields)
        config.use_cache = False
        if name == "qwen3_moe":
            config._experts_implementation = experts
        if attention == "sdpa":
            # On the CPU a dropout inside has no kernel of its own.
            config.attention_probs_dropout_prob = config.attn_pdrop = 0.0
        kinds = {"classification": transformers.AutoModelForSequenceClassification, "lm": transformers.AutoModelForCausalLM}
        kind = transformers.AutoModelForMaskedLM if (name, head) == ("bert", "lm") else kinds[head]
        model = kind.from_config(config, attn_implementation=attention)
        trunk = model.base_model_prefix + "."
    if rank:
        linear = (nn.Linear, transformers.pytorch_utils.Conv1D)
        names = [path for path, part in model.named_modules() if isinstance(part, linear) and path.startswith(trunk)]
        model = peft.get_peft_model(model, peft.LoraConfig(r=rank, lora_dropout=0.0, target_modules=names))
    return model.train()


def inputs(name, head, device="cpu"):
    ids = torch.ones(BATCH, LENGTH, dtype=torch.long, device=device)
    fields = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if name in CAUSAL:
        # Without a mask of padding.
        fields.pop("attention_mask")
    if head == "lm":
        fields["labels"] = ids
    if head == "classification":
        fields["labels"] = torch.zeros(BATCH, dtype=torch.long, device=device)
    return fields


def loss_of(model, fields):
    output = model(**fields)
    return output if isinstance(output, torch.Tensor) else output.loss


def of_groups(gradient, x, weight, _bias, _stride, _padding, _dilation, transposed, _output_padding, _groups, wanted, out_shape):
    """FLOPs of a convolution's gradients: each that is wanted costs what the convolution does."""
    return (wanted[0] + wanted[1]) * conv_flop_count(x, weight, gradient, transposed=transposed)


def counted(name, head, attention, is_checkpointed, rank):
    model = built(name, head, attention, rank)
    if is_checkpointed:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    fields = inputs(name, head)
    with FlopCounterMode(display=False) as forward:
        loss = loss_of(model, fields)
    grouped = {torch.ops.aten.convolution_backward: of_groups}
    with FlopCounterMode(display=False, custom_mapping=grouped) as by_groups, FlopCounterMode(display=False) as backward:
        loss.backward()
    ungrouped = backward.get_total_flops() - by_groups.get_total_flops()
    return {"forward": forward.get_total_flops(), "backward": backward.get_total_flops(), "ungrouped": ungrouped}


def states(name, head, rank):
    """Bytes of each optimizer's states, and how many numbers are trained: of the weights that have a gradient."""
    found = {}
    for word, optimizer in OPTIMIZERS.items():
        model = built(name, head, "eager", rank)
        loss_of(model, inputs(name, head)).backward()
        weights = [weight for weight in model.parameters() if weight.grad is not None]
        optimizer = optimizer(weights)
        optimizer.step()
        kept = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, torch.Tensor)]
        found[word] = sum(value.numel() * value.element_size() for value in kept)
    return {"trained": sum(weight.numel() for weight in weights), "states": found}


def onto_fake_cuda(model, dtype):
    """Puts a fake tensor in the place of each parameter and buffer, one for those that are tied."""
    fakes = {}
    for module in model.modules():
        for place in (module._parameters, module._buffers):
            for name, tensor in place.items():
                if tensor is not None:
                    # A cast of the model leaves the frequencies of positions as they are.
                    is_cast = isinstance(tensor, nn.Parameter)
                    fake = torch.empty_like(tensor, device="cuda", dtype=dtype if is_cast else tensor.dtype)
                    if isinstance(tensor, nn.Parameter):
                        fake = nn.Parameter(fake, tensor.requires_grad)
                    place[name] = fakes.setdefault(id(tensor), fake)


class Packed:
    """A saved tensor, for as long as autograd keeps it."""

    def __init__(self, tensor):
        self.tensor = tensor


def saved(name, head, rank, dtype, is_checkpointed=False):
    """Bytes of the storages that autograd keeps: of all, of integers and single numbers, and of masks."""
    # There is no card to ask.
    torch.cuda.get_device_capability = lambda *_: (9, 0)
    model = built(name, head, "eager", rank, "grouped_mm")
    if is_checkpointed:
        model.gradient_checkpointing_enable({"use_reentrant": False, "preserve_rng_state": False})
    with FakeTensorMode(allow_non_fake_inputs=True):
        onto_fake_cuda(model, dtype)
        fields = inputs(name, head, "cuda")
        known = {tensor.untyped_storage()._cdata for tensor in [*model.parameters(), *model.buffers(), *fields.values()]}
        packs = []

        def pack(tensor):
            packed = Packed(tensor)
            packs.append(weakref.ref(packed))
            return packed

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda packed: packed.tensor):
            loss = loss_of(model, fields)
        # By now, tensors that the loss does not depend on are gone.
        kept = {pack().tensor.untyped_storage()._cdata: pack().tensor for pack in packs if pack()}
        own = [tensor for place, tensor in kept.items() if place not in known]
        del loss
        is_id = lambda tensor: not tensor.is_floating_point() and tensor.dtype != torch.bool or tensor.dim() == 0
        is_mask = lambda tensor: is_checkpointed and tensor.dim() == 4
        bytes_of = lambda is_it: sum(tensor.untyped_storage().nbytes() for tensor in own if is_it(tensor))
        return {"saved": bytes_of(lambda _: True), "ids": bytes_of(is_id), "masks": bytes_of(is_mask)}


def figures():
    for name, heads in HEADS.items():
        for head in heads:
            for rank in [0, RANK]:
                line = {"model": name, "head": head, "lora_rank": rank, **states(name, head, rank)}
                for dtype in [torch.float32, torch.bfloat16][: 2 if name in CAUSAL else 1]:
                    line[str(dtype).removeprefix("torch.")] = saved(name, head, rank, dtype)
                line["checkpointed"] = saved(name, head, rank, torch.float32, True)
                passes = []
                for attention in ["eager"] if name == "flexibert" else ["eager", "sdpa"]:
                    for word, is_checkpointed in [("none", False), ("layer", True)]:
                        found = counted(name, head, attention, is_checkpointed, rank)
                        passes.append({"attention": attention, "checkpoint": word, **found})
                yield {**line, "passes": passes}


if __name__ == "__main__":
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}"
    configs = ",\n".join(f"  {json.dumps(name)}: {json.dumps(config)}" for name, config in CONFIGS.items())
    lines = ",\n".join("  " + json.dumps(line) for line in figures())
    text = '{"made_by": %s, "batch_size": %d, "seq_len": %d, "configs": {\n%s\n}, "figures": [\n%s\n]}\n'
    (pathlib.Path(__file__).parent / "step.json").write_text(text % (json.dumps(versions), BATCH, LENGTH, configs, lines))
