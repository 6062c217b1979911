use irene_tree::{Format, OpKind, Operand, Operation};
use proptest::prelude::*;

use super::*;
use crate::{Catalogue, Peaks};

fn activation(shape: &[usize], format: Format) -> Operand {
    Operand::activation(irene_tree::Shape::new(shape).unwrap(), format)
}

fn linear([rows, inner, columns]: [usize; 3], format: Format) -> Work {
    let operands = [activation(&[rows, inner], format), Operand::parameter([columns, inner], format)];
    Work::of(&Operation::new(OpKind::Linear, &operands, activation(&[rows, columns], format)))
}

fn matmul(batch: usize, [rows, inner, columns]: [usize; 3], format: Format) -> Work {
    let operands = [activation(&[batch, rows, inner], format), activation(&[batch, inner, columns], format)];
    Work::of(&Operation::new(OpKind::MatMul, &operands, activation(&[batch, rows, columns], format)))
}

/// New tokens of some sequences, which see all those before.
fn attention(sequences: usize, tokens: usize, past: usize) -> Work {
    let of = |heads: usize, tokens: usize| activation(&[sequences, heads, tokens, 128], Format::BF16);
    let keys = tokens + past;
    let operands = [of(32, tokens), of(8, keys), of(8, keys)];
    let mut operation = Operation::new(OpKind::Attention, &operands, of(32, tokens));
    operation.pairs = (sequences * (tokens * past + tokens * (tokens + 1) / 2)) as u64;
    Work::of(&operation)
}

fn row(kind: OpKind, rows: usize, columns: usize, format: Format) -> Work {
    let of = activation(&[rows, columns], format);
    Work::of(&Operation::new(kind, &[of], of))
}

fn exchange(kind: OpKind, gpus: u64, numbers: usize) -> Work {
    let of = activation(&[1, numbers], Format::BF16);
    let mut operation = Operation::new(kind, &[of], of);
    operation.gpus = gpus;
    Work::of(&operation)
}

fn kinds() -> impl Strategy<Value = OpKind> {
    use OpKind::{Add, Embedding, Gelu, LayerNorm, RmsNorm, Rotary, Silu, Softmax};
    prop::sample::select(vec![Add, Embedding, Gelu, LayerNorm, RmsNorm, Rotary, Silu, Softmax])
}

fn formats() -> impl Strategy<Value = Format> {
    prop::sample::select(vec![Format::F32, Format::F16, Format::BF16, Format::F8E4M3, Format::Int8])
}

fn devices() -> impl Strategy<Value = &'static Device> {
    prop::sample::select(Catalogue::all().iter().collect::<Vec<_>>())
}

/// Sizes whose logarithms are spread evenly.
fn size(most: f64) -> impl Strategy<Value = usize> {
    (0.0..most.ln()).prop_map(|log| log.exp() as usize)
}

fn seconds(work: &Work, device: &Device) -> f64 {
    KernelLaw::shipped().time(work, device).seconds
}

/// A data sheet may say nothing but one peak.
#[test]
fn a_device_that_is_known_by_one_peak_takes_a_time() {
    let l4 = Catalogue::find("l4").unwrap();
    let known = Device { multiprocessors: None, clock_mhz: None, ..l4 };
    let none = Peaks::default();
    for peaks in [
        Peaks { f32: Some(30.0), ..none },
        Peaks { f16: Some(120.0), ..none },
        Peaks { bf16: Some(120.0), ..none },
        Peaks { fp8: Some(240.0), ..none },
        Peaks { int8: Some(240.0), ..none },
        Peaks { fp4: Some(480.0), ..none },
    ] {
        let device = Device { peaks, ..known.clone() };
        for work in
            [linear([512, 4096, 4096], Format::BF16), attention(4, 512, 0), row(OpKind::Gelu, 512, 64, Format::F32)]
        {
            let time = KernelLaw::shipped().time(&work, &device);
            let parts = [time.seconds, time.arithmetic_s, time.memory_s];
            assert!(parts.iter().all(|part| part.is_finite()), "{peaks:?}: {time:?}");
            assert!(1e-7 < time.seconds && time.seconds < 1.0, "{peaks:?}: {time:?}");
            assert!(work.kind != WorkKind::Product || time.arithmetic_s > 0.0, "{peaks:?}: {time:?}");
        }
    }
}

