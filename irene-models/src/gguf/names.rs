//! Where a parameter of a Hugging Face checkpoint is in a GGUF file: llama.cpp's converter renames every tensor, and stores some in
//! another order.

use super::Gguf;

/// The parts of a model outside its layers.
const OUTER: &[(&str, &str)] = &[
    ("embed_tokens", "token_embd"),
    ("wte", "token_embd"),
    ("word_embeddings", "token_embd"),
    ("embed_in", "token_embd"),
    ("word_embeddings_layernorm", "token_embd_norm"),
    ("wpe", "position_embd"),
    ("norm", "output_norm"),
    ("ln_f", "output_norm"),
    ("final_layernorm", "output_norm"),
    ("final_layer_norm", "output_norm"),
    ("lm_head", "output"),
    ("embed_out", "output"),
    ("embeddings.word_embeddings", "token_embd"),
    ("embeddings.position_embeddings", "position_embd"),
    ("embeddings.token_type_embeddings", "token_types"),
    ("embeddings.LayerNorm", "token_embd_norm"),
    ("pooler.dense", "cls"),
    ("pre_classifier", "cls"),
    ("classifier", "cls.output"),
    ("score", "cls.output"),
    ("embeddings.tok_embeddings", "token_embd"),
    ("embeddings.norm", "token_embd_norm"),
    ("final_norm", "output_norm"),
    ("head.dense", "cls"),
    ("head.norm", "cls.norm"),
    ("embeddings", "token_embd"),
    ("norm_f", "output_norm"),
];

