//! Products of matrices by size and format: the time and energy of each.

use std::{sync::atomic::AtomicBool, time::Duration};

use candle_core::{DType, Device, Tensor};
use irene_sampler::{MeasuringProtocol, Sampler};

use super::setup::Setup;

/// A product of (m, k) and (k, n).
pub(crate) struct Product {
    dtype: &'static str,
    m_n_k: [usize; 3],
    pub(crate) seconds: f64,
    pub(crate) joules: Option<f64>,
}

impl Product {
    /// Multiplications and additions.
    pub(crate) fn flops(&self) -> f64 {
        2.0 * self.m_n_k.iter().product::<usize>() as f64
    }

    /// Bytes of both factors and of the product.
    pub(crate) fn bytes(&self) -> f64 {
        let [m, n, k] = self.m_n_k;
        let numbers = m * k + k * n + m * n;
        (numbers * dtype(self.dtype).size_in_bytes()) as f64
    }

    /// The name of its format.
    pub(crate) fn format(&self) -> &'static str {
        self.dtype
    }
}

/// The formats that candle multiplies in.
pub(crate) const FORMATS: [&str; 3] = ["f32", "bf16", "f16"];

fn dtype(name: &str) -> DType {
    match name {
        "bf16" => DType::BF16,
        "f16" => DType::F16,
        _ => DType::F32,
    }
}

/// Rows: a token, small batches, prompts.
const ROWS: [usize; 6] = [1, 8, 64, 256, 1024, 4096];

/// Columns and depths: layers of models of one to seventy billion parameters.
const LAYERS: [[usize; 2]; 4] = [[2048, 2048], [8192, 2048], [4096, 4096], [8192, 8192]];

/// Small enough for a processor.
const SMALL: ([usize; 3], [[usize; 2]; 2]) = ([1, 16, 64], [[256, 256], [1024, 256]]);

/// All products, in so large a share of the time that there is.
pub(crate) fn sweep(setup: &Setup, sampler: &Sampler, share: f64) -> Vec<Product> {
    let (rows, layers): (&[usize], &[[usize; 2]]) =
        if setup.is_gpu() { (&ROWS, &LAYERS) } else { (&SMALL.0, &SMALL.1) };
    let count = FORMATS.len() * rows.len() * layers.len();
    let each = (share * setup.left() / count as f64).max(0.06);
    let device = setup.device();
    let mut products = Vec::new();
    for dtype in FORMATS {
        for &[n, k] in layers {
            for &m in rows {
                match product(&device, sampler, dtype, [m, n, k], each) {
                    Ok(product) => products.push(product),
                    Err(error) => println!("{dtype} {m} x {n} x {k}: {error}"),
                }
            }
        }
    }
    products
}

#[allow(clippy::disallowed_methods)] // the product itself is measured, no model
fn product(
    device: &Device,
    sampler: &Sampler,
    name: &'static str,
    [m, n, k]: [usize; 3],
    seconds: f64,
) -> candle_core::Result<Product> {
    /// The host starts many kernels before it waits, as engines do.
    const AHEAD: usize = 16;
    let random = |rows, columns| Tensor::randn(0f32, 0.1, (rows, columns), device)?.to_dtype(dtype(name));
    let (x, w) = (random(m, k)?, random(k, n)?);
    let part = |share: f64| Duration::from_secs_f64(share * seconds);
    let protocol = MeasuringProtocol {
        warm_up: part(0.1),
        probe: part(0.1),
        round: part(0.25),
        least_rounds: 2,
        most_rounds: 3,
        ..MeasuringProtocol::quick()
    };
    let measured = protocol.try_measure(sampler, &AtomicBool::new(false), || {
        for _ in 0..AHEAD {
            x.matmul(&w)?;
        }
        device.synchronize()
    });
    let measured = measured.map_err(|error| candle_core::Error::Msg(error.to_string()))?;
    let each = |figure: f64| figure / AHEAD as f64;
    Ok(Product {
        dtype: name,
        m_n_k: [m, n, k],
        seconds: each(measured.latency.mean),
        joules: measured.energy.map(|energy| each(energy.mean)),
    })
}

/// A table of operations: `irene operations` adds what a data sheet predicts, for a card of the catalogue.
pub(crate) fn table(setup: &Setup, products: &[Product]) -> String {
    let mut text =
        String::from("op,device,dtype,timing,b,m,n,k,measured_latency_s,measured_energy_j,measured_power_w\n");
    let device = setup.card_name();
    for product in products {
        let [m, n, k] = product.m_n_k;
        let cell = |figure: Option<f64>| figure.map_or(String::new(), |figure| format!("{figure:.4e}"));
        let (joules, watts) = (cell(product.joules), cell(product.joules.map(|joules| joules / product.seconds)));
        let (dtype, seconds) = (product.dtype, product.seconds);
        text += &format!("linear,{device},{dtype},kernel,1,{m},{n},{k},{seconds:.4e},{joules},{watts}\n");
    }
    text
}
