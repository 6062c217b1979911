//! Affine maps by panels on the CPU: where a Transformer spends most of its time.
//!
//! A weight lies in panels of 64 outputs, each with its inputs one after another, so that a product reads memory in order. With few
//! rows, reading takes most of the time, and in a row-major weight an output's next input is pages away. Weights of 16 bits stay so in
//! memory. Bias and activation are applied to a piece of the result while it is in the cache.

use std::borrow::Cow;

use candle_core::{DType, Device, Result, Tensor, bail};
use half::{bf16, f16, slice::HalfBitsSliceExt};
use pulp::bytemuck::{self, Pod};

use super::{
    kernels,
    memory::Memory,
    numbers::{Held, Number, by_number, has_numbers, wide},
    panel_product::{self, Lanes, Rows, WIDTH},
    pieces::{Columns, for_columns, for_pieces, with_scratch},
};
use crate::tensor::Then;

/// A weight (inputs, outputs); the last panel ends in zeros.
#[derive(Clone, Debug)]
pub(crate) struct Panels {
    inputs: usize,
    outputs: usize,
    stored: Stored,
}

/// An input's weights for all outputs of a panel lie side by side.
#[derive(Clone, Debug)]
enum Stored {
    Single(Memory),
    /// Two inputs in bf16, the first in the lower half; the last may have none beside it.
    Pairs(Memory),
    /// f16.
    Half(Memory),
}

/// A weight and its bias.
pub(crate) type Map<'a> = (&'a Panels, Option<&'a Tensor>);

/// A weight (inputs, outputs) in panels, or None if there is no such form, or if it is trained: panels would not change with it.
pub(crate) fn of(weight: &Tensor) -> Option<Result<Panels>> {
    (has_numbers(weight) && weight.elem_count() > 0 && !weight.track_op()).then(|| {
        let (inputs, outputs) = weight.dims2()?;
        let held = Held::new(weight);
        let steps = weight.stride();
        let place = |input: usize, output: usize| input * steps[0] + output * steps[1];
        let stored = match weight.dtype() {
            DType::BF16 => {
                let values = held.numbers::<bf16>()?;
                let lane = |step: usize, output| {
                    let bits = |input| if input < inputs { values[place(input, output)].to_bits() } else { 0 };
                    u32::from(bits(2 * step)) | u32::from(bits(2 * step + 1)) << 16
                };
                Stored::Pairs(in_panels(inputs.div_ceil(2), outputs, lane)?)
            }
            DType::F16 => {
                let values = held.numbers::<f16>()?;
                Stored::Half(in_panels(inputs, outputs, |input, output| values[place(input, output)].to_bits())?)
            }
            _ => {
                let values = held.numbers::<f32>()?;
                Stored::Single(in_panels(inputs, outputs, |input, output| values[place(input, output)])?)
            }
        };
        Ok(Panels { inputs, outputs, stored })
    })
}

fn in_panels<T: Pod + Send>(steps: usize, outputs: usize, lane: impl Fn(usize, usize) -> T + Sync) -> Result<Memory> {
    let fill = |panels: &mut [T]| {
        for_pieces(panels, steps * WIDTH, |panel, lanes| {
            for column in 0..WIDTH.min(outputs - panel * WIDTH) {
                for (step, row) in lanes.chunks_exact_mut(WIDTH).enumerate() {
                    row[column] = lane(step, panel * WIDTH + column);
                }
            }
        });
    };
    Ok(Memory::filled(steps * outputs.next_multiple_of(WIDTH), fill)?)
}

