//! Tables of results, and the logs of MLPerf.

use super::*;

pub(super) const ML_ENERGY: &str = "source,task,model,gpu,n_gpu,tp,dp,ep,pp,weights,engine,max_batch,avg_batch,avg_out_tokens,energy_per_request_j,energy_per_token_j,power_w,tput_tok_s,median_itl_ms,meter
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

pub(super) const SPL: &str = "Time,06-30-2021 23:59:58.000,Watts,100.0,Volts,230.0,Amps,1.0,PF,0.9,Mark,run_1
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
