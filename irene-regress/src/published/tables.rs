//! The figures, as printed.

use irene_tree::Size;

use super::{ByModel, OfOthers, PublicMachine, Reported};
use crate::Ablation;

/// device_1 and device_2 of the public data. Which card each has follows from its clocks: the memory of a GTX 1070 runs at 3802 MHz while
/// it computes, that of a GTX 1080 Ti at 5005 MHz; and the best Linear reaches 5.8 and 8.7 TFLOP/s. The paper's table 2 has them the other
/// way round: table 7 to 0.04 shows that its PC1 is device_1.
pub const MACHINES: [PublicMachine; 2] = [
    PublicMachine {
        data: "device_1",
        paper: "PC1",
        device: "gtx-1070",
        card: "GTX 1070",
        printed_card: "GTX 1080 Ti",
        by_ablation: &DEVICE_1_BY_ABLATION,
        by_model: DEVICE_1_BY_MODEL,
        by_primitive: [0.65, 0.89, 0.60, 0.82, 0.61, 1.0, 0.58],
    },
    PublicMachine {
        data: "device_2",
        paper: "PC2",
        device: "gtx-1080-ti",
        card: "GTX 1080 Ti",
        printed_card: "GTX 1070",
        by_ablation: &DEVICE_2_BY_ABLATION,
        by_model: DEVICE_2_BY_MODEL,
        by_primitive: [0.38, 0.66, 0.55, 0.43, 0.43, 0.67, 0.41],
    },
];

/// The primitives of table 7.
pub const PRIMITIVES: [&str; 7] = ["Embedding", "LayerNorm", "Linear", "Tanh", "MatMul", "Softmax", "Conv1D"];

const fn others(published: Reported, authors_code: Reported) -> OfOthers {
    OfOthers { published, authors_code }
}

/// Tables 8 and 9, which are of PC1.
const DEVICE_1_BY_ABLATION: [(Ablation, OfOthers); 6] = [
    (Ablation::End2End, others(Reported::all(0.70, 8.54, 5.52), Reported::all(0.69, 10.18, 7.32))),
    (Ablation::StepWise, others(Reported::without_ml(9.28, 14.84), Reported::all(0.69, 10.99, 14.25))),
    (Ablation::PredictedSum, others(Reported::without_ml(16.4, 17.69), Reported::all(0.69, 18.16, 17.77))),
    (Ablation::Unstructured, others(Reported::without_ml(278.0, 39.79), Reported::all(0.69, 956.0, 234.0))),
    (Ablation::SpecsOnly, others(Reported::all(5.76, 11.54, 7.08), Reported::all(5.54, 12.18, 6.84))),
    (Ablation::ResourcesOnly, others(Reported::all(0.63, 8.87, 7.32), Reported::all(0.61, 10.46, 6.04))),
];

/// The published ones are the averages of tables 5 to 7: the paper has no ablations of PC2.
const DEVICE_2_BY_ABLATION: [(Ablation, OfOthers); 6] = [
    (Ablation::End2End, others(Reported::all(0.53, 10.16, 7.2), Reported::all(0.52, 11.86, 8.46))),
    (Ablation::StepWise, others(Reported::NONE, Reported::all(0.52, 12.83, 15.79))),
    (Ablation::PredictedSum, others(Reported::NONE, Reported::all(0.52, 19.30, 20.99))),
    (Ablation::Unstructured, others(Reported::NONE, Reported::all(0.52, 969.0, 219.0))),
    (Ablation::SpecsOnly, others(Reported::NONE, Reported::all(7.32, 13.70, 10.32))),
    (Ablation::ResourcesOnly, others(Reported::NONE, Reported::all(0.50, 11.97, 8.55))),
];

