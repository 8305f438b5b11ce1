//! What the fuzz targets judge, judged here of their seeds, of what they found before, and of the fixtures.

mod engine;
#[path = "operations/mod.rs"]
mod operations;
#[path = "simulation/mod.rs"]
mod simulation;

mod fuzz {
    pub mod engine;
    pub mod framing;
    pub mod header;
    pub mod message;
    pub mod round_trip;
    pub mod sdp;
    pub mod simulation;
    pub mod uri;
}

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// Folders as native/fuzz and the Makefile name them.
fn replay(folders: &[&str], least: usize, judge: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut judged = 0;
    for path in folders.iter().flat_map(|folder| files(&root.join(folder))) {
        let data = fs::read(&path).unwrap();
        assert!(catch_unwind(|| judge(&data)).is_ok(), "{}", path.display());
        judged += 1;
    }
    assert!(judged >= least, "{judged} inputs in {folders:?}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn messages_are_parsed_stamped_and_answered() {
    let folders = [
        "native/fuzz/seeds/message",
        "test/fixtures/rfc4475",
        "test/fixtures/rfc5118",
    ];
    replay(&folders, 60, fuzz::message::judge);
}

#[test]
fn messages_are_written_as_they_were_read() {
    let folders = [
        "native/fuzz/seeds/round_trip",
        "test/fixtures/rfc4475",
        "test/fixtures/rfc5118",
    ];
    replay(&folders, 60, fuzz::round_trip::judge);
}

#[test]
fn header_fields_are_read_and_written() {
    replay(&["native/fuzz/seeds/header"], 99, fuzz::header::judge);
}

#[test]
fn uris_are_read_written_and_compared() {
    replay(&["native/fuzz/seeds/uri"], 10, fuzz::uri::judge);
}

#[test]
fn streams_bring_the_same_however_they_are_cut() {
    replay(&["native/fuzz/seeds/framing"], 8, fuzz::framing::judge);
}

#[test]
fn engines_take_any_operations() {
    replay(&["native/fuzz/seeds/engine"], 8, fuzz::engine::judge);
}

#[test]
fn networks_of_engines_hold_whatever_is_chosen() {
    replay(
        &["native/fuzz/seeds/simulation"],
        4,
        fuzz::simulation::judge,
    );
}

#[test]
fn session_descriptions_are_written_as_they_were_read() {
    replay(&["native/fuzz/seeds/sdp"], 6, fuzz::sdp::judge);
}
