//! The rules by which gradients change weights: the formulas of `torch.optim`, with its defaults.

use std::cell::RefCell;

use candle_core::{CpuStorage, D, DType, InplaceOp2, Layout, Result, Tensor, bail};
use irene_tree::Optimizer;
use multiversion::multiversion;

use crate::candle::{kernels::TASK, pieces::for_pairs};

/// SGD's share of the mean so far.
const MOMENTUM: f64 = 0.9;

/// AdamW's shares of the means so far: of gradients, and of their squares.
const BETAS: [f64; 2] = [0.9, 0.999];
const ADAM_EPS: f64 = 1e-8;
const WEIGHT_DECAY: f64 = 0.01;

/// The exponent of Adafactor's share of the newest square.
const BETA2_DECAY: f64 = -0.8;
/// The least root mean square of a weight that Adafactor scales its steps by.
const LEAST_SCALE: f64 = 1e-3;

/// Running means of one weight.
enum State {
    Nothing,
    /// The running mean of gradients.
    Momentum(Option<Tensor>),
    /// The running means of gradients and of their squares.
    Adam(Tensor, Tensor),
    /// The same side by side, of a weight in 32 bits on the CPU.
    AdamInPlace(Vec<[f32; 2]>),
    /// The means of squares by rows and by columns.
    Factored(Tensor, Tensor),
    /// The mean of squares.
    Squares(Tensor),
}

impl State {
    fn new(optimizer: Optimizer, weight: &Tensor) -> Result<Self> {
        let zeros = |dims: &[usize]| Tensor::zeros(dims, weight.dtype(), weight.device());
        Ok(match (optimizer, weight.dims()) {
            (Optimizer::SgdMomentum, _) => Self::Momentum(None),
            (Optimizer::AdamW, _) if weight.device().is_cpu() && weight.dtype() == DType::F32 => {
                Self::AdamInPlace(vec![[0.0; 2]; weight.elem_count()])
            }
            (Optimizer::AdamW, dims) => Self::Adam(zeros(dims)?, zeros(dims)?),
            (Optimizer::Adafactor, [outer @ .., rows, columns]) => {
                Self::Factored(zeros(&[outer, &[*rows, 1]].concat())?, zeros(&[outer, &[1, *columns]].concat())?)
            }
            (Optimizer::Adafactor, dims) => Self::Squares(zeros(dims)?),
            _ => Self::Nothing,
        })
    }

    fn bytes(&self) -> usize {
        let tensors = match self {
            Self::AdamInPlace(means) => return size_of_val(means.as_slice()),
            Self::Nothing | Self::Momentum(None) => vec![],
            Self::Momentum(Some(mean)) | Self::Squares(mean) => vec![mean],
            Self::Adam(first, second) | Self::Factored(first, second) => vec![first, second],
        };
        tensors.iter().map(|tensor| tensor.elem_count() * tensor.dtype().size_in_bytes()).sum()
    }
}

/// An optimizer with its states.
pub(super) struct Rule {
    learning_rate: f64,
    steps: u64,
    states: Vec<State>,
}

impl Rule {
    pub(super) fn new(optimizer: Optimizer, learning_rate: f64, weights: &[Tensor]) -> Result<Self> {
        let states = weights.iter().map(|weight| State::new(optimizer, weight)).collect::<Result<_>>()?;
        Ok(Self { learning_rate, steps: 0, states })
    }

    /// Begins the next step.
    pub(super) fn begin(&mut self) {
        self.steps += 1;
    }

    /// Bytes of the states so far.
    pub(super) fn bytes(&self) -> usize {
        self.states.iter().map(State::bytes).sum()
    }

    /// The weight at this place after this step, by its gradient of the same type; none if it was changed in place.
    pub(super) fn updated(&mut self, place: usize, weight: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (rate, step) = (self.learning_rate, self.steps as f64);
        let updated = match &mut self.states[place] {
            State::AdamInPlace(means) => {
                let step = AdamStep { means: RefCell::new(means), factors: adam_factors(rate, step).map(|x| x as f32) };
                weight.inplace_op2(&gradient.contiguous()?, &step)?;
                return Ok(None);
            }
            State::Nothing => weight.sub(&(gradient * rate)?),
            State::Momentum(mean) => {
                let moved = match mean.take() {
                    Some(mean) => ((mean * MOMENTUM)? + gradient)?,
                    None => gradient.clone(),
                };
                let updated = weight.sub(&(&moved * rate)?);
                *mean = Some(moved);
                updated
            }
            State::Adam(mean, squares) => {
                *mean = moved(mean, gradient, 1.0 - BETAS[0])?;
                *squares = ((&*squares * BETAS[1])? + (gradient.sqr()? * (1.0 - BETAS[1]))?)?;
                let [decay, rate, root] = adam_factors(rate, step);
                let root = ((squares.sqrt()? * root)? + ADAM_EPS)?;
                (weight * decay)?.sub(&(mean.div(&root)? * rate)?)
            }
            State::Factored(rows, columns) => {
                let square = gradient.sqr()?;
                let share = step.powf(BETA2_DECAY);
                *rows = moved(rows, &square.mean_keepdim(D::Minus1)?, share)?;
                *columns = moved(columns, &square.mean_keepdim(D::Minus2)?, share)?;
                let mean = rows.mean_keepdim(D::Minus2)?.clamp(least(weight), f64::INFINITY)?;
                let squares = rows.broadcast_mul(columns)?.broadcast_div(&mean)?;
                adafactor(weight, gradient, &squares, rate.min(step.powf(-0.5)))
            }
            State::Squares(squares) => {
                *squares = moved(squares, &gradient.sqr()?, step.powf(BETA2_DECAY))?;
                adafactor(weight, gradient, squares, rate.min(step.powf(-0.5)))
            }
        };
        updated.map(Some)
    }
}