/// x W + b for each weight and bias, and the activation.
pub(crate) fn affine(x: &Tensor, maps: &[Map<'_>], then: Then) -> Result<Vec<Tensor>> {
    by_number!(x.dtype(), T => of_numbers::<T>(x, maps, then))
        .unwrap_or_else(|| bail!("expected floats of 16 or 32 bits, not {:?}", x.dtype()))
}

fn of_numbers<T: Number>(x: &Tensor, maps: &[Map<'_>], then: Then) -> Result<Vec<Tensor>> {
    let Some((Panels { inputs, stored, .. }, _)) = maps.first() else { return Ok(Vec::new()) };
    let inputs = *inputs;
    let fits = |(panels, _): &Map<'_>| panels.inputs == inputs && panels.dtype() == T::DTYPE;
    if x.dims().last() != Some(&inputs) || !maps.iter().all(fits) {
        bail!("weights do not fit to {:?} of {:?}", x.shape(), x.dtype());
    }
    let x = x.contiguous()?;
    let rows = x.elem_count() / inputs;
    let held = Held::new(&x);
    let lanes = lanes(stored, &held, rows, inputs)?;
    let x_rows = Rows { lanes: &lanes, step: lanes.len() / rows.max(1), count: rows };
    let biases = maps.iter().map(|(_, bias)| bias.map(wide).transpose()).collect::<Result<Vec<_>>>()?;

    let mut outputs: Vec<Vec<T>> = maps.iter().map(|(panels, _)| T::zeros(rows * panels.outputs)).collect();
    let matrices = outputs.iter_mut().zip(maps).map(|(values, (panels, _))| (&mut values[..], panels.outputs));
    let work = rows * inputs * maps.iter().map(|(panels, _)| panels.outputs).sum::<usize>();
    for_columns(work, matrices.collect(), WIDTH, |map, columns| {
        let (first, count) = columns.place();
        let bias = biases[map].as_ref().map_or(&NO_BIAS[..count], |bias| &bias[first..first + count]);
        fill(columns, x_rows, maps[map].0, |row| kernels::add_bias(row, bias, then));
    });
    let shaped = |(values, (panels, _)): (Vec<T>, &Map<'_>)| {
        let mut dims = x.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = panels.outputs;
        }
        Tensor::from_vec(values, dims, x.device())
    };
    outputs.into_iter().zip(maps).map(shaped).collect()
}

const NO_BIAS: [f32; WIDTH] = [0.0; WIDTH];

/// Rows as their product with panels takes them.
fn lanes<'a>(stored: &Stored, x: &'a Held<'_>, rows: usize, inputs: usize) -> Result<Cow<'a, [u32]>> {
    let count = rows * inputs;
    Ok(match stored {
        Stored::Single(_) => Cow::Borrowed(bytemuck::cast_slice(&x.numbers::<f32>()?[..count])),
        Stored::Half(_) => {
            let mut numbers = vec![0; count];
            f16::widen(&x.numbers()?[..count], bytemuck::cast_slice_mut(&mut numbers));
            Cow::Owned(numbers)
        }
        Stored::Pairs(_) => {
            let (values, steps) = (x.numbers::<bf16>()?, inputs.div_ceil(2));
            let mut pairs = vec![0; rows * steps];
            for_pieces(&mut pairs, ROWS * steps, |piece, pairs| {
                let values = &values[piece * ROWS * inputs..];
                for (row, lanes) in values.chunks_exact(inputs).zip(pairs.chunks_exact_mut(steps)) {
                    for (lane, pair) in lanes.iter_mut().zip(row.chunks(2)) {
                        let second = pair.get(1).map_or(0, |second| second.to_bits());
                        *lane = u32::from(pair[0].to_bits()) | u32::from(second) << 16;
                    }
                }
            });
            Cow::Owned(pairs)
        }
    })
}

impl Panels {
    fn dtype(&self) -> DType {
        match self.stored {
            Stored::Single(_) => DType::F32,
            Stored::Pairs(_) => DType::BF16,
            Stored::Half(_) => DType::F16,
        }
    }

    /// The weight (inputs, outputs) out of its panels.
    pub(super) fn matrix(&self) -> Result<Tensor> {
        match &self.stored {
            Stored::Single(panels) => {
                self.row_by_row(self.inputs, |lane| panels.numbers::<f32>()[lane], |lane, _| lane)
            }
            Stored::Half(panels) => {
                self.row_by_row(self.inputs, |lane| panels.numbers::<u16>()[lane], |bits, _| f16::from_bits(bits))
            }
            Stored::Pairs(panels) => {
                let half = |pair: u32, input| bf16::from_bits((pair >> (16 * (input % 2))) as u16);
                self.row_by_row(self.inputs.div_ceil(2), |lane| panels.numbers::<u32>()[lane], half)
            }
        }
    }

    fn row_by_row<L, T: Number>(
        &self,
        steps: usize,
        lane: impl Fn(usize) -> L,
        number: impl Fn(L, usize) -> T,
    ) -> Result<Tensor> {
        let per_step = self.inputs.div_ceil(steps.max(1));
        let place = |input: usize, output: usize| (output / WIDTH * steps + input / per_step) * WIDTH + output % WIDTH;
        let rows = (0..self.inputs).flat_map(|input| (0..self.outputs).map(move |output| (input, output)));
        let numbers = rows.map(|(input, output)| number(lane(place(input, output)), input)).collect::<Vec<T>>();
        Tensor::from_vec(numbers, (self.inputs, self.outputs), &Device::Cpu)
    }

    /// Adds the products of rows with a panel to their sums (rows, WIDTH). `room` is for weights of 16 bits.
    fn add_products(&self, panel: usize, rows: Rows<'_>, sums: &mut [f32], room: &mut [f32]) {
        let all = panel * rows.step * WIDTH..(panel + 1) * rows.step * WIDTH;
        let later = |step: usize| Rows { lanes: &rows.lanes[step..], ..rows };
        match &self.stored {
            Stored::Single(panels) => {
                for (number, part) in panels.numbers()[all].chunks(STEPS * WIDTH).enumerate() {
                    panel_product::add(Lanes::Single, later(number * STEPS), part, sums);
                }
            }
            Stored::Pairs(panels) => {
                for (number, part) in panels.numbers()[all].chunks(STEPS * WIDTH).enumerate() {
                    panel_product::add(Lanes::Pair, later(number * STEPS), part, sums);
                }
            }
            Stored::Half(panels) => {
                for (number, part) in panels.numbers::<u16>()[all].chunks(room.len()).enumerate() {
                    let room = &mut room[..part.len()];
                    f16::widen(part.reinterpret_cast(), room);
                    panel_product::add(Lanes::Single, later(number * ROOM), bytemuck::cast_slice(room), sums);
                }
            }
        }
    }
}

/// Rows whose sums a task keeps in the cache.
const ROWS: usize = 252;

/// Steps of a panel that stay in the cache while rows pass.
const STEPS: usize = 512;

/// The same for weights that are widened.
const ROOM: usize = 64;

/// Some columns of a product; `finish` changes each row before it is narrowed.
fn fill<T: Number>(mut columns: Columns<'_, T>, x: Rows<'_>, panels: &Panels, finish: impl Fn(&mut [f32])) {
    let (first, count) = columns.place();
    with_scratch((ROWS.min(x.count) + ROOM) * WIDTH, |scratch| {
        let (room, sums) = scratch.split_at_mut(ROOM * WIDTH);
        for start in (0..x.count).step_by(ROWS) {
            let here = Rows { lanes: &x.lanes[start * x.step..], step: x.step, count: ROWS.min(x.count - start) };
            let sums = &mut sums[..here.count * WIDTH];
            sums.fill(0.0);
            panels.add_products(first / WIDTH, here, sums, room);
            for (row, sums) in sums.chunks_exact_mut(WIDTH).enumerate() {
                let sums = &mut sums[..count];
                finish(sums);
                T::narrow(sums, columns.row(start + row));
            }
        }
    });
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // what the product is held to
mod tests {
    use candle_core::Device;

    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| (((i * 7 + seed) * 2_654_435_761) % 1999) as f32 / 1000.0 - 1.0).collect()
    }

    #[test]
    fn maps_agree_with_their_sums_for_every_type_and_size() {
        let device = Device::Cpu;
        for (rows, inputs, outputs) in [(1, 1, 1), (1, 64, 64), (3, 65, 63), (7, 600, 130), (9, 33, 200), (300, 20, 70)]
        {
            for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F16, 1e-3), (DType::BF16, 5e-3)] {
                let tensor = |count, seed, dims: &[usize]| {
                    Tensor::from_vec(numbers(count, seed), dims, &device).unwrap().to_dtype(dtype).unwrap()
                };
                let x = tensor(rows * inputs, 1, &[rows, inputs]);
                let weight = tensor(inputs * outputs, 2, &[outputs, inputs]).t().unwrap();
                let bias = tensor(outputs, 3, &[outputs]);
                let panels = of(&weight).unwrap().unwrap();
                let found = affine(&x, &[(&panels, Some(&bias)), (&panels, None)], Then::Relu).unwrap();
                let [x, weight, bias] = [&x, &weight, &bias].map(|x| x.to_dtype(DType::F64).unwrap());
                let product = x.matmul(&weight.contiguous().unwrap()).unwrap();
                let scale = product.abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap().max(1.0);
                for (found, expected) in found.iter().zip([product.broadcast_add(&bias).unwrap(), product.clone()]) {
                    let expected = expected.relu().unwrap();
                    let worst = (found.to_dtype(DType::F64).unwrap() - expected).unwrap().abs().unwrap();
                    let worst = worst.max_all().unwrap().to_scalar::<f64>().unwrap();
                    assert!(worst <= tolerance * scale, "{dtype:?} {rows}x{inputs}x{outputs}: {worst}");
                }
            }
        }
    }

    #[test]
    fn weights_of_another_type_or_size_are_refused() {
        let weight = |dtype| Tensor::zeros((8, 4), dtype, &Device::Cpu).unwrap();
        let panels = of(&weight(DType::F32)).unwrap().unwrap();
        let refuses = |x: Tensor| affine(&x, &[(&panels, None)], Then::Nothing).is_err();
        assert!(refuses(Tensor::zeros((2, 8), DType::BF16, &Device::Cpu).unwrap()));
        assert!(refuses(Tensor::zeros((2, 7), DType::F32, &Device::Cpu).unwrap()));
        assert!(of(&weight(DType::F64)).is_none());
    }
}