/// A device that does everything twice as fast, with the power for it.
fn twice_as_fast(device: &Device) -> Device {
    let twice = |figure: Option<f64>| figure.map(|figure| 2.0 * figure);
    let peaks = device.peaks;
    let [f32, tf32, f16, bf16, fp8, int8, fp4] =
        [peaks.f32, peaks.tf32, peaks.f16, peaks.bf16, peaks.fp8, peaks.int8, peaks.fp4].map(twice);
    Device {
        peaks: Peaks { f32, tf32, f16, bf16, fp8, int8, fp4 },
        bandwidth_gb_s: 2.0 * device.bandwidth_gb_s,
        clock_mhz: twice(device.clock_mhz),
        link_gb_s: twice(device.link_gb_s),
        tdp_w: 2.0 * device.tdp_w,
        power_limit_w: twice(device.power_limit_w),
        ..device.clone()
    }
}

/// As long as before or longer, up to rounding.
fn rises(before: f64, after: f64) -> bool {
    before.is_finite() && before > 0.0 && after >= before * (1.0 - 1e-9)
}

/// A figure anywhere in a data sheet's range, or none.
fn figure(low: f64, high: f64) -> impl Strategy<Value = Option<f64>> {
    prop::option::of((low.ln()..high.ln()).prop_map(f64::exp))
}

proptest! {
    /// Whatever the sheet says that is read at all.
    #[test]
    fn every_sheet_that_is_read_has_finite_times_and_energies(
        peaks in prop::array::uniform6(figure(1e-3, 1e6)), rates in prop::array::uniform4(figure(0.1, 1e5)),
        units in prop::option::of(1..1_000_000_u32), year in 1990..2100_u16, bandwidth in figure(0.1, 1e6), tdp in figure(0.5, 1e5),
        format in formats(), dims in prop::array::uniform3(size(1e5)),
    ) {
        let [f32, f16, bf16, fp8, int8, fp4] = peaks;
        let [clock_mhz, link_gb_s, cache_mib, idle_w] = rates;
        let device = Device {
            peaks: Peaks { f32, tf32: None, f16, bf16, fp8, int8, fp4 },
            clock_mhz: clock_mhz.filter(|mhz| *mhz < 2e4),
            multiprocessors: units,
            bandwidth_gb_s: bandwidth.unwrap_or(1.0),
            tdp_w: tdp.unwrap_or(1.0),
            idle_w, year, link_gb_s, cache_mib,
            ..Catalogue::find("l4").unwrap()
        };
        prop_assume!(device.check().is_ok());
        let dims = dims.map(|dim| dim.max(1));
        for work in [linear(dims, format), attention(dims[0].min(300), dims[1].min(5000), dims[2].min(30_000)), exchange(OpKind::AllReduce, 4, dims[0])] {
            let time = KernelLaw::shipped().time(&work, &device);
            let joules = crate::Law::shipped().power.dynamic_joules(&work, &device);
            let parts = [time.seconds, time.arithmetic_s, time.memory_s, joules];
            prop_assert!(time.seconds > 0.0 && parts.iter().all(|part| part.is_finite() && *part >= 0.0), "{:?} {:?}", time, device);
        }
    }

    #[test]
    fn a_product_takes_longer_the_larger_it_is(
        device in devices(), format in formats(), dims in prop::array::uniform3(size(20_000.0)), batch in size(500.0),
        dim in 0..3usize, more in size(3000.0),
    ) {
        let mut larger = dims;
        larger[dim] += more;
        let (dims, larger) = (dims.map(|dim| dim.max(1)), larger.map(|dim| dim.max(1)));
        let (before, after) = (linear(dims, format), linear(larger, format));
        prop_assert!(rises(seconds(&before, device), seconds(&after, device)), "{dims:?} {larger:?}");
        let of = |batch: usize| seconds(&matmul(batch.max(1), dims, format), device);
        prop_assert!(rises(of(batch), of(batch + more)), "{dims:?} {batch} {more}");
    }

    #[test]
    fn rows_and_exchanges_take_longer_the_more_there_is(
        device in devices(), kind in kinds(), format in formats(), rows in size(1e5), columns in size(1e4), more in size(1e4),
    ) {
        let of = |rows: usize, columns: usize| seconds(&row(kind, rows.max(1), columns.max(1), format), device);
        prop_assert!(rises(of(rows, columns), of(rows + more, columns)));
        prop_assert!(rises(of(rows, columns), of(rows, columns + more)));
        for kind in [OpKind::AllReduce, OpKind::AllGather, OpKind::SendRecv, OpKind::AllToAll] {
            let of = |numbers: usize| seconds(&exchange(kind, 4, numbers.max(1)), device);
            prop_assert!(rises(of(rows), of(rows + more)));
        }
    }

    #[test]
    fn attention_takes_longer_the_more_there_is(
        device in devices(), sequences in size(300.0), tokens in size(5e3), past in size(3e4), more in size(3e3),
    ) {
        let of = |sequences: usize, tokens: usize, past: usize| {
            seconds(&attention(sequences.max(1), tokens.max(1), past), device)
        };
        prop_assert!(rises(of(sequences, 1, past), of(sequences, 1, past + more)));
        prop_assert!(rises(of(sequences, 1, past), of(sequences + more, 1, past)));
        // Within a block of queries. One block more keeps the memory of few heads busier, and the law lets the time fall there.
        let end = tokens.max(1).next_multiple_of(128);
        prop_assert!(rises(of(sequences, tokens, past), of(sequences, (tokens + more).min(end), past)));
    }

    #[test]
    fn nothing_is_faster_than_the_data_sheet(
        device in devices(), format in formats(), kind in kinds(), dims in prop::array::uniform3(size(20_000.0)), past in size(3e4),
    ) {
        let dims = dims.map(|dim| dim.max(1));
        let works = [linear(dims, format), row(kind, dims[0], dims[1], format), attention(1 + dims[0] / 200, 1 + dims[1] / 100, past)];
        for work in works {
            let peak = device.arithmetic(work.weights, work.activations).tflop_s * 1e12;
            let arithmetic = if work.kind == WorkKind::Product || work.kind == WorkKind::Attention { work.flops / peak } else { 0.0 };
            let floor = arithmetic.max(work.bytes() / (device.bandwidth_gb_s * 1e9));
            prop_assert!(seconds(&work, device) >= floor, "{work:?} {floor}");
        }
    }

    #[test]
    fn a_device_twice_as_fast_takes_half_the_time_but_for_launches(
        // A device without a clock or a link in its data sheet has ours, which are no faster.
        device in devices().prop_filter("complete", |device| device.clock_mhz.is_some() && device.link_gb_s.is_some()), format in formats(), kind in kinds(), dims in prop::array::uniform3(size(20_000.0)), past in size(3e4),
    ) {
        let dims = dims.map(|dim| dim.max(1));
        let faster = twice_as_fast(device);
        let works = [
            linear(dims, format), row(kind, dims[0], dims[1], format), attention(1 + dims[0] / 200, 1 + dims[1] / 100, past),
            exchange(OpKind::AllReduce, 4, dims[0]),
        ];
        for work in works {
            let busy = |device: &Device| {
                let time = KernelLaw::shipped().time(&work, device);
                time.seconds - time.launch_s
            };
            prop_assert!((busy(device) / busy(&faster) / 2.0 - 1.0).abs() < 1e-6, "{work:?}");
        }
    }
}

