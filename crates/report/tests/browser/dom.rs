//! A headless browser that opens a page and returns its final state.

use serde_json::Value;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Final state of a page.
pub struct Dom {
    text: String,
    log: String,
}

impl Dom {
    /// Returns the result of the test's script.
    pub fn result(&self) -> Value {
        let text = self.text.split("<pre id=\"result\">").nth(1).and_then(|rest| rest.split("</pre>").next());
        let text = text.unwrap_or_else(|| panic!("the script wrote no result; the browser says:\n{}", self.log));
        // Undo the browser's escaping of text in HTML.
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", "\u{a0}").replace("&amp;", "&");
        let result: Value = serde_json::from_str(&text).unwrap();
        assert!(result.get("failed").is_none(), "the script failed: {result}");
        result
    }

    /// Asserts that neither the page nor the browser reported errors.
    pub fn is_clean(&self) {
        assert!(self.text.contains("data-ready=\"true\""), "the page's script came to its end");
        assert!(self.text.contains("data-errors=\"0\""), "the page counted errors");
        let complaints: Vec<&str> = self.log.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

/// Opens a page in a window of this width and runs `script`, the body of an asynchronous function, in it. Returns
/// `None` if there is no browser.
pub fn open(html: &str, width: u32, script: &str) -> Option<Dom> {
    let browser = browser()?;
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("a \"page\" of it.html");
    let script = format!(
        "<script>addEventListener('load', async () => {{
            let result;
            try {{ result = await (async () => {{ {script} }})(); }} catch (error) {{ result = {{ failed: String(error.stack) }}; }}
            const pre = document.createElement('pre');
            pre.id = 'result';
            pre.textContent = JSON.stringify(result);
            document.body.append(pre);
        }});</script></body>"
    );
    fs::write(&page, html.replace("</body>", &script)).unwrap();
    let Output { stdout, stderr, status } = Command::new(&browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--enable-logging=stderr", "--v=0", "--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("--window-size={width},1200"))
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(&page)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", browser.display()));
    let log = String::from_utf8_lossy(&stderr).into_owned();
    assert!(status.success(), "{} ended with {status}:\n{log}", browser.display());
    Some(Dom { text: String::from_utf8(stdout).unwrap(), log })
}

fn browser() -> Option<PathBuf> {
    if let Some(named) = env::var_os("CHROMIUM") {
        return Some(named.into());
    }
    let path = env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let places =
        names.iter().flat_map(|name| env::split_paths(&path).map(|folder| folder.join(name)).collect::<Vec<_>>());
    places.into_iter().find(|place| Path::is_file(place))
}
