use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{DType, Device};
use irene_models::{Batch, Cx, ModelSpec, RandomWeights, Targets, TaskHead, Trainer};
use irene_sampler::{MeasureError, Measurement, MeasuringProtocol, Sampler};
use irene_tree::{Size, Training};

use super::Step;
use crate::{Conditions, Error, Measure, Measures, Record, Result, space::ModelHash};

/// Measures designs on this machine with made-up weights: whole forward passes, and whole steps of training.
#[derive(Debug)]
pub struct DesignProfiler<'a> {
    /// Reads the meter, if there is one.
    pub sampler: &'a Sampler,
    /// How each design is measured.
    pub protocol: &'a MeasuringProtocol,
    /// Ends the measuring when it becomes true.
    pub stop: &'a AtomicBool,
    /// The device that runs the designs.
    pub device: Device,
    /// The type of the numbers.
    pub dtype: DType,
    /// Seed of the weights, whose values do not change the cost of a pass.
    pub weights: u64,
    /// If given, each design is also trained like this, with this head.
    pub training: Option<(Training, TaskHead)>,
}

impl DesignProfiler<'_> {
    /// Measures a design at a number of sequences and of tokens in each: latency and energy of a sequence, and peak power; and the same
    /// of a step of training over all sequences, where designs are trained.
    ///
    /// # Errors
    /// [`Error::Stopped`] if it was told to stop before the design was known; what the model says.
    pub fn measure(&self, step: Step, size: Size) -> Result<Record> {
        let hash = ModelHash::of(&step.design);
        let spec = ModelSpec::from_design(format!("design {hash}"), &step.design)?;
        // An input that does not fit is refused before weights are made up.
        spec.trace(size)?;
        let weights = RandomWeights { seed: self.weights, dtype: self.dtype, device: self.device.clone() };
        let batch = Batch::made_up(&spec, size, &self.device)?;
        let mut record = Record::new(step.order, step.design, Measures::default());
        (record.conditions.batch_size, record.conditions.seq_len) = (Some(size.sequences), Some(size.new));
        let model = spec.build(&weights)?;
        let measured = self.measured(|| model.run(&mut Cx::silent(), &batch).map(drop))?;
        record.fill_in(&measured, 1.0 / size.sequences as f64, Measure::INFERENCE);
        drop(model);
        if let Some((training, head)) = self.training {
            let head = spec.training_head(head)?;
            let mut trainer = Trainer::new(&spec, &weights, head, training, LEARNING_RATE, self.weights)?;
            let targets = Targets::made_up(&batch, &spec, head, self.weights)?;
            let measured = self.measured(|| trainer.step(&batch, &targets).map(drop))?;
            record.fill_in(&measured, 1.0, Measure::TRAINING);
        }
        Ok(record)
    }

    fn measured(&self, mut run: impl FnMut() -> irene_models::Result<()>) -> Result<Measurement> {
        let run = || run().and_then(|()| Ok(self.device.synchronize()?));
        let measured = match self.protocol.try_measure(self.sampler, self.stop, run) {
            Ok(measured) => measured,
            Err(MeasureError::Run(error)) => return Err(error.into()),
            Err(MeasureError::Stopped) => return Err(Error::Stopped),
        };
        // A measurement that was stopped between rounds has too few of them.
        let is_whole = self.protocol.is_enough(&measured) || measured.rounds.len() >= self.protocol.most_rounds;
        if self.stop.load(Ordering::Relaxed) && !is_whole { Err(Error::Stopped) } else { Ok(measured) }
    }
}

/// Steps at this rate all compute with the same weights.
const LEARNING_RATE: f64 = 0.0;