#[test]
fn the_parts_say_what_bounds_a_kernel() {
    let h100 = Catalogue::find("h100-sxm").unwrap();
    let time = |work: &Work| KernelLaw::shipped().time(work, &h100);
    let (token, prompt) =
        (time(&linear([1, 8192, 8192], Format::BF16)), time(&linear([8192, 8192, 8192], Format::BF16)));
    assert!(token.memory_s > 2.0 * token.arithmetic_s && prompt.arithmetic_s > 2.0 * prompt.memory_s);
    let sum = time(&exchange(OpKind::AllReduce, 8, 1 << 26));
    assert!(sum.seconds - sum.launch_s > sum.memory_s && sum.arithmetic_s == 0.0);
    let alone = KernelLaw::shipped().time_alone(&linear([1, 64, 64], Format::F32), &h100);
    assert!(alone.launch_s > 0.8 * alone.seconds);
}

#[test]
fn a_power_limit_slows_products_that_it_bounds() {
    let t4 = Catalogue::find("t4").unwrap();
    let limited = t4.clone().with_power_limit(50.0).unwrap();
    let product = linear([4096, 4096, 4096], Format::F32);
    assert!(seconds(&product, &limited) > 1.3 * seconds(&product, &t4));
    let sum = row(OpKind::Add, 4096, 4096, Format::F32);
    assert_eq!(seconds(&sum, &limited), seconds(&sum, &t4));
}
