//! The figures that others report of the public records of ProTran's devices, to compare ours with.

/// The published figures of one device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublishedDevice {
    /// The name of its public records.
    pub file: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Samples until the published active learning converged (Tuli and Jha, 2023).
    pub samples: usize,
    /// Mean percentage errors (latency, energy, peak power) of the papers' trees, run in Python on all its records, with those that are set
    /// aside here: 5 x 5-fold.
    pub trees: Option<TheirTrees>,
    /// Samples until the published way converges, run in Python on all its records from four at random.
    pub replayed: Option<AtLeast>,
}

/// Mean percentage errors of latency, energy and peak power.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TheirTrees {
    /// Errors of one decision tree.
    pub decision_tree: [f64; 3],
    /// Errors of 500 boosted trees (AdaBoost.R2), which the papers choose.
    pub adaboost: [f64; 3],
}

/// A number of samples, or one that was not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtLeast {
    /// This many.
    Exactly(usize),
    /// More than this many.
    MoreThan(usize),
}

/// The devices of the papers.
const DEVICES: [PublishedDevice; 7] = [
    PublishedDevice {
        file: "gpu_a100_b128_r3",
        name: "A100",
        samples: 55,
        trees: Some(TheirTrees { decision_tree: [15.1, 14.9, 27.6], adaboost: [11.6, 10.5, 19.7] }),
        replayed: Some(AtLeast::MoreThan(168)),
    },
    PublishedDevice {
        file: "cpu_m1-pro_b32_r1",
        name: "M1 Pro CPU",
        samples: 78,
        trees: Some(TheirTrees { decision_tree: [15.0, 21.7, 6.9], adaboost: [13.4, 17.8, 5.4] }),
        replayed: Some(AtLeast::Exactly(28)),
    },
    PublishedDevice {
        file: "gpu_m1-pro_b32_r3",
        name: "M1 Pro GPU",
        samples: 138,
        trees: Some(TheirTrees { decision_tree: [18.7, 26.0, 15.9], adaboost: [16.5, 22.0, 12.1] }),
        replayed: Some(AtLeast::Exactly(32)),
    },
    PublishedDevice {
        file: "cpu_rpi_b1_r1",
        name: "Raspberry Pi CPU",
        samples: 227,
        trees: Some(TheirTrees { decision_tree: [63.0, 67.0, 12.8], adaboost: [35.0, 43.0, 10.5] }),
        replayed: Some(AtLeast::MoreThan(57)),
    },
    PublishedDevice {
        file: "cpu_jetson-nano_b1_r1",
        name: "Jetson Nano CPU",
        samples: 164,
        trees: Some(TheirTrees { decision_tree: [49.0, 47.0, 15.9], adaboost: [34.0, 34.0, 14.1] }),
        replayed: None,
    },
    PublishedDevice {
        file: "gpu_jetson-nano_b1_r1",
        name: "Jetson Nano GPU",
        samples: 22,
        trees: None,
        replayed: None,
    },
    PublishedDevice { file: "npu_ncs_b1_r1", name: "Intel NCS", samples: 21, trees: None, replayed: None },
];

/// The published figures of the device whose public records have this name.
pub fn published_device(name: &str) -> Option<&'static PublishedDevice> {
    DEVICES.iter().find(|device| device.file == name)
}