/// The parts of a layer.
const INNER: &[(&str, &str)] = &[
    ("input_layernorm", "attn_norm"),
    ("ln_1", "attn_norm"),
    ("ln_attn", "attn_norm_2"),
    ("ln_mlp", "attn_norm"),
    ("ln_2", "ffn_norm"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.dense", "attn_output"),
    ("self_attn.qkv_proj", "attn_qkv"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("attn.c_attn", "attn_qkv"),
    ("attn.c_proj", "attn_output"),
    ("attention.query_key_value", "attn_qkv"),
    ("attention.dense", "attn_output"),
    ("self_attention.query_key_value", "attn_qkv"),
    ("self_attention.dense", "attn_output"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("mlp.gate_up_proj", "ffn_up"),
    ("mlp.c_fc", "ffn_up"),
    ("mlp.c_proj", "ffn_down"),
    ("mlp.fc1", "ffn_up"),
    ("mlp.fc2", "ffn_down"),
    ("mlp.dense_h_to_4h", "ffn_up"),
    ("mlp.dense_4h_to_h", "ffn_down"),
    ("mlp.gate", "ffn_gate_inp"),
    ("mlp.shared_expert.gate_proj", "ffn_gate_shexp"),
    ("mlp.shared_expert.up_proj", "ffn_up_shexp"),
    ("mlp.shared_expert.down_proj", "ffn_down_shexp"),
    ("mlp.shared_expert_gate", "ffn_gate_inp_shexp"),
    ("block_sparse_moe.gate", "ffn_gate_inp"),
    ("block_sparse_moe.router.layer", "ffn_gate_inp"),
    ("mlp.router", "ffn_gate_inp"),
    ("mlp.shared_experts.gate_proj", "ffn_gate_shexp"),
    ("mlp.shared_experts.up_proj", "ffn_up_shexp"),
    ("mlp.shared_experts.down_proj", "ffn_down_shexp"),
    ("feed_forward.gate_proj", "ffn_gate"),
    ("feed_forward.up_proj", "ffn_up"),
    ("feed_forward.down_proj", "ffn_down"),
    ("feed_forward.router", "ffn_gate_inp"),
    ("feed_forward.shared_expert.gate_proj", "ffn_gate_shexp"),
    ("feed_forward.shared_expert.up_proj", "ffn_up_shexp"),
    ("feed_forward.shared_expert.down_proj", "ffn_down_shexp"),
    ("self_attn.q_a_proj", "attn_q_a"),
    ("self_attn.q_a_layernorm", "attn_q_a_norm"),
    ("self_attn.q_b_proj", "attn_q_b"),
    ("self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"),
    ("self_attn.kv_a_layernorm", "attn_kv_a_norm"),
    ("self_attn.kv_b_proj", "attn_kv_b"),
    ("attention.self.query", "attn_q"),
    ("attention.self.key", "attn_k"),
    ("attention.self.value", "attn_v"),
    ("attention.output.dense", "attn_output"),
    ("attention.output.LayerNorm", "attn_output_norm"),
    ("intermediate.dense", "ffn_up"),
    ("output.dense", "ffn_down"),
    ("output.LayerNorm", "layer_output_norm"),
    ("post_self_attn_layernorm", "post_attention_norm"),
    ("attention.q_lin", "attn_q"),
    ("attention.k_lin", "attn_k"),
    ("attention.v_lin", "attn_v"),
    ("attention.out_lin", "attn_output"),
    ("sa_layer_norm", "attn_output_norm"),
    ("ffn.lin1", "ffn_up"),
    ("ffn.lin2", "ffn_down"),
    ("output_layer_norm", "layer_output_norm"),
    ("attn_norm", "attn_norm"),
    ("attn.Wqkv", "attn_qkv"),
    ("attn.Wo", "attn_output"),
    ("mlp_norm", "ffn_norm"),
    ("mlp.Wi", "ffn_up"),
    ("mlp.Wo", "ffn_down"),
    ("linear_attn.in_proj_qkvz", "ssm_in"),
    ("linear_attn.in_proj_qkv", "attn_qkv"),
    ("linear_attn.in_proj_z", "attn_gate"),
    ("linear_attn.in_proj_ba", "ssm_ba"),
    ("linear_attn.in_proj_b", "ssm_beta"),
    ("linear_attn.in_proj_a", "ssm_alpha"),
    ("linear_attn.conv1d", "ssm_conv1d"),
    ("linear_attn.norm", "ssm_norm"),
    ("linear_attn.out_proj", "ssm_out"),
    ("shared_mlp.output_linear", "ffn_down_shexp"),
    ("mamba.in_proj", "ssm_in"),
    ("mamba.conv1d", "ssm_conv1d"),
    ("mamba.norm", "ssm_norm"),
    ("mamba.out_proj", "ssm_out"),
    ("norm", "attn_norm"),
    ("mixer.in_proj", "ssm_in"),
    ("mixer.conv1d", "ssm_conv1d"),
    ("mixer.norm", "ssm_norm"),
    ("mixer.out_proj", "ssm_out"),
    ("mixer.q_proj", "attn_q"),
    ("mixer.k_proj", "attn_k"),
    ("mixer.v_proj", "attn_v"),
    ("mixer.o_proj", "attn_output"),
    ("mixer.up_proj", "ffn_up"),
    ("mixer.down_proj", "ffn_down"),
    ("mixer.gate", "ffn_gate_inp"),
    ("mixer.shared_experts.up_proj", "ffn_up_shexp"),
    ("mixer.shared_experts.down_proj", "ffn_down_shexp"),
];

/// Parameters of a layer by their whole keys.
const WHOLE: &[(&str, &str)] = &[
    ("self_attn.sinks", "attn_sinks.weight"),
    ("mlp.gate.e_score_correction_bias", "exp_probs_b.bias"),
    ("mlp.e_score_correction_bias", "exp_probs_b.bias"),
    ("linear_attn.dt_bias", "ssm_dt.bias"),
    ("linear_attn.A_log", "ssm_a"),
    ("mamba.dt_bias", "ssm_dt.bias"),
    ("mamba.A_log", "ssm_a"),
    ("mamba.D", "ssm_d"),
    ("mixer.dt_bias", "ssm_dt.bias"),
    ("mixer.A_log", "ssm_a"),
    ("mixer.D", "ssm_d"),
    ("mixer.gate.e_score_correction_bias", "exp_probs_b.bias"),
];

const GATE_UP: &[&str] = &["ffn_gate_exps.weight", "ffn_up_exps.weight"];
const DOWN: &[&str] = &["ffn_down_exps.weight"];

/// Parameters of a layer whose numbers are in other tensors, of which a file may have the first or the next: stacked experts, the way up from
/// latent vectors, what goes into states, and the parts of Granite's feed-forward part.
const ELSEWHERE: &[(&str, &[&str])] = &[
    ("mlp.experts.gate_up_proj", GATE_UP),
    ("mlp.experts.gate_up_proj_bias", &["ffn_gate_exps.bias", "ffn_up_exps.bias"]),
    ("mlp.experts.down_proj", DOWN),
    ("mlp.experts.down_proj_bias", &["ffn_down_exps.bias"]),
    ("feed_forward.experts.gate_up_proj", GATE_UP),
    ("feed_forward.experts.down_proj", DOWN),
    ("block_sparse_moe.input_linear.weight", GATE_UP),
    ("block_sparse_moe.output_linear.weight", DOWN),
    ("self_attn.kv_b_proj.weight", &["attn_k_b.weight", "attn_v_b.weight"]),
    ("linear_attn.in_proj_qkvz.weight", &["attn_qkv.weight", "attn_gate.weight"]),
    ("shared_mlp.input_linear.weight", &["ffn_gate_shexp.weight", "ffn_up_shexp.weight"]),
    ("shared_mlp.input_linear.weight", &["ffn_gate.weight", "ffn_up.weight"]),
    ("shared_mlp.output_linear.weight", &["ffn_down.weight"]),
];

/// Projections that Phi-2's first files have in one, a third of the rows each.
const JOINED: (&[&str], &str) = (&[".attn_q.", ".attn_k.", ".attn_v."], ".attn_qkv.");

/// The projections of an expert, which the file has stacked.
const EXPERT: &[(&str, &str)] = &[
    ("gate_proj", "ffn_gate_exps"),
    ("up_proj", "ffn_up_exps"),
    ("down_proj", "ffn_down_exps"),
    ("w1", "ffn_gate_exps"),
    ("w3", "ffn_up_exps"),
    ("w2", "ffn_down_exps"),
];

/// A parameter's place in a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    /// The tensor's name.
    pub(crate) name: String,
    /// The one of the experts that are stacked in it.
    pub(crate) expert: Option<usize>,
    /// The third of its rows.
    pub(crate) third: Option<usize>,
    /// The order of its rows.
    pub(crate) rows: Rows,
    /// Whether it is stored transposed: GPT-2's weights (inputs, outputs).
    pub(crate) is_conv1d: bool,
    /// A constant added to every number: Gemma's norms multiply by 1 + weight.
    pub(crate) added: f32,
}

impl Place {
    /// Where files of before April 2024 have an expert: in a tensor of its own.
    fn apart(&self) -> Option<Self> {
        let name = self.name.replace("_exps.", &format!(".{}.", self.expert?));
        Some(Self { name, expert: None, ..self.clone() })
    }

    /// Where files have queries, keys or values that they have joined.
    fn joined(&self) -> Option<Self> {
        let (parts, joint) = JOINED;
        let third = parts.iter().position(|part| self.name.contains(part))?;
        Some(Self { name: self.name.replace(parts[third], joint), third: Some(third), ..self.clone() })
    }
}

/// In which order the converter stored rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rows {
    AsTheyAre,
    /// The two halves of each head's rows alternate, because llama.cpp turns neighbours where transformers turns halves.
    HalvesAlternate {
        heads: usize,
    },
    /// All queries, then all keys, then all values, where transformers has them group by group.
    ByKind {
        heads: usize,
        groups: usize,
    },
}

impl Rows {
    /// The row of the file that is row `row` of `rows` in a checkpoint of transformers'.
    #[cfg_attr(not(feature = "candle"), allow(dead_code))]
    pub(crate) fn stored(self, row: usize, rows: usize) -> usize {
        match self {
            Self::AsTheyAre => row,
            Self::HalvesAlternate { heads } => {
                let width = rows / heads.max(1);
                let (head, within) = (row / width.max(1), row % width.max(1));
                let half = (width / 2).max(1);
                head * width + 2 * (within % half) + within / half
            }
            Self::ByKind { heads, groups } => {
                let width = rows / (heads + 2 * groups).max(1);
                let (part, within) = (row / width.max(1), row % width.max(1));
                let queries = heads / groups.max(1);
                let (group, place) = (part / (queries + 2), part % (queries + 2));
                let part = match place.checked_sub(queries) {
                    None => group * queries + place,
                    Some(kind) => heads + kind * groups + group,
                };
                part * width + within
            }
        }
    }

    /// Whether this many rows can be in this order.
    pub(crate) fn divides(self, rows: usize) -> bool {
        match self {
            Self::AsTheyAre => true,
            Self::HalvesAlternate { heads } => heads > 0 && rows.is_multiple_of(2 * heads),
            Self::ByKind { heads, groups } => {
                groups > 0 && heads.is_multiple_of(groups) && rows.is_multiple_of(heads + 2 * groups)
            }
        }
    }
}

/// How one file's tensors are named and stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    /// The norm after attention: where it is not the one before the feed-forward part, it has a name of its own.
    after_attention: &'static str,
    /// The one after the feed-forward part.
    after_feed_forward: &'static str,
    /// Norms were stored with 1 added.
    norms_added: bool,
    /// Queries and keys of llama.cpp's rotary layout.
    halves_alternate: bool,
    /// Queries, keys and values of one projection were sorted by kind.
    by_kind: bool,
    /// Weights of layers are (inputs, outputs) in transformers.
    is_conv1d: bool,
    heads: usize,
    groups: usize,
}

