//! `irene doctor` on machines that are made up.

use std::process::Command;

use crate::{
    command::{Folder, Says, words},
    meters::{good, irene, line, package},
};

#[test]
fn the_doctor_names_what_there_is_and_what_would_help() {
    let folder = Folder::new("doctor");
    let counting = package(&folder, 10.0);
    folder.write("proc/meminfo", "MemTotal: 100 kB\nMemAvailable: 25 kB\n");
    folder.write("sys/class/powercap/intel-rapl:1/name", "psys\n");
    folder.write("sys/class/powercap/intel-rapl:1/energy_uj", "0\n");
    let shown = |command: &mut Command| {
        good(command.env("IRENE_PROC", folder.0.join("proc")).env("IRENE_SYS", folder.0.join("sys")))
    };
    let found = shown(&mut irene(&["doctor", "--watch", "1"]));
    drop(counting);
    assert!(line(&found, "rapl.package-0 ").ends_with("measured"), "{found}");
    assert!(line(&found, "rapl.psys ").ends_with("left out"), "{found}");
    assert!(found.contains("rapl.psys is left out: stands still: the same reading"), "{found}");
    assert!(found.contains("75.00 %"), "{found}");
    assert!(words(&found).contains("hwmon not available: "), "{found}");
    let help = "what would help: give it in watts, from its data sheet, by --tdp-watts";
    assert!(words(&found).contains(help), "{found}");
    assert!(found.contains("the meter would be: rapl"), "{found}");
    // A counter that stands still has neither period nor resolution, and these are not zero.
    assert!(line(&found, "rapl.psys ").contains("not seen"), "{found}");
    assert!(found.lines().take_while(|line| !line.is_empty()).all(|line| line.chars().count() <= 80), "{found}");

    let still = shown(&mut irene(&["doctor", "--watch", "1"]));
    assert!(still.contains("rapl is not used: rapl.psys stands still"), "{still}");
    assert!(still.contains("no meter: energies will be absent"), "{still}");

    std::fs::remove_dir_all(folder.0.join("sys")).unwrap();
    shown(&mut irene(&["doctor", "--watch", "1"])).says("no meter: energies will be absent");
    shown(&mut irene(&["doctor", "--watch", "1", "--tdp-watts", "65"])).says("the meter would be: tdp");
    let json = shown(&mut irene(&["doctor", "--watch", "1", "--tdp-watts", "65", "--format", "json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["meters"][0], &json["schema_version"]), (&"tdp".into(), &1.into()));
    let mem = json["sensors"].as_array().unwrap().iter().find(|sensor| sensor["sensor"] == "mem").unwrap();
    assert_eq!((&mem["now"], &mem["now_unit"], mem.get("resolution")), (&75.into(), &"%".into(), None));
    assert!(json["unavailable"].as_array().unwrap().iter().any(|sensor| sensor["name"] == "hwmon"));
}

#[cfg(target_os = "linux")]
#[test]
fn the_doctor_shows_cards_rails_and_logs_of_other_programs() {
    let folder = Folder::new("doctor-cards");
    let card = "sys/class/drm/card1/device";
    folder.write("proc/stat", "cpu  10 0 10 80 0 0 0 0 0 0\n");
    folder.write(&format!("{card}/vendor"), "0x1002\n");
    folder.write(&format!("{card}/hwmon/hwmon4/power1_average"), "180000000\n");
    folder.write(&format!("{card}/hwmon/hwmon4/power1_cap"), "100000000\n");
    let doctor = |more: &[&str]| {
        let mut command = irene(&[&["doctor", "--watch", "1"], more].concat());
        good(command.env("IRENE_PROC", folder.0.join("proc")).env("IRENE_SYS", folder.0.join("sys")))
    };
    let found = doctor(&[]);
    assert!(words(line(&found, "card1.power ")).ends_with("mean of unknown time measured"), "{found}");
    assert!(found.contains("the meter would be: drm"), "{found}");
    // Power of 180 W where the card keeps to 100 W.
    assert!(
        words(&found).contains("doubtful: card1.power reads 180.0 W on average, and the device's own limit is 100.0 W"),
        "{found}"
    );
    words(&found).says("powermetrics not available: no file of powermetrics was named what would help: on a Mac");
    words(&found).says("ipmi not available: no log of ipmitool was named what would help: append readings");

    folder.write("ipmi.log", "    Instantaneous power reading:  240 Watts\n    Power reading state is:  deactivated\n");
    let log = format!("ipmi:{}", folder.0.join("ipmi.log").display());
    let named = doctor(&["--meter", &log]);
    assert!(named.contains("the meter would be: ipmi"), "{named}");
    assert!(words(&named).contains("ipmi: the management controller says that it does not measure power"), "{named}");
}
