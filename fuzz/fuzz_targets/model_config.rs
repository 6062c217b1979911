//! A model's config.json: what is accepted traces, or refuses in an error, in every way to run it.
#![no_main]

use irene_models::{ModelSpec, Run, TaskHead};
use irene_tree::{Format, Kernels, Parallel, Precision, Quantity, Size, Training, Tree};

fn check(tree: &Tree) {
    tree.check().expect("a traced tree is valid");
    let flops = tree.root().get(Quantity::Flops);
    assert!(flops.is_none_or(|flops| flops.is_finite() && flops >= 0.0), "{flops:?}");
}

irene_fuzz::fuzz_text!(|json| {
    let Ok(model) = ModelSpec::from_reader("config", json) else { return };
    let plain = Run::from(Size::new(1, 2));
    let parallel = Parallel { tensor: 2, pipeline: 2, expert: 2, data: 1 };
    let mut runs = vec![
        plain,
        Run { is_padded: true, shows_math: false, ..plain },
        Run { kernels: Kernels::Fused, parallel, shows_math: false, ..plain },
        Run { head: TaskHead::Lm, generate: 3, shows_math: false, ..plain },
        Run { size: Size::new(2, 1).after(3), kernels: Kernels::Fused, ..plain },
        Run { head: TaskHead::Lm, training: Some(Training::default()), shows_math: false, ..plain },
    ];
    runs.extend(model.heads().iter().map(|&head| Run { head, shows_math: false, ..plain }));
    for run in runs {
        if let Ok(tree) = model.trace(run) {
            check(&tree);
        }
        if let Ok(precision) = model.config().precision() {
            let _ = model.share_bytes(Run { precision, ..run });
        }
    }
    let _ = (
        model.vocab_size(),
        model.longest_sequence(),
        model.instance_type(),
        model.cache_bytes(1, 1 << 20, Precision::of(Format::F16)),
    );
});
