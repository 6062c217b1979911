//! The constants of a card that its products tell.

use irene_numerics::{ConstantsFit, Prior};
use serde::Serialize;

use super::products::{FORMATS, Product};

/// Time = launch + max(FLOPs / peak, bytes / bandwidth); energy = static power x time + energy a FLOP x FLOPs + energy a byte x bytes.
#[derive(Serialize)]
pub(crate) struct Constants {
    dtype: &'static str,
    products: usize,
    /// FLOPs in a second.
    peak_flops: f64,
    /// Bytes in a second.
    bandwidth_bytes: f64,
    /// Seconds before a product.
    launch_s: f64,
    /// The median error of the time, as a share.
    time_error: f64,
    /// The energy, where there was a meter.
    energy: Option<Energy>,
}

#[derive(Serialize)]
struct Energy {
    /// Power that does not depend on the product, W.
    static_w: f64,
    joules_a_flop: f64,
    joules_a_byte: f64,
    /// The median error, as a share.
    error: f64,
}

/// The constants of each format.
pub(crate) fn of(products: &[Product]) -> Vec<Constants> {
    FORMATS.iter().filter_map(|dtype| of_format(dtype, products)).collect()
}

/// Residuals count as they are where they are a tenth, in logarithms.
const USUAL: f64 = 0.1;

fn of_format(dtype: &'static str, products: &[Product]) -> Option<Constants> {
    let products: Vec<&Product> = products.iter().filter(|product| product.format() == dtype).collect();
    let fastest = |work: fn(&Product) -> f64| {
        products.iter().map(|product| work(product) / product.seconds).max_by(f64::total_cmp)
    };
    let shortest = products.iter().map(|product| product.seconds).min_by(f64::total_cmp)?;
    let time = |constants: &[f64], product: &Product| {
        constants[2] + (product.flops() / constants[0]).max(product.bytes() / constants[1])
    };
    let off = |predicted: f64, measured: f64| (predicted / measured).ln();
    // The search begins at the rates of the fastest products.
    let priors = [
        Prior::free(fastest(Product::flops)?),
        Prior::free(fastest(Product::bytes)?),
        Prior { value: shortest / 2.0, spread: 2.0 },
    ];
    let residuals = |constants: &[f64]| {
        products.iter().map(|product| off(time(constants, product), product.seconds) / USUAL).collect()
    };
    let constants = ConstantsFit::default().fit(&priors, residuals);
    let errors = products.iter().map(|product| off(time(&constants, product), product.seconds).abs());
    Some(Constants {
        dtype,
        products: products.len(),
        peak_flops: constants[0],
        bandwidth_bytes: constants[1],
        launch_s: constants[2],
        time_error: median(errors)?,
        energy: energy(&products),
    })
}

fn energy(products: &[&Product]) -> Option<Energy> {
    let metered: Vec<(&Product, f64)> =
        products.iter().filter_map(|product| Some((*product, product.joules?))).collect();
    let watts = metered.iter().map(|(product, joules)| joules / product.seconds).min_by(f64::total_cmp)?;
    let predicted = |constants: &[f64], product: &Product| {
        constants[0] * product.seconds + constants[1] * product.flops() + constants[2] * product.bytes()
    };
    let share = |work: fn(&Product) -> f64| {
        metered.iter().map(|(product, joules)| joules / work(product)).min_by(f64::total_cmp)
    };
    // A product that draws the least power is mostly static; the cheapest FLOP and byte are bounds.
    let known = |value: f64| Prior { value, spread: 1.5 };
    let priors = [known(watts), known(share(Product::flops)?), known(share(Product::bytes)?)];
    let residuals = |constants: &[f64]| {
        metered.iter().map(|(product, joules)| (predicted(constants, product) / joules).ln() / USUAL).collect()
    };
    let constants = ConstantsFit::default().fit(&priors, residuals);
    let errors = metered.iter().map(|(product, joules)| (predicted(&constants, product) / joules).ln().abs());
    Some(Energy {
        static_w: constants[0],
        joules_a_flop: constants[1],
        joules_a_byte: constants[2],
        error: median(errors)?,
    })
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
