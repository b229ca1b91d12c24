//! Where rule files come from: paths that an operator names, and the rules that ship in the binary.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::problem::{Code, Problem, SourceText};
use super::yaml::FILE_BYTES_MAX;

/// How names of shipped rule files begin.
pub(super) const BUILTIN_PREFIX: &str = "builtin/";
/// Most files under the paths given: more are no rules but a wrong path.
const FILES_MAX: usize = 10_000;
/// Most bytes of all files together: thirty ConfigMaps at their largest.
const BYTES_MAX: usize = 32 << 20;
/// Deepest directory under a path given.
const DEPTH_MAX: usize = 32;
/// Most names that are looked at under the paths given, whatever they are: more are no rules but a wrong path, such as `/`.
const NAMES_MAX: usize = 100_000;

/// The rules that ship in the binary, and the taxonomy.
#[must_use]
pub fn builtin() -> Vec<SourceText> {
    BUILTIN
        .iter()
        .map(|(name, text)| SourceText {
            name: format!("{BUILTIN_PREFIX}{name}"),
            text: (*text).to_owned(),
        })
        .collect()
}

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../rules/", $name)))),*]
    };
}

const BUILTIN: &[(&str, &str)] = shipped![
    "application_services.yaml",
    "golden_signals.yaml",
    "identity_security.yaml",
    "infrastructure.yaml",
    "network_ingress.yaml",
    "operator_channels.yaml",
    "release_configuration.yaml",
    "runtime_services.yaml",
    "taxonomy.yaml",
];

/// What is under some paths.
#[derive(Debug, Default)]
pub struct FilesRead {
    /// The files that could be read, each once, in the order of the paths and by name.
    pub sources: Vec<SourceText>,
    /// Those that could not, and directories without any.
    pub problems: Vec<Problem>,
}

/// Reads rule files: a path that is a file, whatever its name, and below one that is a directory every `*.yaml` and `*.yml`.
///
/// Left out are tests (`*_test.yaml`) and names that begin with a dot: a mounted ConfigMap keeps its files twice, below
/// `..data` and as links to there. A file that two paths lead to is read once. Pipes and devices are refused, because they may
/// never end or never begin. Blocks while it reads.
#[must_use]
pub fn read_paths(paths: &[PathBuf]) -> FilesRead {
    read(paths, Wanted::Rules)
}

/// Reads test files: a path that is a file, whatever its name, and below one that is a directory every `*_test.yaml` and
/// `*_test.yml`. For the rest as [`read_paths`].
#[must_use]
pub fn read_test_paths(paths: &[PathBuf]) -> FilesRead {
    read(paths, Wanted::Tests)
}

/// What is looked for in directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Rules,
    Tests,
}

fn read(paths: &[PathBuf], wanted: Wanted) -> FilesRead {
    let mut walk = Walk {
        wanted,
        seen: HashSet::new(),
        found: 0,
        names: 0,
        bytes: 0,
        full: false,
        read: FilesRead::default(),
    };
    for path in paths {
        let before = walk.found;
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                if !walk.first_time(path) {
                    continue;
                }
                walk.directory(path, 0);
                if walk.found == before {
                    let message = match wanted {
                        Wanted::Rules => "the directory holds no rule files (*.yaml)",
                        Wanted::Tests => "the directory holds no test files (*_test.yaml)",
                    };
                    walk.problem(Code::NoRules, path, message);
                }
            }
            Ok(_) if wanted == Wanted::Rules && is_test(path) => {}
            Ok(found) => walk.file(path, &found),
            Err(error) => walk.problem(Code::Unreadable, path, &format!("cannot read it: {error}")),
        }
    }
    walk.read
}

struct Walk {
    wanted: Wanted,
    /// Files and directories by their real path.
    seen: HashSet<PathBuf>,
    /// Files met so far that are wanted, also again and also unreadable.
    found: usize,
    /// Names met so far in directories.
    names: usize,
    /// Bytes read so far.
    bytes: usize,
    /// Whether there was more of something than may be: nothing further is read.
    full: bool,
    read: FilesRead,
}

impl Walk {
    fn problem(&mut self, code: Code, path: &Path, message: &str) {
        let file = path.display().to_string();
        self.read
            .problems
            .push(Problem::of_file(code, &file, message.to_owned()));
    }

    /// Reports the first of the limits that is passed, and ends the reading.
    fn too_many(&mut self, path: &Path, message: &str) {
        if !self.full {
            self.full = true;
            self.problem(Code::TooMany, path, message);
        }
    }

