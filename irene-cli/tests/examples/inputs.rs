//! The files that examples name: made up, small, and of the real kinds.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use candle_core::{Device, Tensor, safetensors};
use irene_scripted_server::{Script, ScriptedServer};
use irene_tree::{Node, Quantity, Tree, jsonl};
use serde_json::{Value, json};

use crate::{
    PROGRAMS,
    command::{Folder, good, irene},
    irene_csv::{HEADER, as_pytorch_has_it, is_operation, write_csv},
    made_up,
    run::{self, in_path},
};

/// A prepared folder, and a machine with meters.
pub(crate) struct Inputs {
    folder: Folder,
    meters: Arc<AtomicBool>,
    places: AtomicUsize,
    /// For what measures servers.
    server: ScriptedServer,
}

/// Sizes of the measured trees; examples ask for 8x128.
const SIZES: [(usize, usize); 4] = [(8, 32), (8, 128), (16, 64), (16, 128)];
const MODELS: [&str; 4] =
    ["google/bert_uncased_L-2_H-128_A-2", "google/bert_uncased_L-2_H-256_A-4", "distilgpt2", "openai-gpt"];

/// A GPT-2 of two layers.
const MY_MODEL: &str = r#"{"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 512,
    "vocab_size": 100, "activation_function": "gelu_new"}"#;

/// A data sheet of one's own.
const MY_CARD: &str = "name = \"my-card\"\ntitle = \"My card\"\nvendor = \"other\"\narchitecture = \"new\"\nclass = \"datacenter\"\nyear = 2026
peaks = { bf16 = 500 }\nbandwidth_gb_s = 2000\nmemory_gib = 64\ntdp_w = 400\n";

/// Words are tokens.
const TOKENIZER: &str = r#"{"version": "1.0", "added_tokens": [], "normalizer": {"type": "Lowercase"}, "post_processor": null,
    "decoder": null, "truncation": null, "padding": null, "pre_tokenizer": {"type": "Whitespace"},
    "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "the": 1, "cat": 2, "sat": 3, "on": 4, "mat": 5}, "unk_token": "[UNK]"}}"#;

/// A chat template of few words.
const CHAT: &str =
    r#"{"eos_token": "mat", "chat_template": "{% for m in messages %}{{ m['content'] }} {{ eos_token }}{% endfor %}"}"#;

const DESIGN: &str = r#"{"model_type": "flexibert", "model_dict": {"l": 2, "h": [256, 128], "f": [[1024, 512], [512]],
    "o": [["sa_sdp_64", "sa_wma_64", "l_dft_64", "c_9_64"], ["l_dct_64", "sa_sdp_64"]]}}"#;

impl Inputs {
    pub(crate) fn new() -> Self {
        let folder = Folder::new("examples");
        let server = ScriptedServer::start(Script::default(), &folder.0.join("server")).unwrap();
        let inputs = Self { folder, meters: Arc::new(AtomicBool::new(true)), places: AtomicUsize::new(0), server };
        inputs.programs();
        inputs.machine();
        inputs.models();
        inputs.trees();
        inputs.records();
        inputs.sheets();
        inputs
    }

