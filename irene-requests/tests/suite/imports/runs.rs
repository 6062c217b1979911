//! Reports of single runs: of benchmarks of servers, of llama-bench and of optimum-benchmark.

use super::*;

pub(super) const VLLM: &str = r#"{"date": "20250101-000000", "endpoint_type": "vllm", "backend": "vllm", "label": null, "model_id": "some/Model-8B", "num_prompts": 100,
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

pub(super) const LLAMA_BENCH: &str = r#"[
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

const OPTIMUM_CONFIG: &str = r#"{"name": "x", "backend": {"name": "pytorch", "model": "some/Model-1B", "device_ids": "0", "torch_dtype": "float16", "quantization_config": {}},
    "scenario": {"name": "inference", "input_shapes": {"batch_size": 4, "sequence_length": 100}, "generate_kwargs": {"max_new_tokens": 51, "min_new_tokens": 51}},
    "environment": {"gpu": ["Tesla T4"], "gpu_count": 1, "transformers_version": "4.50.0"}}"#;
pub(super) const OPTIMUM_REPORT: &str = r#"{"load_model": {"memory": null},
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
