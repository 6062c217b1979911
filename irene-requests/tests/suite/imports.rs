//! Public formats are recognised by what they hold, and read as request sheets.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use irene_devices::Catalogue;
use irene_requests::{Imported, Load, METER, RequestReader, RequestRow, import, import_bytes, write};
use irene_tree::{Format, Parallel};
use proptest::prelude::*;

fn of(text: &str) -> Imported {
    import_bytes("in", text.as_bytes(), Path::new("nowhere/in")).unwrap()
}

/// The only row.
fn row(text: &str) -> RequestRow {
    let Imported { rows, left_out, .. } = of(text);
    assert!(left_out.is_empty(), "{left_out:?}");
    let [row] = &rows[..] else { panic!("{} rows", rows.len()) };
    row.clone()
}

fn refused(text: &str) -> String {
    import_bytes("in", text.as_bytes(), Path::new("in")).unwrap_err().to_string()
}

fn near(found: Option<f64>, expected: f64) -> bool {
    found.is_some_and(|found| (found / expected - 1.0).abs() < 1e-9)
}

fn names(row: &RequestRow) -> [&str; 3] {
    [&row.model, &row.device, &row.engine].map(|name| name.as_deref().unwrap_or_default())
}

const ML_ENERGY: &str = "source,task,model,gpu,n_gpu,tp,dp,ep,pp,weights,engine,max_batch,avg_batch,avg_out_tokens,energy_per_request_j,energy_per_token_j,power_w,tput_tok_s,median_itl_ms,meter
mlenergy-v3,gpqa,some/Moe-8x1B,H100,8,1,1.0,8.0,1.0,fp8,vllm-0.11.1,64,63.5,1000.0,2000.0,2.0,4000.0,2000.0,31.75,NVML
mlenergy-v2,llm-code,some/Dense-70B,A100-SXM4-40GB,16,8,1.0,,2.0,bfloat16,vllm-0.5.x,64,60,120.0,600,5,2500,500,120,NVML
mlenergy-v1,chat,lmsys/vicuna-7B,V100,1,1,,,,float16,pegasus/HF (2023),1,1.0,250,1000,4,160,40,,NVML
";

#[test]
fn ml_energys_table_has_its_loads_degrees_and_what_is_assumed() {
    let Imported { format, rows, left_out, .. } = of(ML_ENERGY);
    assert_eq!((format, rows.len(), left_out.len()), ("ML.ENERGY", 3, 0));
    let [moe, dense, old] = &rows[..] else { panic!() };
    assert_eq!(names(moe), ["some/Moe-8x1B", "h100-sxm", "vllm-0.11"]);
    assert_eq!((moe.line, moe.load, moe.weights), (2, Some(Load::Concurrency(63.5)), Some(Format::F8E4M3)));
    assert_eq!(moe.parallel, Parallel { tensor: 8, expert: 8, ..Parallel::default() });
    assert_eq!(
        (moe.prompt, moe.generated, moe.further("assumed")),
        (Some(250.0), Some(1000.0), Some("tensor_parallel prompt"))
    );
    assert_eq!((moe.figures.energy_per_token_j, moe.figures.itl_s), (Some(2.0), Some(0.03175)));
    assert_eq!(dense.parallel, Parallel { tensor: 8, pipeline: 2, ..Parallel::default() });
    assert_eq!(names(dense)[1..], ["a100-sxm-40gb", "vllm-0.5"]);
    assert_eq!(names(old), ["lmsys/vicuna-7B", "v100-sxm2-32gb", "transformers"]);
    assert_eq!((old.load, old.figures.itl_s, old.figures.tokens_per_s), (Some(Load::Sequences(1)), None, Some(40.0)));
}