const DEVICE_1_BY_MODEL: [ByModel; 7] = [
    ByModel {
        model: "bert-base-uncased",
        published: Reported::without_ml(5.37, 5.8),
        authors_code: Reported::all(0.69, 5.46, 11.12),
        authors_readme: Reported::all(0.70, 5.45, 3.93),
        software: Reported::without_ml(32.54, 57.9),
    },
    ByModel {
        model: "distilbert-base-uncased",
        published: Reported::without_ml(5.93, 11.6),
        authors_code: Reported::all(0.60, 6.09, 17.24),
        authors_readme: Reported::all(0.60, 6.04, 19.01),
        software: Reported::without_ml(62.8, 56.3),
    },
    ByModel {
        model: "roberta-base",
        published: Reported::without_ml(5.44, 7.1),
        authors_code: Reported::all(0.69, 5.77, 6.01),
        authors_readme: Reported::all(0.71, 5.49, 6.91),
        software: Reported::without_ml(13.36, 62.5),
    },
    ByModel {
        model: "distilgpt2",
        published: Reported::without_ml(14.73, 2.2),
        authors_code: Reported::all(0.63, 14.69, 2.24),
        authors_readme: Reported::all(0.64, 14.78, 2.75),
        software: Reported::without_ml(35.93, 55.9),
    },
    ByModel {
        model: "openai-gpt",
        published: Reported::without_ml(13.98, 2.7),
        authors_code: Reported::all(0.90, 14.07, 3.34),
        authors_readme: Reported::all(0.92, 14.01, 2.96),
        software: Reported::without_ml(42.37, 61.8),
    },
    ByModel {
        model: "gpt2",
        published: Reported::without_ml(14.92, 3.5),
        authors_code: Reported::all(0.61, 14.97, 3.99),
        authors_readme: Reported::all(0.63, 14.92, 4.88),
        software: Reported::without_ml(24.96, 62.6),
    },
    ByModel {
        model: "average",
        published: Reported::all(0.70, 8.54, 5.5),
        authors_code: Reported::all(0.69, 10.18, 7.32),
        authors_readme: Reported::all(0.70, 10.12, 6.74),
        software: Reported::without_ml(35.33, 57.8),
    },
];

const fn of_device_2(
    model: &'static str,
    [module_error, model_error]: [f64; 2],
    [ml, module, whole]: [f64; 3],
    software: f64,
) -> ByModel {
    ByModel {
        model,
        published: Reported::without_ml(module_error, model_error),
        authors_code: Reported::all(ml, module, whole),
        authors_readme: Reported::NONE,
        software: Reported { model: Some(software), ..Reported::NONE },
    }
}

const DEVICE_2_BY_MODEL: [ByModel; 7] = [
    of_device_2("bert-base-uncased", [6.78, 10.0], [0.54, 6.74, 4.99], 55.1),
    of_device_2("distilbert-base-uncased", [7.96, 9.4], [0.42, 8.17, 18.13], 52.6),
    of_device_2("roberta-base", [6.69, 7.1], [0.56, 7.06, 10.53], 58.9),
    of_device_2("distilgpt2", [16.41, 4.9], [0.47, 16.38, 4.82], 49.8),
    of_device_2("openai-gpt", [16.07, 5.9], [0.68, 16.17, 6.06], 60.6),
    of_device_2("gpt2", [16.65, 6.1], [0.43, 16.61, 6.20], 54.6),
    ByModel {
        published: Reported::all(0.53, 10.16, 7.2),
        ..of_device_2("average", [10.16, 7.2], [0.52, 11.86, 8.46], 55.6)
    },
];

/// How many nodes of each level the paper counts for a model over all sizes, and how deep its tree is (table 4).
#[derive(Clone, Debug, PartialEq)]
pub struct NodeCounts {
    /// The model.
    pub model: &'static str,
    /// Nodes of the ML level.
    pub ml: usize,
    /// Modules.
    pub module: usize,
    /// Trees.
    pub trees: usize,
    /// Nodes on the longest way from the root to a leaf, both included.
    pub depth: usize,
}