    fn write(&self, name: &str, text: &str) -> String {
        self.folder.write(&format!("files/{name}"), text)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path(&format!("files/{name}"))
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.folder.write(name, &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The command, which notes its calls and how they ended; what a machine may lack; and people's own programs.
    fn programs(&self) {
        let note = format!(
            "'{}' \"$@\"\nended=$?\nprintf '%s\\n' \"$ended\" \"$@\" '' >> \"$IRENE_CALLS\"\nexit $ended",
            env!("CARGO_BIN_EXE_irene")
        );
        self.program("bin/irene", &note);
        for program in PROGRAMS.iter().filter(|program| program.is_always || !in_path(program.name)) {
            if let Some(script) = program.stand_in {
                self.program(&format!("bin/{}", program.name), script);
            }
        }
        self.program("files/serve", "sleep 0.3");
        self.program("files/benchmark", "sleep 0.3");
        // A server that was just started may not answer yet, and what it refuses is a failure.
        self.folder.write(
            "home/.curlrc",
            "silent\nshow-error\nfail\nretry = 60\nretry-delay = 1\nretry-connrefused\nnoproxy = *\n",
        );
        fs::create_dir_all(self.folder.0.join("home/.local/share/bash-completion/completions")).unwrap();
    }

    /// Meters that run until the test ends: 50 W by a processor's counter, 115 W in an external meter's log.
    fn machine(&self) {
        let zone = "sys/class/powercap/intel-rapl:0";
        self.folder.write(&format!("{zone}/name"), "package-0\n");
        self.folder.write(&format!("{zone}/max_energy_range_uj"), "262143328850\n");
        let counter = File::create(self.folder.write(&format!("{zone}/energy_uj"), "")).unwrap();
        let mut log = File::create(self.folder.write("meter.csv", "")).unwrap();
        let running = Arc::clone(&self.meters);
        // Every count has the same length, so that no reader finds a part of one.
        let count = move |joules: f64| counter.write_all_at(format!("{:012.0}\n", 1e9 + joules * 1e6).as_bytes(), 0);
        count(0.0).unwrap();
        log.write_all(b"time,volts,amperes\n").unwrap();
        std::thread::spawn(move || {
            let (start, mut logged) = (Instant::now(), Instant::now());
            while running.load(Ordering::Relaxed) {
                count(50.0 * start.elapsed().as_secs_f64()).unwrap();
                if logged.elapsed() >= Duration::from_millis(50) {
                    logged = Instant::now();
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
                    log.write_all(format!("{now},230,0.5\n").as_bytes()).unwrap();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    }

    fn models(&self) {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../irene-models/tests/fixtures/bert");
        let config = fs::read_to_string(fixture.join("config.json")).unwrap();
        // The fixture has 40 positions.
        const TIMES: usize = 16;
        let (few, many) = ("\"max_position_embeddings\": 40", format!("\"max_position_embeddings\": {}", 40 * TIMES));
        assert!(config.contains(few));
        let config = config.replace(few, &many);
        self.write("my-bert/config.json", &config);
        self.write("path/to/config.json", &config);
        self.write("my-bert/tokenizer.json", TOKENIZER);
        let mut tensors = safetensors::load(fixture.join("model.safetensors"), &Device::Cpu).unwrap();
        let table = tensors.iter_mut().find(|(name, _)| name.ends_with("position_embeddings.weight")).unwrap().1;
        *table = Tensor::cat(&[&*table; TIMES], 0).unwrap();
        safetensors::save(&tensors, self.path("my-bert/model.safetensors")).unwrap();
        fs::copy(fixture.join("io.safetensors"), self.path("in.safetensors")).unwrap();
        self.write("my-model/config.json", MY_MODEL);
        let decoder = fixture.with_file_name("gpt2_generation");
        self.write("my-gpt2/tokenizer.json", TOKENIZER);
        self.write("my-gpt2/tokenizer_config.json", CHAT);
        for (name, copied) in [
            ("config.json", "my-gpt2/config.json"),
            ("model.safetensors", "my-gpt2/model.safetensors"),
            ("io.safetensors", "prompts.safetensors"),
        ] {
            fs::copy(decoder.join(name), self.path(copied)).unwrap();
        }
        self.write("my-card.toml", MY_CARD);
        self.write("prompts.txt", "the cat\nthe cat sat on the mat\n");
        self.write("config.json", DESIGN);
    }

    /// Measured trees, as IrEne's files and as lines; predictors trained on them.
    fn trees(&self) {
        let trees: Vec<Tree> = MODELS
            .iter()
            .flat_map(|model| SIZES.map(|(batch, seq)| made_up::measured(&made_up::model(model), batch, seq)))
            .collect();
        let mut files: HashMap<&str, String> = HashMap::new();
        trees.iter().for_each(|tree| write_csv(tree, &mut files));
        for (name, rows) in &files {
            for device in ["device_1", "device_2"] {
                self.write(&format!("datasets/{device}/{name}_level_features.csv"), &format!("{HEADER}\n{rows}"));
            }
        }
        let device = self.path("device_1.jsonl");
        good(&["import", "irene-csv", &self.path("datasets/device_1"), "-o", &device]);
        let lines = fs::read_to_string(&device).unwrap();
        assert_eq!(lines.lines().count(), trees.len());
        for name in ["trees.jsonl", "measured.jsonl"] {
            self.write(name, &lines);
        }
        self.tables();
        let few: String = trees.iter().take(3).map(|tree| jsonl::to_json(tree) + "\n").collect();
        self.write("mine.jsonl", &few);
        let mine = self.path("mine.safetensors");
        good(&["train", &device, "--method", "specs", "-o", &mine]);
        fs::copy(&mine, self.path("lab.safetensors")).unwrap();
        good(&["predict", &device, "--predictor", &mine, "-o", &self.path("predicted.jsonl")]);
    }

    /// Tables as people keep them: of whole models; of what PyTorch's hooks see of one; of one model, a file a level.
    fn tables(&self) {
        let energy = |node: &Node| 1e3 * node.get(Quantity::GroundTruthEnergy).unwrap();
        let (mut runs, mut layers) =
            (String::from("model,batch_size,seq_len,energy\n"), String::from("layer;tokens;energy (mJ)\n"));
        for seq in [32, 64, 128] {
            let tree = made_up::measured(&made_up::model("gpt2"), 8, seq);
            let _ = writeln!(runs, "{},8,{seq},{}", tree.model_name, energy(tree.root()));
            for node in tree.nodes().iter().filter(|node| !is_operation(node)) {
                let _ = writeln!(layers, "{};{seq};{}", as_pytorch_has_it(&tree, node).join("."), energy(node));
            }
        }
        // named_modules() has no name for the whole.
        self.write("layers.csv", &layers.replace("\n;", "\nroot;"));
        self.write("runs.csv", &runs);
        self.write("modules.csv", "name,used,took\nencoder.layer.0,0.001,500\nroot,0.01,5000\n");
        self.write("linears.csv", "took\tused\tname\n100\t1e-4\tbert.encoder.layer.0.attention.self.query\n");
    }

    /// Measured designs, as campaigns write them and as ProTran's data is laid out; surrogates learned from them.
    fn records(&self) {
        self.write("ops.csv", "op,device,b,m,n,k,h\nlinear,h100-sxm,1,2048,4096,4096,\nsoftmax,t4,4096,,,,1024\n");
        let lines = |records: &[Value]| records.iter().map(|record| format!("{record}\n")).collect::<String>();
        let mine = self.folder.write("records/mine.jsonl", &lines(&records(1.0)));
        self.write("other.jsonl", &lines(&records(1.5)));
        for (device, factor) in [("gpu_a100", 0.1), ("cpu_m1-pro", 2.0), ("cpu_rpi", 30.0)] {
            self.write(&format!("{device}.json"), &json!({"device": device, "records": records(factor)}).to_string());
        }
        let with_accuracy = |mut record: Value| {
            record["accuracy"] = json!(0.7 + 0.02 * record["latency_s"].as_f64().unwrap().min(1.0));
            record
        };
        self.write("glue.jsonl", &lines(&records(1.0).into_iter().map(with_accuracy).collect::<Vec<_>>()));
        self.write("designs.jsonl", &good(&["explore", "sample", "8"]));
        good(&["explore", "fit", &mine, "-o", &self.path("mine.surrogates.json")]);
        // The parts of a campaign, of which the documents say how they are measured.
        for part in ["0/2", "1/2"] {
            let (file, campaign) = (&part[..1], "--samples 240 -b 32 -s 128");
            run::by_hand(
                &format!("irene explore profile {campaign} --shard {part} -o part-{file}.jsonl"),
                self,
                &self.folder.0.join("files"),
            );
        }
    }

    /// Requests that were measured and their predictions, and public measurements in the formats of those who made them.
    fn sheets(&self) {
        let settings = [("h100-sxm", 1, 0.2), ("h100-sxm", 8, 0.05), ("t4", 1, 0.6), ("t4", 8, 0.1)];
        let sheet = |factor: f64| {
            let row = |(device, sequences, joules): (&str, u32, f64)| {
                format!("gpt2,{device},vllm-0.11,{sequences},128,64,{}\n", joules * factor)
            };
            let rows: String = settings.into_iter().map(row).collect();
            format!("model,device,engine,sequences,prompt,generated,energy_per_token_j\n{rows}")
        };
        self.write("requests.csv", &sheet(1.0));
        self.write("measured.csv", &sheet(1.0));
        self.write("predicted.csv", &sheet(1.1));
        let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/outside-the-fit.csv");
        self.write("outside-the-fit.csv", &fs::read_to_string(published).unwrap());
        let operations =
            |unit: &str, time: f64| format!("op,device,latency_{unit},b,m,n,k,h\nlinear,t4,{time},1,512,768,768,\n");
        self.write("operations.csv", &operations("ms", 0.2));
        self.write("predicted-operations.csv", &operations("s", 0.0003));
        let ml_energy =
            "task,model,gpu,avg_batch,avg_out_tokens,energy_per_token_j,tput_tok_s\ngpqa,gpt2,H100,8,100,0.1,800\n";
        self.write("mlenergy.csv", ml_energy);
        for concurrency in [4, 16] {
            let result = json!({"backend": "vllm", "model_id": "gpt2", "max_concurrency": concurrency, "completed": 10,
                "total_input_tokens": 1000, "total_output_tokens": 640, "output_throughput": 500.0, "mean_tpot_ms": 5.0});
            self.write(&format!("results/{concurrency}.json"), &result.to_string());
        }
        let test = json!({"gpu_info": "Tesla T4", "model_type": "llama 8B Q4_K - Medium", "model_filename": "my.gguf",
            "n_gpu_layers": 99, "n_prompt": 0, "n_gen": 128, "avg_ns": 4e9, "avg_ts": 32.0});
        self.write("llama-bench.json", &json!([test]).to_string());
    }

    /// A folder of its own with all files.
    pub(crate) fn place(&self, script: &str) -> PathBuf {
        let place = self.folder.0.join(format!("place-{}", self.places.fetch_add(1, Ordering::Relaxed)));
        copy(&self.folder.0.join("files"), &place);
        if script.contains("irene explore ") {
            copy(&self.folder.0.join("records"), &place);
        }
        symlink(self.folder.0.join("meter.csv"), place.join("meter.csv")).unwrap();
        let gguf = "../irene-models/tests/fixtures/gguf/tiny-llama.q4_k_m.gguf";
        symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join(gguf), place.join("model.gguf")).unwrap();
        place
    }

    /// The variables under which scripts run: the machine above, no network, and what clusters set.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let path = std::env::var("PATH").unwrap_or_default();
        vec![
            ("PATH", format!("{}:{path}", self.folder.path("bin"))),
            ("HOME", self.folder.path("home")),
            ("IRENE_SYS", self.folder.path("sys")),
            ("IRENE_NVML_LIBRARY", "/nothing.so".into()),
            ("SCRIPTED_SERVER", self.server.url()),
            ("HF_HUB_OFFLINE", "1".into()),
            ("SLURM_ARRAY_TASK_ID", "3".into()),
            ("SLURM_ARRAY_TASK_COUNT", "16".into()),
            ("JOB_COMPLETION_INDEX", "3".into()),
        ]
    }
}

impl Drop for Inputs {
    fn drop(&mut self) {
        self.meters.store(false, Ordering::Relaxed);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Designs with figures by a simple law, a few percent off.
fn records(factor: f64) -> Vec<Value> {
    let output = irene(&["explore", "sample", "20", "--balanced"]);
    let lines = String::from_utf8(output.stdout).unwrap();
    let record = |(order, line): (usize, &str)| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        let sizes = record["model_dict"]["h"].as_array().unwrap();
        let work: f64 = sizes.iter().map(|size| size.as_f64().unwrap().powi(2)).sum();
        let work = factor * work * (1.0 + 0.03 * ((order * order) as f64).sin());
        record["order"] = json!(order);
        record["latency_s"] = json!(1e-3 * factor + 1e-8 * work);
        record["energy_J"] = json!(1e-2 * factor + 2e-6 * work);
        record["peak_power_W"] = json!(10.0 + work.ln());
        record
    };
    lines.lines().enumerate().map(record).collect()
}
