//! Programs that the tests run but cargo does not build: servers and clients, installed by `scripts/install-test-tools`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Where `scripts/install-test-tools` puts things.
pub(crate) fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools")
}

/// Where a file of these tests lies.
pub(crate) fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(path)
}

/// Finds the program `name`; `None`, with a word about it, means that the test is to be left out.
///
/// # Panics
/// When it is missing and `TROMMEL_TEST_REQUIRE=1` says that nothing may be left out.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers in /usr/sbin, which is not on every user's PATH.
    let places = std::env::split_paths(&path)
        .chain([tools().join("bin"), PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name));
    existing(name, places)
}

/// Finds something that is installed at one place only.
pub(crate) fn installed(name: &str, path: PathBuf) -> Option<PathBuf> {
    existing(name, [path])
}

fn existing(name: &str, places: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let found = places.into_iter().find(|place| place.exists());
    if found.is_none() {
        assert!(
            std::env::var_os("TROMMEL_TEST_REQUIRE").is_none_or(|value| value != "1"),
            "no {name} here: run scripts/install-test-tools"
        );
        eprintln!("skipped: no {name} here; scripts/install-test-tools installs it");
    }
    found
}

/// Runs a program to its end with `input` as its standard input.
pub(crate) fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("could not start {command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_owned();
    // From a thread of its own: a program that answers before it has read everything would block on a full pipe.
    let writer = std::thread::spawn(move || {
        // A program may end without reading all of its input; its output says why.
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().expect("a child can be waited for");
    writer.join().expect("writing to a pipe does not panic");
    output
}

/// Runs a program as [`run`] does and returns what it printed.
///
/// # Panics
/// When it fails; with all that it printed.
#[track_caller]
pub(crate) fn succeed(command: &mut Command, input: &str) -> String {
    let output = run(command, input);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    String::from_utf8(output.stdout).expect("output is UTF-8")
}

/// Sends a signal, by its name without `SIG`.
pub(crate) fn signal(child: &Child, name: &str) {
    // The shell's own kill: the program of that name is not part of a minimal Debian, and a call needs unsafe code.
    let status = Command::new("sh")
        .args(["-c", &format!("kill -{name} {}", child.id())])
        .status()
        .expect("there is a shell");
    assert!(status.success(), "could not send SIG{name}");
}