/// Table 4.
pub const NODE_COUNTS: [NodeCounts; 3] = [
    NodeCounts { model: "bert-base-uncased", ml: 3864, module: 2100, trees: 28, depth: 6 },
    NodeCounts { model: "distilbert-base-uncased", ml: 1932, module: 560, trees: 28, depth: 5 },
    NodeCounts { model: "gpt2", ml: 2997, module: 972, trees: 28, depth: 4 },
];

/// The paper's use case (table 3): BERT-base answers questions on PC1.
#[derive(Clone, Debug, PartialEq)]
pub struct CostSetting {
    /// The model.
    pub model: &'static str,
    /// Questions at once, and tokens of each.
    pub size: Size,
    /// Passages that are read for a question in the second row.
    pub passages: f64,
    /// Printed kWh of a million questions with one passage, and with `passages`.
    pub kwh: [f64; 2],
    /// Printed price of the same, USD.
    pub usd: [f64; 2],
}

/// Table 3.
pub const COST_SETTING: CostSetting = CostSetting {
    model: "bert-base-uncased",
    size: Size::new(16, 256),
    passages: 150.0,
    kwh: [161.0, 24000.0],
    usd: [21.24, 3165.0],
};

/// Shares of a model's energy by class, %.
pub type EnergyShares = (&'static str, &'static [(&'static str, f64)]);

/// Tables 10 and 12: predicted shares of the modules that are parents of ML-level nodes, averaged over all sizes. The printed labels of
/// distilgpt2 are DistilBERT's; here they are GPT-2's.
pub const ENERGY_SHARES: [EnergyShares; 6] = [
    (
        "bert-base-uncased",
        &[
            ("BertOutput", 31.89),
            ("BertSelfAttention", 29.26),
            ("BertIntermediate", 27.97),
            ("BertSelfOutput", 9.74),
            ("BertEmbeddings", 0.34),
            ("BertPooler", 0.11),
        ],
    ),
    (
        "distilbert-base-uncased",
        &[("FFN", 57.23), ("MultiHeadSelfAttention", 39.46), ("LayerNorm", 2.69), ("Embeddings", 0.62)],
    ),
    (
        "roberta-base",
        &[
            ("RobertaSelfAttention", 31.24),
            ("RobertaIntermediate", 30.57),
            ("RobertaOutput", 28.64),
            ("RobertaSelfOutput", 9.11),
            ("RobertaEmbeddings", 0.41),
            ("RobertaPooler", 0.03),
        ],
    ),
    ("distilgpt2", &[("MLP", 57.5), ("Attention", 39.43), ("LayerNorm", 2.86), ("Embedding", 0.21)]),
    ("openai-gpt", &[("MLP", 61.41), ("Attention", 35.7), ("LayerNorm", 2.79), ("Embedding", 0.11)]),
    ("gpt2", &[("MLP", 59.13), ("Attention", 37.94), ("LayerNorm", 2.84), ("Embedding", 0.1)]),
];

/// Figure 3: an error in % at the model level, and the share of nodes within it.
pub const ERRORS_WITHIN: [(f64, &str); 3] = [(10.0, "nearly half"), (16.0, "99%"), (17.0, "all")];

/// Figure 4: the energy of the 24 BERT miniatures beside their accuracy on SST-2.
#[derive(Clone, Debug, PartialEq)]
pub struct Miniatures {
    /// The size of a run.
    pub size: Size,
    /// J between which the paper sees many models with an accuracy of at least 88%.
    pub joules: [f64; 2],
    /// Accuracies on the test set of SST-2 that the miniatures' authors give (Turc et al., 2019; their models' cards), %, by layers and width.
    pub accuracies: [([usize; 2], f64); 4],
}

/// Figure 4.
pub const MINIATURES: Miniatures = Miniatures {
    size: Size::new(16, 128),
    joules: [4.0, 12.0],
    accuracies: [([2, 128], 83.2), ([4, 256], 85.9), ([4, 512], 89.7), ([8, 512], 89.6)],
};