impl Names {
    /// The names of a file of this architecture, by llama.cpp's word for it.
    pub(super) fn of(architecture: &str, heads: usize, groups: usize) -> Self {
        let is = |names: &[&str]| names.contains(&architecture);
        Self {
            after_attention: match architecture {
                "gemma2" | "gemma3" | "olmo2" | "exaone4" | "seed_oss" | "gpt-oss" | "glm4moe" | "qwen3next"
                | "qwen35" | "qwen35moe" => "post_attention_norm",
                "nomic-bert" => "attn_output_norm",
                _ => "ffn_norm",
            },
            after_feed_forward: if is(&["glm4"]) { "post_ffw_norm" } else { "layer_output_norm" },
            norms_added: is(&["gemma", "gemma2", "gemma3"]),
            halves_alternate: is(&["llama", "mistral3", "granite", "granitemoe", "smollm3"]),
            by_kind: is(&["gptneox", "bloom", "falcon"]),
            is_conv1d: is(&["gpt2"]),
            heads,
            groups,
        }
    }

    /// The place of a parameter, by its key in a checkpoint. None if no name is known for it.
    pub(crate) fn place(&self, key: &str) -> Option<Place> {
        let key = own(key);
        if let Some((layer, name)) = in_layer(key).and_then(|(layer, key)| Some((layer, look_up(WHOLE, key)?))) {
            return Some(self.with_order(format!("blk.{layer}.{name}"), name, false, None));
        }
        let (module, kind) = key.rsplit_once('.')?;
        let Some((layer, inner)) = in_layer(module) else {
            let name = look_up(OUTER, module)?;
            return Some(self.with_order(format!("{name}.{kind}"), name, false, None));
        };
        let (name, expert) = match inner.split_once(".experts.") {
            Some((_, expert)) => {
                let (expert, projection) = expert.split_once('.')?;
                (look_up(EXPERT, projection)?, Some(expert.parse().ok()?))
            }
            None if inner == "post_attention_layernorm" => (self.after_attention, None),
            None if inner == "post_mlp_layernorm" => (self.after_feed_forward, None),
            None => (look_up(INNER, inner)?, None),
        };
        let is_conv1d = self.is_conv1d && kind == "weight";
        Some(self.with_order(format!("blk.{layer}.{name}.{kind}"), name, is_conv1d && !name.ends_with("norm"), expert))
    }

