//! The corpus of messages and vectors, which lies beside the repository, or where `SIPPET_CORPUS` says.
#![allow(dead_code, reason = "each test needs a part of it")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Once;

use serde_json::Value;

/// Where it is. Without it the suite says so, once, and its tests pass.
pub fn path() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let path = std::env::var_os("SIPPET_CORPUS").map_or(beside, PathBuf::from);
    if path.is_dir() {
        return Some(path);
    }
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        say(&format!(
            "none at {}, no row of it is judged here",
            path.display()
        ));
    });
    None
}

/// Writes a line that is seen when the test passes too, for which `println!` is no good.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "corpus: {line}");
}

/// The rows of a folder's index.
pub fn rows(folder: &Path) -> Vec<Value> {
    let index = fs::read(folder.join("index.json")).unwrap();
    serde_json::from_slice(&index).unwrap()
}

/// The bytes of a row.
pub fn data(folder: &Path, row: &Value) -> Vec<u8> {
    fs::read(folder.join(row["file"].as_str().unwrap())).unwrap()
}

/// A file of vectors.
pub fn vectors(name: &str) -> Option<Value> {
    let text = fs::read(path()?.join("vectors").join(name)).unwrap();
    Some(serde_json::from_slice(&text).unwrap())
}
