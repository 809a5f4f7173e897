//! A real browser, told what to do by the Chrome DevTools Protocol over two pipes, its messages between zero bytes.

use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::*;

/// The shell gives it what comes in by 3 and takes what goes out by 4.
const START: &str = "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";

pub(super) struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    number: u64,
    /// What pages have said of what went wrong with them.
    pub(super) complaints: Vec<String>,
    folder: PathBuf,
    patience: Duration,
}

/// A page in a tab of its own. All of a browser share what they keep.
#[derive(Clone)]
pub(super) struct Tab(String);

impl Browser {
    /// # Errors
    /// There is none on this machine.
    pub(super) fn start(case: &str) -> io::Result<Self> {
        let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
            let version =
                Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            version.is_ok_and(|status| status.success())
        });
        let program = found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such program"))?;
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("chromium-{case}-{}", std::process::id()));
        let profile = format!("--user-data-dir={}", folder.display());
        let mut command = Command::new("sh");
        command.args([
            "-c",
            START,
            "sh",
            program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ]);
        command.args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
        ]);
        command.args(["--disable-dev-shm-usage", &profile, "--remote-debugging-pipe", "about:blank"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Ok(Self { child, to, from, number: 0, complaints: Vec::new(), folder, patience: PATIENCE })
    }

    /// Another tab, with a page of this size.
    pub(super) fn open(&mut self, url: &str, wide: u32, high: u32) -> Tab {
        let target = self.call(None, "Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call(None, "Target.attachToTarget", &attach);
        let tab = Tab(session["sessionId"].as_str().unwrap().to_owned());
        for part in ["Page", "Runtime", "Log"] {
            self.call(Some(&tab), &format!("{part}.enable"), &json!({}));
        }
        // As if each were the one that somebody looks at.
        self.call(Some(&tab), "Emulation.setFocusEmulationEnabled", &json!({ "enabled": true }));
        self.size(&tab, wide, high);
        self.call(Some(&tab), "Page.navigate", &json!({ "url": url }));
        tab
    }

    pub(super) fn size(&mut self, tab: &Tab, wide: u32, high: u32) {
        let size = json!({ "width": wide, "height": high, "deviceScaleFactor": 1, "mobile": wide < 500 });
        self.call(Some(tab), "Emulation.setDeviceMetricsOverride", &size);
    }

    /// How long is waited for something.
    pub(super) fn patience(&mut self, time: Duration) {
        self.patience = time;
    }

    pub(super) fn prefer(&mut self, tab: &Tab, feature: &str, value: &str) {
        let media = json!({ "features": [{ "name": feature, "value": value }] });
        self.call(Some(tab), "Emulation.setEmulatedMedia", &media);
    }

    /// What this expression comes to in the page.
    #[track_caller]
    pub(super) fn eval(&mut self, tab: &Tab, expression: &str) -> Value {
        let what = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let told = self.call(Some(tab), "Runtime.evaluate", &what);
        assert!(told.get("exceptionDetails").is_none(), "{expression}: {told}");
        told["result"]["value"].clone()
    }

    /// Waits until the expression is true.
    #[track_caller]
    pub(super) fn until(&mut self, tab: &Tab, expression: &str) {
        let since = Instant::now();
        while self.eval(tab, expression) != json!(true) {
            if since.elapsed() > self.patience {
                let text = self.eval(tab, "document.body.innerText");
                panic!(
                    "it did not come to: {expression}\n{}\n{:?}",
                    text.as_str().unwrap_or_default(),
                    self.complaints
                );
            }
            std::thread::yield_now();
        }
    }

    pub(super) fn press(&mut self, tab: &Tab, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let code = match key {
                "Enter" => 13,
                "Escape" => 27,
                "Tab" => 9,
                _ => u32::from(key.as_bytes()[0]),
            };
            let text = if key == "Enter" {
                "\r"
            } else if key.len() == 1 {
                key
            } else {
                ""
            };
            let text = if kind == "keyDown" { text } else { "" };
            let what = json!({ "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code });
            self.call(Some(tab), "Input.dispatchKeyEvent", &what);
        }
    }

    /// A picture of the page among the artefacts of the tests.
    pub(super) fn picture(&mut self, tab: &Tab, name: &str) {
        let told = self.call(Some(tab), "Page.captureScreenshot", &json!({ "format": "png" }));
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dashboard");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), decoded(told["data"].as_str().unwrap())).unwrap();
    }

    #[track_caller]
    fn call(&mut self, tab: Option<&Tab>, method: &str, params: &Value) -> Value {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": params });
        if let Some(Tab(session)) = tab {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(0, &mut bytes).unwrap();
            assert_eq!(bytes.pop(), Some(0), "the browser has ended");
            let told: Value = serde_json::from_slice(&bytes).unwrap();
            if told["id"] == self.number {
                assert!(told.get("error").is_none(), "{method}: {told}");
                return told["result"].clone();
            }
            if let Some("Runtime.exceptionThrown" | "Log.entryAdded") = told["method"].as_str() {
                self.complaints.push(told["params"].to_string());
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It has no work that is not a test's.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// From Base64 (RFC 4648).
fn decoded(text: &str) -> Vec<u8> {
    let six = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits =
            four.iter().fold(0_u32, |bits, byte| bits << 6 | u32::from(six(*byte))) << (6 * (4 - four.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}
