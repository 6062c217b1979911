use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

#[cfg(feature = "candle")]
use anyhow::ensure;
use anyhow::{Context, Result};
use irene_predict::Calibration;
use irene_regress::DeviceProfile;
use irene_viz::{Limits, Options, Profiling, Server};
use tokio::signal;

use super::{numbers::size, usage};
use crate::output;

/// Serves the web page and the HTTP API
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene serve
  irene serve --port 8000 --predictor mine.safetensors --quiet
  irene serve --allow-profiling --tdp-watts 65")]
pub(crate) struct Args {
    /// The IP address to listen at; any but the default lets other machines in
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_parser = address)]
    host: IpAddr,
    /// The port to listen at; 0 takes a free one
    #[arg(short, long, default_value_t = 7878)]
    port: u16,
    /// A predictor file of `irene train` or `irene calibrate`, as a device of the file's name, or for the device whose
    /// requests it was made from; may be given more than once
    #[arg(long, value_name = "FILE")]
    predictor: Vec<PathBuf>,
    /// An origin whose pages may use the API, or *
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    allow_origin: Option<String>,
    /// Bytes of a request's body, at most
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().body, value_parser = size)]
    max_body: usize,
    /// Sequences in a batch, at most
    #[arg(long, value_name = "B", default_value_t = Limits::default().batch_size, value_parser = size)]
    max_batch_size: usize,
    /// Tokens in a sequence, at most
    #[arg(long, value_name = "S", default_value_t = Limits::default().seq_len, value_parser = size)]
    max_seq_len: usize,
    /// Do not log requests
    #[arg(short, long)]
    quiet: bool,
    #[cfg(feature = "candle")]
    #[command(flatten)]
    jobs: super::jobs::JobArgs,
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "expected an IP address, such as 127.0.0.1 or 0.0.0.0".into())
}

/// An origin as browsers send it: anything else would never be theirs.
fn origin(text: &str) -> Result<String, String> {
    let is_host = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '@']);
    let is_address = text.split_once("://").is_some_and(|(scheme, host)| !scheme.is_empty() && is_host(host));
    let is_lower = !text.contains(|c: char| c.is_whitespace() || c.is_ascii_uppercase());
    if text == "*" || text == "null" || is_address && is_lower {
        return Ok(text.to_owned());
    }
    Err("expected * or an origin without a path and in lower case, such as https://example.org or http://localhost:8000".into())
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let (mut devices, mut calibrations) = (Vec::new(), Vec::new());
    for path in &args.predictor {
        if let Some(calibration) = Calibration::read(path)? {
            calibrations.push(Arc::new(calibration));
        } else {
            let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            if devices.iter().any(|(known, _)| *known == name) {
                let reason = format!("{}: another --predictor is called `{name}` too; rename one", path.display());
                return usage(reason);
            }
            if DeviceProfile::bundled_names().any(|shipped| shipped == name) {
                output::tell(&format!("{} stands in place of the shipped profile {name}", path.display()));
            }
            devices.push((name, DeviceProfile::read(path)?));
        }
    }
    let options = Options {
        address: SocketAddr::new(args.host, args.port),
        devices,
        calibrations,
        allow_origin: args.allow_origin.clone(),
        profiler: profiler(args)?,
        limits: Limits {
            body: args.max_body,
            batch_size: args.max_batch_size,
            seq_len: args.max_seq_len,
            ..Limits::default()
        },
    };
    if !args.quiet {
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_target(false).init();
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads to serve with")?;
    runtime.block_on(async {
        let server = Server::bind(options).await?;
        output::tell(&format!("http://{} until Ctrl-C", server.address()?));
        server.run(stopped()).await;
        Ok(())
    })
}

#[cfg(feature = "candle")]
fn profiler(args: &Args) -> Result<Option<Arc<dyn Profiling>>> {
    let Some(profiler) = args.jobs.profiler()? else { return Ok(None) };
    ensure!(
        args.allow_origin.as_deref() != Some("*"),
        "--allow-profiling with --allow-origin * lets every page in a browser measure here; name the origin"
    );
    Ok(Some(Arc::new(profiler)))
}

/// A build without candle runs no model.
#[cfg(not(feature = "candle"))]
fn profiler(_: &Args) -> Result<Option<Arc<dyn Profiling>>> {
    Ok(None)
}

/// Ready at Ctrl-C, or when the system asks to end.
async fn stopped() {
    #[cfg(unix)]
    if let Ok(mut ended) = signal::unix::signal(signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = signal::ctrl_c() => {}
            _ = ended.recv() => {}
        }
        return;
    }
    let _ = signal::ctrl_c().await;
}