    fn with_order(&self, name: String, part: &str, is_conv1d: bool, expert: Option<usize>) -> Place {
        let rows = match part {
            "attn_q" if self.halves_alternate => Rows::HalvesAlternate { heads: self.heads },
            "attn_k" if self.halves_alternate => Rows::HalvesAlternate { heads: self.groups },
            "attn_qkv" if self.by_kind => Rows::ByKind { heads: self.heads, groups: self.groups },
            _ => Rows::AsTheyAre,
        };
        let added = if self.norms_added && part.ends_with("norm") { 1.0 } else { 0.0 };
        Place { name, expert, third: None, rows, is_conv1d, added }
    }
}

/// A key without the name of the module that holds the model.
fn own(key: &str) -> &str {
    const PREFIXES: [&str; 6] = ["model.", "transformer.", "gpt_neox.", "bert.", "distilbert.", "backbone."];
    PREFIXES.iter().find_map(|prefix| key.strip_prefix(prefix)).unwrap_or(key)
}

/// The number of the layer that a name is in, and the name in it.
fn in_layer(name: &str) -> Option<(usize, &str)> {
    const LISTS: [&str; 5] = ["layers.", "h.", "encoder.layer.", "transformer.layer.", "layer."];
    let (layer, inner) = LISTS.iter().find_map(|list| name.strip_prefix(list))?.split_once('.')?;
    Some((layer.parse().ok()?, inner))
}

