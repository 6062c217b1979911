use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};

use super::train::Network;

/// Units of the hidden layers (FlexiBERT, arXiv 2205.11656: teacher and student).
const HIDDEN: [usize; 2] = [64, 32];
/// The share of hidden units that the teacher drops.
const DROPOUT: f64 = 0.3;

/// The role of a perceptron.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    /// Expects the figure; dropout after each hidden layer, in training and for its spread.
    Teacher,
    /// Expects the teacher's spread: no dropout, an output above 0.
    Student,
}

/// A perceptron with two hidden layers of softplus units and one output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Perceptron {
    role: Role,
    width: usize,
    /// Per layer: weights by unit, then biases.
    parameters: Vec<f64>,
}

/// The values of a forward pass that a backward pass needs.
pub(super) struct Pass {
    pub(super) output: f64,
    /// The input of each layer.
    inputs: Vec<Vec<f64>>,
    /// How fast each layer's outputs rise with its sums, dropout included.
    slopes: Vec<Vec<f64>>,
}

impl Perceptron {
    /// Weights and biases uniform within ±1/√inputs, as PyTorch's Linear begins.
    pub(super) fn new(role: Role, width: usize, random: &mut Pcg64Mcg) -> Self {
        let mut parameters = vec![];
        for (inputs, outputs) in layers(width) {
            let bound = 1.0 / (inputs as f64).sqrt();
            parameters.extend((0..(inputs + 1) * outputs).map(|_| bound * (2.0 * random.random::<f64>() - 1.0)));
        }
        Self { role, width, parameters }
    }

    /// As many parameters as its width needs, all usable.
    pub(super) fn holds(&self, role: Role, width: usize) -> bool {
        let needed = layers(width).iter().map(|(inputs, outputs)| (inputs + 1) * outputs).sum::<usize>();
        (self.role, self.width, self.parameters.len()) == (role, width, needed)
    }

    pub(super) fn numbers(&self) -> &[f64] {
        &self.parameters
    }

    /// With units dropped where randomness is given.
    pub(super) fn forward(&self, row: &[f64], mut random: Option<&mut Pcg64Mcg>) -> Pass {
        let mut pass = Pass { output: 0.0, inputs: vec![], slopes: vec![] };
        let (mut at, mut values) = (0, row.to_vec());
        for (inputs, outputs) in layers(self.width) {
            let (weights, biases) = self.parameters[at..at + (inputs + 1) * outputs].split_at(inputs * outputs);
            at += (inputs + 1) * outputs;
            let sums = weights.chunks(inputs).zip(biases).map(|(weights, bias)| bias + dot(weights, &values));
            let (next, slopes) = sums.map(|sum| self.activate(sum, outputs, random.as_deref_mut())).unzip();
            pass.inputs.push(std::mem::replace(&mut values, next));
            pass.slopes.push(slopes);
        }
        pass.output = values[0];
        pass
    }

    /// A unit's output and its slope.
    fn activate(&self, sum: f64, outputs: usize, random: Option<&mut Pcg64Mcg>) -> (f64, f64) {
        if outputs == 1 && self.role == Role::Teacher {
            return (sum, 1.0);
        }
        let kept = match random {
            Some(random) if outputs > 1 => f64::from(random.random::<f64>() >= DROPOUT) / (1.0 - DROPOUT),
            _ => 1.0,
        };
        (kept * softplus(sum), kept * sigmoid(sum))
    }

    /// The gradient of the output, times `slope`, with respect to the inputs; and to the parameters, added to `gradient`.
    pub(super) fn backward(&self, pass: &Pass, slope: f64, mut gradient: Option<&mut [f64]>) -> Vec<f64> {
        let (mut end, mut of_outputs) = (self.parameters.len(), vec![slope]);
        for (layer, (inputs, outputs)) in layers(self.width).into_iter().enumerate().rev() {
            let start = end - (inputs + 1) * outputs;
            let of_sums: Vec<f64> = of_outputs.iter().zip(&pass.slopes[layer]).map(|(of, slope)| of * slope).collect();
            if let Some(gradient) = &mut gradient {
                let (weights, biases) = gradient[start..end].split_at_mut(inputs * outputs);
                for ((weights, bias), of) in weights.chunks_mut(inputs).zip(biases).zip(&of_sums) {
                    *bias += of;
                    weights.iter_mut().zip(&pass.inputs[layer]).for_each(|(weight, input)| *weight += of * input);
                }
            }
            of_outputs = vec![0.0; inputs];
            for (weights, of) in self.parameters[start..end].chunks(inputs).zip(&of_sums) {
                of_outputs.iter_mut().zip(weights).for_each(|(input, weight)| *input += of * weight);
            }
            end = start;
        }
        of_outputs
    }

    /// The standard deviation over passes with dropout (Gal and Ghahramani, "Dropout as a Bayesian Approximation", 2016).
    pub(super) fn spread(&self, row: &[f64], passes: usize, random: &mut Pcg64Mcg) -> f64 {
        let outputs: Vec<f64> = (0..passes).map(|_| self.forward(row, Some(random)).output).collect();
        let mean = outputs.iter().sum::<f64>() / passes as f64;
        (outputs.iter().map(|output| (output - mean).powi(2)).sum::<f64>() / (passes as f64 - 1.0)).sqrt()
    }
}

impl Network for Perceptron {
    fn parameters(&mut self) -> &mut Vec<f64> {
        &mut self.parameters
    }

    fn loss(&self, row: &[f64], figure: f64) -> f64 {
        (self.forward(row, None).output - figure).powi(2)
    }

    fn descend(&self, row: &[f64], figure: f64, random: &mut Pcg64Mcg, gradient: &mut [f64]) {
        let pass = self.forward(row, (self.role == Role::Teacher).then_some(random));
        self.backward(&pass, 2.0 * (pass.output - figure), Some(gradient));
    }
}

/// Inputs and outputs of each layer.
fn layers(width: usize) -> [(usize, usize); 3] {
    [(width, HIDDEN[0]), (HIDDEN[0], HIDDEN[1]), (HIDDEN[1], 1)]
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// ln(1 + eˣ), above 0 for any x.
pub(super) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The slope of [`softplus`].
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use rand_pcg::rand_core::SeedableRng;

    use super::{super::differences, *};

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for role in [Role::Teacher, Role::Student] {
            let mut network = Perceptron::new(role, 3, &mut Pcg64Mcg::seed_from_u64(1));
            let row = vec![0.3, -0.8, 0.5];
            let random = || Pcg64Mcg::seed_from_u64(2);
            // The same units dropped each time.
            let output = |network: &Perceptron, row: &[f64]| network.forward(row, Some(&mut random())).output;
            let mut gradient = vec![0.0; network.parameters.len()];
            let pass = network.forward(&row, Some(&mut random()));
            let of_inputs = network.backward(&pass, 1.0, Some(&mut gradient));
            differences::agree(&of_inputs, &row, |row| output(&network, row));
            let at = network.parameters.clone();
            differences::agree(&gradient, &at, |parameters| {
                network.parameters = parameters.to_vec();
                output(&network, &row)
            });
        }
    }

    #[test]
    fn dropout_spreads_and_students_do_not_fall_below_0() {
        let random = &mut Pcg64Mcg::seed_from_u64(3);
        let teacher = Perceptron::new(Role::Teacher, 2, random);
        assert!(teacher.spread(&[1.0, 1.0], 32, random) > 0.0);
        let mut student = Perceptron::new(Role::Student, 2, random);
        student.parameters.fill(-9.0);
        assert!(student.forward(&[1.0, 1.0], None).output >= 0.0);
    }
}
