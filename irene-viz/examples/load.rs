//! How many answers a second, and how late the last of a hundred: `cargo run --release -p irene-viz --example load -- ADDRESS CONNECTIONS
//! REQUESTS PATH` asks a running `irene serve --quiet`, or with `here` for ADDRESS a server of its own; with several CONNECTIONS, as in 1,8,64,
//! by each number in turn. With `{}` in the path each request has another number there, from 1 on.
#![allow(clippy::print_stdout)] // what it is for

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use irene_viz::{Options, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());
    let mut address = next("127.0.0.1:7878");
    if address == "here" {
        let options = Options { address: ([127, 0, 0, 1], 0).into(), ..Options::default() };
        let server = Server::bind(options).await?;
        address = server.address()?.to_string();
        tokio::spawn(server.run(std::future::pending()));
    }
    let (connections, requests) = (next("64"), next("100000").parse()?);
    let path: Arc<str> = next("/api/v1/predict?model=bert-base-uncased&batch_size=8&seq_len=128").into();
    for connections in connections.split(',') {
        load(&address.as_str().into(), &path, connections.parse()?, requests).await?;
    }
    Ok(())
}

async fn load(address: &Arc<str>, path: &Arc<str>, connections: usize, requests: usize) -> Result<()> {
    let sent = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let tasks: Vec<_> = (0..connections)
        .map(|_| tokio::spawn(ask(Arc::clone(address), Arc::clone(path), Arc::clone(&sent), requests)))
        .collect();
    let mut times = Vec::with_capacity(requests);
    for task in tasks {
        times.extend(task.await??);
    }
    let seconds = start.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() as f64 * share) as usize).min(times.len() - 1)];
    println!(
        "{requests} requests over {connections} connections in {seconds:.1} s: {:.0}/s; median {:?}, 99% {:?}, last {:?}",
        requests as f64 / seconds,
        at(0.5),
        at(0.99),
        at(1.0)
    );
    Ok(())
}

/// Asks over one connection until enough was asked over all.
async fn ask(address: Arc<str>, path: Arc<str>, sent: Arc<AtomicUsize>, requests: usize) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(&*address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 1 << 18];
    let mut times = Vec::new();
    loop {
        let number = sent.fetch_add(1, Ordering::Relaxed) + 1;
        if number > requests {
            return Ok(times);
        }
        let path = path.replace("{}", &number.to_string());
        let start = Instant::now();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await?;
        receive(&mut stream, &mut buffer).await?;
        times.push(start.elapsed());
    }
}

/// Reads one answer of a known length, which has to be a good one.
async fn receive(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<()> {
    let mut len = 0;
    let (head, body): (usize, usize) = loop {
        let more = stream.read(&mut buffer[len..]).await?;
        len += more;
        if let Some(end) = buffer[..len].windows(4).position(|window| window == b"\r\n\r\n") {
            let head = std::str::from_utf8(&buffer[..end])?.to_ascii_lowercase();
            let body =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).ok_or("no length")?.parse()?;
            break (end + 4, body);
        }
        if more == 0 {
            return Err("the server closed the connection".into());
        }
    };
    if !buffer.starts_with(b"HTTP/1.1 200") {
        return Err(String::from_utf8_lossy(&buffer[..len]).into_owned().into());
    }
    let mut left: usize = head + body - len;
    while left > 0 {
        let room = left.min(buffer.len());
        match stream.read(&mut buffer[..room]).await? {
            0 => return Err("the server closed the connection".into()),
            more => left -= more,
        }
    }
    Ok(())
}