#[test]
fn ml_energys_leaderboards_are_read_too() {
    let row_2024 = row(
        r#"{"Model": "some/Model-7B", "GPU": "NVIDIA H100 80GB HBM3", "TP": 2, "PP": 1, "Energy/req (J)": 50.0,
        "Avg TPOT (s)": 0.04, "Token tput (tok/s)": 1000, "Avg Output Tokens": 500, "Avg BS (reqs)": 40.5, "Max BS (reqs)": 64}"#,
    );
    assert_eq!(names(&row_2024), ["some/Model-7B", "h100-sxm", "vllm-0.5"]);
    assert_eq!((row_2024.load, row_2024.parallel.tensor), (Some(Load::Concurrency(40.5)), 2));
    assert_eq!((row_2024.figures.energy_per_token_j, row_2024.figures.power_w), (Some(0.1), Some(100.0)));
    let of_model = r#"{"model_id": "some/Model-8B", "task": "lm-arena-chat", "weight_precision": "bfloat16", "configurations": [
        {"gpu_model": "B200", "num_gpus": 1, "max_num_seqs": 8, "parallelization": {"tensor_parallel": 1, "expert_parallel": 0, "data_parallel": 0},
         "energy_per_token_joules": 0.5, "energy_per_request_joules": 300, "median_itl_ms": 8, "output_throughput_tokens_per_sec": 900, "avg_batch_size": 7.9},
        {"gpu_model": "H100", "num_gpus": 4, "parallelization": {"expert_parallel": 4}, "energy_per_token_joules": 0.25, "avg_batch_size": 16}]}"#;
    let rows = of(of_model).rows;
    assert_eq!((rows[0].generated, rows[0].figures.power_w, rows[0].prompt), (Some(600.0), Some(450.0), Some(275.0)));
    assert_eq!((names(&rows[0])[1], rows[0].parallel.gpus(), rows[1].parallel.gpus()), ("b200", 1, 4));
    let published = "task,model_id,gpu_model,num_gpus,max_num_seqs,energy_per_token_joules,output_throughput_tokens_per_sec,avg_power_watts,mean_itl_ms,avg_batch_size,total_input_tokens,completed_requests,avg_output_len
gpqa,a/B,B200,2,64,0.25,2000,480,20,60,30000,100,700
";
    let published = row(published);
    assert_eq!(
        (published.prompt, published.generated, published.further("assumed")),
        (Some(300.0), Some(700.0), Some("tensor_parallel"))
    );
    assert_eq!(
        (published.figures.power_w, published.figures.itl_s, published.parallel.tensor),
        (Some(480.0), Some(0.02), 2)
    );
    // A file of a task says the model each time.
    let of_task = r#"{"task": "gpqa", "task_display_name": "GPQA", "configurations": [{"model_id": "a/B", "gpu_model": "H100", "num_gpus": 1, "avg_batch_size": 2}]}"#;
    assert_eq!(names(&row(of_task)), ["a/B", "h100-sxm", "vllm-0.11"]);
}

#[test]
fn argonnes_batches_are_sequences_but_for_llama_bench() {
    let ours = "file,hardware,n_hw,framework,model,length,batch,latency_s,throughput_tok_s,power_w
a.csv,Nvidia A100 GPU,4,vLLM,meta-llama/Llama-2-7b-hf,128,16,2.0,2048,200
a.csv,AMD MI250 GPU,2,llama.cpp,meta-llama/Llama-2-7b-hf,128,32,4.0,64,
a.csv,Intel PVC GPU,1,vLLM,meta-llama/Llama-2-7b-hf,128,1,18.7,14,
a.csv,Intel PVC GPU,2,vLLM,meta-llama/Llama-2-7b-hf,128,1,7.5,34,
a.csv,Intel Max 1550,1,vLLM,meta-llama/Llama-2-7b-hf,128,1,2.0,128,
";
    let rows = of(ours).rows;
    assert_eq!(names(&rows[0]), ["meta-llama/Llama-2-7b-hf", "a100-sxm-40gb", "vllm-0.5"]);
    assert_eq!(
        (rows[0].load, rows[0].prompt, rows[0].generated),
        (Some(Load::Sequences(16)), Some(128.0), Some(128.0))
    );
    assert_eq!((rows[0].figures.tokens_per_s, rows[0].figures.energy_per_request_j), (Some(1024.0), Some(25.0)));
    assert_eq!(rows[0].figures.energy_per_token_j, Some(400.0 / 2048.0));
    assert_eq!((rows[1].load, rows[1].further("prompt_chunk")), (Some(Load::Sequences(1)), Some("32")));
    assert_eq!((rows[1].parallel.pipeline, rows[1].parallel.tensor, rows[1].weights), (2, 1, Some(Format::F16)));
    assert_eq!(rows[1].figures.power_w, None);
    // Its latency has the engine's start-up in it.
    let included: Vec<Option<&str>> = rows[2..].iter().map(|row| row.further("includes_start_up")).collect();
    assert_eq!(included, [Some("true"), None, None]);
    assert!(rows[2..].iter().all(|row| row.device.as_deref() == Some("max-1550")));
    let upstream =
        "Hardware,Num of Hardware,Framework,Model,Input Output Length,Batch Size,Latency,Throughput,avg_power

Nvidia H100 GPU,1,TensorRT-LLM,some/Model,1024,1,8.0,256,400000
";
    let upstream = row(upstream);
    assert_eq!((names(&upstream)[1], upstream.figures.power_w), ("h100-sxm", Some(400.0)));
}