impl Record {
    /// Takes over the time, energy and peak power of a measurement, of this share of a run.
    fn fill_in(&mut self, measured: &Measurement, share: f64, [latency, energy, peak_power]: [Measure; 3]) {
        // A figure of 0 is below the meter's resolution.
        let above_0 = |figure: &f64| *figure > 0.0;
        let joules = measured.energy.map(|joules| joules.scaled(share)).filter(|joules| above_0(&joules.mean));
        let seconds = measured.latency.scaled(share);
        let watts = measured.peak_watts().filter(above_0);
        let Conditions { half_widths, no_energy, .. } = &mut self.conditions;
        self.measures = self
            .measures
            .with(latency, seconds.mean)
            .with(energy, joules.map(|joules| joules.mean))
            .with(peak_power, watts);
        *half_widths =
            half_widths.with(latency, seconds.half_width).with(energy, joules.and_then(|joules| joules.half_width));
        let of = if latency.is_training() { "training: " } else { "" };
        *no_energy = no_energy.take().or_else(|| Some(format!("{of}{}", measured.no_energy.as_ref()?)));
        if joules.is_some() || watts.is_some() {
            self.energy_provenance = measured.provenance.map(|provenance| provenance.name().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use irene_sampler::{Channel, Metric, Readings, Resource, SamplerOptions, Sensor, Sensors};

    use super::*;
    use crate::{
        campaign::{Campaign, SamplingPlan, Shard},
        space::{DesignSpace, Sampling},
    };

    /// 40 W, and 60 W in every seventh reading.
    struct Meter(Channel, u32);

    impl Sensor for Meter {
        fn channels(&self) -> &[Channel] {
            std::slice::from_ref(&self.0)
        }

        fn sample(&mut self, readings: &mut Readings<'_>) {
            self.1 += 1;
            readings.push(0, if self.1.is_multiple_of(7) { 60.0 } else { 40.0 });
        }
    }

    fn sampler(sensors: Sensors) -> Sampler {
        Sampler::start(sensors, SamplerOptions { period: Duration::from_millis(1), capacity: 1 << 14 }).unwrap()
    }

    /// A sampler that reads such a meter.
    fn metered() -> Sampler {
        let channel = Channel::new(Resource::Meter("meter".into()), Metric::Power);
        sampler(Sensors { meters: vec![Box::new(Meter(channel, 0))], ..Sensors::default() })
    }

    fn record(sampler: &Sampler, stop: bool, size: Size, training: Option<(Training, TaskHead)>) -> Result<Record> {
        let mut space = DesignSpace::find("small").unwrap();
        (space.layers, space.hidden) = (vec![1], vec![32]);
        let campaign = Campaign::new(space, SamplingPlan::Samples(1), Sampling::Sobol, 0, Shard::WHOLE).unwrap();
        let protocol =
            MeasuringProtocol { round: Duration::from_millis(40), most_rounds: 3, ..MeasuringProtocol::quick() };
        let stop = AtomicBool::new(stop);
        let (device, dtype) = (Device::Cpu, DType::F32);
        let profiler =
            DesignProfiler { sampler, protocol: &protocol, stop: &stop, device, dtype, weights: 1, training };
        profiler.measure(campaign.next(&[]).unwrap().unwrap(), size)
    }

    #[test]
    fn figures_are_of_a_sequence_and_the_peak_of_the_whole_device() {
        let record = record(&metered(), false, Size::new(4, 8), None).unwrap();
        assert_eq!(record.measures.get(Measure::PeakPower), Some(60.0));
        assert_eq!(record.energy_provenance.as_deref(), Some("measured"));
        assert_eq!(
            (record.order, record.conditions.batch_size, record.conditions.seq_len),
            (Some(0), Some(4), Some(8))
        );
        let of = |measure| record.measures.get(measure).unwrap();
        let power = of(Measure::Energy) / of(Measure::Latency);
        assert!((39.9..60.1).contains(&power), "{power} W");
    }

    #[test]
    fn a_step_of_training_stands_beside_a_sequence_in_the_same_record() {
        let training = Some((Training::default(), TaskHead::Classification));
        let record = record(&metered(), false, Size::new(2, 8), training).unwrap();
        let of = |measure| record.measures.get(measure).unwrap();
        for measure in Measure::ALL {
            assert!(of(measure) > 0.0, "{measure:?}");
        }
        for [latency, energy, _] in [Measure::INFERENCE, Measure::TRAINING] {
            assert!((39.9..60.1).contains(&(of(energy) / of(latency))), "{energy:?}");
            assert!(record.conditions.half_widths.get(latency).is_some());
        }
        // A step over two sequences updates the weights as well.
        assert!(of(Measure::TrainingLatency) > of(Measure::Latency));
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }

    #[test]
    fn without_a_meter_there_is_time_alone() {
        let record = record(&sampler(Sensors::default()), false, Size::new(1, 8), None).unwrap();
        let known =
            |figures: Measures| Measure::ALL.into_iter().filter(|&of| figures.get(of).is_some()).collect::<Vec<_>>();
        for figures in [record.measures, record.conditions.half_widths] {
            assert_eq!(known(figures), [Measure::Latency]);
        }
        assert_eq!(record.energy_provenance, None);
    }

    #[test]
    fn a_measurement_that_is_stopped_is_none() {
        let of = |stop: bool, len: usize| record(&sampler(Sensors::default()), stop, Size::new(1, len), None);
        assert!(matches!(of(true, 8), Err(Error::Stopped)));
        let error = of(false, 600).unwrap_err().to_string();
        assert!(error.contains("longer than the model's 514 positions"), "{error}");
    }
}
