//! Clients that mean harm, or are only slow: what they may take from the server, and that it comes back.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use irene_viz::Limits;

use crate::server::{Running, config, encoded};

const GPT2: &str = "/api/v1/predict?model=gpt2&batch_size=1&seq_len=8";

/// Layers of a model whose answer is more than a connection's buffers hold.
const LAYERS: u64 = 600;

/// A client that asks for a large answer and does not read it.
fn ask(server: &Running) -> TcpStream {
    let mut stream = server.connect();
    let body = config(LAYERS);
    let head = format!(
        "POST /api/v1/predict?batch_size=1&seq_len=8 HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    // The first bytes: the answer is there, and on its way.
    stream.read_exact(&mut [0; 64]).unwrap();
    stream
}

/// Waits for something that takes as long as it takes.
fn wait(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn clients_that_do_not_finish_their_bodies_stop_nobody() {
    let server = Running::start(Limits::default());
    let slow: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = server.connect();
            let head =
                "POST /api/v1/predict?batch_size=1&seq_len=8 HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{";
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    wait("a byte of each", || server.metric("irene_body_bytes") == 200.0);
    assert_eq!(server.get("/healthz").text, "ok\n");
    assert_eq!(server.get(GPT2).status, 200);
    assert_eq!(server.get(&format!("{GPT2}&math=true")).status, 200);
    assert_eq!(server.post("/api/v1/predict?batch_size=1&seq_len=8", &config(1)).status, 200);
    drop(slow);
    wait("the bytes come back", || server.metric("irene_body_bytes") == 0.0);
}

#[test]
fn bodies_are_bounded_together_and_in_time() {
    let limits = Limits { body: 4096, bodies: 10_000, body_time: Duration::from_secs(2), ..Limits::default() };
    let server = Running::start(limits);
    let head = "POST /api/v1/predict?batch_size=1&seq_len=8 HTTP/1.1\r\nHost: x\r\nContent-Length: 4096\r\n\r\n";
    let send = || {
        let mut stream = server.connect();
        stream.write_all(format!("{head}{}", " ".repeat(4000)).as_bytes()).unwrap();
        stream
    };
    let [mut first, second] = [send(), send()];
    wait("both are there", || server.metric("irene_body_bytes") == 8000.0);
    let mut text = String::new();
    send().read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 503") && text.contains("retry-after"), "{text}");
    text.clear();
    first.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
    wait("the bytes come back", || server.metric("irene_body_bytes") == 0.0);
    drop(second);
}

#[test]
fn answers_that_nobody_reads_are_bounded_and_let_go() {
    let limits = Limits { answers: 20 << 20, write_time: Duration::from_secs(600), ..Limits::default() };
    let server = Running::start(limits);
    assert_eq!(server.get(GPT2).status, 200);
    let before = server.metric("irene_answer_bytes");
    let mut unread = vec![ask(&server)];
    let one = server.metric("irene_answer_bytes") - before;
    assert!(one > f64::from(4 << 20), "{one} bytes would fit into a connection's buffers");
    while server.metric("irene_answer_bytes") + one < f64::from(20 << 20) {
        unread.push(ask(&server));
    }
    let large = || server.post("/api/v1/predict?batch_size=1&seq_len=8", &config(LAYERS));
    large().is_problem(503, "too many answers wait");
    // Others are answered meanwhile.
    assert_eq!(server.get("/healthz").text, "ok\n");
    assert_eq!(server.get("/api/v1/predict?model=gpt2&batch_size=2&seq_len=8").status, 200);
    assert!(server.metric("irene_answer_bytes") <= f64::from(20 << 20));
    let kept = server.metric("irene_answer_bytes") - one * unread.len() as f64;
    drop(unread);
    wait("the memory comes back", || server.metric("irene_answer_bytes") == kept);
    assert_eq!(large().status, 200);
}

#[test]
fn clients_that_do_not_read_are_left_and_slow_ones_are_not() {
    let server = Running::start(Limits { write_time: Duration::from_millis(700), ..Limits::default() });
    let before = server.metric("irene_answer_bytes");
    let mut unread = ask(&server);
    assert!(server.metric("irene_answer_bytes") > before);
    wait("the memory comes back", || server.metric("irene_answer_bytes") == before);
    // Bytes in the connection's buffers may still come, and then nothing.
    let mut rest = Vec::new();
    let ended = unread.read_to_end(&mut rest);
    assert!(ended.is_err() || rest.len() < 4 << 20, "{} bytes came", rest.len());

    // A client that takes its time, but goes on, gets all.
    let mut slow = ask(&server);
    let (mut part, mut taken) = (vec![0; 512 << 10], 64);
    loop {
        let read = slow.read(&mut part).unwrap();
        taken += read;
        if part[..read].ends_with(b"}}") || read == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(taken > 4 << 20, "{taken}");
}

#[test]
fn names_that_every_node_repeats_are_short() {
    let server = Running::start(Limits::default());
    let long = "x".repeat(201);
    let predict = |name: &str| server.post(&format!("/api/v1/predict?batch_size=1&seq_len=8&name={name}"), &config(1));
    predict(&long).is_problem(400, "has 201 characters; a name has 1 to 200");
    assert_eq!(predict(&long[1..]).status, 200);
    let tree = server.get("/api/v1/trace?model=gpt2&batch_size=1&seq_len=8").json()["tree"].to_string();
    let renamed = |from: &str, to: &str| server.post("/api/v1/predict/trees", &tree.replace(from, to));
    renamed("\"model_name\":\"gpt2\"", &format!("\"model_name\":\"{long}\"")).is_problem(422, "more than 200");
    renamed("\"root", &format!("\"{}", "y".repeat(1001))).is_problem(422, "more than 1000");
}

/// Values that no parameter is meant for.
fn hostile_values() -> Vec<String> {
    let words = "0 -1 1e999 -0.0 NaN Infinity 0x10 <script> ../../etc/passwd % %zz a=b=c;=;; ; = set=set=set=1 \
                 model=model=model num_hidden_layers=-1 num_hidden_layers=1e9 num_hidden_layers=4096 hidden_size=16777216 \
                 vocab_size=99999999999999 num_attention_heads=0 num_key_value_heads=7 intermediate_size=null hidden_act=[1] \
                 model_type=t5 layer_types={} max_position_embeddings=0 h100-sxm:,l4 l4:NaN l4:-1 l4:1e300 ,,, all,all";
    let others = ["", " ", "\u{0}", "\r\nX-Y: z", "\u{1f600}", "torch_dtype=\u{0}"];
    let mut values: Vec<String> = words.split(' ').chain(others).map(str::to_owned).collect();
    values.extend(
        [("9", 400), ("x", 9000), ("a=1;", 2000), ("l4,", 3000), ("int4,", 1500)].map(|(part, n)| part.repeat(n)),
    );
    values.push(format!("rope_scaling={}{}", "[".repeat(500), "]".repeat(500)));
    values
}

#[test]
fn no_value_of_a_parameter_stops_the_server_or_breaks_a_line() {
    let server = Running::start(Limits { time: Duration::from_secs(120), ..Limits::default() });
    let document = server.get("/api/v1/openapi.json").json();
    let base = |path: &str| match path.rsplit('/').next().unwrap() {
        "plan" => vec![("seq_len", "16"), ("generate", "4"), ("rate", "1"), ("devices", "l4")],
        "sweep" => vec![("batch_sizes", "1"), ("seq_lens", "8"), ("device", "l4")],
        "whatif" => {
            vec![("batch_size", "1"), ("seq_len", "16"), ("generate", "4"), ("device", "l4"), ("set_b", "batch_size=2")]
        }
        "leaderboard" => vec![("batch_size", "1"), ("seq_len", "16"), ("family", "distilbert")],
        _ => vec![("batch_size", "1"), ("seq_len", "16"), ("generate", "4")],
    };
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(operation) = item.get("get").filter(|_| !path.contains("jobs")) else { continue };
        for parameter in operation["parameters"].as_array().unwrap() {
            let name = parameter["name"].as_str().unwrap();
            let known =
                |other: &str| operation["parameters"].as_array().unwrap().iter().any(|one| one["name"] == other);
            // A third of the values for each; every value meets several parameters.
            for value in hostile_values().into_iter().skip(asked % 3).step_by(3) {
                let mut query: Vec<(&str, String)> =
                    base(path).into_iter().map(|(name, value)| (name, value.to_owned())).collect();
                query.push(("model", "gpt2".to_owned()));
                query.retain(|(other, _)| *other != name && known(other));
                query.push((name, value.clone()));
                let query: Vec<String> =
                    query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
                let answer = server.get(&format!("{path}?{}", query.join("&")));
                let shown: String = value.chars().take(60).collect();
                // A head of 32 KiB is too long to be read.
                assert!(answer.status < 500, "{path} {name} {shown:?}: {}", answer.text);
                if answer.kind == "application/problem+json" {
                    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
                    assert!(
                        !detail.contains(char::is_control) && detail.chars().count() < 1100,
                        "{path} {name}: {detail:?}"
                    );
                }
                asked += 1;
            }
        }
    }
    assert!(asked > 1000, "{asked}");
    assert_eq!(server.get("/healthz").text, "ok\n");
}

#[test]
fn no_beginning_of_a_file_stops_the_server() {
    let server = Running::start(Limits::default());
    let safetensors = |header: &str| [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let gguf = |tensors: u64, entries: u64, rest: &[u8]| {
        [b"GGUF", &3u32.to_le_bytes()[..], &tensors.to_le_bytes(), &entries.to_le_bytes(), rest].concat()
    };
    let many_keys: Vec<u8> =
        (0..200_000u32).flat_map(|key| [text(&key.to_string()), vec![7, 0, 0, 0, 1]].concat()).collect();
    let many_tensors: String =
        (0..100_000).map(|at| format!("\"{at}\":{{\"dtype\":\"F32\",\"shape\":[1]}},")).collect();
    let array = [
        text("a"),
        9u32.to_le_bytes().to_vec(),
        0u32.to_le_bytes().to_vec(),
        (8u64 << 20).to_le_bytes().to_vec(),
        vec![1; 8 << 20],
    ];
    let files: Vec<Vec<u8>> = vec![
        vec![],
        vec![0; 1 << 20],
        vec![0xff; 1 << 20],
        b"GGUF".to_vec(),
        gguf(u64::MAX, u64::MAX, &[]),
        gguf(0, 200_000, &many_keys),
        gguf(0, 1, &array.concat()),
        gguf(0, 1, &[text("general.architecture"), 8u32.to_le_bytes().to_vec(), text("llama")].concat()),
        safetensors(&format!("{{{many_tensors}\"z\":{{\"dtype\":\"F32\",\"shape\":[1]}}}}")),
        safetensors(&"[".repeat(1 << 20)),
        safetensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[1e400]}}"),
        u64::MAX.to_le_bytes().repeat(4),
        "{".repeat(100_000).into_bytes(),
        format!("{{\"model_type\":\"gpt2\",\"n_layer\":{}}}", "1".repeat(1 << 20)).into_bytes(),
        br#"{"model_type":"llama","num_hidden_layers":4096,"hidden_size":16777216,"vocab_size":16777216,"num_attention_heads":4096,"intermediate_size":16777216}"#.to_vec(),
        "{\"model_type\":\"\u{0}\n\"}".as_bytes().to_vec(),
    ];
    for (place, file) in files.iter().enumerate() {
        let answer = server.post_bytes("/api/v1/read", file);
        assert!(answer.status < 500, "{place}: {}", answer.text);
        if answer.status != 200 {
            assert!(!answer.json()["detail"].as_str().unwrap().contains(char::is_control), "{place}: {}", answer.text);
        }
    }
    assert_eq!(server.metric("irene_body_bytes"), 0.0);
    assert_eq!(server.get("/healthz").text, "ok\n");
}

#[test]
fn requests_that_compute_for_long_leave_a_processor_to_others() {
    let server = Running::start(Limits::default());
    // More than there are processors, and none of them kept: each has another length.
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let long: Vec<TcpStream> = (0..8 + 4 * processors)
        .map(|number| {
            let mut stream = server.connect();
            let path = format!("/api/v1/leaderboard?batch_size=1&seq_len={}", 100 + number);
            stream
                .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
                .unwrap();
            stream
        })
        .collect();
    wait("they wait or are at work", || server.metric("irene_http_requests_in_flight") > 6.0);
    // Answered while most of the long ones still wait.
    assert_eq!(server.get(GPT2).status, 200);
    assert!(server.metric("irene_http_requests_in_flight") > 3.0);
    drop(long);
}

#[test]
fn a_request_says_for_which_host_it_is() {
    let server = Running::start(Limits::default());
    let get = |head: &str| server.raw(&format!("GET {head}Connection: close\r\n\r\n"));
    for head in [
        "/healthz HTTP/1.1\r\n",
        "/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n",
        "/api/v1/models HTTP/1.1\r\nHost: a b\r\n",
        "/api/v1/models HTTP/1.1\r\nHost: a/b\r\n",
    ] {
        let answer = get(head);
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("Host"), "{head}: {answer}");
    }
    for head in [
        "/healthz HTTP/1.0\r\n",
        "/healthz HTTP/1.1\r\nHost: a.example:80\r\n",
        "/healthz HTTP/1.1\r\nHost: [::1]:80\r\n",
    ] {
        assert!(get(head).contains(" 200 OK"), "{head}");
    }
}