/// The factors of a weight, of its step, and of the root of its mean square: the means began at 0.
fn adam_factors(rate: f64, step: f64) -> [f64; 3] {
    let [first, second] = BETAS.map(|beta| 1.0 - beta.powf(step));
    [1.0 - rate * WEIGHT_DECAY, rate / first, 1.0 / second.sqrt()]
}

/// A step of AdamW in one pass over the weight, its gradient and the means.
struct AdamStep<'a> {
    means: RefCell<&'a mut [[f32; 2]]>,
    factors: [f32; 3],
}

impl InplaceOp2 for AdamStep<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, weight: &mut CpuStorage, at: &Layout, gradient: &CpuStorage, there: &Layout) -> Result<()> {
        let offsets = at.contiguous_offsets().zip(there.contiguous_offsets());
        let (CpuStorage::F32(weight), CpuStorage::F32(gradient), Some(((from, to), (start, end)))) =
            (weight, gradient, offsets)
        else {
            bail!("expected contiguous 32-bit floats");
        };
        let (gradient, factors, mut means) = (&gradient[start..end], self.factors, self.means.borrow_mut());
        for_pairs(&mut weight[from..to], &mut means, TASK, |number, weight, means| {
            adam_step(weight, &gradient[number * TASK..], means, factors);
        });
        Ok(())
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn adam_step(weight: &mut [f32], gradient: &[f32], means: &mut [[f32; 2]], [decay, rate, root]: [f32; 3]) {
    let (shares, eps) = (BETAS.map(|beta| (1.0 - beta) as f32), ADAM_EPS as f32);
    for ((weight, gradient), [mean, square]) in weight.iter_mut().zip(gradient).zip(means) {
        *mean += (gradient - *mean) * shares[0];
        *square = *square * BETAS[1] as f32 + gradient * gradient * shares[1];
        *weight = *weight * decay - *mean / (square.sqrt() * root + eps) * rate;
    }
}

/// A mean moved towards a number by a share of the way.
fn moved(mean: &Tensor, to: &Tensor, share: f64) -> Result<Tensor> {
    mean.add(&(to.sub(mean)? * share)?)
}

/// The least number that Adafactor divides by: the distance from 1 to the next number of the weight's type.
fn least(weight: &Tensor) -> f64 {
    match weight.dtype() {
        DType::F64 => f64::EPSILON,
        DType::F16 => 2f64.powi(-10),
        DType::BF16 => 2f64.powi(-7),
        _ => f64::from(f32::EPSILON),
    }
}

/// A step relative to the weight's own size, of at most that root mean square.
fn adafactor(weight: &Tensor, gradient: &Tensor, squares: &Tensor, rate: f64) -> Result<Tensor> {
    let rate = rate * root_mean_square(weight)?.max(LEAST_SCALE);
    let least = least(weight);
    let step = gradient.div(&squares.clamp(least * least, f64::INFINITY)?.sqrt()?)?;
    let rate = rate / root_mean_square(&step)?.max(1.0);
    weight.sub(&(step * rate)?)
}

fn root_mean_square(x: &Tensor) -> Result<f64> {
    let sum = x.to_dtype(DType::F32)?.sqr()?.sum_all()?.to_scalar::<f32>()?;
    Ok((f64::from(sum) / x.elem_count().max(1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use candle_core::Device;

    use super::*;

    /// Golden numbers of torch.optim: tests/fixtures/train/make.py made them.
    #[test]
    fn five_steps_give_the_weights_of_torch() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/train/optimizers.safetensors");
        let golden: HashMap<String, Tensor> = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
        let largest = |x: Tensor| x.abs().unwrap().max_all().unwrap().to_dtype(DType::F64).unwrap().to_scalar::<f64>();
        for (optimizer, name) in Optimizer::ALL.into_iter().flat_map(|o| ["matrix", "vector", "kernel"].map(|n| (o, n)))
        {
            // In 64 bits AdamW has no pass of its own.
            for dtype in [DType::F32, DType::F64] {
                let number = |key: String| golden[&key].to_dtype(dtype).unwrap().copy().unwrap();
                let at = |step: usize| number(format!("{}.{name}.{step}", optimizer.name()));
                let mut weight = at(0);
                let mut rule = Rule::new(optimizer, 0.1, std::slice::from_ref(&weight)).unwrap();
                for step in 1..=5 {
                    rule.begin();
                    let gradient = number(format!("grad.{name}.{step}"));
                    weight = rule.updated(0, &weight, &gradient).unwrap().unwrap_or(weight);
                    let apart = largest((&weight - at(step)).unwrap()).unwrap();
                    assert!(apart < 1e-5, "{}, {name}, {dtype:?}, step {step}: {apart}", optimizer.name());
                }
                assert!(largest((&weight - at(0)).unwrap()).unwrap() > 0.1, "{} moves {name}", optimizer.name());
            }
        }
    }

    #[test]
    fn states_have_the_bytes_of_their_rule() {
        let weights = [(3, 5), (1, 7)].map(|shape| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap());
        let numbers = |optimizer| {
            let mut rule = Rule::new(optimizer, 0.1, &weights).unwrap();
            rule.begin();
            weights
                .iter()
                .enumerate()
                .for_each(|(place, weight)| drop(rule.updated(place, weight, &weight.copy().unwrap()).unwrap()));
            rule.bytes() / 4
        };
        assert_eq!(Optimizer::ALL.map(numbers), [0, 15 + 7, 2 * (15 + 7), (3 + 5) + (1 + 7)]);
    }
}
