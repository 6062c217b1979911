use irene_numerics::standard_normal;
use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};

use super::{
    perceptron::{sigmoid, softplus},
    train::Network,
};

/// Units of each hidden layer (FlexiBERT's code).
const HIDDEN: usize = 32;
/// The least variance of an output, in scaled figures: a hundredth of their deviation, squared.
const LEAST: f64 = 1e-4;
/// Where the raw variance of a hidden bias begins.
const CERTAIN: f64 = -10.0;

/// A natural-parameter network with Gaussian weights (Wang, Shi and Yeung, "Natural-Parameter Networks", 2016): every unit is a
/// mean and a variance. A linear layer with weights of mean W and variance S and inputs of mean m and variance v gives
///
/// mean W m + b, variance (v + m²) S + v W² + s,
///
/// a rectifier of c ± √d gives the moments of max(0, x). Two hidden layers, a linear output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub(super) struct NaturalParameter {
    width: usize,
    /// Per layer: weights' means by unit, biases' means; then what the variances are the softplus of, in the same order.
    parameters: Vec<f64>,
    /// The variances that follow, with their slopes, in the place of their raw parameter.
    variances: Vec<(f64, f64)>,
}

/// A mean and a variance each.
type Gaussians = Vec<(f64, f64)>;

/// The values of a forward pass that a backward pass needs.
pub(super) struct Pass {
    pub(super) mean: f64,
    pub(super) variance: f64,
    /// The input of each layer.
    inputs: Vec<Gaussians>,
    /// The sums of each layer.
    sums: Vec<Gaussians>,
}

impl NaturalParameter {
    pub(super) fn new(width: usize, random: &mut Pcg64Mcg) -> Self {
        let mut parameters = vec![];
        for (inputs, outputs) in layers(width) {
            let bound = (6.0 / (inputs + outputs) as f64).sqrt();
            parameters.extend((0..inputs * outputs).map(|_| bound * (2.0 * random.random::<f64>() - 1.0)));
            parameters.extend(vec![0.0; outputs]);
            let variance = |_| (0.01 * bound * (1.0 - random.random::<f64>())).exp_m1().ln();
            parameters.extend((0..inputs * outputs).map(variance));
            // The output begins with the variance of the figures, about 1.
            parameters.extend(vec![if outputs == 1 { 0.5 } else { CERTAIN }; outputs]);
        }
        Self::of(width, parameters)
    }

    fn of(width: usize, parameters: Vec<f64>) -> Self {
        let mut network = Self { width, parameters, variances: vec![] };
        network.refresh();
        network
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn numbers(&self) -> &[f64] {
        &self.parameters
    }

    pub(super) fn forward(&self, row: &[f64]) -> Pass {
        let mut pass = Pass { mean: 0.0, variance: 0.0, inputs: vec![], sums: vec![] };
        let (mut at, mut values): (_, Gaussians) = (0, row.iter().map(|x| (*x, 0.0)).collect());
        for layer @ (inputs, outputs) in layers(self.width) {
            let half = size(layer) / 2;
            let (weights, biases) = self.parameters[at..at + half].split_at(inputs * outputs);
            let (spreads, doubts) = self.variances[at + half..at + 2 * half].split_at(inputs * outputs);
            let sums: Gaussians = (0..outputs)
                .map(|unit| {
                    let range = unit * inputs..(unit + 1) * inputs;
                    let (mut mean, mut variance) = (biases[unit], doubts[unit].0);
                    for (((m, v), w), (s, _)) in values.iter().zip(&weights[range.clone()]).zip(&spreads[range]) {
                        mean += m * w;
                        variance += (v + m * m) * s + v * w * w;
                    }
                    (mean, variance)
                })
                .collect();
            let next = if outputs == 1 { vec![] } else { sums.iter().map(|(c, d)| rectify(*c, *d)).collect() };
            pass.inputs.push(std::mem::replace(&mut values, next));
            pass.sums.push(sums);
            at += 2 * half;
        }
        let (mean, variance) = pass.sums[2][0];
        Pass { mean, variance: variance + LEAST, ..pass }
    }

    /// The gradient of `slopes` · (mean, variance) with respect to the inputs; and to the parameters, added to `gradient`.
    pub(super) fn backward(&self, pass: &Pass, slopes: (f64, f64), mut gradient: Option<&mut [f64]>) -> Vec<f64> {
        let (mut end, mut of_sums) = (self.parameters.len(), vec![slopes]);
        for (at, layer @ (inputs, outputs)) in layers(self.width).into_iter().enumerate().rev() {
            let (start, half) = (end - size(layer), size(layer) / 2);
            let (weights, spreads) = (&self.parameters[start..], &self.variances[start + half..end]);
            let mut of_inputs = vec![(0.0, 0.0); inputs];
            for (unit, &(of_mean, of_variance)) in of_sums.iter().enumerate() {
                for (input, of_input) in of_inputs.iter_mut().enumerate() {
                    let (m, v) = pass.inputs[at][input];
                    let place = unit * inputs + input;
                    let (w, (s, slope)) = (weights[place], spreads[place]);
                    of_input.0 += of_mean * w + of_variance * 2.0 * m * s;
                    of_input.1 += of_variance * (s + w * w);
                    if let Some(gradient) = &mut gradient {
                        gradient[start + place] += of_mean * m + of_variance * 2.0 * v * w;
                        gradient[start + half + place] += of_variance * (v + m * m) * slope;
                    }
                }
                if let Some(gradient) = &mut gradient {
                    let place = inputs * outputs + unit;
                    gradient[start + place] += of_mean;
                    gradient[start + half + place] += of_variance * spreads[place].1;
                }
            }
            if at == 0 {
                return of_inputs.into_iter().map(|(of_mean, _)| of_mean).collect();
            }
            of_sums = of_inputs.iter().zip(&pass.sums[at - 1]).map(|(of, sum)| unrectify(*of, *sum)).collect();
            end = start;
        }
        vec![]
    }
}

impl Network for NaturalParameter {
    fn parameters(&mut self) -> &mut Vec<f64> {
        &mut self.parameters
    }