const VLLM: &str = r#"{"date": "20250101-000000", "endpoint_type": "vllm", "backend": "vllm", "label": null, "model_id": "some/Model-8B", "num_prompts": 100,
    "request_rate": "inf", "burstiness": 1.0, "max_concurrency": 16, "duration": 50.0, "completed": 100, "total_input_tokens": 51200, "total_output_tokens": 12800,
    "request_throughput": 2.0, "request_goodput": null, "output_throughput": 256.0, "mean_ttft_ms": 200.0, "median_ttft_ms": 190, "mean_tpot_ms": 50.0, "mean_itl_ms": 49.0, "tensor_parallel_size": "2"}"#;

#[test]
fn vllms_benchmark_has_means_a_load_and_what_metadata_says() {
    let capped = row(VLLM);
    assert_eq!(names(&capped), ["some/Model-8B", "", "vllm"]);
    assert_eq!((capped.prompt, capped.generated, capped.parallel.tensor), (Some(512.0), Some(128.0), 2));
    assert_eq!(
        (capped.figures.ttft_s, capped.figures.itl_s, capped.figures.tokens_per_s),
        (Some(0.2), None, Some(256.0))
    );
    // Two requests a second, each 0.2 s and 127 times 0.05 s long.
    assert!(near(capped.figures.latency_s, 6.55));
    assert!(matches!(capped.load, Some(Load::Concurrency(running)) if near(Some(running), 13.1)));
    let median = row(&VLLM.replace("\"mean_itl_ms\"", "\"median_itl_ms\": 40.0, \"mean_itl_ms\"")).figures;
    assert!(near(median.itl_s, 0.04) && near(median.latency_s, 6.55));
    let without_first = row(&VLLM.replace("\"mean_ttft_ms\": 200.0, ", "")).figures;
    assert_eq!((without_first.itl_s, without_first.latency_s), (Some(0.05), None));
    let with_rate = VLLM.replace("\"inf\"", "1.5").replace("\"max_concurrency\": 16", "\"max_concurrency\": null");
    assert_eq!(row(&with_rate).load, Some(Load::Rate(1.5)));
    let at_once = VLLM.replace("\"max_concurrency\": 16", "\"max_concurrency\": null");
    assert!(matches!(row(&at_once).load, Some(Load::Concurrency(running)) if near(Some(running), 12.8)));
    // A server that speaks OpenAI's protocol may be any engine; lines of several results are rows.
    let lines = format!("{}\n{}\n", VLLM.replace('\n', " ").replace("\"vllm\"", "\"openai\""), VLLM.replace('\n', " "));
    let rows = of(&lines).rows;
    assert_eq!((rows.len(), rows[0].engine.as_deref(), rows[1].line), (2, None, 2));
}

#[test]
fn a_server_that_fell_behind_the_rate_is_known_by_what_it_served_and_not_by_its_queue() {
    let late = row(&VLLM.replace("\"inf\"", "100.0").replace("\"max_concurrency\": 16", "\"max_concurrency\": null"));
    assert!(matches!(late.load, Some(Load::Concurrency(running)) if near(Some(running), 12.8)), "{:?}", late.load);
    let figures = late.figures;
    assert_eq!((figures.latency_s, figures.ttft_s, figures.tokens_per_s), (None, None, Some(256.0)));
    assert!(near(figures.itl_s, 0.05));
}

