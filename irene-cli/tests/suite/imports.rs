//! Public measurements become request sheets, and sheets are held against one another.

use crate::command::{Folder, Says, fed, good, irene, json, refused, said, words};

const VLLM: &str = r#"{"date": "20250101-000000", "backend": "vllm", "model_id": "someone/Unknown-8B", "request_rate": "inf", "max_concurrency": 8, "completed": 10,
    "total_input_tokens": 1000, "total_output_tokens": 500, "request_throughput": 1.0, "output_throughput": 50.0, "mean_ttft_ms": 100.0, "mean_tpot_ms": 20.0}"#;

#[test]
fn a_public_file_becomes_a_sheet_and_what_it_lacks_is_said_or_given() {
    let folder = Folder::new("imports");
    let (file, sheet) = (folder.write("bench.json", VLLM), folder.path("requests.csv"));
    said(&["import", &file, "-o", &sheet])
        .says("1 row of vLLM's serving benchmark\n1 row written to")
        .says("not said by the input: device in 1 row\n")
        .says("kept by name, as no built-in model has it: someone/Unknown-8B\n");
    let text = std::fs::read_to_string(&sheet).unwrap();
    assert!(text.starts_with("model,engine,concurrency,prompt,"), "{text}");
    let given = [
        "--model",
        "llama-2-7b",
        "--device",
        "NVIDIA L4",
        "--engine",
        "vllm-0.11",
        "--weights",
        "fp8",
        "--tensor-parallel",
        "2",
        "--prompt",
        "90",
    ];
    let printed = good(&[&["import", &file, "-o", "-"], &given[..]].concat());
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("model,device,engine,weights,"), "{printed}");
    assert!(lines[1].starts_with("llama-2-7b,l4,vllm-0.11,f8_e4m3,"), "{printed}");
    // Standard input, and an assumption that a flag takes the place of.
    let table = "task,model,gpu,avg_batch,avg_out_tokens,energy_per_token_j,tput_tok_s\ngpqa,a/B,H100,8,100,0.5,400\n";
    let [assumed, told] = [&[][..], &["--prompt", "300"]].map(|flags| {
        let output = fed(&[&["import", "-", "-o", "-"], flags].concat(), table);
        String::from_utf8(output.stdout).unwrap()
    });
    assert!(assumed.contains(",250,") && assumed.lines().nth(1).unwrap().contains(",prompt,"), "{assumed}");
    assert!(told.contains(",300,") && !told.lines().nth(1).unwrap().contains("prompt"), "{told}");
}

#[test]
fn parts_that_cannot_be_read_are_named_and_the_others_written() {
    let folder = Folder::new("imports-parts");
    let head = "task,model,gpu,avg_batch,avg_out_tokens,energy_per_token_j,tput_tok_s\n";
    let file = folder.write("table.csv", &format!("{head}gpqa,a/B,H100,8,100,0.5\ngpqa,a/B,H100,8,100,0.5,400\n"));
    let sheet = folder.path("out.csv");
    let output = irene(&["import", &file, "-o", &sheet]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("left out: ") && said.contains("line 2: has 6 cells where the first line has 7"), "{said}");
    assert_eq!(std::fs::read_to_string(&sheet).unwrap().lines().count(), 2);
    // Nothing is written where nothing is known.
    let (strange, none) = (folder.write("strange.json", "{\"a\": 1}"), folder.path("none.csv"));
    refused(1, &["import", &strange, "-o", &none]).says("not recognised; looked for ML.ENERGY (").says("llama-bench (");
    refused(1, &["import", &file, "-o", &none, "--device", "h10"]).says("unknown device `h10`, did you mean");
    refused(1, &["import", &file, "-o", &none, "--engine", "vlm"]).says("vlm");
    refused(2, &["import", &file]).says("--output <OUT.csv>");
    assert!(!folder.files().contains(&"none.csv".to_owned()));
}

const MEASURED: &str = "model,device,engine,concurrency,energy_per_token_j,latency_ms
a,h100-sxm,vllm-0.11,8,1.0,100
a,h100-sxm,vllm-0.11,16,0.5,120
a,t4,vllm-0.11,8,2.0,200
";
const PREDICTED: &str =
    "model,device,engine,concurrency,energy_per_token_j,energy_per_token_j_low,energy_per_token_j_high,latency_s
a,h100-sxm,vllm-0.11,8,1.1,0.9,1.2,0.1
a,h100-sxm,vllm-0.11,16,0.5,0.6,0.7,0.12
a,t4,vllm-0.11,8,1.0,0.5,2.5,0.1
";

#[test]
fn two_sheets_are_compared_by_figure_device_model_and_engine() {
    let folder = Folder::new("evaluate-sheets");
    let (truth, out) = (folder.write("truth.csv", MEASURED), folder.write("out.csv", PREDICTED));
    let text = good(&["evaluate", &truth, &out]);
    let line = |start: &str| {
        let found = text.lines().find(|line| line.trim_start().starts_with(start));
        words(found.unwrap_or_default())
    };
    assert_eq!(line("energy_per_token_j"), "energy_per_token_j 3 10.00 20.00 42.00 66.7%", "{text}");
    assert_eq!(line("latency_s"), "latency_s 3 0.00 16.67 40.00");
    assert_eq!(line("device t4"), "device t4 1 50.00 50.00 50.00 100.0%");
    assert!(text.contains("configurations of a") && text.contains("0.333 (mean over 1 model)"), "{text}");
    let json = json(&["evaluate", &truth, &out, "--by", "model"]);
    assert_eq!(
        (json["rows"].as_u64(), json["unpredicted"].as_u64(), json["errors"].as_array().unwrap().len()),
        (Some(3), Some(0), 4)
    );
    assert_eq!(json["errors"][1]["value"], "a");
    assert!((json["rank_correlation"]["mean"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-12);
    let csv = good(&["evaluate", &truth, &out, "--format", "csv", "--by", "device"]);
    assert!(
        csv.starts_with("figure,by,value,rows,median (%),mean (%),p90 (%),inside (%)\nenergy_per_token_j,,,3,"),
        "{csv}"
    );
}

#[test]
fn sheets_that_do_not_belong_together_say_why() {
    let folder = Folder::new("evaluate-refused");
    let (truth, out) =
        (folder.write("truth.csv", MEASURED), folder.write("out.csv", &PREDICTED.replace("a,t4", "b,t4")));
    refused(1, &["evaluate", &truth, &out]).says("out.csv, line 4: no row of ").says("model b, device t4");
    refused(1, &["evaluate", &truth, &out, "--by", "colour"]).says("column `colour`");
    let trees = folder.write("trees.jsonl", "");
    refused(1, &["evaluate", &truth, &trees]).says("give two files of trees or two sheets");
    refused(2, &["evaluate", &trees, &trees, "--by", "model"]).says("--by works only with sheets");
    let part = folder.write("part.csv", PREDICTED.rsplit_once("a,t4").unwrap().0);
    let told = said(&["evaluate", &truth, &part]);
    assert!(told.ends_with("1 of 3 rows have no prediction; the first is line 4\n"), "{told}");
}