    fn refresh(&mut self) {
        self.variances.resize(self.parameters.len(), (0.0, 0.0));
        let mut start = 0;
        for layer in layers(self.width) {
            let end = start + size(layer);
            let raw = start + size(layer) / 2..end;
            for at in raw {
                self.variances[at] = (softplus(self.parameters[at]), sigmoid(self.parameters[at]));
            }
            start = end;
        }
    }

    /// The negative logarithm of the likelihood, but for a constant.
    fn loss(&self, row: &[f64], figure: f64) -> f64 {
        let pass = self.forward(row);
        0.5 * ((pass.mean - figure).powi(2) / pass.variance + pass.variance.ln())
    }

    fn descend(&self, row: &[f64], figure: f64, _random: &mut Pcg64Mcg, gradient: &mut [f64]) {
        let pass = self.forward(row);
        let error = pass.mean - figure;
        let of_variance = 0.5 * (1.0 - error * error / pass.variance) / pass.variance;
        self.backward(&pass, (error / pass.variance, of_variance), Some(gradient));
    }
}

#[derive(Serialize, Deserialize)]
struct Raw {
    width: usize,
    parameters: Vec<f64>,
}

impl From<NaturalParameter> for Raw {
    fn from(NaturalParameter { width, parameters, .. }: NaturalParameter) -> Self {
        Self { width, parameters }
    }
}

impl TryFrom<Raw> for NaturalParameter {
    type Error = String;

    fn try_from(Raw { width, parameters }: Raw) -> Result<Self, String> {
        let needed = layers(width).map(size).into_iter().fold(0, usize::saturating_add);
        if needed != parameters.len() {
            return Err(format!("a natural-parameter network of {width} inputs with {} parameters", parameters.len()));
        }
        Ok(Self::of(width, parameters))
    }
}

/// Inputs and outputs of each layer.
fn layers(width: usize) -> [(usize, usize); 3] {
    [(width, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 1)]
}

/// Parameters of a layer.
fn size((inputs, outputs): (usize, usize)) -> usize {
    inputs.saturating_add(1).saturating_mul(2 * outputs)
}

/// Mean and variance of max(0, x) for x of mean c and variance d.
fn rectify(c: f64, d: f64) -> (f64, f64) {
    let (deviation, (density, above)) = (d.sqrt(), standard_normal(c / d.sqrt()));
    let mean = c * above + deviation * density;
    let variance = (c * c + d) * above + c * deviation * density - mean * mean;
    (mean, variance.max(0.0))
}

/// The gradient before [`rectify`], from the gradient after it.
fn unrectify((of_mean, of_variance): (f64, f64), (c, d): (f64, f64)) -> (f64, f64) {
    let (deviation, (density, above)) = (d.sqrt(), standard_normal(c / d.sqrt()));
    let mean = c * above + deviation * density;
    let of_c = of_mean * above + of_variance * 2.0 * mean * (1.0 - above);
    let of_d = of_mean * density / (2.0 * deviation) + of_variance * (above - mean * density / deviation);
    (of_c, of_d)
}

#[cfg(test)]
mod tests {
    use rand_pcg::rand_core::SeedableRng;

    use super::{super::differences, *};

    #[test]
    fn rectified_moments_are_those_of_samples() {
        // The median of each of 20 000 equal shares of N(0.4, 0.5²), by bisection.
        let (c, d) = (0.4_f64, 0.25_f64);
        let quantile = |share: f64| {
            let (mut low, mut high) = (-8.0, 8.0);
            for _ in 0..50 {
                let middle = 0.5 * (low + high);
                if standard_normal(middle).1 < share { low = middle } else { high = middle }
            }
            low
        };
        let samples = (0..20_000).map(|i| (c + d.sqrt() * quantile((f64::from(i) + 0.5) / 20_000.0)).max(0.0));
        let (mean, deviation) = irene_numerics::moments(samples);
        let (expected, variance) = rectify(c, d);
        assert!((mean - expected).abs() < 1e-4 && (deviation * deviation - variance).abs() < 1e-3);
        assert!(rectify(-50.0, 0.1).1 >= 0.0);
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let mut network = NaturalParameter::new(3, &mut Pcg64Mcg::seed_from_u64(1));
        // Larger variances than at the beginning, so that all terms matter.
        network.parameters.iter_mut().filter(|parameter| **parameter < -3.0).for_each(|parameter| *parameter += 4.0);
        network.refresh();
        let row = vec![0.3, -0.8, 0.5];
        let output = |pass: &Pass| 0.7 * pass.mean - 0.4 * pass.variance;
        let mut gradient = vec![0.0; network.parameters.len()];
        let of_inputs = network.backward(&network.forward(&row), (0.7, -0.4), Some(&mut gradient));
        differences::agree(&of_inputs, &row, |row| output(&network.forward(row)));
        let mut descent = vec![0.0; network.parameters.len()];
        network.descend(&row, 1.5, &mut Pcg64Mcg::seed_from_u64(0), &mut descent);
        let at = network.parameters.clone();
        let mut moved = network.clone();
        let mut set = |parameters: &[f64]| {
            moved.parameters = parameters.to_vec();
            moved.refresh();
            moved.clone()
        };
        differences::agree(&gradient, &at, |parameters| output(&set(parameters).forward(&row)));
        differences::agree(&descent, &at, |parameters| set(parameters).loss(&row, 1.5));
    }
}