#[test]
fn sglangs_benchmark_is_read_without_its_infinite_rate() {
    let sglang = VLLM
        .replace("\"inf\"", "Infinity")
        .replace("\"label\": null", "\"concurrency\": 13.5, \"mean_e2e_latency_ms\": 6700.0")
        .replace("\"request_goodput\": null", "\"request_goodput\": NaN")
        .replace("20250101-000000", "until \\\"Infinity");
    let capped = row(&sglang);
    assert!(matches!(capped.load, Some(Load::Concurrency(running)) if near(Some(running), 13.5)), "{:?}", capped.load);
    assert!(near(capped.figures.latency_s, 6.7));
    assert_eq!(capped.further("date"), Some("until \"Infinity"), "a text stays as it is");
    let at_once = row(&sglang.replace("\"max_concurrency\": 16", "\"max_concurrency\": -Infinity"));
    assert!(matches!(at_once.load, Some(Load::Concurrency(running)) if near(Some(running), 12.8)));
}

const LLAMA_BENCH: &str = r#"[
  {"build_commit": "abc", "build_number": 5000, "cpu_info": "Some CPU", "gpu_info": "NVIDIA GeForce RTX 4090", "backends": "CUDA", "model_filename": "models/Some-Model-8B-Q4_K_M.gguf",
   "model_type": "llama 8B Q4_K - Medium", "n_batch": 2048, "n_gpu_layers": 99, "split_mode": "layer", "n_prompt": 512, "n_gen": 0, "n_depth": 0, "avg_ns": 100000000, "avg_ts": 5120.0},
  {"gpu_info": "NVIDIA GeForce RTX 4090, NVIDIA GeForce RTX 4090", "backends": "CUDA", "model_filename": "x.F16.gguf", "model_type": "llama 8B F16", "n_gpu_layers": 99, "split_mode": "row",
   "type_k": "q8_0", "type_v": "q8_0", "n_prompt": 0, "n_gen": 128, "n_depth": 0, "avg_ns": 1280000000, "avg_ts": 100.0},
  {"gpu_info": "", "cpu_info": "Some CPU", "backends": "CPU", "model_filename": "x.gguf", "model_type": "qwen3 8B Q8_0", "n_gpu_layers": 0, "n_prompt": 0, "n_gen": 32, "n_depth": 1024, "avg_ns": 3200000000, "avg_ts": 10.0}
]"#;

#[test]
fn llama_bench_tells_prompts_from_tokens() {
    let rows = of(LLAMA_BENCH).rows;
    let [prompt, tokens, deep] = &rows[..] else { panic!() };
    assert_eq!(names(prompt), ["Some-Model-8B", "rtx-4090", "llama.cpp"]);
    assert_eq!((prompt.weights, prompt.prompt, prompt.generated), (Some(Format::Q4K), Some(512.0), Some(0.0)));
    assert_eq!(
        (prompt.figures.latency_s, prompt.figures.ttft_s, prompt.figures.tokens_per_s),
        (Some(0.1), Some(0.1), None)
    );
    assert_eq!((tokens.prompt, tokens.generated, tokens.weights), (Some(1.0), Some(128.0), Some(Format::F16)));
    assert_eq!((prompt.cache, tokens.cache), (None, Some(Format::Q8_0)));
    assert!(near(tokens.figures.itl_s, 0.01) && near(tokens.figures.tokens_per_s, 100.0));
    assert_eq!((tokens.parallel.tensor, tokens.model.as_deref()), (2, Some("x")));
    assert_eq!((deep.device.as_deref(), deep.prompt, deep.figures.latency_s), (None, Some(1024.0), None));
    assert!(near(deep.figures.itl_s, 0.1) && deep.weights == Some(Format::Q8_0));
    assert_eq!(deep.figures.tokens_per_s, None, "its 1024 tokens in the cache were read before");
    let csv = "build_commit,gpu_info,model_type,model_filename,n_gpu_layers,n_prompt,n_gen,avg_ns,avg_ts\nabc,Tesla T4,llama 1B F16,y.gguf,99,16,8,1000000000,24\n";
    let both = row(csv);
    assert_eq!(
        (both.device.as_deref(), both.figures.latency_s, both.figures.tokens_per_s),
        (Some("t4"), Some(1.0), Some(8.0))
    );
}

