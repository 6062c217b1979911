//! Which sensors include which others: nothing may count twice, and what may overlap is not added.

use irene_sampler::{Channel, ChannelId, Metric, Reach, Resource};

/// The resource of a name, as files have it.
fn resource(name: &str) -> Resource {
    let id: ChannelId = serde_json::from_value(serde_json::json!({ "name": name, "unit": "joules" })).unwrap();
    id.resource
}

/// A name, the names that it covers, and those that it may overlap with, as words. All others are apart from it.
type Row<'a> = (&'a str, &'a str, &'a str);

/// Compares each pair of two with the rows.
fn assert_rows(rows: &[Row<'_>], covers: impl Fn(&str, &str) -> Option<bool>) {
    for (outer, covered, unclear) in rows {
        let among = |words: &str, word: &str| words.split(' ').any(|known| known == word);
        for (inner, ..) in rows.iter().filter(|(inner, ..)| inner != outer) {
            let expected = if among(unclear, inner) { None } else { Some(among(covered, inner)) };
            assert_eq!(covers(outer, inner), expected, "{outer} and {inner}");
        }
    }
}

#[test]
fn resources_cover_what_is_inside_them() {
    const BOARD: &str = "hwmon.psu.power1";
    let rows = [
        (
            "rapl.psys",
            "rapl.psys-1 rapl.package-0 rapl.package-1-die-2 rapl.package-0.core rapl.package-1-die-2.uncore rapl.package-0.dram \
             tdp apu0",
            "gpu0 card1 hwmon.psu.power1",
        ),
        ("rapl.psys-1", "tdp", "gpu0 card1 hwmon.psu.power1"),
        ("rapl.package-0", "rapl.package-0.core tdp apu0", BOARD),
        ("rapl.package-1-die-2", "rapl.package-1-die-2.uncore tdp apu0", BOARD),
        ("rapl.package-0.core", "tdp", BOARD),
        ("rapl.package-1-die-2.uncore", "tdp", BOARD),
        ("rapl.package-0.dram", "tdp", BOARD),
        ("tdp", "", BOARD),
        ("gpu0", "", "rapl.psys rapl.psys-1 hwmon.psu.power1"),
        ("card1", "", "rapl.psys rapl.psys-1 apu0 hwmon.psu.power1"),
        ("apu0", "tdp", "card1 hwmon.psu.power1"),
        ("soc", "soc.cpu soc.gpu tdp", BOARD),
        ("soc.cpu", "tdp", BOARD),
        ("soc.gpu", "", BOARD),
        (
            BOARD,
            "",
            "rapl.psys rapl.psys-1 rapl.package-0 rapl.package-1-die-2 rapl.package-0.core rapl.package-1-die-2.uncore \
             rapl.package-0.dram tdp gpu0 card1 apu0 soc soc.cpu soc.gpu",
        ),
    ];
    let covers = |outer: &str, inner: &str| resource(outer).covers(&resource(inner));
    assert_rows(&rows, covers);
    let inside = || rows.iter().map(|(name, ..)| *name);
    for (part, whole) in inside().flat_map(|part| [(part, "host"), (part, "outlet")]) {
        assert_eq!([covers(whole, part), covers(part, whole)], [Some(true), Some(false)], "{part} in {whole}");
    }
    // A share of the others is part of each of them, and nothing is part of it.
    for (share, whole) in ["impact-tracker", "process.sm-time"]
        .into_iter()
        .flat_map(|share| inside().chain(["host", "outlet"]).map(move |whole| (share, whole)))
    {
        assert_eq!([covers(whole, share), covers(share, whole)], [Some(true), Some(false)], "{share} of {whole}");
    }
    let wholes = [
        ("gpu0", "card0"),
        ("host", "host"),
        ("host", "outlet"),
        ("outlet", "strip"),
        ("process.sm-time", "impact-tracker"),
    ];
    assert!(wholes.iter().all(|(one, other)| covers(one, other) == Some(false)));
    assert_eq!(covers("outlet", "host"), Some(true));
    let controller = [("outlet", "ipmi"), ("ipmi", "outlet"), ("ipmi", "ipmi")].map(|(one, other)| covers(one, other));
    assert_eq!(controller, [Some(true), Some(false), Some(false)], "it is behind the outlet");
}

#[test]
fn sensors_of_boards_cover_what_they_see() {
    let board = |chip: &str, reach: Reach| {
        let resource = Resource::Board { chip: chip.into(), sensor: "power1".into() };
        Channel { reach, ..Channel::new(resource, Metric::Power) }
    };
    let channel = |name: &str| match name {
        "computer" => board("power_meter", Reach::Computer),
        "supply" | "other-supply" => board(name, Reach::Supply),
        "module" | "other-input" => board(name, Reach::Module),
        "socket" => board("amd_energy", Reach::Processor),
        "core" => board("amd_energy@hwmon3", Reach::Processor),
        "other-processor" => board("zenpower", Reach::Processor),
        "gpu" | "other-gpu" => board(name, Reach::Gpu),
        "rail" => board(name, Reach::PartOf(board("socket", Reach::Unknown).id.resource)),
        "rail's" => board("socket", Reach::Processor),
        "unknown" | "other" => board(name, Reach::Unknown),
        name => Channel::new(resource(name), Metric::Power),
    };
    let parts = "socket core other-processor gpu other-gpu rail rail's gpu0 card0 apu0 rapl.package-0";
    let unclear = "socket core other-processor rail's unknown other";
    let unclear_and = |more: &str| format!("{unclear} {more}");
    let behind_supply = format!("{parts} module other-input unknown other");
    let behind_computer = format!("{behind_supply} supply other-supply");
    let behind_outlet = format!("{behind_computer} computer");
    let beside_board = unclear_and("gpu other-gpu gpu0 card0 apu0 rapl.package-0");
    let beside_unknown = format!("{beside_board} module other-input");
    let beside_processor = "other-processor rail's gpu other-gpu unknown other gpu0 card0 apu0 rapl.package-0";
    let [beside_gpu, beside_card, beside_apu, beside_package] =
        ["rapl.package-0", "apu0", "card0", "gpu other-gpu"].map(unclear_and);
    let beside_other = beside_processor.replace("other-processor", "socket core");
    let beside_rail_s = beside_processor.replace("rail's", "socket core");
    let rows: [Row<'_>; 19] = [
        ("outlet", &behind_outlet, ""),
        ("computer", &behind_computer, ""),
        ("supply", &behind_supply, ""),
        ("other-supply", &behind_supply, ""),
        ("module", parts, "unknown other"),
        ("other-input", parts, "unknown other"),
        ("socket", "", beside_processor),
        ("core", "", beside_processor),
        ("other-processor", "", &beside_other),
        ("rail's", "rail", &beside_rail_s),
        ("gpu", "", &beside_gpu),
        ("other-gpu", "", &beside_gpu),
        ("rail", "", ""),
        ("unknown", "", &beside_unknown),
        ("other", "", &beside_unknown),
        ("gpu0", "", unclear),
        ("card0", "gpu other-gpu", &beside_card),
        ("apu0", "gpu other-gpu", &beside_apu),
        ("rapl.package-0", "apu0", &beside_package),
    ];
    assert_rows(&rows, |outer, inner| channel(outer).covers(&channel(inner)));
}

#[test]
fn a_resource_names_the_kind_of_sensor_that_tells_of_it() {
    for (name, kind) in [
        ("host", "utilisation"),
        ("impact-tracker", "impact-tracker"),
        ("process.cpu-time", "process"),
        ("tdp", "tdp"),
        ("rapl.psys", "rapl"),
        ("rapl.package-0.dram", "rapl"),
        ("gpu0", "nvml"),
        ("card1", "drm"),
        ("apu0", "drm"),
        ("soc.ane", "powermetrics"),
        ("hwmon.psu.power1", "hwmon"),
        ("ipmi", "ipmi"),
        ("outlet", "log"),
    ] {
        assert_eq!(resource(name).source(), kind, "{name}");
    }
}
