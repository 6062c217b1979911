//! Which cards count, and why others do not.

use irene_sampler::sensors::Selection;

use super::*;
use crate::machine::Machine;

/// Some drivers answer 0 for ever (codecarbon's report 1316).
#[test]
fn a_counter_that_stands_still_gives_way_to_power() {
    let stuck = CARD.replace("7000000", "0");
    scripted(&stuck, |library| {
        let mut recorder = recorder(library.clone());
        (0..15).for_each(|sample| sample_at(&mut recorder, 0.1 * f64::from(sample)));
        let recording = recorder.recording();
        let total = recording.judged();
        assert_eq!(total.names(), ["gpu0.power"]);
        let window = total.window(recording, 0.1, 1.2).unwrap().unwrap();
        assert!((window.joules - 165.0).abs() < 1e-9, "{window:?}");
        let [remark] = &total.remarks()[..] else { unreachable!("{:?}", total.remarks()) };
        assert!(remark.starts_with("gpu0.energy is left out: stands still"), "{remark}");
        // The same before anything is measured.
        let selection = Selection::of(&["nvml"], &places(library)).unwrap();
        assert_eq!(selection.sensors.total().names(), ["gpu0.power"]);
    });
}

#[test]
fn a_card_that_drops_out_is_said() {
    let script = CARD.replace("count = 1", "count = 3\ngpu1 = error 15\ngpu2.util_percent = 5");
    scripted(&script, |library| {
        let recorder = recorder(library);
        let total = recorder.recording().total();
        assert_eq!((total.names(), total.lacks()), (vec!["gpu0.energy".into()], vec!["gpu1".into(), "gpu2".into()]));
        let remarks = total.remarks();
        assert!(remarks[0].starts_with("the total lacks gpu1: GPU 1: "), "{remarks:?}");
        assert_eq!(remarks[1], "the total lacks gpu2: GPU 2 tells neither its power nor its energy");
    });
}

#[test]
fn single_cards_are_chosen() {
    let script = CARD.replace("count = 1", "count = 2\ngpu1.power_mw = 90000");
    scripted(&script, |library| {
        let chosen = |meters: &[&str]| {
            Selection::of(meters, &places(library.clone())).map(|found| found.sensors.total().names())
        };
        let moves = || {
            for step in 1..40 {
                write_script(&script_of_two(step));
                std::thread::sleep(Duration::from_millis(50));
            }
        };
        let moving = std::thread::spawn(moves);
        assert_eq!(chosen(&["nvml"]).unwrap(), ["gpu0.energy", "gpu1.power"]);
        assert_eq!(chosen(&["nvml:1"]).unwrap(), ["gpu1.power"]);
        assert_eq!(chosen(&["nvml:0"]).unwrap(), ["gpu0.energy"]);
        assert_eq!(
            chosen(&["nvml:2"]).unwrap_err().to_string(),
            "`nvml:2` is no sensor of energy or power; there are nvml:0, nvml:1"
        );
        moving.join().unwrap();
    });
}

/// Two cards, of which the first counts.
fn script_of_two(step: u32) -> String {
    CARD.replace("count = 1", "count = 2\ngpu1.power_mw = 90000")
        .replace("7000000", &format!("{}", 7_000_000 + 7500 * step))
}

#[test]
fn an_unsupported_metric_is_no_channel() {
    let script = "count = 2\ngpu0.util_percent = 5\ngpu1 = error 15\ngpu1.power_mw = 90000";
    scripted(script, |library| {
        assert_eq!(names(&*open(&places(library.clone())).unwrap()), ["gpu0.util"]);
        write_script("count = 1");
        assert_eq!(
            refusal(&places(library)).to_string(),
            "GPU 0: the requested operation is not available on the target device"
        );
    });
}

#[test]
fn errors_say_what_to_do() {
    scripted(CARD, |library| {
        let here = places(library);
        for script in ["init = error 4", "count = 1\ngpu0 = error 4"] {
            write_script(script);
            let denied = refusal(&here);
            assert!(denied.reason.ends_with("the current user does not have permission to perform this operation"));
            assert!(denied.fix.unwrap().starts_with("`sudo chmod a+rw /dev/nvidiactl"), "{script}");
        }
        write_script("init = error 9");
        assert_eq!(
            refusal(&here).to_string(),
            "NVML: NVIDIA driver is not loaded; `sudo modprobe nvidia`, or install the NVIDIA driver"
        );
        write_script("count = 0");
        assert_eq!(refusal(&here).reason, "NVML: the driver finds no GPU");
    });
}

#[test]
fn a_card_whose_driver_does_not_answer_is_said_where_no_meter_was_named() {
    scripted("init = error 18", |library| {
        let here = Places { nvml_library: Some(library), ..Machine::new().places() };
        let selection = Selection::automatic(&here);
        let [(kind, why)] = &selection.passed_over[..] else { unreachable!("{:?}", selection.passed_over) };
        assert_eq!((*kind, why.fix.as_ref().map(|fix| fix.starts_with("reboot: "))), ("nvml", Some(true)));
        for absent in ["init = error 9", "count = 0"] {
            write_script(absent);
            assert!(Selection::automatic(&here).passed_over.is_empty(), "{absent}: the machine has no such card");
        }
    });
}

#[test]
fn a_missing_library_is_said() {
    let nowhere = refusal(&places("/nowhere/libnvidia-ml.so.1".into()));
    assert!(nowhere.reason.contains("/nowhere/libnvidia-ml.so.1"), "{nowhere}");
    assert!(nowhere.fix.unwrap().contains("install the NVIDIA driver, or point to its library"));
}

#[test]
fn cuda_visible_devices_chooses() {
    let script = "count = 3\n\
        gpu0.uuid = GPU-aa00\ngpu0.power_mw = 1\n\
        gpu1.uuid = GPU-aa11\ngpu1.power_mw = 1\ngpu1.mig = MIG-5e\n\
        gpu2.uuid = GPU-bb22\ngpu2.power_mw = 1";
    scripted(script, |library| {
        let shown = |list: Option<&str>| {
            let places = Places { visible_devices: list.map(str::to_owned), ..places(library.clone()) };
            open(&places).map(|sensor| names(&*sensor).join(" ").replace("gpu", "").replace(".power", ""))
        };
        for (list, cards) in [
            (None, "0 1 2"),
            (Some("2,0"), "2 0"),
            (Some("0, 2 ,-1,1"), "0 2"),
            (Some("1,7,0"), "1"),
            (Some("GPU-b,GPU-aa0"), "2 0"),
            (Some("GPU-bb22,GPU-aa"), "2"), // two cards begin so
            (Some("MIG-5e"), "1"),
            (Some("MIG-GPU-aa11/7/0,MIG-GPU-aa11/8/0"), "1"),
        ] {
            assert_eq!(shown(list).as_deref(), Ok(cards), "{list:?}");
        }
        for list in ["", "-1", "3", "NoDevFiles"] {
            let unavailable = shown(Some(list)).unwrap_err();
            assert_eq!(unavailable.reason, format!("CUDA_VISIBLE_DEVICES is `{list}`, which shows none of the 3 GPUs"));
        }
        let unknown = shown(Some("MIG-00")).unwrap_err();
        assert!(unknown.reason.starts_with("CUDA_VISIBLE_DEVICES has MIG-00, whose card cannot be told"), "{unknown}");
    });
}