/// The tensors that the numbers of a parameter may be in, if these are others than one of its own.
pub(super) fn elsewhere(key: &str) -> impl Iterator<Item = Vec<String>> {
    let place = in_layer(own(key));
    let known = place.into_iter().flat_map(|(layer, inner)| {
        ELSEWHERE.iter().filter(move |(known, _)| *known == inner).map(move |(_, names)| (layer, names))
    });
    known.map(|(layer, names)| names.iter().map(|name| format!("blk.{layer}.{name}")).collect())
}

fn look_up(table: &[(&str, &'static str)], module: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == module).map(|(_, name)| *name)
}

impl Gguf {
    /// A parameter's place, if the file has it.
    pub(crate) fn find(&self, names: &Names, key: &str) -> Option<Place> {
        let place = names.place(key)?;
        let others = [place.apart(), place.joined()];
        [Some(place)].into_iter().chain(others).flatten().find(|place| self.has(&place.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_their_places() {
        let name = |architecture: &str, key: &str| Names::of(architecture, 4, 2).place(key).map(|place| place.name);
        for (architecture, key, expected) in [
            ("llama", "model.embed_tokens.weight", "token_embd.weight"),
            ("llama", "layers.11.self_attn.q_proj.weight", "blk.11.attn_q.weight"),
            ("llama", "layers.0.post_attention_layernorm.weight", "blk.0.ffn_norm.weight"),
            ("gemma2", "layers.0.post_attention_layernorm.weight", "blk.0.post_attention_norm.weight"),
            ("gpt2", "transformer.h.3.mlp.c_proj.bias", "blk.3.ffn_down.bias"),
            ("gptneox", "gpt_neox.layers.1.attention.query_key_value.bias", "blk.1.attn_qkv.bias"),
            ("qwen3moe", "layers.2.mlp.experts.7.down_proj.weight", "blk.2.ffn_down_exps.weight"),
            ("gpt-oss", "model.layers.2.self_attn.sinks", "blk.2.attn_sinks.weight"),
            ("gpt-oss", "layers.2.post_attention_layernorm.weight", "blk.2.post_attention_norm.weight"),
            ("deepseek2", "layers.4.mlp.gate.e_score_correction_bias", "blk.4.exp_probs_b.bias"),
            ("bert", "embeddings.LayerNorm.bias", "token_embd_norm.bias"),
            ("bert", "bert.encoder.layer.3.output.LayerNorm.weight", "blk.3.layer_output_norm.weight"),
            ("nomic-bert", "layers.3.post_attention_layernorm.weight", "blk.3.attn_output_norm.weight"),
            ("nomic-bert", "layers.3.post_mlp_layernorm.weight", "blk.3.layer_output_norm.weight"),
            ("glm4", "model.layers.3.post_mlp_layernorm.weight", "blk.3.post_ffw_norm.weight"),
            ("glm4", "layers.3.post_self_attn_layernorm.weight", "blk.3.post_attention_norm.weight"),
            ("seed_oss", "layers.3.post_attention_layernorm.weight", "blk.3.post_attention_norm.weight"),
            ("bert", "bert.pooler.dense.bias", "cls.bias"),
            ("bert", "classifier.weight", "cls.output.weight"),
            ("bert", "distilbert.transformer.layer.1.attention.out_lin.bias", "blk.1.attn_output.bias"),
            ("bert", "transformer.layer.1.output_layer_norm.weight", "blk.1.layer_output_norm.weight"),
            ("qwen3", "score.weight", "cls.output.weight"),
            ("glm4moe", "layers.3.post_attention_layernorm.weight", "blk.3.post_attention_norm.weight"),
            ("minimax-m2", "layers.1.mlp.e_score_correction_bias", "blk.1.exp_probs_b.bias"),
            ("modern-bert", "model.layers.1.attn.Wqkv.weight", "blk.1.attn_qkv.weight"),
            ("modern-bert", "head.norm.weight", "cls.norm.weight"),
            ("qwen35", "model.layers.1.linear_attn.A_log", "blk.1.ssm_a"),
        ] {
            assert_eq!(name(architecture, key).as_deref(), Some(expected));
        }
        assert_eq!(name("llama", "layers.x.self_attn.q_proj.weight"), None);
        let [gate, up] = ["blk.9.ffn_gate_exps.bias", "blk.9.ffn_up_exps.bias"].map(str::to_owned);
        assert!(elsewhere("model.layers.9.mlp.experts.gate_up_proj_bias").eq([[gate, up]]));
        assert!(elsewhere("layers.9.mlp.experts.0.gate_proj.weight").next().is_none());
        let expert = Names::of("llama", 4, 2).place("layers.0.block_sparse_moe.experts.5.w2.weight");
        assert_eq!(expert.as_ref().and_then(|place| place.expert), Some(5));
        let apart = expert.and_then(|place| place.apart()).map(|place| (place.name, place.expert));
        assert_eq!(apart, Some(("blk.0.ffn_down.5.weight".into(), None)));
    }

    #[test]
    fn orders_of_rows_are_permutations() {
        for (rows, order) in [
            (24, Rows::HalvesAlternate { heads: 3 }),
            (2 * 9 * 5, Rows::ByKind { heads: 6, groups: 6 }),
            (4 * 10, Rows::ByKind { heads: 6, groups: 2 }),
            (4 * 8, Rows::ByKind { heads: 6, groups: 1 }),
        ] {
            let mut stored: Vec<_> = (0..rows).map(|row| order.stored(row, rows)).collect();
            assert!(
                !order.divides(rows) || {
                    stored.sort_unstable();
                    stored == (0..rows).collect::<Vec<_>>()
                }
            );
        }
        // Head 1 of two, four rows each: its halves alternate in the file.
        let order = Rows::HalvesAlternate { heads: 2 };
        assert_eq!([4, 5, 6, 7].map(|row| order.stored(row, 8)), [4, 6, 5, 7]);
        // Two groups of a query, a key and a value, each of one row.
        let order = Rows::ByKind { heads: 2, groups: 2 };
        assert_eq!([0, 1, 2, 3, 4, 5].map(|row| order.stored(row, 6)), [0, 2, 4, 1, 3, 5]);
    }
}
