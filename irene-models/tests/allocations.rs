//! What a context without a visitor costs beyond what it runs: no allocation.
#![allow(clippy::unwrap_used)] // a test that cannot be set up should stop, and say so

use std::borrow::Cow;

use allocation_counter::measure;
use irene_models::{Cx, Label, Labelled, Module, Result, Tensor};
use irene_tree::{Format, Level};

/// A module that does nothing: what is left is the call.
struct Identity(Label);

impl Labelled for Identity {
    fn label(&self) -> &Label {
        &self.0
    }
}

impl Module for Identity {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, _cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        Ok(x.clone())
    }
}

const CALLS: u64 = 1_000_000;

#[test]
fn a_million_calls_of_modules_and_operations_allocate_nothing() {
    let identity = Identity(Label { name: Cow::Borrowed("identity"), instance_type: "Identity", level: Level::Module });
    let mut x = Tensor::of_shape([8, 128, 768], Format::F32);
    let mut cx = Cx::silent();
    let count = measure(|| {
        for _ in 0..CALLS {
            x = cx.call(&identity, &x).unwrap();
            x = cx.gelu(&x).unwrap();
            x = cx.add(&x, &x).unwrap();
        }
    });
    assert_eq!(count.count_total, 0);
}

#[cfg(feature = "candle")]
#[test]
fn an_operation_on_candle_allocates_what_candle_does() {
    let plain = candle_core::Tensor::zeros((2, 3), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
    let x = Tensor::from_candle(plain.clone()).unwrap();
    let mut cx = Cx::silent();
    let calls = CALLS / 100;
    let ours = measure(|| (0..calls).for_each(|_| drop(cx.relu(&x).unwrap())));
    let candles = measure(|| (0..calls).for_each(|_| drop(plain.relu().unwrap())));
    assert!(candles.count_total >= calls);
    assert_eq!(ours.count_total, candles.count_total);
    assert_eq!(ours.bytes_total, candles.bytes_total);
}
