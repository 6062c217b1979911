//! A small client of the W3C WebDriver protocol: a headless Chromium under its own chromedriver, both ended on drop.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// How long the page may take for anything that it is waited for.
const DEADLINE: Duration = Duration::from_secs(10);

/// Between two looks at the page.
const PAUSE: Duration = Duration::from_millis(20);

/// For starting the browser on a busy machine.
const COMMAND_TIME: Duration = Duration::from_secs(60);

/// The protocol's name for an element, in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys without a character, as the protocol writes them.
pub(crate) mod key {
    pub(crate) const TAB: &str = "\u{e004}";
    pub(crate) const ENTER: &str = "\u{e007}";
    pub(crate) const ESCAPE: &str = "\u{e00c}";
    pub(crate) const END: &str = "\u{e010}";
    pub(crate) const HOME: &str = "\u{e011}";
    pub(crate) const LEFT: &str = "\u{e012}";
    pub(crate) const UP: &str = "\u{e013}";
    pub(crate) const RIGHT: &str = "\u{e014}";
    pub(crate) const DOWN: &str = "\u{e015}";
}

/// The programs that a browser test needs.
pub(crate) struct Programs {
    chromedriver: PathBuf,
    chromium: PathBuf,
}

impl Programs {
    /// Those on the PATH, or which of them is missing.
    pub(crate) fn find() -> Result<Self, String> {
        Ok(Self { chromedriver: on_path("chromedriver")?, chromium: on_path("chromium")? })
    }
}

fn on_path(name: &str) -> Result<PathBuf, String> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| format!("{name} is not on the PATH"))
}

/// chromedriver, on a port that it chose itself.
struct Driver {
    process: Child,
    // Open for as long as it may write to it.
    output: BufReader<ChildStdout>,
    port: u16,
    // Where it and the browser keep what they need, the profile among it.
    folder: PathBuf,
}

impl Driver {
    /// chromedriver looks for a free port and then takes it: in between, another program may have.
    fn start(chromedriver: &Path) -> Self {
        const TRIES: usize = 5;
        let mut tries = (0..TRIES).filter_map(|_| Self::try_to_start(chromedriver));
        tries.next().unwrap_or_else(|| unreachable!("chromedriver ended {TRIES} times before it had a port"))
    }

    /// None if it ended before it had a port.
    fn try_to_start(chromedriver: &Path) -> Option<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        // Not the build's own folder: a socket in it has to have a short path.
        let folder = std::env::temp_dir().join(format!("irene-browser-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut process = Command::new(chromedriver)
            .arg("--port=0")
            .env("TMPDIR", &folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut driver = Self { process, output, port: 0, folder };
        let mut line = String::new();
        while driver.output.read_line(&mut line).unwrap() > 0 {
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                driver.port = port.trim().trim_end_matches('.').parse().unwrap();
                return Some(driver);
            }
            line.clear();
        }
        None
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // The browser's last processes may still be writing to it.
        let start = Instant::now();
        while std::fs::remove_dir_all(&self.folder).is_err() && start.elapsed() < DEADLINE {
            thread::sleep(PAUSE);
        }
    }
}

/// One window of a browser with a profile of its own.
pub(crate) struct Browser {
    agent: ureq::Agent,
    session: String,
    _driver: Driver,
}

impl Browser {
    pub(crate) fn start(programs: &Programs) -> Self {
        let driver = Driver::start(&programs.chromedriver);
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(COMMAND_TIME))
            .build()
            .new_agent();
        let sessions = format!("http://127.0.0.1:{}/session", driver.port);
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--no-proxy-server",
            "--window-size=1280,900",
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": programs.chromium, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let session = value(agent.post(&sessions).send_json(wanted).unwrap());
        let id = session["sessionId"].as_str().unwrap();
        Self { agent, session: format!("{sessions}/{id}"), _driver: driver }
    }

    fn post(&self, path: &str, body: Value) -> Value {
        value(self.agent.post(format!("{}/{path}", self.session)).send_json(body).unwrap())
    }

    fn read(&self, path: &str) -> Value {
        value(self.agent.get(format!("{}/{path}", self.session)).call().unwrap())
    }

    pub(crate) fn open(&self, url: &str) {
        self.post("url", json!({"url": url}));
    }

    pub(crate) fn url(&self) -> String {
        self.read("url").as_str().unwrap().to_owned()
    }

    pub(crate) fn back(&self) {
        self.post("back", json!({}));
    }

    pub(crate) fn forward(&self) {
        self.post("forward", json!({}));
    }