    fn directory(&mut self, path: &Path, depth: usize) {
        if depth > DEPTH_MAX {
            self.problem(
                Code::TooMany,
                path,
                &format!("deeper than {DEPTH_MAX} directories"),
            );
            return;
        }
        let room = NAMES_MAX - self.names.min(NAMES_MAX);
        let entries = fs::read_dir(path).and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .take(room + 1)
                .collect::<Result<Vec<_>, _>>()
        });
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                self.problem(Code::Unreadable, path, &format!("cannot read it: {error}"));
                return;
            }
        };
        self.names += entries.len();
        if self.names > NAMES_MAX {
            self.too_many(
                path,
                &format!("more than {NAMES_MAX} names under the paths given, of whatever kind"),
            );
        }
        entries.sort();
        for path in entries {
            if self.full {
                return;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with('.') {
                continue;
            }
            let is_yaml = name.ends_with(".yaml") || name.ends_with(".yml");
            let is_wanted = is_yaml && is_test(&path) == (self.wanted == Wanted::Tests);
            match fs::metadata(&path) {
                Ok(found) if found.is_dir() => {
                    // A link to a directory above would lead in a circle.
                    if self.first_time(&path) {
                        self.directory(&path, depth + 1);
                    }
                }
                Ok(found) if is_wanted => self.file(&path, &found),
                Ok(_) => {}
                Err(error) if is_wanted => {
                    self.found += 1;
                    self.problem(Code::Unreadable, &path, &format!("cannot read it: {error}"));
                }
                Err(_) => {}
            }
        }
    }

    fn first_time(&mut self, path: &Path) -> bool {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        self.seen.insert(real)
    }

    fn file(&mut self, path: &Path, found: &fs::Metadata) {
        self.found += 1;
        if self.full || !self.first_time(path) {
            return;
        }
        if !found.is_file() {
            let message = "cannot read it: it is a pipe, a socket or a device, and no file";
            self.problem(Code::Unreadable, path, message);
            return;
        }
        if self.read.sources.len() == FILES_MAX {
            self.too_many(path, &format!("more than {FILES_MAX} files"));
            return;
        }
        let mut bytes = Vec::new();
        // One byte more than allowed is enough to see that it is too large.
        let read = fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            self.problem(Code::Unreadable, path, &format!("cannot read it: {error}"));
            return;
        }
        self.bytes += bytes.len();
        if self.bytes > BYTES_MAX {
            let limit = BYTES_MAX >> 20;
            self.too_many(path, &format!("more than {limit} MiB of files"));
            return;
        }
        match String::from_utf8(bytes) {
            Ok(text) => self.read.sources.push(SourceText {
                name: path.display().to_string(),
                text,
            }),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                self.problem(
                    Code::Unreadable,
                    path,
                    &format!("not UTF-8: byte {at} begins no character"),
                );
            }
        }
    }
}

fn is_test(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with("_test.yaml") || name.ends_with("_test.yml")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of its own that goes away again.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("trommel-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).expect("a temporary directory");
            Self(path)
        }

        fn write(&self, name: &str, text: &[u8]) {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().expect("below")).expect("a directory");
            fs::write(path, text).expect("a file");
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn names(read: &FilesRead) -> Vec<&str> {
        let names = read.sources.iter();
        names
            .map(|source| source.name.rsplit('/').next().unwrap_or_default())
            .collect()
    }

    #[test]
    fn a_directory_is_read_recursively_without_tests_and_hidden_names() {
        let scratch = Scratch::new("files");
        for name in [
            "b.yaml",
            "a.yml",
            "sub/c.yaml",
            "a_test.yaml",
            "README.md",
            ".git/d.yaml",
            ".#b.yaml",
        ] {
            scratch.write(name, b"rules: []");
        }
        let read = read_paths(std::slice::from_ref(&scratch.0));
        assert_eq!(names(&read), ["a.yml", "b.yaml", "c.yaml"]);
        assert_eq!(read.problems, []);
    }

    #[test]
    fn tests_are_read_where_they_are_asked_for() {
        let scratch = Scratch::new("test-files");
        for name in ["a.yaml", "a_test.yaml", "sub/b_test.yml", "empty/c.yaml"] {
            scratch.write(name, b"tests: []");
        }
        let read = read_test_paths(std::slice::from_ref(&scratch.0));
        assert_eq!(names(&read), ["a_test.yaml", "b_test.yml"]);
        assert_eq!(read.problems, []);
        let named = read_test_paths(&[scratch.0.join("a.yaml"), scratch.0.join("empty")]);
        assert_eq!(names(&named), ["a.yaml"]);
        assert!(named.problems[0].message.contains("*_test.yaml"));
    }

    #[cfg(unix)]
    #[test]
    fn a_mounted_configmap_and_links_in_a_circle_are_read_once() {
        use std::os::unix::fs::symlink;
        let scratch = Scratch::new("configmap");
        scratch.write("..2026_11_20/a.yaml", b"rules: []");
        symlink("..2026_11_20", scratch.0.join("..data")).expect("a link");
        symlink("..data/a.yaml", scratch.0.join("a.yaml")).expect("a link");
        symlink(".", scratch.0.join("again")).expect("a link");
        symlink("nowhere.yaml", scratch.0.join("broken.yaml")).expect("a link");
        let read = read_paths(&[scratch.0.clone(), scratch.0.join("a.yaml")]);
        assert_eq!(names(&read), ["a.yaml"]);
        assert_eq!(read.problems.len(), 1, "{:?}", read.problems);
        assert!(read.problems[0].file.ends_with("broken.yaml"));
    }

    #[test]
    fn what_cannot_be_read_is_a_problem_that_names_the_file() {
        let scratch = Scratch::new("unreadable");
        scratch.write("latin1.yaml", b"rules: # caf\xe9");
        fs::create_dir_all(scratch.0.join("empty")).expect("a directory");
        let read = read_paths(&[
            scratch.0.join("missing.yaml"),
            scratch.0.join("empty"),
            scratch.0.clone(),
        ]);
        let problems: Vec<_> = read
            .problems
            .iter()
            .map(|problem| {
                let name = problem.file.rsplit('/').next().unwrap_or_default();
                format!("{name} {} {}", problem.code, problem.message)
            })
            .collect();
        assert_eq!(
            problems,
            [
                "missing.yaml R002 cannot read it: No such file or directory (os error 2)",
                "empty L006 the directory holds no rule files (*.yaml)",
                "latin1.yaml R002 not UTF-8: byte 12 begins no character",
            ]
        );
    }
}
