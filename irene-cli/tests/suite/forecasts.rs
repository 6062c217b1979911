//! How `irene predict` prints forecasts: whose energy it is, which time is a median, and tables that say what was asked for.

use crate::{
    command::{Says, good, json, said},
    serving::of,
};

#[test]
fn it_is_told_where_a_measured_profile_is_passed_over() {
    let told = |more: &[&str]| said(&[&["predict", "bert-base-uncased", "-b", "8", "-s", "128"], more].concat());
    told(&["--device", "gtx-1070,gtx-1080-ti"])
        .says("gtx-1070 and gtx-1080-ti have measured profiles, with energy at the wall; here all");
    told(&["--device", "l4,gtx-1070"]).says("gtx-1070 has a measured profile, with energy at the wall; here all");
    told(&["--device", "gtx-1070", "--meter", "wall"]).says("here it is predicted from its data sheet");
    for asked in
        [&["--device", "gtx-1070"][..], &["--device", "gtx-1070", "--method", "data-sheet"], &["--device", "l4"]]
    {
        assert!(!told(asked).contains("measured profile"), "{asked:?}");
    }
}

#[test]
fn it_is_told_whose_energy_it_is() {
    let h100 = ["--device", "h100-sxm", "--concurrency", "16"];
    let alone = "energy is that of the device alone; --meter wall adds the machine around it";
    good(&of(&h100)).says(alone);
    assert_eq!(json(&of(&h100))["forecast"]["meter"], "gpu");
    good(&[&of(&h100)[..], &["--tensor-parallel", "2"]].concat()).says("energy is that of the devices alone; ");
    good(&of(&["--device", "h100-sxm,l4", "--concurrency", "16"])).says(alone);
    let wall = [&of(&h100)[..], &["--meter", "wall"]].concat();
    let text = good(&wall);
    assert!(!text.contains("alone") && text.contains("energy and power are those at the wall"), "{text}");
    assert_eq!(json(&wall)["forecast"]["meter"], "wall");
    let step = good(&["predict", "gpt2", "--train", "-b", "8", "-s", "128", "--device", "l4", "--depth", "0"]);
    assert!(step.contains(alone), "{step}");
}

#[test]
fn the_times_of_a_request_add_up_with_the_mean_time_between_its_tokens() {
    let text = good(&of(&["--device", "h100-sxm", "--concurrency", "16", "--depth", "0"]));
    let forecast = json(&of(&["--device", "h100-sxm", "--concurrency", "16"]))["forecast"].clone();
    let [first, median, whole] = ["ttft_s", "itl_s", "latency_s"].map(|name| forecast[name].as_f64().unwrap());
    let mean = (whole - first) / 255.0;
    assert!(text.contains("time between tokens (median) ") && mean > 1.01 * median, "{mean} {median}");
    let words = format!("mean time between tokens: {}; steps that read", irene_tree::render::si(mean, "s"));
    assert!(text.contains(&words), "no `{words}` in {text}");
    // One request alone shares no step, and a batch reads its prompts first.
    for alone in [["--concurrency", "1"], ["--sequences", "16"]] {
        let text = good(&of(&[&["--device", "h100-sxm", "--depth", "0"][..], &alone].concat()));
        assert!(!text.contains("mean time between tokens"), "{text}");
    }
}

#[test]
fn figures_that_are_known_have_no_interval_and_a_row_has_one_unit() {
    let rate = ["--tensor-parallel", "4", "--device", "h100-sxm", "--rate", "2", "--depth", "0"];
    let text = good(&[&["predict", "Llama-3.1-70B", "--prompt", "1000", "--generate", "200"], &rate[..]].concat());
    let line = |title: &str| text.lines().find(|line| line.starts_with(title)).unwrap().trim_end().to_owned();
    assert!(line("generated in a second").ends_with(" 400 tokens"), "{text}");
    let energy = line("energy of a request");
    assert_eq!(energy.matches("J").count(), 2, "{energy}");
    assert!(!energy.contains("kJ"), "{energy}");
    assert!(text.contains("GiB that the engine takes of its 79.7"), "{text}");
}

#[test]
fn devices_are_compared_without_columns_of_equal_cells_and_with_what_was_asked_for() {
    let args = of(&["--device", "h100-sxm,a100-sxm-80gb,l4", "--concurrency", "16", "--grid-intensity", "germany"]);
    let text = good(&args);
    assert!(text.starts_with("Llama-3.1-8B, vllm-0.11, prompts of 512 tokens, 256 generated, 16 at once\n"), "{text}");
    let titles = text.lines().find(|line| line.starts_with("device ")).unwrap();
    for title in ["a request", "90% interval", "whole", "a million", "CO2e"] {
        assert!(titles.contains(title), "no `{title}` in {titles}");
    }
    for constant in ["model", "engine", "prompt", "generated", "at once"] {
        assert!(!titles.contains(constant), "{titles}");
    }
    // The remark on one device's idle power takes no column.
    let at_a_rate = good(&of(&["--device", "h100-sxm,l4", "--rate", "0.5"]));
    assert!(at_a_rate.contains("\nl4: the idle power of the device is not published"), "{at_a_rate}");
    let titles = at_a_rate.lines().find(|line| line.starts_with("device ")).unwrap();
    assert!(titles.contains("whole") && titles.contains("a million"), "{titles}");
    let lengths =
        good(&["predict", "gpt2", "--device", "l4", "--prompt", "8,16", "--generate", "4", "--sequences", "1"]);
    assert!(lengths.contains("\nprompt  "), "{lengths}");
}