#[test]
fn tokens_behind_a_full_cache_have_no_tokens_a_second_of_llama_bench() {
    let at = |prompt: usize, depth: usize| {
        let titles = "build_commit,model_type,n_gpu_layers,n_prompt,n_gen,n_depth,avg_ns,avg_ts";
        row(&format!("{titles}\nabc,llama 1B F16,99,{prompt},8,{depth},1000000000,24\n"))
    };
    assert!(near(at(16, 0).figures.tokens_per_s, 8.0) && near(at(0, 1024).figures.itl_s, 0.125));
    for deep in [at(16, 1024), at(0, 1024)] {
        assert_eq!((deep.figures.tokens_per_s, deep.further("n_depth")), (None, Some("1024")));
    }
}

/// A folder of its own for each test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("irene-requests-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const OPTIMUM_CONFIG: &str = r#"{"name": "x", "backend": {"name": "pytorch", "model": "some/Model-1B", "device_ids": "0", "torch_dtype": "float16", "quantization_config": {}},
    "scenario": {"name": "inference", "input_shapes": {"batch_size": 4, "sequence_length": 100}, "generate_kwargs": {"max_new_tokens": 51, "min_new_tokens": 51}},
    "environment": {"gpu": ["Tesla T4"], "gpu_count": 1, "transformers_version": "4.50.0"}}"#;
const OPTIMUM_REPORT: &str = r#"{"load_model": {"memory": null},
    "prefill": {"memory": null, "latency": {"unit": "s", "mean": 0.5, "values": [0.5]}, "throughput": {"unit": "tokens/s", "value": 800},
                "energy": {"unit": "kWh", "cpu": 1e-6, "ram": 1e-6, "gpu": 2e-6, "total": 4e-6}, "efficiency": {"unit": "tokens/kWh", "value": 1e8}},
    "decode": {"latency": {"unit": "s", "mean": 2.0}, "energy": {"unit": "kWh", "cpu": 1e-5, "ram": 1e-5, "gpu": 2e-5, "total": 4e-5}, "efficiency": {"unit": "tokens/kWh", "value": 5e6}},
    "per_token": {"latency": {"unit": "s", "mean": 0.04}}}"#;

