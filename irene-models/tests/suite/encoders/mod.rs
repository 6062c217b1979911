//! Configs of the encoders of today with any of their flags.

/// A config of one of five families; `bert` has the sizes that it shares with BERT.
pub(crate) fn config(
    family: usize,
    bert: &str,
    (layers, heads, width, inner): (usize, usize, usize, usize),
    flags: [bool; 8],
) -> String {
    let [a, b, c, d, e, f, g, h] = flags;
    let fields = match family {
        0 => format!(
            r#""model_type":"albert","embedding_size":{inner},"num_hidden_groups":{},"inner_group_num":{}"#,
            if a { layers } else { 1 },
            1 + usize::from(b)
        ),
        1 => r#""model_type":"mpnet""#.to_owned(),
        2 => format!(
            r#""model_type":"deberta-v2","relative_attention":{a},"share_att_key":{b},"position_biased_input":{c},
            "pos_att_type":"{}","position_buckets":{},"norm_rel_ebd":"{}","type_vocab_size":{},"legacy":{e}{}{}"#,
            ["", "c2p", "p2c", "p2c|c2p"][usize::from(d) + 2 * usize::from(e)],
            if f { 4 } else { -1 },
            if g { "layer_norm" } else { "none" },
            usize::from(h),
            if g { r#","conv_kernel_size":3,"conv_act":"gelu""# } else { "" },
            // The head of its own code is tied to embeddings of the model's width.
            if e { format!(r#","embedding_size":{inner}"#) } else { String::new() },
        ),
        3 => format!(
            r#""model_type":"modernbert","attention_bias":{a},"mlp_bias":{b},"norm_bias":{c},"decoder_bias":{d},
            "local_attention":{},"classifier_pooling":"{}",{}"#,
            if e { 4 } else { 7 },
            if f { "mean" } else { "cls" },
            if g {
                r#""global_attn_every_n_layers":2,"global_rope_theta":1600.0,"local_rope_theta":100.0"#
            } else {
                r#""rope_parameters":{"full_attention":{"rope_type":"default","rope_theta":500.0},
                "sliding_attention":{"rope_type":"linear","factor":2.0,"rope_theta":100.0}}"#
            },
        ),
        _ if a => r#""model_type":"nomic_bert""#.to_owned(),
        _ => return hub_nomic_bert(layers, heads, width, inner, flags),
    };
    // Rotary positions take pairs of numbers.
    let bert = if family > 2 {
        bert.replacen(&format!("{}", heads * width), &format!("{}", 2 * heads * width), 1)
    } else {
        bert.to_owned()
    };
    format!("{{{fields},{bert}}}")
}

fn hub_nomic_bert(layers: usize, heads: usize, width: usize, inner: usize, [_, a, b, c, d, ..]: [bool; 8]) -> String {
    format!(
        r#"{{"model_type":"nomic_bert","n_embd":{},"n_layer":{layers},"n_head":{heads},"n_inner":{inner},"n_positions":20,
        "max_trained_positions":8,"vocab_size":30,"pad_vocab_size_multiple":16,"activation_function":"{}",
        "rotary_emb_base":1000,"rotary_emb_fraction":1.0,"rotary_emb_interleaved":{a},"rotary_scaling_factor":{},
        "qkv_proj_bias":{b},"mlp_fc1_bias":{c},"mlp_fc2_bias":{d},"prenorm":false,"causal":false}}"#,
        4 * heads * width,
        if a { "swiglu" } else { "geglu" },
        if b { "2" } else { "null" },
    )
}
