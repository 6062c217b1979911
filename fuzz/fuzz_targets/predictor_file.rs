//! A predictor file, of nodes or of requests: it comes back from its own bytes, and what it predicts is finite or refused.
#![no_main]

use std::sync::Arc;

use irene_predict::{Calibration, DeviceProfile, ServiceOptions};
use irene_requests::{Load, RequestRow};
use irene_tree::{Quantity, Size};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(profile) = DeviceProfile::from_bytes("file", bytes) {
        let written = profile.to_bytes().expect("a predictor is written");
        let again = DeviceProfile::from_bytes("written", &written).expect("what is written is read");
        assert_eq!(again.to_bytes().expect("and written again"), written);
        predict(&profile);
    }
    if let Ok(Some(calibration)) = Calibration::from_bytes("file", bytes) {
        let written = calibration.to_bytes().expect("a calibration is written");
        let again = Calibration::from_bytes("written", &written).expect("what is written is read").expect("as one");
        assert_eq!(again.to_bytes().expect("and written again"), written);
        forecast(calibration);
    }
});

fn predict(profile: &DeviceProfile) {
    let mut tree = irene_fuzz::small_model().trace(Size::new(1, 4)).expect("a tree");
    if profile.predict(&mut tree).is_err() {
        return;
    }
    for node in tree.nodes() {
        let energy = node.get(Quantity::PredictedEnergy);
        assert!(energy.is_none_or(f64::is_finite), "{}: {energy:?}", node.scope());
    }
    irene_fuzz::is_sound(&tree);
    let scope = tree.root().scope().to_owned();
    profile.explain(&mut tree, &scope).expect("what is predicted is explained");
}

fn forecast(calibration: Calibration) {
    let row = RequestRow {
        model: Some("small".into()),
        device: Some(calibration.device.name.clone()),
        engine: calibration.provenance.engines.first().cloned(),
        load: Some(Load::Sequences(2)),
        prompt: Some(4.0),
        generated: Some(4.0),
        ..RequestRow::default()
    };
    let options = ServiceOptions { calibration: Some(Arc::new(calibration)), ..ServiceOptions::default() };
    irene_fuzz::forecast(options, &row);
}
