//! The book counts figures that others published as irene predicts them now.

use std::{collections::BTreeSet, fs::File};

use irene_predict::{Service, ServiceOptions};
use irene_requests::{Figure, RequestReader};

use crate::{docs, read};

#[test]
fn the_figures_outside_the_fit_are_counted_as_they_are_predicted() {
    let path = docs().join("outside-the-fit.csv");
    let service = Service::new(ServiceOptions::default());
    let (mut settings, mut devices, mut figures, mut inside) = (0, BTreeSet::new(), 0, 0);
    for row in RequestReader::new("outside-the-fit.csv", File::open(&path).unwrap()).unwrap() {
        let row = row.unwrap();
        let mut predicted = row.clone();
        service.setting(&row).unwrap().forecast().unwrap().fill_in(&mut predicted);
        for figure in Figure::ALL {
            let Some(published) = row.figures.get(figure) else { continue };
            let [low, high] = [predicted.low, predicted.high].map(|end| end.get(figure).unwrap());
            figures += 1;
            inside += usize::from((low..=high).contains(&published));
        }
        settings += 1;
        devices.insert(row.device);
    }
    let page = read(&docs().join("devices.md")).replace('\n', " ");
    let devices = devices.len();
    for said in [
        format!("holds {figures} times, powers and energies of {settings} settings on {devices} devices"),
        format!("intervals hold {inside} of the {figures}"),
    ] {
        assert!(page.contains(&said), "docs/devices.md does not say: {said}");
    }
}
