//! What others report of the public records of ProTran's devices, to hold ours against.

/// Figures of one device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublishedDevice {
    /// How the names of its files begin.
    pub prefix: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Samples until the published active learning converged (Tuli and Jha, 2023).
    pub samples: usize,
    /// Mean percentage errors of the published trees, run in Python on the public records: 5 x 5-fold; latency, energy, peak power.
    pub trees: Option<AuthorsTrees>,
    /// Samples until the published way converges, run in Python on the public records from four at random.
    pub replayed: Option<AtLeast>,
}

/// Mean percentage errors of latency, energy and peak power.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AuthorsTrees {
    /// Of one decision tree.
    pub decision_tree: [f64; 3],
    /// Of 500 boosted ones (AdaBoost.R2), the ones that the papers choose.
    pub adaboost: [f64; 3],
}

/// A number of samples, or one that was not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtLeast {
    /// So many.
    Exactly(usize),
    /// More than so many.
    MoreThan(usize),
}

/// The devices of the papers.
pub const DEVICES: [PublishedDevice; 7] = [
    PublishedDevice {
        prefix: "gpu_a100",
        name: "A100",
        samples: 55,
        trees: Some(AuthorsTrees { decision_tree: [15.1, 14.9, 27.6], adaboost: [11.6, 10.5, 19.7] }),
        replayed: Some(AtLeast::MoreThan(168)),
    },
    PublishedDevice {
        prefix: "cpu_m1-pro",
        name: "M1 Pro CPU",
        samples: 78,
        trees: Some(AuthorsTrees { decision_tree: [15.0, 21.7, 6.9], adaboost: [13.4, 17.8, 5.4] }),
        replayed: Some(AtLeast::Exactly(28)),
    },
    PublishedDevice {
        prefix: "gpu_m1-pro",
        name: "M1 Pro GPU",
        samples: 138,
        trees: Some(AuthorsTrees { decision_tree: [18.7, 26.0, 15.9], adaboost: [16.5, 22.0, 12.1] }),
        replayed: Some(AtLeast::Exactly(32)),
    },
    PublishedDevice {
        prefix: "cpu_rpi",
        name: "Raspberry Pi CPU",
        samples: 227,
        trees: Some(AuthorsTrees { decision_tree: [63.0, 67.0, 12.8], adaboost: [35.0, 43.0, 10.5] }),
        replayed: Some(AtLeast::MoreThan(57)),
    },
    PublishedDevice {
        prefix: "cpu_jetson-nano",
        name: "Jetson Nano CPU",
        samples: 164,
        trees: Some(AuthorsTrees { decision_tree: [49.0, 47.0, 15.9], adaboost: [34.0, 34.0, 14.1] }),
        replayed: None,
    },
    PublishedDevice { prefix: "gpu_jetson-nano", name: "Jetson Nano GPU", samples: 22, trees: None, replayed: None },
    PublishedDevice { prefix: "npu_ncs", name: "Intel NCS", samples: 21, trees: None, replayed: None },
];

/// What is known of the device that a file of records is named after.
pub fn device(name: &str) -> Option<&'static PublishedDevice> {
    DEVICES.iter().find(|device| name.starts_with(device.prefix))
}
