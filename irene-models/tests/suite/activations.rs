//! Activations by the words of configs: the operations that transformers runs for each, their cost, and their results.

use candle_core::{DType, Device, Tensor as Candle};
use irene_models::{Activation, Batch, Cx, ModelSpec, RandomWeights, Tensor};
use irene_tree::{Kernels, Quantity, Size};

use crate::support::{difference, spec};

/// The words, the operations in their order, and IrEne's FLOPs for each number.
const WORDS: [(&str, &[&str], f64); 9] = [
    ("gelu", &["gelu"], 6.0),
    ("gelu_python", &["mul", "div", "erf", "add", "mul"], 8.0),
    ("gelu_new", &["pow", "mul", "add", "mul", "tanh", "add", "mul", "mul"], 11.0),
    ("gelu_accurate", &["pow", "mul", "add", "mul", "tanh", "add", "mul", "mul"], 11.0),
    ("gelu_fast", &["mul", "mul", "mul", "mul", "add", "mul", "tanh", "add", "mul"], 12.0),
    ("gelu_pytorch_tanh", &["gelu"], 6.0),
    ("quick_gelu", &["mul", "sigmoid", "mul"], 6.0),
    ("relu", &["relu"], 1.0),
    ("silu", &["silu"], 5.0),
];

const POINTS: [f32; 7] = [-3.0, -1.0, -0.25, 0.0, 0.5, 1.0, 2.5];

/// The formulas at these points, in 64 bits.
const BY_ERF: [f64; 7] = [-0.004_049_69, -0.158_655_25, -0.100_323_42, 0.0, 0.345_731_23, 0.841_344_75, 2.484_475_84];
const BY_TANH: [f64; 7] = [-0.003_637_39, -0.158_808_01, -0.100_324_65, 0.0, 0.345_714_01, 0.841_191_99, 2.484_915_73];
const QUICK: [f64; 7] = [-0.018_071_31, -0.154_204_23, -0.098_800_35, 0.0, 0.350_388_44, 0.845_795_77, 2.465_013_83];

fn bert(word: &str) -> ModelSpec {
    spec(format!(
        r#"{{"model_type":"bert","hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":16,
        "vocab_size":9,"max_position_embeddings":16,"hidden_act":"{word}"}}"#
    ))
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.candle().unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn each_word_runs_the_operations_of_transformers() {
    for (word, operations, flops) in WORDS {
        let tree = bert(word).trace(Size::new(2, 4)).unwrap();
        let place = tree.find("root.encoder.0.intermediate").unwrap();
        let names: Vec<_> = tree.children(place).map(|id| tree.node(id).name()).collect();
        assert_eq!(names, [&["dense"], operations].concat(), "{word}");
        let total: f64 = tree.children(place).skip(1).map(|id| tree.node(id).get(Quantity::Flops).unwrap()).sum();
        assert!((total * 1e6 - flops * 2.0 * 4.0 * 16.0).abs() < 1e-6, "{word}: {total}");
    }
}

#[test]
fn each_word_gives_what_its_formula_gives() {
    let words = [
        ("gelu", BY_ERF),
        ("gelu_python", BY_ERF),
        ("gelu_new", BY_TANH),
        ("gelu_accurate", BY_TANH),
        ("gelu_fast", BY_TANH),
        ("gelu_pytorch_tanh", BY_TANH),
        ("quick_gelu", QUICK),
    ];
    let x = Tensor::from_candle(Candle::new(&POINTS, &Device::Cpu).unwrap()).unwrap();
    for (word, expected) in words {
        let activation = Activation::from_config(bert(word).config(), "hidden_act", "gelu").unwrap();
        let found = numbers(&activation.apply(&mut Cx::silent(), &x).unwrap());
        assert!(
            found.iter().zip(expected).all(|(found, expected)| (f64::from(*found) - expected).abs() < 1e-6),
            "{word}: {found:?}"
        );
    }
}

/// Also where it is joined with the product before it, and in half precision.
#[test]
fn each_word_runs_fused_and_in_half_precision() {
    let batch = Batch::of_ids(vec![1; 10], None, Size::new(2, 5), &Device::Cpu).unwrap();
    for (word, ..) in WORDS {
        let spec = bert(word);
        for dtype in [DType::F32, DType::BF16, DType::F16] {
            let weights = RandomWeights { seed: 3, dtype, device: Device::Cpu };
            let model = spec.build(&weights).unwrap();
            let run = |mut cx: Cx<'_>| {
                let output = model.run(&mut cx, &batch).unwrap().last_hidden_state;
                output.candle().unwrap().to_dtype(DType::F32).unwrap()
            };
            let off = difference(&run(Cx::silent()), &run(Cx::silent().with_kernels(Kernels::Eager)));
            assert!(off <= if dtype == DType::F32 { 1e-5 } else { 5e-2 }, "{word} {dtype:?}: {off}");
        }
    }
}
