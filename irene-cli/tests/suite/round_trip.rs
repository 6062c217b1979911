//! The round trip: measure some settings of a server, calibrate a device's data sheet on them, predict the others.

use std::fs;

use irene_requests::{RequestRow, write};
use irene_scripted_server::{Script, ScriptedServer};

use crate::{
    calibrating::rows_of,
    command::{Folder, command, good},
};

/// A server that takes about the time of an 8-billion model on an H100, and other energies than the data sheet's law: 2 J for each step.
fn script() -> Script {
    Script {
        joules_per_prompt_token: 0.012,
        joules_per_token: 0.02,
        joules_per_step: 2.0,
        idle_watts: 90.0,
        seconds_per_prompt_token: 3e-5,
        seconds_per_step: 7e-3,
        seconds_per_sequence: 6e-5,
        ..Script::default()
    }
}

#[test]
#[ignore = "takes two minutes"]
fn settings_that_were_not_measured_are_predicted_within_three_percent() {
    let folder = Folder::new("round-trip");
    let server = ScriptedServer::start(script(), &folder.0.join("sys")).unwrap();
    let [sheet, known, asked, predicted, predictor] =
        ["sheet.csv", "known.csv", "asked.csv", "predicted.csv", "mine.safetensors"].map(|name| folder.path(name));
    let mut bench =
        command(&["bench", &server.url(), "-o", &sheet, "--meter", "rapl", "--seconds", "2", "--stand-by", "2"]);
    bench.args(["--model", "Llama-3.1-8B", "--device", "h100-sxm", "--engine", "vllm-0.11"]);
    bench.args(["--prompt", "64,256,1024", "--generate", "16,64", "--concurrency", "1,8,32"]);
    let bench = bench.env("IRENE_SYS", folder.0.join("sys")).env("IRENE_NVML_LIBRARY", "/nothing.so").output().unwrap();
    assert!(bench.status.success(), "{}", String::from_utf8_lossy(&bench.stderr));

    // Every third setting, so that each length and each number at once is among both.
    let all = rows_of(&sheet);
    assert_eq!(all.len(), 18);
    let split = |is_asked: bool| -> Vec<RequestRow> {
        let of = |place: usize| (place % 3 + place / 3 % 2 + place / 6) % 3 == 1;
        all.iter().enumerate().filter(|(place, _)| of(*place) == is_asked).map(|(_, row)| row.clone()).collect()
    };
    for (path, rows) in [(&known, split(false)), (&asked, split(true))] {
        write(fs::File::create(path).unwrap(), &rows).unwrap();
    }
    let calibrated = command(&["calibrate", "--requests", &known, "-o", &predictor]).output().unwrap();
    assert!(calibrated.status.success(), "{}", String::from_utf8_lossy(&calibrated.stderr));
    good(&["predict", &asked, "--predictor", &predictor, "-o", &predicted]);

    let mut off = Vec::new();
    for (measured, predicted) in rows_of(&asked).iter().zip(rows_of(&predicted)) {
        let [measured_j, predicted_j] =
            [measured.figures, predicted.figures].map(|figures| figures.energy_per_request_j.unwrap());
        let error = (predicted_j / measured_j - 1.0).abs();
        println!(
            "prompt {:?}, generated {:?}, {:?}: {measured_j} J measured, {predicted_j:.4} J predicted, off by {:.1}%",
            measured.prompt,
            measured.generated,
            measured.load,
            100.0 * error
        );
        off.push(error);
    }
    let mean = off.iter().sum::<f64>() / off.len() as f64;
    println!("off by {:.1}% in the mean of {} settings", 100.0 * mean, off.len());
    assert!(off.len() == 6 && mean < 0.03, "{off:?}");
}