    /// Makes the page this large, which may be narrower than a window can be.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Asks for dark colours or light ones.
    pub(crate) fn dark(&self, is_dark: bool) {
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features);
    }

    /// Asks for less motion.
    pub(crate) fn less_motion(&self) {
        let features = json!({"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]});
        self.devtools("Emulation.setEmulatedMedia", features);
    }

    /// Refuses storage to pages that are opened from now on, as browsers do that block cookies.
    pub(crate) fn refuse_storage(&self) {
        let source = "Object.defineProperty(window, 'sessionStorage', {
            get() { throw new DOMException('Access is denied for this document.', 'SecurityError'); } })";
        self.devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": source}));
    }

    /// The nodes of the page that the browser tells a screen reader of, without those that it leaves out.
    pub(crate) fn accessible(&self) -> Vec<Value> {
        let tree = self.devtools("Accessibility.getFullAXTree", json!({}));
        tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] != true).cloned().collect()
    }

    /// Runs a command of Chromium's own, where the protocol has none.
    fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("goog/cdp/execute", json!({"cmd": command, "params": parameters}))
    }

    /// Calls a function with this body in the page, and gives what it returns; `arguments` are its arguments.
    pub(crate) fn run(&self, body: &str, arguments: Value) -> Value {
        self.post("execute/sync", json!({"script": body, "args": arguments}))
    }

    /// The same of a script without arguments.
    pub(crate) fn ask(&self, body: &str) -> Value {
        self.run(body, json!([]))
    }

    /// Waits until a function's body returns something, neither null nor false, and gives that.
    pub(crate) fn wait_for(&self, what: &str, body: &str, arguments: Value) -> Value {
        let start = Instant::now();
        loop {
            let found = self.run(body, arguments.clone());
            if !found.is_null() && found != false {
                return found;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "{what}: still not so at {}; the page's error is {}",
                self.url(),
                self.ask("return document.getElementById('error')?.textContent")
            );
            thread::sleep(PAUSE);
        }
    }

    /// The same of a script without arguments.
    pub(crate) fn wait(&self, what: &str, body: &str) -> Value {
        self.wait_for(what, body, json!([]))
    }

    fn find(&self, selector: &str) -> String {
        let element = self.post("element", json!({"using": "css selector", "value": selector}));
        element[ELEMENT].as_str().unwrap().to_owned()
    }

    pub(crate) fn click(&self, selector: &str) {
        let element = self.find(selector);
        self.post(&format!("element/{element}/click"), json!({}));
    }

    /// Types into an element as it is; for a file input, the path of the file to upload.
    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        self.post(&format!("element/{element}/value"), json!({"text": text}));
    }

    /// Replaces what an input holds.
    pub(crate) fn fill(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        self.post(&format!("element/{element}/clear"), json!({}));
        self.post(&format!("element/{element}/value"), json!({"text": text}));
    }

    /// Chooses an option of a select by its value.
    pub(crate) fn choose(&self, selector: &str, option: &str) {
        self.click(&format!("{selector} option[value='{option}']"));
    }

    /// Presses and releases a key, wherever the focus is.
    pub(crate) fn press(&self, key: &str) {
        let steps = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        self.post("actions", json!({"actions": [{"type": "key", "id": "keyboard", "actions": steps}]}));
    }

    /// The entries of the console since the last look.
    pub(crate) fn console(&self) -> Vec<Value> {
        self.log("browser")
    }

    pub(crate) fn has_no_errors(&self) {
        let console = self.console();
        assert!(console.iter().all(|entry| entry["level"] != "SEVERE"), "{console:?}");
    }

    /// The address of every request since the last look.
    pub(crate) fn requests(&self) -> Vec<String> {
        let events = self.log("performance");
        let events = events.iter().map(|entry| {
            let event: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            event["message"].clone()
        });
        let sent = events.filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.map(|event| event["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        self.post("se/log", json!({"type": kind})).as_array().unwrap().clone()
    }
}

impl Drop for Browser {
    /// Ends Chromium, which would outlive a chromedriver that is killed.
    fn drop(&mut self) {
        let _ = self.agent.delete(&self.session).call();
    }
}

fn value(mut response: ureq::http::Response<ureq::Body>) -> Value {
    let status = response.status();
    let answer: Value = response.body_mut().with_config().limit(64 << 20).read_json().unwrap();
    assert!(status.is_success(), "{status}: {} {}", answer["value"]["error"], answer["value"]["message"]);
    answer["value"].clone()
}
