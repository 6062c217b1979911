#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]
use irene_models::{
    ModelSpec,
    flexibert::{Design, Head, LayerDesign},
};
#[test]
fn time() {
    for heads in [[Head::ScaledDotProduct; 12], [Head::Convolution(9); 12], [Head::Dft; 12]] {
        let design =
            Design::new(vec![LayerDesign { hidden: 768, heads: heads.to_vec(), feed_forward: vec![1024; 3] }; 12])
                .unwrap();
        let n = ModelSpec::from_design("x", &design).unwrap().trace(1, 128).unwrap().nodes().len();
        let t = std::time::Instant::now();
        for _ in 0..1000 {
            ModelSpec::from_design("x", &design).unwrap();
        }
        let a = t.elapsed();
        let spec = ModelSpec::from_design("x", &design).unwrap();
        let t = std::time::Instant::now();
        for _ in 0..1000 {
            spec.build(&irene_models::ShapesOnly).unwrap();
        }
        let b = t.elapsed();
        let t = std::time::Instant::now();
        for _ in 0..1000 {
            std::hint::black_box(spec.trace(1, 128).unwrap());
        }
        let c = t.elapsed();
        let mut tree = spec.trace(1, 128).unwrap();
        let t = std::time::Instant::now();
        irene_features::annotate(&mut tree);
        println!("{n} nodes: spec {a:?} build {b:?} trace {c:?} (x1000), annotate {:?}", t.elapsed());
    }
}
