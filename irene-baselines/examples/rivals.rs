//! The least of one measure that evolution, random designs and BOSHNAS's gradient search find with equal budgets, by our surrogate of a
//! device's records: `cargo run -p irene-baselines --example rivals -- FILE.json [latency | energy | peak_power] [BUDGET]`
#![allow(clippy::print_stdout)] // what it is for

use std::{collections::BTreeMap, error::Error, path::Path};

use irene_baselines::{Boshnas, BoshnasLearner, Gradient, Random, relaxed};
use irene_explore::{
    Candidate, Dataset, Measure,
    learning::{CostLawLearner, Surrogates},
    search::{Constraints, Evolution, Objective, Predicted, Problem, Search, SearchLimits},
    space::DesignSpace,
};
use irene_models::flexibert::Design;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("expected a file of records")?;
    let name = arguments.next().unwrap_or_else(|| "energy".to_owned());
    let measure = Measure::find(&name).ok_or("expected a measure")?;
    let budget: usize = arguments.next().map_or(Ok(4000), |text| text.parse())?;

    let (data, space) = (Dataset::read(Path::new(&file))?, DesignSpace::published());
    let surrogates = Surrogates::learn(&CostLawLearner, &data, &space, &[measure], 0)?;
    let describer = surrogates.describer();
    let rows: Vec<Vec<f64>> = describer.describe_all(&data)?.iter().map(Candidate::coordinates).collect();
    let networks = Boshnas::fit(&BoshnasLearner::of(&space), &rows, &data.figures(measure)?, 0)?;
    let networks = BTreeMap::from([(measure, networks)]);

    let objective: Objective = measure.name().parse()?;
    let predicted = Predicted { describer: &describer, surrogates: &surrogates, accuracy: None };
    let evaluate = |designs: &[Design]| predicted.evaluate(designs);
    let (constraints, starts) = (&Constraints::default(), &[]);
    let problem = Problem { variation: &space, objective: &objective, constraints, evaluate: &evaluate, starts };
    let slopes = relaxed(&objective, &networks)?;
    let searches: [&dyn Search<DesignSpace>; 3] = [&Evolution::default(), &Random::default(), &Gradient::new(&slopes)];
    for search in searches {
        let outcome = search.run(&problem, &SearchLimits::new(budget, 0))?;
        if let Some(best) = outcome.front.first() {
            let (least, layers) = (best.costs[0], best.design.layers().len());
            println!(
                "{:10} {least:.4} {}, {layers} layers, after {} designs",
                outcome.method,
                measure.unit(),
                best.evaluation
            );
        }
    }
    Ok(())
}