#[test]
fn optimums_energies_are_of_the_gpus_by_what_was_done() {
    let folder = Folder::new("optimum");
    folder.write("benchmark_config.json", OPTIMUM_CONFIG);
    let beside = import(&folder.write("benchmark_report.json", OPTIMUM_REPORT)).unwrap().rows.remove(0);
    let together = row(&format!(r#"{{"config": {OPTIMUM_CONFIG}, "report": {OPTIMUM_REPORT}}}"#));
    assert_eq!(beside, together);
    assert_eq!(names(&together), ["some/Model-1B", "t4", "transformers"]);
    assert_eq!(
        (together.load, together.prompt, together.generated),
        (Some(Load::Sequences(4)), Some(100.0), Some(51.0))
    );
    assert_eq!(
        (together.weights, together.figures.ttft_s, together.figures.itl_s),
        (Some(Format::F16), Some(0.5), Some(0.04))
    );
    assert_eq!((together.figures.latency_s, together.figures.tokens_per_s), (Some(2.5), Some(81.6)));
    // Half of 3.6e6/1e8 J a token of the prompt, and half of 3.6e6/5e6 J a token after the first.
    let request = 0.5 * 0.036 * 100.0 + 0.5 * 0.72 * 50.0;
    assert!(
        near(together.figures.energy_per_request_j, request) && near(together.figures.power_w, 4.0 * request / 2.5)
    );
    let encoder = row(r#"{"forward": {"latency": {"mean": 0.25}, "energy": null}}"#);
    assert_eq!((encoder.generated, encoder.figures.latency_s, encoder.device), (Some(0.0), Some(0.25), None));
}

const SPL: &str = "Time,06-30-2021 23:59:58.000,Watts,100.0,Volts,230.0,Amps,1.0,PF,0.9,Mark,run_1
Time,06-30-2021 23:59:59.500,Watts,200.0,Volts,230.0,Amps,1.0,PF,0.9,Mark,run_1
Time,07-01-2021 00:00:00.500,Watts,300.0,Volts,230.0,Amps,1.0,PF,0.9,Mark,run_1
garbage
Time,07-01-2021 00:00:02.000,Watts,1000.0,Volts,230.0,Amps,1.0,PF,0.9,Mark,run_1
";
const DETAIL: &str = r#":::MLLOG {"key": "loadgen_version", "value": "1.1", "time_ms": 0.1}
:::MLLOG {"key": "power_begin", "value": "06-30-2021 23:59:59.000", "time_ms": 0.2}
:::MLLOG {"key": "power_end", "value": "07-01-2021 00:00:01.000", "time_ms": 9}
:::MLLOG {"key": "result_samples_per_second", "value": 500.0, "time_ms": 10}
:::MLLOG {"key": "result_mean_latency_ns", "value": 2000000, "time_ms": 10}
:::MLLOG {"key": "result_validity", "value": "VALID", "time_ms": 10}
"#;

#[test]
fn mlperfs_logs_give_the_power_between_their_marks() {
    let folder = Folder::new("mlperf");
    for (place, name) in [("performance/run_1", "run_1"), ("performance/ranging", "ranging")] {
        folder.write(&format!("closed/Me/results/box/bert-99/Offline/{place}/spl.txt"), &SPL.replace("run_1", name));
        folder.write(&format!("closed/Me/results/box/bert-99/Offline/{place}/mlperf_log_detail.txt"), DETAIL);
    }
    let system = r#"{"accelerator_model_name": "NVIDIA A100-PCIe-40GB", "accelerators_per_node": "2", "framework": "TensorRT 8.0", "submitter": "Me"}"#;
    folder.write("closed/Me/systems/box.json", system);
    let Imported { rows, left_out, .. } = import(&folder.0).unwrap();
    assert_eq!((rows.len(), left_out.len()), (1, 0));
    let run = &rows[0];
    assert_eq!(names(run), ["bert-large-uncased", "a100-pcie-40gb", "tensorrt"]);
    assert_eq!((run.prompt, run.generated, run.load, run.parallel.data), (Some(384.0), Some(0.0), None, 2));
    assert_eq!(
        (run.figures.power_w, run.figures.energy_per_request_j, run.figures.latency_s),
        (Some(250.0), Some(0.5), None)
    );
    assert_eq!(
        (run.further(METER), run.further("system"), run.further("result")),
        (Some("wall, whole system"), Some("box"), Some("VALID"))
    );
    // Clocks that do not meet are said, and a folder without a run.
    folder.write("late/run_1/spl.txt", &SPL.replace("2021", "2020"));
    folder.write("late/run_1/mlperf_log_detail.txt", DETAIL);
    let late = import(&folder.0.join("late")).unwrap();
    assert!(
        late.left_out[0]
            .to_string()
            .contains("spl.txt: not recognised; looked for samples between power_begin and power_end")
    );
    assert!(
        import(&folder.0.join("closed/Me/systems"))
            .unwrap_err()
            .to_string()
            .contains("spl.txt and mlperf_log_detail.txt")
    );
}

#[test]
fn mlperfs_table_has_rates_and_single_streams() {
    let table = "round,division,submitter,system,model,scenario,accelerator,n_accelerators,host_cpu,framework,samples_per_s,tokens_per_s,mean_latency_ms,avg_power_w,result,j_per_sample,j_per_token
v1.1,closed,A,box,bert-99.9,singlestream,NVIDIA Xavier NX,1,arm,\"JetPack 4.6, TensorRT 8.0.1\",50,,20,15,VALID,0.3,
v4.1,closed,A,box,llama2-70b-99,server,NVIDIA H200-SXM-141GB,8,x,TensorRT 10.2.0,100,30000,5000,6000,VALID,60,0.2
";
    let rows = of(table).rows;
    assert_eq!(
        (rows[0].load, rows[0].figures.latency_s, names(&rows[0])[1]),
        (Some(Load::Sequences(1)), Some(0.02), "jetson-xavier-nx")
    );
    assert_eq!((rows[1].load, rows[1].generated, rows[1].prompt), (Some(Load::Rate(100.0)), Some(300.0), None));
    assert_eq!(names(&rows[1]), ["meta-llama/Llama-2-70b-chat-hf", "h200-sxm", "tensorrt-llm"]);
    assert_eq!(rows[1].further("assumed"), Some("data_parallel"));
}

#[test]
fn splitwise_and_ecocompute_say_what_their_shares_and_totals_mean() {
    let splitwise = "model,hardware,prompt_size,batch_size,token_size,peak_power,average_power,prompt_time,token_time,e2e_time,tensor_parallel
llama2-70b,a100-80gb,512,2,101,1.0,0.5,1000,50,6000,4
llama2-70b,h100-80gb,512,1,201,0.0,0.0,100,50,6000,2
";
    let rows = of(splitwise).rows;
    assert_eq!(names(&rows[0]), ["meta-llama/Llama-2-70b-hf", "a100-sxm-80gb", "vllm-0.2"]);
    assert_eq!(
        (rows[0].figures.power_w, rows[0].figures.latency_s, rows[0].figures.energy_per_request_j),
        (Some(800.0), Some(6.0), Some(2400.0))
    );
    // It ended before all tokens were there.
    assert_eq!((rows[1].figures.power_w, rows[1].figures.latency_s, rows[1].figures.itl_s), (None, None, Some(0.05)));
    let eco = "batch_size,total_time_s,throughput_tok_s,avg_power_w,total_energy_j,energy_per_request_j,energy_per_1k_tokens_j,tokens_generated\n4,10,102.4,150,1500,375,1464.84375,1024\n";
    let eco = import_bytes("in", eco.as_bytes(), Path::new("runs_a800.csv")).unwrap().rows.remove(0);
    assert_eq!((eco.generated, eco.load, eco.weights), (Some(256.0), Some(Load::Sequences(4)), Some(Format::Int8)));
    assert_eq!((eco.figures.energy_per_token_j, eco.device.as_deref()), (Some(1.46484375), Some("a800-sxm-80gb")));
}

#[test]
fn what_is_not_recognised_says_what_was_looked_for() {
    for text in ["", "a,b\n1,2\n", "{}", "[1, 2]", "just words", "{\"prompt\": 1}"] {
        let reason = refused(text);
        assert!(reason.starts_with("in: not recognised; looked for ML.ENERGY (energy_per_token_j"), "{reason}");
        assert!(reason.contains("llama-bench (n_prompt") && reason.lines().count() == 1);
    }
    assert!(refused("{\"completed\": 1,\n").starts_with("in, line 2: is not JSON: EOF"));
    // A wrong line keeps no other from being read.
    let broken = ML_ENERGY.replace("mlenergy-v2,llm-code,", "mlenergy-v2,");
    let Imported { rows, left_out, .. } = of(&broken);
    assert_eq!(
        (rows.len(), left_out[0].to_string()),
        (2, "in, line 3: has 19 cells where the first line has 20".to_owned())
    );
}

/// Every row can be written and read back.
fn round_trip(rows: &[RequestRow]) {
    let mut text = Vec::new();
    write(&mut text, rows).unwrap();
    let mut read = RequestReader::new("a", &text[..]).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(read.len(), rows.len());
    for (read, row) in read.iter_mut().zip(rows) {
        read.line = row.line;
        read.further.retain(|(title, _)| row.further(title).is_some());
        let further = |row: &RequestRow| row.further.iter().cloned().collect::<BTreeMap<_, _>>();
        assert_eq!(further(read), further(row));
        read.further.clone_from(&row.further);
    }
    assert_eq!(read, rows);
}

#[test]
fn what_is_imported_is_written_and_read_back() {
    let all = [ML_ENERGY, VLLM, LLAMA_BENCH];
    all.iter().for_each(|text| round_trip(&of(text).rows));
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn the_public_files_are_read_whole() {
    let data = PathBuf::from(std::env::var_os("IRENE_DATA").unwrap()).join("llm");
    for (file, count) in [
        ("mlenergy.csv", 563),
        ("llm_inference_bench.csv", 3077),
        ("mlperf_power.csv", 96),
        ("splitwise.csv", 630),
        ("ecocompute_a800.csv", 70),
    ] {
        let Imported { rows, left_out, .. } = import(&data.join(file)).unwrap();
        assert_eq!((rows.len(), left_out.len()), (count, 0), "{file}");
        let is_known = |name: &str| Catalogue::find(name).is_ok_and(|device| device.name == name);
        let unknown: BTreeSet<&str> =
            rows.iter().filter_map(|row| row.device.as_deref()).filter(|name| !is_known(name)).collect();
        assert!(unknown.is_subset(&BTreeSet::from(["SambaNova SN40L"])), "{file}: {unknown:?}");
        assert!(
            rows.iter().all(|row| row.model.is_some() && row.device.is_some() && !row.figures.is_empty()),
            "{file}"
        );
        round_trip(&rows);
    }
}

#[test]
fn a_row_on_more_gpus_than_a_sheet_can_say_is_left_out() {
    let Imported { rows, left_out, .. } = of(&ML_ENERGY.replace(",8,1,1.0,8.0,1.0,", ",8,16777216,1.0,8.0,1.0,"));
    let fault = "in, line 2, column `tensor_parallel`: 16777216 is not a whole number from 1 to 1048576";
    assert_eq!((rows.len(), left_out[0].to_string().as_str()), (2, fault));
    let negative = VLLM.replace("\"total_input_tokens\": 51200", "\"total_input_tokens\": -51200");
    assert_eq!(row(&negative).prompt, None);
}

#[test]
fn a_ratio_that_is_no_number_is_no_setting() {
    let of = |text: &str| import_bytes("in", text.as_bytes(), Path::new("nowhere/in")).unwrap().rows.remove(0);
    let few = VLLM.replace("\"completed\": 100", "\"completed\": 1.8e-309");
    assert_ne!(few, VLLM);
    assert_eq!((of(VLLM).prompt, of(&few).prompt), (Some(512.0), None));
    let pairs = [
        ("\"max_concurrency\": 16", "\"max_concurrency\": null"),
        ("\"output_throughput\": 256.0", "\"output_throughput\": 1e308"),
        ("\"mean_tpot_ms\": 50.0", "\"mean_tpot_ms\": 1e300"),
    ];
    let swift = pairs.iter().fold(VLLM.to_owned(), |text, (old, new)| text.replace(old, new));
    assert_eq!(of(&swift).load, None);
}

proptest! {
    #[test]
    fn no_bytes_panic_the_formats(seed in prop::sample::select(vec![ML_ENERGY, VLLM, LLAMA_BENCH, OPTIMUM_REPORT, SPL]), at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..12), cut in any::<bool>()) {
        let mut text = seed.as_bytes().to_vec();
        let at = at.index(text.len());
        let end = if cut { text.len() } else { (at + bytes.len()).min(text.len()) };
        text.splice(at..end, bytes);
        if let Ok(imported) = import_bytes("in", &text, Path::new("nowhere/in")) {
            let mut written = Vec::new();
            write(&mut written, &imported.rows).unwrap();
        }
    }

    #[test]
    fn no_values_panic_the_formats(number in prop_oneof![any::<f64>().prop_map(|value| serde_json::json!(value)), any::<i64>().prop_map(|value| serde_json::json!(value)), "\\PC{0,8}".prop_map(|value| serde_json::json!(value)), Just(serde_json::json!([[]])), Just(serde_json::json!({"a": null}))], field in any::<prop::sample::Index>(), seed in prop::sample::select(vec![VLLM, OPTIMUM_REPORT])) {
        let mut value: serde_json::Value = serde_json::from_str(seed).unwrap();
        let fields: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        value[field.get(&fields)] = number;
        if let Ok(imported) = import_bytes("in", value.to_string().as_bytes(), Path::new("nowhere/in")) {
            let mut written = Vec::new();
            write(&mut written, &imported.rows).unwrap();
            // Each figure and count that is written is one that is read.
            let read: Vec<_> = RequestReader::new("a", &written[..]).unwrap().collect();
            prop_assert!(read.iter().all(Result::is_ok), "{:?}", read);
        }
    }
}
